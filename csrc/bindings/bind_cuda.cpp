// The module `_cuda`, and in the tests `_cuda_emulated`: the same source over the CUDA runtime or an
// imitation of it.
#include <map>
#include <mutex>

#include "bindings/bindings.h"
#include "bindings/dlpack.h"
#include "cuda/engine.h"
#ifdef WEIGHTSHARING_EMULATED
#include "streams_for_tests.h"
#endif

namespace weightsharing::bindings {
namespace {

using namespace pybind11::literals;
using cuda::Memory;

// A C-contiguous array in device memory. Shape and dtype are for people and for the array interfaces.
struct DeviceArray {
  std::shared_ptr<Memory> memory;
  std::vector<Index> shape;
  DType dtype;

  std::size_t element_bytes() const { return dtype == DType::float32 ? 4 : 8; }
  Index size() const { return static_cast<Index>(memory->bytes() / element_bytes()); }
};

struct BoundCudaEngine {
  std::shared_ptr<cuda::Engine> engine;
  DType dtype;
  Index pre, post;
  std::vector<Index> weights;
  int device;
  std::mutex mutex;  // for what follows and for the engine: the interpreter's lock is released
  std::map<cuda::Stream, std::shared_ptr<Memory>> changed;  // g(rates) of calls on each stream
  std::vector<std::shared_ptr<Memory>> in_graphs;           // the same, named by graphs of the caller
  std::shared_ptr<Memory> nothing;

  // Nothing can be allocated during a capture: the graph takes what an earlier call had, and has it for ever.
  std::shared_ptr<Memory>* changed_in_graph() {
    std::shared_ptr<Memory>* largest = nullptr;
    for (auto& [stream, memory] : changed)
      if (memory && (!largest || memory->bytes() > (*largest)->bytes())) largest = &memory;
    if (largest) in_graphs.push_back(std::move(*largest));
    return largest ? &in_graphs.back() : &nothing;
  }

  void run(const void* rates, void* out, Index batch, bool accumulate, cuda::Stream stream) {
    const std::lock_guard<std::mutex> lock(mutex);
    cuda::check_process();
    const cuda::Using use(device);
    const bool capturing = cuda::device_functions().capturing(stream);
    cuda::RatesOnDevice from;
    from.rates = rates;
    from.changed = capturing ? changed_in_graph() : &changed[stream];
    from.may_allocate = !capturing;
    std::vector<cuda::Launch> list;
    engine->append(list, from, out, batch, accumulate);
    cuda::run_launches(list, stream);
  }
};

struct BoundCudaSchedule {
  std::unique_ptr<cuda::Schedule> schedule;
  DType dtype;
};

std::shared_ptr<BoundCudaEngine> bind(std::unique_ptr<cuda::Engine> engine, DType dtype, Index pre,
                                      Index post, std::vector<Index> weights, int device) {
  auto bound = std::make_shared<BoundCudaEngine>();
  bound->engine = std::move(engine);
  bound->dtype = dtype;
  bound->pre = pre;
  bound->post = post;
  bound->weights = std::move(weights);
  bound->device = device;
  return bound;
}

cuda::Stream stream_at(std::uintptr_t address) { return reinterpret_cast<cuda::Stream>(address); }

DType dtype_from(const std::string& name) {
  if (name == "float32") return DType::float32;
  if (name == "float64") return DType::float64;
  throw py::value_error("dtype '" + name + "': expected 'float32' or 'float64'");
}

const void* host(const py::array& array, DType dtype, Index elements, const char* name) {
  const bool right = dtype == DType::float32 ? py::isinstance<py::array_t<float>>(array)
                                             : py::isinstance<py::array_t<double>>(array);
  if (!right) throw py::type_error(std::string(name) + " has the wrong dtype");
  if (!(array.flags() & py::array::c_style))
    throw py::value_error(std::string(name) + " is not C-contiguous");
  if (array.size() != elements)
    throw py::value_error(std::string(name) + " has " + std::to_string(array.size()) +
                          " elements, expected " + std::to_string(elements));
  return array.data();
}

int checked_device(int device) {
  const int devices = cuda::device_functions().count();
  if (devices == 0) throw cuda::DeviceError("CUDA cannot be used: " + cuda::device_functions().why_not());
  if (device < 0 || device >= devices)
    throw py::index_error("device " + std::to_string(device) + ": this machine has " +
                          std::to_string(devices) + " CUDA device(s), numbered from 0");
  return device;
}

}  // namespace
}  // namespace weightsharing::bindings

