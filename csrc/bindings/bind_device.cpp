// Which devices there are, and what is asked of one as a whole.
#include "bindings/device.h"
#include "bindings/dlpack.h"

namespace weightsharing::bindings {

using namespace pybind11::literals;
using cuda::device_functions;

int checked_device(int device) {
  const int devices = device_functions().count();
  if (devices == 0) throw cuda::DeviceError("CUDA cannot be used: " + device_functions().why_not());
  if (device < 0 || device >= devices)
    throw py::index_error("device " + std::to_string(device) + ": this machine has " +
                          std::to_string(devices) + " CUDA device(s), numbered from 0");
  return device;
}

void register_device(py::module_& m) {
  // Translators are asked last one first: the derived exception after its base.
  py::register_exception<cuda::DeviceError>(m, "DeviceError", PyExc_RuntimeError);
  py::register_exception<cuda::DeviceMemoryError>(m, "DeviceMemoryError", PyExc_MemoryError);

  m.def(
      "device_count", [] { return device_functions().count(); },
      "Number of CUDA devices; 0 without a driver.");
  m.def(
      "why_not", [] { return device_functions().why_not(); },
      "Why there is no device; empty if there is one.");
  m.def(
      "device_name", [](int device) { return device_functions().name(checked_device(device)); }, "device"_a);
  m.def(
      "architecture", [](int device) { return device_functions().architecture(checked_device(device)); },
      "device"_a, "Compute capability of a device, 90 for 9.0.");
  m.def(
      "driver_version", [] { return device_functions().driver_version(); },
      "Version of CUDA that the driver knows, 13000 for 13.0; 0 without a driver.");
  m.def(
      "device_of",
      [](std::uintptr_t address) {
        return device_functions().device_of(reinterpret_cast<const void*>(address));
      },
      "address"_a, "Number of the device that memory belongs to; -1: every device can use it, -2: none.");
  m.def(
      "synchronise",
      [](int device) {
        const cuda::Using use(checked_device(device));
        const py::gil_scoped_release release;
        device_functions().synchronise(nullptr);
      },
      "device"_a, "Wait for the default stream of a device.");
  m.def(
      "capturing",
      [](std::uintptr_t stream, int device) {
        const cuda::Using use(checked_device(device));
        return device_functions().capturing(stream_at(stream));
      },
      "stream"_a, "device"_a, "Whether launches on a stream become part of a graph.");
  m.def("dlpack_view", &dlpack_view, "capsule"_a,
        "Look into a DLPack capsule: (address, shape, dtype, strides or None, read-only).");
  m.def("kernel_names", &cuda::kernel_names, "Names of the kernels this module can launch.");
}

}  // namespace weightsharing::bindings
