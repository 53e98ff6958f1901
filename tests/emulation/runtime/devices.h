// The devices that WEIGHTSHARING_EMULATION_DEVICES says are there.
#pragma once

#include <string.h>

#include "runtime/queues.h"

#pragma GCC visibility push(hidden)

inline cudaError_t cudaGetDeviceCount(int* count) {
  *count = 0;
  return emulation::call([=] { *count = emulation::device_count(); });
}

inline cudaError_t cudaSetDevice(int device) {
  const std::lock_guard<std::recursive_mutex> lock(emulation::runtime().mutex);
  try {
    emulation::require(device >= 0 && device < emulation::device_count(), cudaErrorInvalidDevice,
                       "invalid device ordinal");
    emulation::host_thread().device = device;
    return cudaSuccess;
  } catch (const emulation::Refusal& refusal) {
    return emulation::report(refusal.error, refusal.what());
  }
}

inline cudaError_t cudaGetDevice(int* device) {
  return emulation::call([=] { *device = emulation::host_thread().device; });
}

inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  return emulation::call([=] {
    emulation::require(device >= 0 && device < emulation::device_count(), cudaErrorInvalidDevice,
                       "invalid device ordinal");
    switch (attribute) {
      case cudaDevAttrMaxThreadsPerBlock:
        *value = emulation::max_threads;
        return;
      case cudaDevAttrMaxSharedMemoryPerBlock:
        *value = emulation::default_shared;
        return;
      case cudaDevAttrWarpSize:
        *value = warpSize;
        return;
      case cudaDevAttrMaxRegistersPerBlock:
        *value = 65536;
        return;
      case cudaDevAttrMultiProcessorCount:
        *value = 132;
        return;
      case cudaDevAttrL2CacheSize:
        *value = 50 << 20;
        return;
      case cudaDevAttrMaxThreadsPerMultiProcessor:
        *value = 2048;
        return;
      case cudaDevAttrComputeCapabilityMajor:
        *value = 9;
        return;
      case cudaDevAttrComputeCapabilityMinor:
        *value = 0;
        return;
      case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
        *value = 228 * 1024;
        return;
      case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = emulation::max_shared;
        return;
    }
    throw emulation::Refusal(cudaErrorInvalidValue, "the emulation does not know this device attribute");
  });
}

inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return emulation::call([=] {
    emulation::require(device >= 0 && device < emulation::device_count(), cudaErrorInvalidDevice,
                       "invalid device ordinal");
    *properties = {"emulation",
                   emulation::device_memory_bytes(),
                   emulation::default_shared,
                   emulation::max_shared,
                   228 * 1024,
                   65536,
                   warpSize,
                   static_cast<int>(emulation::max_threads),
                   2048,
                   {1024, 1024, 64},
                   {0x7FFFFFFF, 65535, 65535},
                   9,
                   0,
                   132,
                   50 << 20};
  });
}

inline cudaError_t cudaDriverGetVersion(int* version) {
  const char* devices = getenv("WEIGHTSHARING_EMULATION_DEVICES");
  *version = devices && !strcmp(devices, "driver") ? 0 : CUDART_VERSION;
  return cudaSuccess;
}
inline cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

inline cudaError_t cudaDeviceSynchronize() {
  return emulation::call([] {
    emulation::refuse_while_capturing(cudaErrorStreamCaptureUnsupported, "waiting for the device");
    emulation::finish_all();
    emulation::rethrow_failure();
  });
}

#pragma GCC visibility pop
