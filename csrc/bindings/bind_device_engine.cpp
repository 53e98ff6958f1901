// Connected projections on a device.
#include "bindings/device.h"

namespace weightsharing::bindings {

using namespace pybind11::literals;

Index BoundDeviceEngine::batch_of(const DeviceArray& rates, const DeviceArray& out) const {
  const Index batch = rates.size() / pre;
  if (batch < 1 || rates.size() != batch * pre || out.size() != batch * post)
    throw py::value_error("rates or out do not fit the engine");
  return batch;
}

void BoundDeviceEngine::set_weights(const std::vector<py::array>& arrays) {
  if (arrays.size() != weights.size())
    throw py::value_error("expected " + std::to_string(weights.size()) + " arrays of weights, got " +
                          std::to_string(arrays.size()));
  std::vector<const void*> values;
  for (std::size_t i = 0; i < arrays.size(); ++i)
    values.push_back(readable(arrays[i], dtype, weights[i], "weights"));
  const py::gil_scoped_release release;
  const std::lock_guard<std::mutex> lock(mutex);
  cuda::check_process();
  const cuda::Using use(device);
  // Calls that were launched before, on whatever stream, read the weights of then.
  cuda::device_functions().synchronise_device();
  engine->set_weights(values, nullptr);
}

// Nothing can be allocated during a capture: the graph takes what an earlier call had, and has it for ever.
std::shared_ptr<Memory>* BoundDeviceEngine::changed_in_graph() {
  std::shared_ptr<Memory>* largest = nullptr;
  for (auto& [stream, memory] : changed)
    if (memory && (!largest || memory->bytes() > (*largest)->bytes())) largest = &memory;
  if (largest) in_graphs.push_back(std::move(*largest));
  return largest ? &in_graphs.back() : &nothing;
}

void BoundDeviceEngine::run(const void* rates, void* out, Index batch, bool accumulate, cuda::Stream stream) {
  const std::lock_guard<std::mutex> lock(mutex);
  cuda::check_process();
  const cuda::Using use(device);
  const bool capturing = cuda::device_functions().capturing(stream);
  cuda::Call call;
  call.rates.rates = rates;
  call.rates.changed = capturing ? changed_in_graph() : &changed[stream];
  call.rates.may_allocate = !capturing;
  call.post = out;
  call.batch = batch;
  call.accumulate = accumulate;
  list.clear();
  engine->append(list, call, cuda::Form::fast);
  cuda::run_launches(list, stream);
}

namespace {

std::shared_ptr<BoundDeviceEngine> bind(std::unique_ptr<cuda::Engine> engine, DType dtype, Index pre,
                                        Index post, std::vector<Index> weights, int device) {
  auto bound = std::make_shared<BoundDeviceEngine>();
  bound->engine = std::move(engine);
  bound->dtype = dtype;
  bound->pre = pre;
  bound->post = post;
  bound->weights = std::move(weights);
  bound->device = device;
  return bound;
}

std::shared_ptr<BoundDeviceEngine> shared_engine(const SharedGeometry& g, const std::string& operation,
                                                 double padding_value, const Psp& psp,
                                                 const std::string& dtype, const std::string& algorithm,
                                                 int device) {
  const EngineOptions options{dtype_of(dtype), algorithm_from(algorithm), 0};
  std::vector<Index> weights;
  for (Index f = 0; f < g.filters; ++f) weights.push_back(g.taps(f));
  const int on = checked_device(device);
  return bind(cuda::make_engine(g, operation_from(operation), padding_value, psp, options, on), options.dtype,
              volume(g.pre, "pre"), volume(g.post, "post"), std::move(weights), on);
}

std::shared_ptr<BoundDeviceEngine> pooling_engine(const PoolingGeometry& g, const std::string& operation,
                                                  const Psp& psp, const std::string& dtype, int device) {
  const EngineOptions options{dtype_of(dtype), Algorithm::automatic, 0};
  const int on = checked_device(device);
  return bind(cuda::make_engine(g, operation_from(operation), psp, options, on), options.dtype,
              volume(g.pre, "pre"), volume(g.post, "post"), {}, on);
}

std::shared_ptr<BoundDeviceEngine> synapses_engine(const SynapsesGeometry& g, const std::string& operation,
                                                   const Psp& psp, const std::string& dtype, int device) {
  const EngineOptions options{dtype_of(dtype), Algorithm::automatic, 0};
  const int on = checked_device(device);
  return bind(cuda::make_engine(g, operation_from(operation), psp, options, on), options.dtype, g.pre, g.post,
              {static_cast<Index>(g.column.size())}, on);
}

void run_and_wait(BoundDeviceEngine& e, const DeviceArray& rates, DeviceArray& out, bool accumulate) {
  if (rates.dtype != e.dtype || out.dtype != e.dtype)
    throw py::type_error("rates or out has the wrong dtype");
  const Index batch = e.batch_of(rates, out);
  const py::gil_scoped_release release;
  e.run(rates.memory->data(), out.memory->data(), batch, accumulate, nullptr);
  const cuda::Using use(e.device);
  cuda::device_functions().synchronise(nullptr);
}

}  // namespace

void register_device_engine(py::module_& m) {
  py::class_<BoundDeviceEngine, std::shared_ptr<BoundDeviceEngine>>(m, "Engine",
                                                                    "A connected projection on a device.")
      .def_static("shared", &shared_engine, "geometry"_a, "operation"_a, "padding_value"_a, "psp"_a,
                  "dtype"_a, "algorithm"_a = "auto", "device"_a = 0)
      .def_static("pooling", &pooling_engine, "geometry"_a, "operation"_a, "psp"_a, "dtype"_a, "device"_a = 0)
      .def_static("synapses", &synapses_engine, "geometry"_a, "operation"_a, "psp"_a, "dtype"_a,
                  "device"_a = 0)
      .def("set_weights", &BoundDeviceEngine::set_weights, "weights"_a)
      .def("run", &run_and_wait, "rates"_a, "out"_a, "accumulate"_a = false)
      .def(
          "run_at",
          [](BoundDeviceEngine& e, std::uintptr_t rates, std::uintptr_t out, Index batch, bool accumulate,
             std::uintptr_t stream) {
            const py::gil_scoped_release release;
            e.run(reinterpret_cast<const void*>(rates), reinterpret_cast<void*>(out), batch, accumulate,
                  stream_at(stream));
          },
          "rates"_a, "out"_a, "batch"_a, "accumulate"_a, "stream"_a,
          "Launch on a stream of the caller, on addresses of the caller, without waiting.")
      .def_readonly("device", &BoundDeviceEngine::device)
      .def("describe", [](const BoundDeviceEngine& e) { return described(*e.engine); });
}

}  // namespace weightsharing::bindings
