// Arrays in device memory, for Python and for other libraries on the same device.
#include "bindings/device.h"
#include "bindings/dlpack.h"
#include "cuda/small.h"

namespace weightsharing::bindings {

using namespace pybind11::literals;

namespace {

DeviceArray make_array(std::vector<Index> shape, const std::string& dtype, int device) {
  const DType type = dtype_of(dtype);
  Index elements = 1;
  for (Index extent : shape) elements *= extent;
  const std::size_t bytes = static_cast<std::size_t>(elements) * element_bytes(type);
  return {std::make_shared<Memory>(bytes, checked_device(device)), std::move(shape), type};
}

void upload(DeviceArray& a, const py::array& values, std::uintptr_t stream) {
  const void* from = readable(values, a.dtype, a.size(), "values");
  const py::gil_scoped_release release;
  a.memory->upload(from, stream_at(stream));
}

void download(const DeviceArray& a, py::array& values, std::uintptr_t stream) {
  void* to = writable(values, a.dtype, a.size(), "values");
  const py::gil_scoped_release release;
  a.memory->download(to, stream_at(stream));
}

void copy_from(DeviceArray& a, std::uintptr_t address, std::uintptr_t stream) {
  const py::gil_scoped_release release;
  cuda::check_process();
  const cuda::Using use(a.memory->device());
  const void* from = reinterpret_cast<const void*>(address);
  cuda::run_launches({cuda::copy_launch(a.dtype, from, a.memory->data(), a.size())}, stream_at(stream));
  cuda::device_functions().synchronise(stream_at(stream));
}

py::object dlpack(const DeviceArray& a, const py::object& stream, const py::object& max_version,
                  const py::object& dl_device, const py::object& copy) {
  check_dlpack_request(stream, dl_device, copy, a.memory->device());
  DLTensor view{};
  view.data = a.memory->data();
  view.device = {dlpack_device_type, a.memory->device()};
  view.dtype = {dlpack_float, static_cast<std::uint8_t>(8 * element_bytes(a.dtype)), 1};
  const bool versioned = !max_version.is_none() && max_version.cast<py::tuple>()[0].cast<int>() >= 1;
  return dlpack_capsule(view, a.shape, a.memory, versioned);
}

py::dict cuda_array_interface(const DeviceArray& a) {
  py::dict d;
  d["shape"] = py::tuple(py::cast(a.shape));
  d["typestr"] = a.dtype == DType::float32 ? "<f4" : "<f8";
  d["data"] = py::make_tuple(reinterpret_cast<std::uintptr_t>(a.memory->data()), false);
  d["version"] = 3;
  d["strides"] = py::none();
  d["stream"] = py::none();  // every call returns when its work is done
  return d;
}

}  // namespace

void register_device_array(py::module_& m) {
  py::class_<DeviceArray>(m, "Array", "C-contiguous array in device memory.")
      .def(py::init(&make_array), "shape"_a, "dtype"_a, "device"_a = 0)
      .def_property_readonly("shape", [](const DeviceArray& a) { return py::tuple(py::cast(a.shape)); })
      .def_property_readonly("dtype", [](const DeviceArray& a) { return name_of(a.dtype); })
      .def_property_readonly("device", [](const DeviceArray& a) { return a.memory->device(); })
      .def("upload", &upload, "values"_a, "stream"_a = 0,
           "Copy from the host, after what the stream does now; returns when done.")
      .def("download", &download, "values"_a, "stream"_a = 0,
           "Copy to the host, after what the stream does now; returns when done.")
      .def("copy_from", &copy_from, "address"_a, "stream"_a,
           "Copy as many elements within the device, likewise.")
      .def("__dlpack__", &dlpack, py::kw_only(), "stream"_a = py::none(), "max_version"_a = py::none(),
           "dl_device"_a = py::none(), "copy"_a = py::none())
      .def("__dlpack_device__",
           [](const DeviceArray& a) { return py::make_tuple(dlpack_device_type, a.memory->device()); })
      .def_property_readonly("__cuda_array_interface__", &cuda_array_interface);
}

}  // namespace weightsharing::bindings
