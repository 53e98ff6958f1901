// Memory of devices and pinned memory of the host; copies of and to it.
#pragma once

#include <string.h>

#include <algorithm>
#include <iterator>

#include "runtime/queues.h"

#pragma GCC visibility push(hidden)

namespace emulation {

// The allocation that holds an address, or null.
inline const std::pair<const uintptr_t, Allocation>* find(const std::map<uintptr_t, Allocation>& memory,
                                                          const void* address) {
  auto next = memory.upper_bound(reinterpret_cast<uintptr_t>(address));
  if (next == memory.begin()) return nullptr;
  const auto& candidate = *std::prev(next);
  return reinterpret_cast<uintptr_t>(address) < candidate.first + candidate.second.bytes ? &candidate
                                                                                         : nullptr;
}
inline bool on_device(const void* address) { return find(runtime().device_memory, address); }
inline bool is_pinned(const void* address) { return find(runtime().pinned_memory, address); }

inline void require_inside(const void* address, size_t bytes, const char* what) {
  const auto* allocation = find(runtime().device_memory, address);
  if (allocation &&
      reinterpret_cast<uintptr_t>(address) + bytes <= allocation->first + allocation->second.bytes)
    return;
  throw Refusal(cudaErrorInvalidValue,
                std::string(what) + " of " + std::to_string(bytes) +
                    (allocation ? " bytes reaches beyond its allocation" : " bytes is not device memory"));
}

inline void* allocate(std::map<uintptr_t, Allocation>& memory, size_t bytes) {
  void* address = nullptr;
  if (posix_memalign(&address, 256, bytes)) throw Refusal(cudaErrorMemoryAllocation, "out of memory");
  memset(address, 0xFF, bytes);
  memory[reinterpret_cast<uintptr_t>(address)] = {bytes, host_thread().device};
  return address;
}

inline size_t release(std::map<uintptr_t, Allocation>& memory, void* address, const char* what) {
  const auto found = memory.find(reinterpret_cast<uintptr_t>(address));
  if (found == memory.end())
    throw Refusal(cudaErrorInvalidValue,
                  std::string(what) + ": freed before, or not from the function that it belongs to");
  finish_all();
  const size_t bytes = found->second.bytes;
  memset(address, 0xFF, bytes);
  memory.erase(found);
  free(address);
  return bytes;
}

inline void copy(CUstream_st& stream, void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                 bool wait) {
  if (!bytes) return;
  const bool to_device = on_device(to), from_device = on_device(from);
  const auto expect = [](bool is, bool expected, const char* what) {
    if (is != expected)
      throw Refusal(cudaErrorInvalidValue,
                    std::string("the ") + what + (expected ? " is not device memory" : " is device memory"));
  };
  if (kind != cudaMemcpyDefault) {
    expect(to_device, kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice,
           "target of the copy");
    expect(from_device, kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice,
           "source of the copy");
  }
  if (to_device) require_inside(to, bytes, "the target");
  if (from_device) require_inside(from, bytes, "the source");
  const bool pageable_source = !from_device && !is_pinned(from),
             pageable_target = !to_device && !is_pinned(to);
  if (stream.capture && (pageable_source || pageable_target)) {
    stream.capture->spoilt = true;
    throw Refusal(cudaErrorStreamCaptureUnsupported,
                  "a copy of pageable host memory during a stream capture");
  }
  if (pageable_source) {
    const char* first = static_cast<const char*>(from);
    submit(stream, [to, staged = std::vector<char>(first, first + bytes)] {
      memcpy(to, staged.data(), staged.size());
    });
  } else {
    submit(stream, [to, from, bytes] { memmove(to, from, bytes); });
  }
  if (wait || pageable_target) drain(stream);
}

inline void fill(CUstream_st& stream, void* to, int value, size_t bytes) {
  if (!bytes) return;
  require_inside(to, bytes, "the target");
  submit(stream, [to, value, bytes] { memset(to, value, bytes); });
}

}  // namespace emulation

inline cudaError_t cudaMalloc(void** memory, size_t bytes) {
  *memory = nullptr;
  return emulation::call([=] {
    emulation::refuse_memory_while_capturing("cudaMalloc");
    if (!bytes) return;
    emulation::Runtime& r = emulation::runtime();
    const size_t total = emulation::device_memory_bytes();
    emulation::require(r.allocated <= total && bytes <= total - r.allocated, cudaErrorMemoryAllocation,
                       "out of memory");
    *memory = emulation::allocate(r.device_memory, bytes);
    r.allocated += bytes;
  });
}
template <class T>
cudaError_t cudaMalloc(T** memory, size_t bytes) {
  return cudaMalloc(reinterpret_cast<void**>(memory), bytes);
}

inline cudaError_t cudaFree(void* memory) {
  return emulation::call([=] {
    emulation::refuse_memory_while_capturing("cudaFree");
    if (!memory) return;
    emulation::Runtime& r = emulation::runtime();
    r.allocated -= emulation::release(r.device_memory, memory, "cudaFree");
  });
}

inline cudaError_t cudaHostAlloc(void** memory, size_t bytes, unsigned) {
  *memory = nullptr;
  return emulation::call([=] {
    emulation::refuse_memory_while_capturing("cudaHostAlloc");
    if (bytes) *memory = emulation::allocate(emulation::runtime().pinned_memory, bytes);
  });
}
template <class T>
cudaError_t cudaHostAlloc(T** memory, size_t bytes, unsigned flags) {
  return cudaHostAlloc(reinterpret_cast<void**>(memory), bytes, flags);
}
template <class T>
cudaError_t cudaMallocHost(T** memory, size_t bytes) {
  return cudaHostAlloc(reinterpret_cast<void**>(memory), bytes, cudaHostAllocDefault);
}
inline cudaError_t cudaFreeHost(void* memory) {
  return emulation::call([=] {
    emulation::refuse_memory_while_capturing("cudaFreeHost");
    if (memory) emulation::release(emulation::runtime().pinned_memory, memory, "cudaFreeHost");
  });
}

inline cudaError_t cudaMemGetInfo(size_t* available, size_t* total) {
  return emulation::call([=] {
    *total = emulation::device_memory_bytes();
    *available = *total - std::min(*total, emulation::runtime().allocated);
  });
}

inline cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  return emulation::call([=] {
    const emulation::Runtime& r = emulation::runtime();
    void* address = const_cast<void*>(pointer);
    if (const auto* allocation = emulation::find(r.device_memory, pointer))
      *attributes = {cudaMemoryTypeDevice, allocation->second.device, address, nullptr};
    else if (const auto* pinned = emulation::find(r.pinned_memory, pointer))
      *attributes = {cudaMemoryTypeHost, pinned->second.device, address, address};
    else
      *attributes = {cudaMemoryTypeUnregistered, -2, nullptr, address};
  });
}

inline cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return emulation::call([=] {
    emulation::refuse_while_capturing(cudaErrorStreamCaptureImplicit, "cudaMemcpy");
    emulation::copy(emulation::runtime().legacy, to, from, bytes, kind, true);
  });
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                                   cudaStream_t stream = nullptr) {
  return emulation::call(
      [=] { emulation::copy(emulation::stream_of(stream), to, from, bytes, kind, false); });
}
inline cudaError_t cudaMemset(void* memory, int value, size_t bytes) {
  return emulation::call([=] { emulation::fill(emulation::runtime().legacy, memory, value, bytes); });
}
inline cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t stream = nullptr) {
  return emulation::call([=] { emulation::fill(emulation::stream_of(stream), memory, value, bytes); });
}

#pragma GCC visibility pop
