// Lets Python compile kernels and programs.
#include "bindings/bindings.h"
#include "cuda/compiler.h"

namespace weightsharing::bindings {

void register_compiler(py::module_& m) {
  using namespace pybind11::literals;
  m.def(
      "set_compiler",
      [](const py::function& compile, bool programs) {
        // Held for ever: nobody can say when the last kernel is compiled.
        auto* const held = new py::function(compile);
        cuda::set_compiler(
            [held](const std::string& kernel, const std::string& program, int architecture) {
              const py::gil_scoped_acquire acquire;
              const auto [code, entry] =
                  (*held)(kernel, program, architecture).cast<std::pair<py::bytes, std::string>>();
              return cuda::MachineCode{std::string(code), entry};
            },
            programs);
      },
      "compile"_a, "programs"_a,
      "Call compile(kernel, program, architecture) -> (machine code, entry) for kernels that are needed. "
      "programs: also for those that a psp or equations are compiled into, else they are interpreted.");
  m.def("kernel_expressions", &cuda::kernel_expressions, "How each kernel is written in C++, by name.");
  m.def("kernel_sources", &cuda::kernel_sources, "The headers that kernels consist of, by name.");
}

}  // namespace weightsharing::bindings
