// The modules `_cuda` and `_cupy`, and in the tests `_cuda_emulated`: the same source over the CUDA runtime,
// the driver, or an imitation of the runtime.
#include "bindings/bindings.h"
#ifdef WEIGHTSHARING_EMULATED
#include "streams_for_tests.h"
#endif

PYBIND11_MODULE(WEIGHTSHARING_CUDA_MODULE, m) {
  using namespace weightsharing::bindings;

  m.doc() = "Projections and schedules on a CUDA device. People use the package's Python classes.";
  py::module_::import("weightsharing._core");  // geometries, programs and psps come from there
  register_device(m);
  register_device_array(m);
  register_device_engine(m);
  register_device_schedule(m);
  register_compiler(m);
#ifdef WEIGHTSHARING_OVER_DRIVER
  register_driver(m);
#endif
#ifdef WEIGHTSHARING_EMULATED
  bind_streams_for_tests(m);
#endif
}
