// A network's step on a device.
#include "bindings/device.h"
#include "cuda/schedule.h"

namespace weightsharing::bindings {

using namespace pybind11::literals;

namespace {

struct BoundDeviceSchedule {
  std::unique_ptr<cuda::Schedule> schedule;
  DType dtype;
  std::vector<BoundInput> inputs;
  py::object records;

  const std::shared_ptr<Memory>& memory(const DeviceArray& array) const {
    if (array.dtype != dtype) throw py::type_error("the array's dtype is not the schedule's");
    return array.memory;
  }
};

BoundDeviceSchedule make(const std::string& dtype, double dt, int device,
                         std::optional<std::uintptr_t> stream, bool together) {
  const DType type = dtype_of(dtype);
  const auto on = stream ? std::optional<cuda::Stream>(stream_at(*stream)) : std::nullopt;
  return {cuda::make_schedule(type, dt, checked_device(device), on, together), type, {}, {}};
}

void clear(BoundDeviceSchedule& s, const DeviceArray& out) { s.schedule->clear(s.memory(out)); }

void project(BoundDeviceSchedule& s, const std::shared_ptr<BoundDeviceEngine>& e, const DeviceArray& rates,
             const std::optional<DeviceArray>& history, int delay, const DeviceArray& out, bool accumulate) {
  if (e->dtype != s.dtype) throw py::type_error("the engine's dtype is not the schedule's");
  const Index batch = e->batch_of(rates, out);
  if (history) depth_of(*history, rates);
  s.schedule->project(e->engine, s.memory(rates), history ? s.memory(*history) : nullptr, delay,
                      s.memory(out), batch, accumulate);
}

void combine(BoundDeviceSchedule& s, const DeviceArray& values, const DeviceArray& out,
             const std::string& operation, double divisor) {
  if (values.size() != out.size()) throw py::value_error("values do not fit out");
  s.schedule->combine(s.memory(values), s.memory(out), operation_from(operation), divisor);
}

void gather_history(BoundDeviceSchedule& s, const DeviceArray& rates, const DeviceArray& history,
                    const py::array_t<std::int32_t, py::array::c_style>& delays, const DeviceArray& out) {
  const Index units = delays.size(), depth = depth_of(history, rates);
  if (units < 1 || rates.size() % units || out.size() != rates.size())
    throw py::value_error("delays or out do not fit rates");
  const std::vector<std::int32_t> steps(delays.data(), delays.data() + units);
  for (std::int32_t delay : steps)
    if (delay < 0 || delay > depth) throw py::value_error("a delay is deeper than the history");
  s.schedule->gather_history(s.memory(rates), s.memory(history), steps, s.memory(out));
}

void statistic(BoundDeviceSchedule& s, const DeviceArray& values, const DeviceArray& out,
               const std::string& which) {
  const Index batch = out.size();
  if (batch < 1 || values.size() < batch || values.size() % batch)
    throw py::value_error("out has one value for each trial");
  s.schedule->statistic(s.memory(values), s.memory(out), statistic_from(which));
}

void update(BoundDeviceSchedule& s, const Program& program,
            const std::vector<std::optional<DeviceArray>>& inputs, const std::vector<DeviceArray>& outputs,
            Index batch, Index units, std::uint64_t seed, std::uint32_t population,
            std::uint32_t first_trial) {
  const auto operand = [&](const DeviceArray& array) {
    return cuda::OperandOnDevice{s.memory(array), period_of(array.size(), batch, units)};
  };
  if (static_cast<int>(inputs.size()) != program.inputs ||
      static_cast<int>(outputs.size()) != program.outputs)
    throw py::value_error("the program has other inputs or outputs");
  std::vector<cuda::OperandOnDevice> from, to;
  for (const auto& array : inputs)
    from.push_back(array ? operand(*array) : cuda::OperandOnDevice{nullptr, 1});
  for (const DeviceArray& array : outputs) {
    to.push_back(operand(array));
    check_output(to.back().period, units);
  }
  s.schedule->update(program, std::move(from), std::move(to), batch, units, {seed, population, first_trial});
}

void push(BoundDeviceSchedule& s, const DeviceArray& rates, const DeviceArray& history) {
  depth_of(history, rates);
  s.schedule->push(s.memory(rates), s.memory(history));
}

void fill_history(BoundDeviceSchedule& s, const DeviceArray& rates, const DeviceArray& history) {
  depth_of(history, rates);
  s.schedule->fill_history(s.memory(rates), s.memory(history));
}

int input(BoundDeviceSchedule& s, const DeviceArray& rates, Index batch) {
  if (batch < 1 || rates.size() % batch) throw py::value_error("rates do not fit the batch");
  s.inputs.push_back({batch, rates.size() / batch, {}});
  return s.schedule->input(s.memory(rates), batch, rates.size() / batch);
}

int check_finite(BoundDeviceSchedule& s, const DeviceArray& values) {
  return s.schedule->check_finite(s.memory(values));
}

void set_frames(BoundDeviceSchedule& s, int number, const std::optional<py::array>& frames,
                const Int64s& starts, Index period, Index origin) {
  BoundInput& input = s.inputs.at(number);
  s.schedule->set_frames(number, frames_of(input, s.dtype, frames, starts, period, origin));
  input.kept = py::make_tuple(frames, starts);
}

using BoundRecord = std::tuple<DeviceArray, std::optional<Int64s>, py::array, Index, Index>;

void set_records(BoundDeviceSchedule& s, const std::vector<BoundRecord>& records) {
  std::vector<cuda::RecordOnDevice> list;
  py::list kept;
  for (const auto& [values, ranks, rows, first, period] : records) {
    const BoundRows r = rows_of(values.size(), ranks, rows, s.dtype, period);
    std::vector<std::int64_t> places;
    if (ranks) places.assign(ranks->data(), ranks->data() + r.kept);
    list.push_back(
        {s.memory(values), std::move(places), r.units, r.kept, r.batch, r.rows, r.row_count, first, period});
    kept.append(rows);
  }
  s.schedule->set_records(std::move(list));
  s.records = std::move(kept);
}

py::object run(BoundDeviceSchedule& s, Index first, Index steps) {
  std::optional<cuda::NotFiniteOnDevice> found;
  Interrupts interrupts;
  {
    const py::gil_scoped_release release;
    found = s.schedule->run(first, steps, [&] { return interrupts.go_on(); });
  }
  interrupts.raise();
  if (!found) return py::none();
  return py::make_tuple(found->number, found->element, found->step, found->value);
}

}  // namespace

void register_device_schedule(py::module_& m) {
  py::class_<BoundDeviceSchedule>(m, "Schedule", "One step of a network as a captured list of launches.")
      .def(py::init(&make), "dtype"_a, "dt"_a, "device"_a = 0, "stream"_a = py::none(), "together"_a = true)
      .def("clear", &clear, "out"_a)
      .def("project", &project, "engine"_a, "rates"_a, "history"_a, "delay"_a, "out"_a, "accumulate"_a)
      .def("combine", &combine, "values"_a, "out"_a, "operation"_a, "divisor"_a)
      .def("gather_history", &gather_history, "rates"_a, "history"_a, "delays"_a, "out"_a)
      .def("statistic", &statistic, "values"_a, "out"_a, "which"_a)
      .def("update", &update, "program"_a, "inputs"_a, "outputs"_a, "batch"_a, "units"_a, "seed"_a = 0,
           "population"_a = 0, "first_trial"_a = 0)
      .def("push", &push, "rates"_a, "history"_a)
      .def("fill_history", &fill_history, "rates"_a, "history"_a)
      .def("input", &input, "rates"_a, "batch"_a,
           "Rates that frames are written over; returns a number for `set_frames`.")
      .def("check_finite", &check_finite, "values"_a)
      .def("set_frames", &set_frames, "number"_a, "frames"_a, "starts"_a, "period"_a, "origin"_a)
      .def("set_records", &set_records, "records"_a,
           "A list of (values, ranks or None, rows in host memory, first step, period).")
      .def_property_readonly(
          "done", [](const BoundDeviceSchedule& s) { return s.schedule->done(); },
          "Steps that the last run completed.")
      .def(
          "launches", [](BoundDeviceSchedule& s, bool recording) { return s.schedule->launches(recording); },
          "recording"_a = false, "Names of the kernels that a step launches.")
      .def("run", &run, "first"_a, "steps"_a,
           "None, or which `check_finite` found NaN or infinity first, at which element, in which step, and "
           "the value.");
}

}  // namespace weightsharing::bindings
