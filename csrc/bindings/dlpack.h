// DLPack (https://dmlc.github.io/dlpack): how libraries hand arrays to each other without a copy. The structs
// are its stable binary interface, unversioned and version 1.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bindings/bindings.h"

namespace weightsharing::bindings {

struct DLDevice {
  std::int32_t type, id;
};
struct DLDataType {
  std::uint8_t code, bits;
  std::uint16_t lanes;
};
struct DLTensor {
  void* data;
  DLDevice device;
  std::int32_t dimensions;
  DLDataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;  // in elements; null: C order
  std::uint64_t byte_offset;
};
struct DLManagedTensor {
  DLTensor tensor;
  void* context;
  void (*deleter)(DLManagedTensor*);
};
struct DLManagedTensorVersioned {
  std::uint32_t major, minor;
  void* context;
  void (*deleter)(DLManagedTensorVersioned*);
  std::uint64_t flags;
  DLTensor tensor;
};
static_assert(sizeof(DLTensor) == 48 && sizeof(DLManagedTensor) == 64 &&
              sizeof(DLManagedTensorVersioned) == 80);

constexpr std::uint64_t dlpack_read_only = 1;
constexpr std::uint8_t dlpack_integer = 0, dlpack_unsigned = 1, dlpack_float = 2;
#ifdef WEIGHTSHARING_EMULATED
constexpr int dlpack_device_type = 1;  // the emulated device's memory is the host's
#else
constexpr int dlpack_device_type = 2;  // CUDA
#endif

// Raises what the array API standard asks for. There is never anything to wait for: whatever writes to an
// array of ours returns when it is done.
inline void check_dlpack_request(const py::object& stream, const py::object& device, const py::object& copy,
                                 int own_device) {
  if (!stream.is_none() && (stream.cast<std::int64_t>() == 0 || stream.cast<std::int64_t>() < -1))
    throw py::value_error("stream is " + std::to_string(stream.cast<std::int64_t>()) +
                          "; expected None, -1, 1 (the legacy stream), 2 or the address of a stream");
  if (!copy.is_none() && copy.cast<bool>())
    throw py::buffer_error("copy=True: the array is handed out as it lies; copy it afterwards");
  if (!device.is_none() && !device.equal(py::make_tuple(dlpack_device_type, own_device)))
    throw py::buffer_error("dl_device: the array is handed out as it lies, on " +
                           std::string(py::str(py::make_tuple(dlpack_device_type, own_device))));
}

// What a capsule points to, with everything it must keep alive.
template <class Managed>
struct DLPackHolder {
  Managed managed{};
  std::vector<std::int64_t> shape, strides;
  std::shared_ptr<void> owner;
};

inline const char* dlpack_name(const DLManagedTensor*) { return "dltensor"; }
inline const char* dlpack_name(const DLManagedTensorVersioned*) { return "dltensor_versioned"; }

template <class Managed>
py::object dlpack_capsule_of(const DLTensor& view, const std::vector<Index>& shape,
                             std::shared_ptr<void> owner) {
  auto holder = std::make_unique<DLPackHolder<Managed>>();
  holder->shape.assign(shape.begin(), shape.end());
  holder->strides.assign(shape.size(), 1);
  for (std::size_t axis = shape.size(); axis-- > 1;)
    holder->strides[axis - 1] = holder->strides[axis] * holder->shape[axis];
  holder->owner = std::move(owner);
  Managed& managed = holder->managed;
  managed.tensor = view;
  managed.tensor.dimensions = static_cast<std::int32_t>(shape.size());
  managed.tensor.shape = holder->shape.data();
  managed.tensor.strides = holder->strides.data();
  managed.context = holder.get();
  managed.deleter = [](Managed* m) { delete static_cast<DLPackHolder<Managed>*>(m->context); };
  if constexpr (std::is_same_v<Managed, DLManagedTensorVersioned>) managed.major = 1;
  // Whoever takes the array over renames the capsule and calls the deleter later.
  const auto destroy = [](PyObject* capsule) {
    const char* name = dlpack_name(static_cast<Managed*>(nullptr));
    if (!PyCapsule_IsValid(capsule, name)) return;
    Managed* abandoned = static_cast<Managed*>(PyCapsule_GetPointer(capsule, name));
    abandoned->deleter(abandoned);
  };
  PyObject* capsule = PyCapsule_New(&managed, dlpack_name(&managed), destroy);
  if (!capsule) throw py::error_already_set();
  holder.release();
  return py::reinterpret_steal<py::object>(capsule);
}

inline py::object dlpack_capsule(const DLTensor& view, const std::vector<Index>& shape,
                                 std::shared_ptr<void> owner, bool versioned) {
  return versioned ? dlpack_capsule_of<DLManagedTensorVersioned>(view, shape, std::move(owner))
                   : dlpack_capsule_of<DLManagedTensor>(view, shape, std::move(owner));
}

// Looks into a capsule without taking the array over: the caller keeps the array itself.
inline py::tuple dlpack_view(const py::object& capsule) {
  const DLTensor* tensor = nullptr;
  bool read_only = false;
  if (PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned")) {
    const auto* managed = static_cast<const DLManagedTensorVersioned*>(
        PyCapsule_GetPointer(capsule.ptr(), "dltensor_versioned"));
    if (managed->major != 1)
      throw py::buffer_error("DLPack version " + std::to_string(managed->major) + ": expected 1 or below");
    tensor = &managed->tensor;
    read_only = managed->flags & dlpack_read_only;
  } else if (PyCapsule_IsValid(capsule.ptr(), "dltensor")) {
    tensor = &static_cast<const DLManagedTensor*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"))->tensor;
  } else {
    throw py::type_error("__dlpack__ returned no DLPack capsule, or one that was used before");
  }
  const char* kinds = "iuf";
  if (tensor->dtype.code > dlpack_float || tensor->dtype.lanes != 1 || tensor->dtype.bits % 8)
    throw py::type_error("the array's numbers are no plain integers or floats");
  const std::vector<std::int64_t> shape(tensor->shape, tensor->shape + tensor->dimensions);
  py::object strides = py::none();
  if (tensor->strides)
    strides =
        py::tuple(py::cast(std::vector<std::int64_t>(tensor->strides, tensor->strides + tensor->dimensions)));
  return py::make_tuple(
      reinterpret_cast<std::uintptr_t>(tensor->data) + tensor->byte_offset, py::tuple(py::cast(shape)),
      std::string(1, kinds[tensor->dtype.code]) + std::to_string(tensor->dtype.bits / 8), strides, read_only);
}

}  // namespace weightsharing::bindings
