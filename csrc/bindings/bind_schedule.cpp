// A network's step on the CPU.
#include "bindings/bindings.h"
#include "weightsharing/schedule.h"

namespace weightsharing::bindings {

using namespace pybind11::literals;

namespace {

using BoundRecord = std::tuple<py::array, std::optional<Int64s>, py::array, Index, Index>;

// The schedule with the arrays it points into.
struct BoundSchedule {
  std::unique_ptr<Schedule> schedule;
  DType dtype;
  std::vector<py::object> kept, kept_records;
  std::vector<BoundInput> inputs;
  Index done = 0;

  const void* reading(const py::array& array, const char* name) {
    kept.push_back(array);
    return readable(array, dtype, name);
  }
  void* writing(py::array& array, const char* name) {
    kept.push_back(array);
    return writable(array, dtype, name);
  }

  void clear(py::array out) { schedule->clear(writing(out, "out"), out.size()); }

  void project(const std::shared_ptr<BoundEngine>& e, const py::array& rates,
               const std::optional<py::array>& history, Index delay, py::array out, bool accumulate) {
    if (e->dtype != dtype) throw py::type_error("the engine's dtype is not the schedule's");
    const Index batch = rates.size() / e->pre;
    if (batch < 1 || rates.size() != batch * e->pre || out.size() != batch * e->post)
      throw py::value_error("rates or out do not fit the engine");
    const Index depth = history ? history->size() / rates.size() : 0;
    if (history && history->size() != depth * rates.size())
      throw py::value_error("history does not fit rates");
    schedule->project(e->engine, reading(rates, "rates"), history ? reading(*history, "history") : nullptr,
                      depth, delay, e->pre, writing(out, "out"), batch, accumulate);
  }

  void combine(const py::array& values, py::array out, const std::string& operation, double divisor) {
    if (values.size() != out.size()) throw py::value_error("values do not fit out");
    schedule->combine(reading(values, "values"), writing(out, "out"), out.size(), operation_from(operation),
                      divisor);
  }

  void gather_history(const py::array& rates, const py::array& history,
                      const py::array_t<std::int32_t, py::array::c_style>& delays, py::array out) {
    const Index units = delays.size(), depth = depth_of(history, rates);
    if (units < 1 || rates.size() % units || out.size() != rates.size())
      throw py::value_error("delays or out do not fit rates");
    for (Index i = 0; i < units; ++i)
      if (delays.data()[i] < 0 || delays.data()[i] > depth)
        throw py::value_error("a delay is deeper than the history");
    kept.push_back(delays);
    schedule->gather_history(reading(rates, "rates"), reading(history, "history"), depth, delays.data(),
                             writing(out, "out"), rates.size() / units, units);
  }

  void statistic(const py::array& values, py::array out, const std::string& which) {
    const Index batch = out.size();
    if (batch < 1 || values.size() < batch || values.size() % batch)
      throw py::value_error("out has one value for each trial");
    schedule->statistic(reading(values, "values"), writing(out, "out"), batch, values.size() / batch,
                        statistic_from(which));
  }

  void update(const Program& program, const std::vector<std::optional<py::array>>& inputs,
              std::vector<py::array> outputs, Index batch, Index units, std::uint64_t seed,
              std::uint32_t population, std::uint32_t first_trial) {
    const auto operand = [&](const py::array& array, void* data) {
      return Operand{data, period_of(array.size(), batch, units)};
    };
    std::vector<Operand> from, to;
    for (const auto& array : inputs)
      from.push_back(array ? operand(*array, const_cast<void*>(reading(*array, "input")))
                           : Operand{nullptr, 1});
    for (py::array& array : outputs) {
      to.push_back(operand(array, writing(array, "output")));
      check_output(to.back().period, units);
    }
    schedule->update(program, std::move(from), std::move(to), batch, units, {seed, population, first_trial});
  }

  void push(const py::array& rates, py::array history) {
    const Index depth = depth_of(history, rates);
    schedule->push(reading(rates, "rates"), writing(history, "history"), depth, rates.size());
  }

