// What `_cupy` alone has: the driver's library and an allocator in Python.
#include "bindings/bindings.h"
#include "cuda/driver_functions.h"

namespace weightsharing::bindings {
namespace {

// A Python object that any thread may let go.
std::shared_ptr<void> shared(py::object object) {
  return {new py::object(std::move(object)), [](void* held) {
            if (!Py_IsInitialized()) return;  // memory and interpreter are gone together
            const py::gil_scoped_acquire acquire;
            delete static_cast<py::object*>(held);
          }};
}

}  // namespace

void register_driver(py::module_& m) {
  using namespace pybind11::literals;
  m.def("set_driver", &cuda::set_driver, "library"_a,
        "Before the first use: another library than libcuda.so.1.");
  m.def(
      "set_allocator",
      [](const py::function& allocate) {
        auto* const held = new py::function(allocate);  // for ever, as the compiler
        cuda::set_allocator([held](std::size_t bytes, int device) {
          const py::gil_scoped_acquire acquire;
          try {
            auto [address, owner] = (*held)(bytes, device).cast<std::pair<std::uintptr_t, py::object>>();
            return cuda::Allocation{reinterpret_cast<void*>(address), shared(std::move(owner))};
          } catch (const py::error_already_set& error) {
            if (error.matches(PyExc_MemoryError)) throw std::bad_alloc();
            throw;
          }
        });
      },
      "allocate"_a,
      "Call allocate(bytes, device) -> (address, owner) for device memory; MemoryError if there is none.");
}

}  // namespace weightsharing::bindings
