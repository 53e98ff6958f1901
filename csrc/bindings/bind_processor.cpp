#include "bindings/bindings.h"

namespace weightsharing::bindings {

using namespace pybind11::literals;

void register_processor(py::module_& m) {
  m.def("instruction_sets", &instruction_sets, "Instruction sets of this processor, lowest first.");
  m.def("instruction_set", &instruction_set, "The one that engines are made for.");
  m.def("set_instruction_set", &set_instruction_set, "name"_a,
        "Use a lower (or again a higher) one for engines made from now on.");
  m.def("thread_count", &thread_count, "Threads used where none are asked for.");
  m.def("set_thread_count", &set_thread_count, "threads"_a, "Set it.");
}

}  // namespace weightsharing::bindings