  void fill_history(const py::array& rates, py::array history) {
    const Index depth = depth_of(history, rates);
    schedule->fill_history(reading(rates, "rates"), writing(history, "history"), depth, rates.size());
  }

  int input(py::array rates, Index batch) {
    if (batch < 1 || rates.size() % batch) throw py::value_error("rates do not fit the batch");
    inputs.push_back({batch, rates.size() / batch, {}});
    return schedule->input(writing(rates, "rates"), batch, rates.size() / batch);
  }

  int check_finite(const py::array& values) {
    return schedule->check_finite(reading(values, "values"), values.size());
  }

  void set_frames(int number, const std::optional<py::array>& frames, const Int64s& starts, Index period,
                  Index origin) {
    BoundInput& input = inputs.at(number);
    schedule->set_frames(number, frames_of(input, dtype, frames, starts, period, origin));
    input.kept = py::make_tuple(frames, starts);
  }

  void set_records(const std::vector<BoundRecord>& records) {
    std::vector<Record> list;
    std::vector<py::object> now;
    for (const auto& [values, ranks, rows, first, period] : records) {
      const BoundRows r = rows_of(values.size(), ranks, rows, dtype, period);
      list.push_back({readable(values, dtype, "values"), r.units, ranks ? ranks->data() : nullptr, r.kept,
                      r.batch, r.rows, r.row_count, first, period});
      now.push_back(py::make_tuple(values, ranks, rows));
    }
    schedule->set_records(std::move(list));
    kept_records = std::move(now);
  }

  py::object run(Index first, Index steps) {
    done = 0;
    RunResult result;
    Interrupts interrupts;
    {
      const py::gil_scoped_release release;
      result = schedule->run(first, steps, [&] { return interrupts.go_on(); });
    }
    done = result.done;
    interrupts.raise();
    if (result.not_finite < 0) return py::none();
    return py::make_tuple(result.not_finite, result.not_finite_element);
  }
};

BoundSchedule make(const std::string& dtype, double dt, int threads) {
  const DType type = dtype_of(dtype);
  return {make_schedule(type, dt, threads), type, {}, {}, {}, 0};
}

}  // namespace

void register_schedule(py::module_& m) {
  py::class_<BoundSchedule>(m, "Schedule", "One step of a network as a flat list, repeated without Python.")
      .def(py::init(&make), "dtype"_a, "dt"_a, "threads"_a = 0)
      .def("clear", &BoundSchedule::clear, "out"_a)
      .def("project", &BoundSchedule::project, "engine"_a, "rates"_a, "history"_a, "delay"_a, "out"_a,
           "accumulate"_a)
      .def("combine", &BoundSchedule::combine, "values"_a, "out"_a, "operation"_a, "divisor"_a)
      .def("gather_history", &BoundSchedule::gather_history, "rates"_a, "history"_a, "delays"_a, "out"_a)
      .def("statistic", &BoundSchedule::statistic, "values"_a, "out"_a, "which"_a)
      .def("update", &BoundSchedule::update, "program"_a, "inputs"_a, "outputs"_a, "batch"_a, "units"_a,
           "seed"_a = 0, "population"_a = 0, "first_trial"_a = 0)
      .def("push", &BoundSchedule::push, "rates"_a, "history"_a)
      .def("fill_history", &BoundSchedule::fill_history, "rates"_a, "history"_a)
      .def("input", &BoundSchedule::input, "rates"_a, "batch"_a,
           "Rates that frames are written over; returns a number for `set_frames`.")
      .def("check_finite", &BoundSchedule::check_finite, "values"_a)
      .def("set_frames", &BoundSchedule::set_frames, "number"_a, "frames"_a, "starts"_a, "period"_a,
           "origin"_a)
      .def("set_records", &BoundSchedule::set_records, "records"_a,
           "A list of (values, ranks or None, rows, first step, period).")
      .def_readonly("done", &BoundSchedule::done, "Steps that the last run completed.")
      .def("run", &BoundSchedule::run, "first"_a, "steps"_a,
           "None, or which `check_finite` found NaN or infinity after the last step done, and at which "
           "element.");
}

}  // namespace weightsharing::bindings
