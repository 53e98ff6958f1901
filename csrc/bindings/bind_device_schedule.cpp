// A network's step on a device.
#include "bindings/device.h"
#include "cuda/schedule.h"

namespace weightsharing::bindings {

using namespace pybind11::literals;

namespace {

using BoundRecord = std::tuple<DeviceArray, std::optional<Int64s>, py::array, Index, Index>;

struct BoundDeviceSchedule {
  std::unique_ptr<cuda::Schedule> schedule;
  DType dtype;
  std::vector<BoundInput> inputs;
  py::object kept_records;

  const std::shared_ptr<Memory>& memory(const DeviceArray& array) const {
    if (array.dtype != dtype) throw py::type_error("the array's dtype is not the schedule's");
    return array.memory;
  }

  void clear(const DeviceArray& out) { schedule->clear(memory(out)); }

  void project(const std::shared_ptr<BoundDeviceEngine>& e, const DeviceArray& rates,
               const std::optional<DeviceArray>& history, int delay, const DeviceArray& out,
               bool accumulate) {
    if (e->dtype != dtype) throw py::type_error("the engine's dtype is not the schedule's");
    const Index batch = e->batch_of(rates, out);
    if (history) depth_of(*history, rates);
    schedule->project(e->engine, memory(rates), history ? memory(*history) : nullptr, delay, memory(out),
                      batch, accumulate);
  }

  void combine(const DeviceArray& values, const DeviceArray& out, const std::string& operation,
               double divisor) {
    if (values.size() != out.size()) throw py::value_error("values do not fit out");
    schedule->combine(memory(values), memory(out), operation_from(operation), divisor);
  }

  void gather_history(const DeviceArray& rates, const DeviceArray& history,
                      const py::array_t<std::int32_t, py::array::c_style>& delays, const DeviceArray& out) {
    const Index units = delays.size(), depth = depth_of(history, rates);
    if (units < 1 || rates.size() % units || out.size() != rates.size())
      throw py::value_error("delays or out do not fit rates");
    const std::vector<std::int32_t> steps(delays.data(), delays.data() + units);
    for (std::int32_t delay : steps)
      if (delay < 0 || delay > depth) throw py::value_error("a delay is deeper than the history");
    schedule->gather_history(memory(rates), memory(history), steps, memory(out));
  }

  void statistic(const DeviceArray& values, const DeviceArray& out, const std::string& which) {
    const Index batch = out.size();
    if (batch < 1 || values.size() < batch || values.size() % batch)
      throw py::value_error("out has one value for each trial");
    schedule->statistic(memory(values), memory(out), statistic_from(which));
  }

