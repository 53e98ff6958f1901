// The modules `_cuda` and `_cupy`, and in the tests `_cuda_emulated`: the same source over the CUDA runtime,
// the driver, or an imitation of the runtime.
#include <map>
#include <mutex>

#include "bindings/bindings.h"
#include "bindings/dlpack.h"
#include "cuda/schedule.h"
#include "cuda/small.h"
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
  std::vector<cuda::Launch> list;  // of one call: its memory is kept for the next

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
};

struct BoundCudaSchedule {
  std::unique_ptr<cuda::Schedule> schedule;
  DType dtype;
  struct Input {
    Index batch, units;
    py::object kept;
  };
  std::vector<Input> inputs;
  py::object records;

  const std::shared_ptr<Memory>& memory(const DeviceArray& array) const {
    if (array.dtype != dtype) throw py::type_error("the array's dtype is not the schedule's");
    return array.memory;
  }
};

using Int64s = py::array_t<std::int64_t, py::array::c_style>;

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

Index depth_of(const DeviceArray& history, const DeviceArray& rates) {
  if (rates.size() == 0 || history.size() == 0 || history.size() % rates.size())
    throw py::value_error("history does not fit rates");
  return history.size() / rates.size();
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
      "architecture",
      [](int device) { return cuda::device_functions().architecture(checked_device(device)); }, "device"_a,
      "Compute capability of a device, 90 for 9.0.");
  m.def(
      "driver_version", [] { return cuda::device_functions().driver_version(); },
      "Version of CUDA that the driver knows, 13000 for 13.0; 0 without a driver.");
  m.def(
      "device_of",
      [](std::uintptr_t address) {
        return cuda::device_functions().device_of(reinterpret_cast<const void*>(address));
      },
      "address"_a, "Number of the device that memory belongs to; -1: every device can use it, -2: none.");
  m.def(
      "synchronise",
      [](int device) {
        const cuda::Using use(checked_device(device));
        const py::gil_scoped_release release;
        cuda::device_functions().synchronise(nullptr);
      },
      "device"_a, "Wait for the default stream of a device.");
  m.def(
      "capturing",
      [](std::uintptr_t stream, int device) {
        const cuda::Using use(checked_device(device));
        return cuda::device_functions().capturing(stream_at(stream));
      },
      "stream"_a, "device"_a, "Whether launches on a stream become part of a graph.");
  m.def("dlpack_view", &dlpack_view, "capsule"_a,
        "Look into a DLPack capsule: (address, shape, dtype, strides or None, read-only).");
  m.def("kernel_names", &cuda::kernel_names, "Names of the kernels this module can launch.");
  register_compiler(m);
#if defined(WEIGHTSHARING_OVER_DRIVER)
  register_driver(m);
