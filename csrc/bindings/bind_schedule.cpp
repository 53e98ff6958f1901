// A network's step on the CPU.
#include "bindings/bindings.h"
#include "weightsharing/schedule.h"

namespace weightsharing::bindings {

using namespace pybind11::literals;

namespace {

// The schedule with the arrays it points into.
struct BoundSchedule {
  std::unique_ptr<Schedule> schedule;
  DType dtype;
  std::vector<py::object> kept, records;
  std::vector<BoundInput> inputs;
  Index done = 0;

  const void* in(const py::array& array, const char* name) {
    kept.push_back(array);
    return readable(array, dtype, name);
  }
  void* out(py::array& array, const char* name) {
    kept.push_back(array);
    return writable(array, dtype, name);
  }
};

BoundSchedule make(const std::string& dtype, double dt, int threads) {
  const DType type = dtype_of(dtype);
  return {make_schedule(type, dt, threads), type, {}, {}, {}, 0};
}

void clear(BoundSchedule& s, py::array out) { s.schedule->clear(s.out(out, "out"), out.size()); }

void project(BoundSchedule& s, const std::shared_ptr<BoundEngine>& e, const py::array& rates,
             const std::optional<py::array>& history, Index delay, py::array out, bool accumulate) {
  if (e->dtype != s.dtype) throw py::type_error("the engine's dtype is not the schedule's");
  const Index batch = rates.size() / e->pre;
  if (batch < 1 || rates.size() != batch * e->pre || out.size() != batch * e->post)
    throw py::value_error("rates or out do not fit the engine");
  const Index depth = history ? history->size() / rates.size() : 0;
  if (history && history->size() != depth * rates.size()) throw py::value_error("history does not fit rates");
  s.schedule->project(e->engine, s.in(rates, "rates"), history ? s.in(*history, "history") : nullptr, depth,
                      delay, e->pre, s.out(out, "out"), batch, accumulate);
}

void combine(BoundSchedule& s, const py::array& values, py::array out, const std::string& operation,
             double divisor) {
  if (values.size() != out.size()) throw py::value_error("values do not fit out");
  s.schedule->combine(s.in(values, "values"), s.out(out, "out"), out.size(), operation_from(operation),
                      divisor);
}

void gather_history(BoundSchedule& s, const py::array& rates, const py::array& history,
                    const py::array_t<std::int32_t, py::array::c_style>& delays, py::array out) {
  const Index units = delays.size(), depth = depth_of(history, rates);
  if (units < 1 || rates.size() % units || out.size() != rates.size())
    throw py::value_error("delays or out do not fit rates");
  for (Index i = 0; i < units; ++i)
    if (delays.data()[i] < 0 || delays.data()[i] > depth)
      throw py::value_error("a delay is deeper than the history");
  s.kept.push_back(delays);
  s.schedule->gather_history(s.in(rates, "rates"), s.in(history, "history"), depth, delays.data(),
                             s.out(out, "out"), rates.size() / units, units);
}

void statistic(BoundSchedule& s, const py::array& values, py::array out, const std::string& which) {
  const Index batch = out.size();
  if (batch < 1 || values.size() < batch || values.size() % batch)
    throw py::value_error("out has one value for each trial");
  s.schedule->statistic(s.in(values, "values"), s.out(out, "out"), batch, values.size() / batch,
                        statistic_from(which));
}

void update(BoundSchedule& s, const Program& program, const std::vector<std::optional<py::array>>& inputs,
            std::vector<py::array> outputs, Index batch, Index units, std::uint64_t seed,
            std::uint32_t population, std::uint32_t first_trial) {
  const auto operand = [&](const py::array& array, void* data) {
    return Operand{data, period_of(array.size(), batch, units)};
  };
  std::vector<Operand> from, to;
  for (const auto& array : inputs)
    from.push_back(array ? operand(*array, const_cast<void*>(s.in(*array, "input"))) : Operand{nullptr, 1});
  for (py::array& array : outputs) {
    to.push_back(operand(array, s.out(array, "output")));
    check_output(to.back().period, units);
  }
  s.schedule->update(program, std::move(from), std::move(to), batch, units, {seed, population, first_trial});
}

void push(BoundSchedule& s, const py::array& rates, py::array history) {
  const Index depth = depth_of(history, rates);
  s.schedule->push(s.in(rates, "rates"), s.out(history, "history"), depth, rates.size());
}

void fill_history(BoundSchedule& s, const py::array& rates, py::array history) {
  const Index depth = depth_of(history, rates);
  s.schedule->fill_history(s.in(rates, "rates"), s.out(history, "history"), depth, rates.size());
}

int input(BoundSchedule& s, py::array rates, Index batch) {
  if (batch < 1 || rates.size() % batch) throw py::value_error("rates do not fit the batch");
  s.inputs.push_back({batch, rates.size() / batch, {}});
  return s.schedule->input(s.out(rates, "rates"), batch, rates.size() / batch);
}

int check_finite(BoundSchedule& s, const py::array& values) {
  return s.schedule->check_finite(s.in(values, "values"), values.size());
}

void set_frames(BoundSchedule& s, int number, const std::optional<py::array>& frames, const Int64s& starts,
                Index period, Index origin) {
  BoundInput& input = s.inputs.at(number);
  s.schedule->set_frames(number, frames_of(input, s.dtype, frames, starts, period, origin));
  input.kept = py::make_tuple(frames, starts);
}

using BoundRecord = std::tuple<py::array, std::optional<Int64s>, py::array, Index, Index>;

void set_records(BoundSchedule& s, const std::vector<BoundRecord>& records) {
  std::vector<Record> list;
  std::vector<py::object> kept;
  for (const auto& [values, ranks, rows, first, period] : records) {
    const BoundRows r = rows_of(values.size(), ranks, rows, s.dtype, period);
    list.push_back({readable(values, s.dtype, "values"), r.units, ranks ? ranks->data() : nullptr, r.kept,
                    r.batch, r.rows, r.row_count, first, period});
    kept.push_back(py::make_tuple(values, ranks, rows));
  }
  s.schedule->set_records(std::move(list));
  s.records = std::move(kept);
}

py::object run(BoundSchedule& s, Index first, Index steps) {
  s.done = 0;
  RunResult result;
  Interrupts interrupts;
  {
    const py::gil_scoped_release release;
    result = s.schedule->run(first, steps, [&] { return interrupts.go_on(); });
  }
  s.done = result.done;
  interrupts.raise();
  if (result.not_finite < 0) return py::none();
  return py::make_tuple(result.not_finite, result.not_finite_element);
}

}  // namespace

void register_schedule(py::module_& m) {
  py::class_<BoundSchedule>(m, "Schedule", "One step of a network as a flat list, repeated without Python.")
      .def(py::init(&make), "dtype"_a, "dt"_a, "threads"_a = 0)
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
           "A list of (values, ranks or None, rows, first step, period).")
      .def_readonly("done", &BoundSchedule::done, "Steps that the last run completed.")
      .def("run", &run, "first"_a, "steps"_a,
           "None, or which `check_finite` found NaN or infinity after the last step done, and at which "
           "element.");
}

}  // namespace weightsharing::bindings
