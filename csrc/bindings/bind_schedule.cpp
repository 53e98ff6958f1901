#include "bindings/bindings.h"
#include "weightsharing/schedule.h"

namespace weightsharing::bindings {

using namespace pybind11::literals;

namespace {

// The schedule with the arrays it points into.
struct BoundSchedule {
  std::unique_ptr<Schedule> schedule;
  DType dtype;
  std::vector<py::object> kept;

  const void* in(const py::array& array, const char* name) {
    kept.push_back(array);
    return readable(array, dtype, name);
  }
  void* out(py::array& array, const char* name) {
    kept.push_back(array);
    return writable(array, dtype, name);
  }
};

}  // namespace

void register_schedule(py::module_& m) {
  py::class_<BoundSchedule>(m, "Schedule", "One step of a network as a flat list, repeated without Python.")
      .def(py::init([](const std::string& dtype, double dt, int threads) {
             const DType type = dtype_of(dtype);
             return BoundSchedule{make_schedule(type, dt, threads), type, {}};
           }),
           "dtype"_a, "dt"_a, "threads"_a = 0)
      .def(
          "clear", [](BoundSchedule& s, py::array out) { s.schedule->clear(s.out(out, "out"), out.size()); },
          "out"_a)
      .def(
          "project",
          [](BoundSchedule& s, const std::shared_ptr<BoundEngine>& e, const py::array& rates,
             const std::optional<py::array>& history, Index delay, py::array out, bool accumulate) {
            if (e->dtype != s.dtype) throw py::type_error("the engine's dtype is not the schedule's");
            const Index batch = rates.size() / e->pre;
            if (batch < 1 || rates.size() != batch * e->pre || out.size() != batch * e->post)
              throw py::value_error("rates or out do not fit the engine");
            const Index depth = history ? history->size() / rates.size() : 0;
            if (history && history->size() != depth * rates.size())
              throw py::value_error("history does not fit rates");
            s.schedule->project(e->engine, s.in(rates, "rates"),
                                history ? s.in(*history, "history") : nullptr, depth, delay, e->pre,
                                s.out(out, "out"), batch, accumulate);
          },
          "engine"_a, "rates"_a, "history"_a, "delay"_a, "out"_a, "accumulate"_a)
      .def(
          "update",
          [](BoundSchedule& s, const Program& program, const std::vector<std::optional<py::array>>& inputs,
             std::vector<py::array> outputs, Index batch, Index units) {
            const auto operand = [&](const py::array& array, void* data) {
              const bool per_unit = array.size() == batch * units && units > 1;
              if (!per_unit && array.size() != batch)
                throw py::value_error("an array of the equations does not fit the population");
              return Operand{data, per_unit};
            };
            std::vector<Operand> from, to;
            for (const auto& array : inputs)
              from.push_back(array ? operand(*array, const_cast<void*>(s.in(*array, "input")))
                                   : Operand{nullptr, false});
            for (py::array& array : outputs) to.push_back(operand(array, s.out(array, "output")));
            s.schedule->update(program, std::move(from), std::move(to), batch, units);
          },
          "program"_a, "inputs"_a, "outputs"_a, "batch"_a, "units"_a)
      .def(
          "push",
          [](BoundSchedule& s, const py::array& rates, py::array history) {
            if (rates.size() == 0 || history.size() % rates.size())
              throw py::value_error("history does not fit rates");
            s.schedule->push(s.in(rates, "rates"), s.out(history, "history"), history.size() / rates.size(),
                             rates.size());
          },
          "rates"_a, "history"_a)
      .def(
          "run",
          [](BoundSchedule& s, Index first, Index steps) {
            const py::gil_scoped_release release;
            s.schedule->run(first, steps);
          },
          "first"_a, "steps"_a);
}

}  // namespace weightsharing::bindings
