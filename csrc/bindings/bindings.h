// One register call per topic; arrays are taken as they are, never converted.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "weightsharing/engine.h"

namespace weightsharing::bindings {

namespace py = pybind11;

void register_geometry(py::module_& m);
void register_engine(py::module_& m);
void register_schedule(py::module_& m);
void register_processor(py::module_& m);
void register_compiler(py::module_& m);
void register_driver(py::module_& m);

// An engine with the sizes that its arrays must have.
struct BoundEngine {
  std::shared_ptr<Engine> engine;
  DType dtype;
  Index pre, post;
  std::vector<Index> weights;  // elements per array
};

DType dtype_of(const std::string& name);

// Address of a C-contiguous array of the dtype; TypeError or ValueError otherwise.
const void* readable(const py::array& array, DType dtype, const char* name);
void* writable(py::array& array, DType dtype, const char* name);

}  // namespace weightsharing::bindings