  void update(const Program& program, const std::vector<std::optional<DeviceArray>>& inputs,
              const std::vector<DeviceArray>& outputs, Index batch, Index units, std::uint64_t seed,
              std::uint32_t population, std::uint32_t first_trial) {
    const auto operand = [&](const DeviceArray& array) {
      return cuda::OperandOnDevice{memory(array), period_of(array.size(), batch, units)};
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
    schedule->update(program, std::move(from), std::move(to), batch, units, {seed, population, first_trial});
  }

  void push(const DeviceArray& rates, const DeviceArray& history) {
    depth_of(history, rates);
    schedule->push(memory(rates), memory(history));
  }

  void fill_history(const DeviceArray& rates, const DeviceArray& history) {
    depth_of(history, rates);
    schedule->fill_history(memory(rates), memory(history));
  }

  int input(const DeviceArray& rates, Index batch) {
    if (batch < 1 || rates.size() % batch) throw py::value_error("rates do not fit the batch");
    inputs.push_back({batch, rates.size() / batch, {}});
    return schedule->input(memory(rates), batch, rates.size() / batch);
  }

  int check_finite(const DeviceArray& values) { return schedule->check_finite(memory(values)); }

  void set_frames(int number, const std::optional<py::array>& frames, const Int64s& starts, Index period,
                  Index origin) {
    BoundInput& input = inputs.at(number);
    schedule->set_frames(number, frames_of(input, dtype, frames, starts, period, origin));
    input.kept = py::make_tuple(frames, starts);
  }

  void set_records(const std::vector<BoundRecord>& records) {
    std::vector<cuda::RecordOnDevice> list;
    py::list kept;
    for (const auto& [values, ranks, rows, first, period] : records) {
      const BoundRows r = rows_of(values.size(), ranks, rows, dtype, period);
      std::vector<std::int64_t> places;
      if (ranks) places.assign(ranks->data(), ranks->data() + r.kept);
      list.push_back(
          {memory(values), std::move(places), r.units, r.kept, r.batch, r.rows, r.row_count, first, period});
      kept.append(rows);
    }
    schedule->set_records(std::move(list));
    kept_records = std::move(kept);
  }

  py::object run(Index first, Index steps) {
    std::optional<cuda::NotFiniteOnDevice> found;
    Interrupts interrupts;
    {
      const py::gil_scoped_release release;
      found = schedule->run(first, steps, [&] { return interrupts.go_on(); });
    }
    interrupts.raise();
    if (!found) return py::none();
    return py::make_tuple(found->number, found->element, found->step, found->value);
  }
};

BoundDeviceSchedule make(const std::string& dtype, double dt, int device,
                         std::optional<std::uintptr_t> stream, bool together) {
  const DType type = dtype_of(dtype);
  const auto on = stream ? std::optional<cuda::Stream>(stream_at(*stream)) : std::nullopt;
  return {cuda::make_schedule(type, dt, checked_device(device), on, together), type, {}, {}};
}

}  // namespace

void register_device_schedule(py::module_& m) {
  py::class_<BoundDeviceSchedule>(m, "Schedule", "One step of a network as a captured list of launches.")
      .def(py::init(&make), "dtype"_a, "dt"_a, "device"_a = 0, "stream"_a = py::none(), "together"_a = true)
      .def("clear", &BoundDeviceSchedule::clear, "out"_a)
      .def("project", &BoundDeviceSchedule::project, "engine"_a, "rates"_a, "history"_a, "delay"_a, "out"_a,
           "accumulate"_a)
      .def("combine", &BoundDeviceSchedule::combine, "values"_a, "out"_a, "operation"_a, "divisor"_a)
      .def("gather_history", &BoundDeviceSchedule::gather_history, "rates"_a, "history"_a, "delays"_a,
           "out"_a)
      .def("statistic", &BoundDeviceSchedule::statistic, "values"_a, "out"_a, "which"_a)
      .def("update", &BoundDeviceSchedule::update, "program"_a, "inputs"_a, "outputs"_a, "batch"_a, "units"_a,
           "seed"_a = 0, "population"_a = 0, "first_trial"_a = 0)
      .def("push", &BoundDeviceSchedule::push, "rates"_a, "history"_a)
      .def("fill_history", &BoundDeviceSchedule::fill_history, "rates"_a, "history"_a)
      .def("input", &BoundDeviceSchedule::input, "rates"_a, "batch"_a,
           "Rates that frames are written over; returns a number for `set_frames`.")
      .def("check_finite", &BoundDeviceSchedule::check_finite, "values"_a)
      .def("set_frames", &BoundDeviceSchedule::set_frames, "number"_a, "frames"_a, "starts"_a, "period"_a,
           "origin"_a)
      .def("set_records", &BoundDeviceSchedule::set_records, "records"_a,
           "A list of (values, ranks or None, rows in host memory, first step, period).")
      .def_property_readonly(
          "done", [](const BoundDeviceSchedule& s) { return s.schedule->done(); },
          "Steps that the last run completed.")
      .def(
          "launches", [](BoundDeviceSchedule& s, bool recording) { return s.schedule->launches(recording); },
          "recording"_a = false, "Names of the kernels that a step launches.")
      .def("run", &BoundDeviceSchedule::run, "first"_a, "steps"_a,
           "None, or which `check_finite` found NaN or infinity first, at which element, in which step, and "
           "the value.");
}

}  // namespace weightsharing::bindings