#endif

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
            const EngineOptions options{dtype_from(dtype), algorithm_from(algorithm), 0};
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
      .def(py::init([](const std::string& dtype, double dt, int device, std::optional<std::uintptr_t> stream,
                       bool together) {
             const DType type = dtype_from(dtype);
             const auto on = stream ? std::optional<cuda::Stream>(stream_at(*stream)) : std::nullopt;
             return BoundCudaSchedule{
                 cuda::make_schedule(type, dt, checked_device(device), on, together), type, {}, {}};
           }),
           "dtype"_a, "dt"_a, "device"_a = 0, "stream"_a = py::none(), "together"_a = true)
      .def(
          "clear", [](BoundCudaSchedule& s, const DeviceArray& out) { s.schedule->clear(s.memory(out)); },
          "out"_a)
      .def(
          "project",
          [](BoundCudaSchedule& s, const std::shared_ptr<BoundCudaEngine>& e, const DeviceArray& rates,
             const std::optional<DeviceArray>& history, int delay, const DeviceArray& out, bool accumulate) {
            if (e->dtype != s.dtype) throw py::type_error("the engine's dtype is not the schedule's");
            const Index batch = rates.size() / e->pre;
            if (batch < 1 || rates.size() != batch * e->pre || out.size() != batch * e->post)
              throw py::value_error("rates or out do not fit the engine");
            if (history) depth_of(*history, rates);
            s.schedule->project(e->engine, s.memory(rates), history ? s.memory(*history) : nullptr, delay,
                                s.memory(out), batch, accumulate);
          },
          "engine"_a, "rates"_a, "history"_a, "delay"_a, "out"_a, "accumulate"_a)
      .def(
          "combine",
          [](BoundCudaSchedule& s, const DeviceArray& values, const DeviceArray& out,
             const std::string& operation, double divisor) {
            if (values.size() != out.size()) throw py::value_error("values do not fit out");
            s.schedule->combine(s.memory(values), s.memory(out), operation_from(operation), divisor);
          },
          "values"_a, "out"_a, "operation"_a, "divisor"_a)
      .def(
          "gather_history",
          [](BoundCudaSchedule& s, const DeviceArray& rates, const DeviceArray& history,
             const py::array_t<std::int32_t, py::array::c_style>& delays, const DeviceArray& out) {
            const Index units = delays.size(), depth = depth_of(history, rates);
            if (units < 1 || rates.size() % units || out.size() != rates.size())
              throw py::value_error("delays or out do not fit rates");
            const std::vector<std::int32_t> steps(delays.data(), delays.data() + units);
            for (std::int32_t delay : steps)
              if (delay < 0 || delay > depth) throw py::value_error("a delay is deeper than the history");
            s.schedule->gather_history(s.memory(rates), s.memory(history), steps, s.memory(out));
          },
          "rates"_a, "history"_a, "delays"_a, "out"_a)
      .def(
          "statistic",
          [](BoundCudaSchedule& s, const DeviceArray& values, const DeviceArray& out,
             const std::string& which) {
            const Index batch = out.size();
            if (batch < 1 || values.size() < batch || values.size() % batch)
              throw py::value_error("out has one value for each trial");
            s.schedule->statistic(s.memory(values), s.memory(out), statistic_from(which));
          },
          "values"_a, "out"_a, "which"_a)
      .def(
          "update",
          [](BoundCudaSchedule& s, const Program& program,
             const std::vector<std::optional<DeviceArray>>& inputs, const std::vector<DeviceArray>& outputs,
             Index batch, Index units, std::uint64_t seed, std::uint32_t population,
             std::uint32_t first_trial) {
            const auto operand = [&](const DeviceArray& array) {
              const Index period = array.size() / batch;
              if (period < 1 || period * batch != array.size() || units % period)
                throw py::value_error("an array of the equations does not fit the population");
              return cuda::OperandOnDevice{s.memory(array), period};
            };
            if (static_cast<int>(inputs.size()) != program.inputs ||
                static_cast<int>(outputs.size()) != program.outputs)
              throw py::value_error("the program has other inputs or outputs");
            std::vector<cuda::OperandOnDevice> from, to;
            for (const auto& array : inputs)
              from.push_back(array ? operand(*array) : cuda::OperandOnDevice{nullptr, 1});
            for (const DeviceArray& array : outputs) {
              to.push_back(operand(array));
              if (to.back().period != 1 && to.back().period != units)
                throw py::value_error("an output has one value per unit, or one for all");
            }
            s.schedule->update(program, std::move(from), std::move(to), batch, units,
                               {seed, population, first_trial});
          },
          "program"_a, "inputs"_a, "outputs"_a, "batch"_a, "units"_a, "seed"_a = 0, "population"_a = 0,
          "first_trial"_a = 0)
      .def(
          "push",
          [](BoundCudaSchedule& s, const DeviceArray& rates, const DeviceArray& history) {
            depth_of(history, rates);
            s.schedule->push(s.memory(rates), s.memory(history));
          },
          "rates"_a, "history"_a)
      .def(
          "fill_history",
          [](BoundCudaSchedule& s, const DeviceArray& rates, const DeviceArray& history) {
            depth_of(history, rates);
            s.schedule->fill_history(s.memory(rates), s.memory(history));
          },
          "rates"_a, "history"_a)
      .def(
          "input",
          [](BoundCudaSchedule& s, const DeviceArray& rates, Index batch) {
            if (batch < 1 || rates.size() % batch) throw py::value_error("rates do not fit the batch");
            s.inputs.push_back({batch, rates.size() / batch, {}});
            return s.schedule->input(s.memory(rates), batch, rates.size() / batch);
          },
          "rates"_a, "batch"_a, "Rates that frames are written over; returns a number for `set_frames`.")
      .def(
          "check_finite",
          [](BoundCudaSchedule& s, const DeviceArray& values) {
            return s.schedule->check_finite(s.memory(values));
          },
          "values"_a)
      .def(
          "set_frames",
          [](BoundCudaSchedule& s, int number, const std::optional<py::array>& frames, const Int64s& starts,
             Index period, Index origin) {
            auto& input = s.inputs.at(number);
            Frames f;
            if (frames) {
              const Index count = starts.size(), one = input.units, all = input.batch * input.units;
              if (count < 1 || (frames->size() != count * one && frames->size() != count * all))
                throw py::value_error("frames do not fit the rates");
              f.data = host(*frames, s.dtype, frames->size(), "frames");
              f.each_trial = input.batch > 1 && frames->size() == count * all;
              f.starts = starts.data();
              f.count = count;
              f.period = period;
              f.origin = origin;
            }
            s.schedule->set_frames(number, f);
            input.kept = py::make_tuple(frames, starts);
          },
          "number"_a, "frames"_a, "starts"_a, "period"_a, "origin"_a)
      .def(
          "set_records",
          [](BoundCudaSchedule& s,
             const std::vector<std::tuple<DeviceArray, std::optional<Int64s>, py::array, Index, Index>>&
                 records) {
            std::vector<cuda::RecordOnDevice> list;
            py::list kept;
            for (const auto& [values, ranks, rows, first, period] : records) {
              if (rows.ndim() < 2 || period < 1) throw py::value_error("rows are (rows, batch, ...)");
              if (!rows.writeable()) throw py::value_error("rows is read-only");
              cuda::RecordOnDevice r{};
              r.values = s.memory(values);
              r.batch = rows.shape(1);
              r.row_count = rows.shape(0);
              if (r.batch < 1 || values.size() % r.batch) throw py::value_error("rows do not fit values");
              r.units = values.size() / r.batch;
              r.kept = ranks ? ranks->size() : r.units;
              r.rows = const_cast<void*>(host(rows, s.dtype, r.row_count * r.batch * r.kept, "rows"));
              for (Index k = 0; ranks && k < r.kept; ++k) {
                if (ranks->data()[k] < 0 || ranks->data()[k] >= r.units)
                  throw py::value_error("a rank is out of range");
                r.ranks.push_back(ranks->data()[k]);
              }
              r.first = first;
              r.period = period;
              list.push_back(std::move(r));
              kept.append(rows);
            }
            s.schedule->set_records(std::move(list));
            s.records = std::move(kept);
          },
          "records"_a, "A list of (values, ranks or None, rows in host memory, first step, period).")
      .def_property_readonly(
          "done", [](const BoundCudaSchedule& s) { return s.schedule->done(); },
          "Steps that the last run completed.")
      .def(
          "launches", [](BoundCudaSchedule& s, bool recording) { return s.schedule->launches(recording); },
          "recording"_a = false, "Names of the kernels that a step launches.")
      .def(
          "run",
          [](BoundCudaSchedule& s, Index first, Index steps) -> py::object {
            std::optional<cuda::NotFiniteOnDevice> found;
            bool interrupted = false;
            {
              const py::gil_scoped_release release;
              found = s.schedule->run(first, steps, [&] {
                const py::gil_scoped_acquire acquire;
                interrupted = PyErr_CheckSignals() != 0;
                return !interrupted;
              });
            }
            if (interrupted) throw py::error_already_set();
            if (!found) return py::none();
            return py::make_tuple(found->number, found->element, found->step, found->value);
          },
          "first"_a, "steps"_a,
          "None, or which `check_finite` found NaN or infinity first, at which element, in which step, and "
          "the value.");
}
