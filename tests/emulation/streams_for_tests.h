// Streams, captures and faults of the emulated device for Python tests: on a real one CuPy or torch brings
// them.
#pragma once

#include <cuda_runtime.h>
#include <pybind11/pybind11.h>

#include <memory>
#include <stdexcept>
#include <string>

namespace weightsharing::bindings {

inline void expect_success(cudaError_t error) {
  if (error != cudaSuccess) throw std::runtime_error(cudaGetErrorString(error));
}

struct TestGraph {
  cudaGraphExec_t executable = nullptr;
  std::size_t operations = 0;
  ~TestGraph() { cudaGraphExecDestroy(executable); }
};

struct TestStream {
  cudaStream_t handle = nullptr;
  int device;

  explicit TestStream(int device) : device(device) {
    on_device([&] { return cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking); });
  }
  ~TestStream() { cudaStreamDestroy(handle); }
  TestStream(const TestStream&) = delete;

  template <class Body>
  void on_device(Body body) {
    int before = 0;
    expect_success(cudaGetDevice(&before));
    expect_success(cudaSetDevice(device));
    const cudaError_t error = body();
    cudaSetDevice(before);
    expect_success(error);
  }
  std::unique_ptr<TestGraph> end_capture() {
    auto graph = std::make_unique<TestGraph>();
    on_device([&] {
      cudaGraph_t captured = nullptr;
      cudaError_t error = cudaStreamEndCapture(handle, &captured);
      if (error == cudaSuccess) error = cudaGraphGetNodes(captured, nullptr, &graph->operations);
      if (error == cudaSuccess) error = cudaGraphInstantiate(&graph->executable, captured);
      if (captured) cudaGraphDestroy(captured);
      return error;
    });
    return graph;
  }
};

inline void bind_streams_for_tests(pybind11::module_& m) {
  namespace py = pybind11;
  py::class_<TestGraph>(m, "TestGraph").def_readonly("operations", &TestGraph::operations);
  py::class_<TestStream>(m, "TestStream")
      .def(py::init<int>(), py::arg("device") = 0)
      .def("__cuda_stream__",
           [](const TestStream& s) { return py::make_tuple(0, reinterpret_cast<std::uintptr_t>(s.handle)); })
      .def_property_readonly("queued", [](const TestStream& s) { return s.handle->queue.size(); })
      .def("synchronise", [](TestStream& s) { s.on_device([&] { return cudaStreamSynchronize(s.handle); }); })
      .def("begin_capture",
           [](TestStream& s) {
             s.on_device([&] { return cudaStreamBeginCapture(s.handle, cudaStreamCaptureModeGlobal); });
           })
      .def("end_capture", &TestStream::end_capture)
      .def("replay", [](TestStream& s, const TestGraph& graph) {
        s.on_device([&] { return cudaGraphLaunch(graph.executable, s.handle); });
      });
  m.def("current_device", [] {
    int device = -1;
    expect_success(cudaGetDevice(&device));
    return device;
  });
  m.def("allocated_bytes", &emulation::allocated_bytes);
  m.def("plant_failures", [](int kernels) { emulation::runtime().planted_failures = kernels; });
}

}  // namespace weightsharing::bindings
