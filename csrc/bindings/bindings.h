// One register call per topic; arrays are taken as they are, never converted.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "weightsharing/engine.h"

namespace weightsharing::bindings {

// `_core`
void register_geometry(py::module_& m);
void register_engine(py::module_& m);
void register_schedule(py::module_& m);
void register_processor(py::module_& m);
// `_cuda` and `_cupy`
void register_device(py::module_& m);
void register_device_array(py::module_& m);
void register_device_engine(py::module_& m);
void register_device_schedule(py::module_& m);
void register_compiler(py::module_& m);
void register_driver(py::module_& m);  // `_cupy` alone

// An engine with the sizes that its arrays must have.
struct BoundEngine {
  std::shared_ptr<Engine> engine;
  DType dtype;
  Index pre, post;
  std::vector<Index> weights;  // elements per array
};

// Lines of an engine's describe(), for the CPU and for devices.
template <class E>
py::dict described(const E& engine) {
  py::dict lines;
  for (const auto& [name, value] : engine.describe()) lines[py::str(name)] = value;
  lines["flops"] = engine.flops();
  lines["bytes"] = engine.bytes();
  return lines;
}

// Python's own signals end a run of a schedule: asks, and remembers the answer.
class Interrupts {
 public:
  bool go_on() {
    const py::gil_scoped_acquire acquire;
    interrupted_ = PyErr_CheckSignals() != 0;
    return !interrupted_;
  }
  void raise() const {
    if (interrupted_) throw py::error_already_set();
  }

 private:
  bool interrupted_ = false;
};

}  // namespace weightsharing::bindings