PYBIND11_MODULE(WEIGHTSHARING_CUDA_MODULE, m) {
  using namespace weightsharing;
  using namespace weightsharing::bindings;

  m.doc() = "Projections and schedules on a CUDA device. People use the package's Python classes.";
  py::module_::import("weightsharing._core");  // geometries, programs and psps come from there
  // Translators are asked last one first: the derived exception after its base.
  py::register_exception<cuda::DeviceError>(m, "DeviceError", PyExc_RuntimeError);
  py::register_exception<cuda::DeviceMemoryError>(m, "DeviceMemoryError", PyExc_MemoryError);

  m.def(
      "device_count", [] { return cuda::device_functions().count(); },
      "Number of CUDA devices; 0 without a driver.");
  m.def(
      "why_not", [] { return cuda::device_functions().why_not(); },
      "Why there is no device; empty if there is one.");
  m.def(
      "device_name", [](int device) { return cuda::device_functions().name(checked_device(device)); },
      "device"_a);
  m.def(
      "device_of",
      [](std::uintptr_t address) {
        return cuda::device_functions().device_of(reinterpret_cast<const void*>(address));
      },
      "address"_a, "Number of the device that memory belongs to; -1: every device can use it, -2: none.");
  m.def(
      "capturing",
      [](std::uintptr_t stream, int device) {
        const cuda::Using use(checked_device(device));
        return cuda::device_functions().capturing(stream_at(stream));
      },
      "stream"_a, "device"_a, "Whether launches on a stream become part of a graph.");
  m.def("dlpack_view", &dlpack_view, "capsule"_a,
        "Look into a DLPack capsule: (address, shape, dtype, strides or None, read-only).");
  m.def("kernel_names", &cuda::kernel_names, "Names of the kernels this module was built with.");

#ifdef WEIGHTSHARING_EMULATED
  bind_streams_for_tests(m);
#endif

  py::class_<DeviceArray>(m, "Array", "C-contiguous array in device memory.")
      .def(py::init([](std::vector<Index> shape, const std::string& dtype, int device) {
             const DType type = dtype_from(dtype);
             Index elements = 1;
             for (Index extent : shape) elements *= extent;
             const std::size_t bytes = static_cast<std::size_t>(elements) * (type == DType::float32 ? 4 : 8);
             return DeviceArray{std::make_shared<Memory>(bytes, checked_device(device)), std::move(shape),
                                type};
           }),
           "shape"_a, "dtype"_a, "device"_a = 0)
      .def_property_readonly("shape", [](const DeviceArray& a) { return py::tuple(py::cast(a.shape)); })
      .def_property_readonly(
          "dtype", [](const DeviceArray& a) { return a.dtype == DType::float32 ? "float32" : "float64"; })
      .def_property_readonly("device", [](const DeviceArray& a) { return a.memory->device(); })
      .def(
          "upload",
          [](DeviceArray& a, const py::array& values, std::uintptr_t stream) {
            const void* from = host(values, a.dtype, a.size(), "values");
            const py::gil_scoped_release release;
            a.memory->upload(from, stream_at(stream));
          },
          "values"_a, "stream"_a = 0,
          "Copy from the host, after what the stream does now; returns when done.")
      .def(
          "download",
          [](const DeviceArray& a, py::array& values, std::uintptr_t stream) {
            host(values, a.dtype, a.size(), "values");
            if (!values.writeable()) throw py::value_error("values is read-only");
            void* to = values.mutable_data();
            const py::gil_scoped_release release;
            a.memory->download(to, stream_at(stream));
          },
          "values"_a, "stream"_a = 0, "Copy to the host, after what the stream does now; returns when done.")
      .def(
          "copy_from",
          [](DeviceArray& a, std::uintptr_t address, std::uintptr_t stream) {
            const py::gil_scoped_release release;
            cuda::check_process();
            const cuda::Using use(a.memory->device());
            const void* from = reinterpret_cast<const void*>(address);
            cuda::run_launches({cuda::copy_launch(a.dtype, from, a.memory->data(), a.size())},
                               stream_at(stream));
            cuda::device_functions().synchronise(stream_at(stream));
          },
          "address"_a, "stream"_a, "Copy as many elements within the device, likewise.")
      .def(
          "__dlpack__",
          [](const DeviceArray& a, const py::object& stream, const py::object& max_version,
             const py::object& dl_device, const py::object& copy) {
            check_dlpack_request(stream, dl_device, copy, a.memory->device());
            DLTensor view{};
            view.data = a.memory->data();
            view.device = {dlpack_device_type, a.memory->device()};
            view.dtype = {dlpack_float, static_cast<std::uint8_t>(8 * a.element_bytes()), 1};
            const bool versioned =
                !max_version.is_none() && max_version.cast<py::tuple>()[0].cast<int>() >= 1;
            return dlpack_capsule(view, a.shape, a.memory, versioned);
          },
          py::kw_only(), "stream"_a = py::none(), "max_version"_a = py::none(), "dl_device"_a = py::none(),
          "copy"_a = py::none())
      .def("__dlpack_device__",
           [](const DeviceArray& a) { return py::make_tuple(dlpack_device_type, a.memory->device()); })
      .def_property_readonly("__cuda_array_interface__", [](const DeviceArray& a) {
        py::dict d;
        d["shape"] = py::tuple(py::cast(a.shape));
        d["typestr"] = a.dtype == DType::float32 ? "<f4" : "<f8";
        d["data"] = py::make_tuple(reinterpret_cast<std::uintptr_t>(a.memory->data()), false);
        d["version"] = 3;
        d["strides"] = py::none();
        d["stream"] = py::none();  // every call returns when its work is done
        return d;
      });

  py::class_<BoundCudaEngine, std::shared_ptr<BoundCudaEngine>>(m, "Engine",
                                                                "A connected projection on a device.")
      .def_static(
          "shared",
          [](const SharedGeometry& g, const std::string& operation, double padding_value, const Psp& psp,
             const std::string& dtype, const std::string& algorithm, int device) {
            const Algorithm how = algorithm == "direct" ? Algorithm::direct : Algorithm::automatic;
            const EngineOptions options{dtype_from(dtype), how, 0};
            std::vector<Index> weights;
            for (Index f = 0; f < g.filters; ++f) weights.push_back(g.taps(f));
            const int on = checked_device(device);
            return bind(cuda::make_engine(g, operation_from(operation), padding_value, psp, options, on),
                        options.dtype, volume(g.pre, "pre"), volume(g.post, "post"), std::move(weights), on);
          },
          "geometry"_a, "operation"_a, "padding_value"_a, "psp"_a, "dtype"_a, "algorithm"_a = "auto",
          "device"_a = 0)
      .def_static(
          "pooling",
          [](const PoolingGeometry& g, const std::string& operation, const Psp& psp, const std::string& dtype,
             int device) {
            const EngineOptions options{dtype_from(dtype), Algorithm::automatic, 0};
            const int on = checked_device(device);
            return bind(cuda::make_engine(g, operation_from(operation), psp, options, on), options.dtype,
                        volume(g.pre, "pre"), volume(g.post, "post"), {}, on);
          },
          "geometry"_a, "operation"_a, "psp"_a, "dtype"_a, "device"_a = 0)
      .def_static(
          "synapses",
          [](const SynapsesGeometry& g, const std::string& operation, const Psp& psp,
             const std::string& dtype, int device) {
            const EngineOptions options{dtype_from(dtype), Algorithm::automatic, 0};
            const int on = checked_device(device);
            return bind(cuda::make_engine(g, operation_from(operation), psp, options, on), options.dtype,
                        g.pre, g.post, {static_cast<Index>(g.column.size())}, on);
          },
          "geometry"_a, "operation"_a, "psp"_a, "dtype"_a, "device"_a = 0)
      .def(
          "set_weights",
          [](BoundCudaEngine& e, const std::vector<py::array>& arrays) {
            if (arrays.size() != e.weights.size())
              throw py::value_error("expected " + std::to_string(e.weights.size()) +
                                    " arrays of weights, got " + std::to_string(arrays.size()));
            std::vector<const void*> values;
            for (std::size_t i = 0; i < arrays.size(); ++i)
              values.push_back(host(arrays[i], e.dtype, e.weights[i], "weights"));
            const py::gil_scoped_release release;
            const std::lock_guard<std::mutex> lock(e.mutex);
            cuda::check_process();
            const cuda::Using use(e.device);
            // Calls that were launched before, on whatever stream, read the weights of then.
            cuda::device_functions().synchronise_device();
            e.engine->set_weights(values, nullptr);
          },
          "weights"_a)
      .def(
          "run",
          [](BoundCudaEngine& e, const DeviceArray& rates, DeviceArray& out, bool accumulate) {
            const Index batch = rates.size() / e.pre;
            if (rates.dtype != e.dtype || out.dtype != e.dtype)
              throw py::type_error("rates or out has the wrong dtype");
            if (batch < 1 || rates.size() != batch * e.pre || out.size() != batch * e.post)
              throw py::value_error("rates or out do not fit the engine");
            const py::gil_scoped_release release;
            e.run(rates.memory->data(), out.memory->data(), batch, accumulate, nullptr);
            const cuda::Using use(e.device);
            cuda::device_functions().synchronise(nullptr);
          },
          "rates"_a, "out"_a, "accumulate"_a = false)
      .def(
          "run_at",
          [](BoundCudaEngine& e, std::uintptr_t rates, std::uintptr_t out, Index batch, bool accumulate,
             std::uintptr_t stream) {
            const py::gil_scoped_release release;
            e.run(reinterpret_cast<const void*>(rates), reinterpret_cast<void*>(out), batch, accumulate,
                  stream_at(stream));
          },
          "rates"_a, "out"_a, "batch"_a, "accumulate"_a, "stream"_a,
          "Launch on a stream of the caller, on addresses of the caller, without waiting.")
      .def_readonly("device", &BoundCudaEngine::device)
      .def("describe", [](const BoundCudaEngine& e) {
        py::dict lines;
        for (const auto& [name, value] : e.engine->describe()) lines[py::str(name)] = value;
        lines["flops"] = e.engine->flops();
        lines["bytes"] = e.engine->bytes();
        return lines;
      });

  py::class_<BoundCudaSchedule>(m, "Schedule", "One step of a network as a captured list of launches.")
      .def(
          py::init([](const std::string& dtype, double dt, int device, std::optional<std::uintptr_t> stream) {
            const DType type = dtype_from(dtype);
            const auto on = stream ? std::optional<cuda::Stream>(stream_at(*stream)) : std::nullopt;
            return BoundCudaSchedule{cuda::make_schedule(type, dt, checked_device(device), on), type};
          }),
          "dtype"_a, "dt"_a, "device"_a = 0, "stream"_a = py::none())
      .def(
          "clear", [](BoundCudaSchedule& s, const DeviceArray& out) { s.schedule->clear(out.memory); },
          "out"_a)
      .def(
          "project",
          [](BoundCudaSchedule& s, const std::shared_ptr<BoundCudaEngine>& e, const DeviceArray& rates,
             const std::optional<DeviceArray>& history, int delay, const DeviceArray& out, bool accumulate) {
            if (e->dtype != s.dtype || rates.dtype != s.dtype || out.dtype != s.dtype)
              throw py::type_error("dtypes differ");
            const Index batch = rates.size() / e->pre;
            if (batch < 1 || rates.size() != batch * e->pre || out.size() != batch * e->post)
              throw py::value_error("rates or out do not fit the engine");
            s.schedule->project(e->engine, rates.memory, history ? history->memory : nullptr, delay,
                                out.memory, batch, accumulate);
          },
          "engine"_a, "rates"_a, "history"_a, "delay"_a, "out"_a, "accumulate"_a)
      .def(
          "update",
          [](BoundCudaSchedule& s, const Program& program,
             const std::vector<std::optional<DeviceArray>>& inputs, const std::vector<DeviceArray>& outputs,
             Index batch, Index units) {
            const auto operand = [&](const DeviceArray& array) {
              const bool per_unit = array.size() == batch * units && units > 1;
              if (!per_unit && array.size() != batch)
                throw py::value_error("an array of the equations does not fit the population");
              return cuda::OperandOnDevice{array.memory, per_unit};
            };
            std::vector<cuda::OperandOnDevice> from, to;
            for (const auto& array : inputs)
              from.push_back(array ? operand(*array) : cuda::OperandOnDevice{nullptr, false});
            for (const DeviceArray& array : outputs) to.push_back(operand(array));
            s.schedule->update(program, std::move(from), std::move(to), batch, units);
          },
          "program"_a, "inputs"_a, "outputs"_a, "batch"_a, "units"_a)
      .def(
          "push",
          [](BoundCudaSchedule& s, const DeviceArray& rates, const DeviceArray& history) {
            s.schedule->push(rates.memory, history.memory);
          },
          "rates"_a, "history"_a)
      .def(
          "run",
          [](BoundCudaSchedule& s, Index first, Index steps) {
            const py::gil_scoped_release release;
            s.schedule->run(first, steps);
          },
          "first"_a, "steps"_a);
}
