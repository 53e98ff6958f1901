// The runtime: memory, devices, launches, streams; and a kernel after one that failed.
#pragma once

#include <stdlib.h>

#include <string>
#include <vector>

#include "planted/async_copies.h"
#include "planted/blocks.h"

namespace planted {

// A launch after a failed one, with more threads and with fewer, works as if nothing had been.
inline void recovery() {
  for (int round = 0; round < 3; ++round) {
    try {
      compare<&neighbours<early_return>>(neighbours_expected);
      throw WrongResult("a return before a barrier went unnoticed");
    } catch (const emulation::Error&) {
    }
    compare<&neighbours<none>>(neighbours_expected);
    compare<&mirror<none>>(mirror_expected, block_size * sizeof(float), 7);
  }
  const char* order = getenv("WEIGHTSHARING_EMULATION_ORDER");
  const std::string kept = order ? order : "forward";
  setenv("WEIGHTSHARING_EMULATION_ORDER", "sideways", 1);
  try {
    compare<&twice<none>>([](const std::vector<float>& v, int i) { return 2 * v[i]; });
    throw WrongResult("an unknown order went unnoticed");
  } catch (const emulation::InvalidLaunch&) {
  }
  setenv("WEIGHTSHARING_EMULATION_ORDER", kept.c_str(), 1);
}

// Host arrays and device arrays of the same numbers.
struct Device {
  std::vector<float> host;
  float* from = nullptr;
  float* to = nullptr;
  cudaStream_t stream = nullptr;

  explicit Device(int n = units) : host(numbers(n)) {
    require_success(cudaMalloc(&from, n * sizeof(float)));
    require_success(cudaMalloc(&to, n * sizeof(float)));
    require_success(cudaMemcpy(from, host.data(), n * sizeof(float), cudaMemcpyHostToDevice));
    require_success(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  }
  ~Device() {
    cudaStreamDestroy(stream);
    cudaFree(from);
    cudaFree(to);
  }
  int n() const { return static_cast<int>(host.size()); }

  cudaError_t launch(const void* kernel, cudaStream_t on, size_t shared = 0) const {
    Arrays parameters{from, to, n()};
    void* arguments[] = {&parameters};
    return cudaLaunchKernel(kernel, dim3((n() + block_size - 1) / block_size), dim3(block_size), arguments,
                            shared, on);
  }
  cudaError_t launch_twice(cudaStream_t on) const {
    return launch(reinterpret_cast<const void*>(&twice<none>), on);
  }

  std::vector<float> result() const {
    std::vector<float> values(host.size());
    require_success(cudaMemcpy(values.data(), to, values.size() * sizeof(float), cudaMemcpyDeviceToHost));
    return values;
  }
  bool doubled() const {
    const std::vector<float> values = result();
    for (int i = 0; i < n(); ++i)
      if (!(values[i] == 2 * host[i])) return false;
    return true;
  }
};

inline void memory() {
  const size_t before = emulation::allocated_bytes();
  float* block = nullptr;
  require_success(cudaMalloc(&block, 100 * sizeof(float)));
  EXPECT(emulation::allocated_bytes() == before + 400);
  float value[2] = {0, 0};
  require_success(cudaMemcpy(value, block + 99, sizeof(float), cudaMemcpyDeviceToHost));
  EXPECT(isnan(value[0]));
  require_success(cudaMemset(block, 0, 400));
  require_success(cudaMemcpy(value, block + 98, 8, cudaMemcpyDefault));
  EXPECT(value[0] == 0 && value[1] == 0);
  expect_error(cudaMemcpy(value, block + 99, 8, cudaMemcpyDeviceToHost), cudaErrorInvalidValue,
               "beyond its allocation");
  expect_error(cudaMemcpy(value, value, 4, cudaMemcpyDeviceToHost), cudaErrorInvalidValue,
               "not device memory");
  expect_error(cudaMemset(block, 0, 401), cudaErrorInvalidValue);
  cudaPointerAttributes attributes;
  require_success(cudaPointerGetAttributes(&attributes, block + 5));
  EXPECT(attributes.type == cudaMemoryTypeDevice && attributes.device == 0);
  require_success(cudaPointerGetAttributes(&attributes, value));
  EXPECT(attributes.type == cudaMemoryTypeUnregistered);
  expect_error(cudaFree(block + 1), cudaErrorInvalidValue);
  expect_error(cudaFree(value), cudaErrorInvalidValue);
  require_success(cudaFree(block));
  expect_error(cudaFree(block), cudaErrorInvalidValue, "freed before");
  require_success(cudaFree(nullptr));
  EXPECT(emulation::allocated_bytes() == before);

  setenv("WEIGHTSHARING_EMULATION_MEMORY", "1000", 1);
  size_t available = 0, all = 0;
  require_success(cudaMalloc(&block, 600));
  require_success(cudaMemGetInfo(&available, &all));
  EXPECT(available == 400 && all == 1000);
  float* second = block;
  EXPECT(cudaMalloc(&second, 401) == cudaErrorMemoryAllocation && !second);
  EXPECT(cudaPeekAtLastError() == cudaErrorMemoryAllocation &&
         cudaGetLastError() == cudaErrorMemoryAllocation);
  EXPECT(cudaGetLastError() == cudaSuccess);
  require_success(cudaFree(block));
  unsetenv("WEIGHTSHARING_EMULATION_MEMORY");
}

inline void devices() {
  int count = 0, value = 0;
  require_success(cudaGetDeviceCount(&count));
  EXPECT(count == 1);
  cudaDeviceProp properties;
  require_success(cudaGetDeviceProperties(&properties, 0));
  EXPECT(properties.name == std::string("emulation") && properties.major == 9 &&
         properties.multiProcessorCount == 132);
  require_success(cudaDeviceGetAttribute(&value, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
  EXPECT(value == 227 * 1024);
  expect_error(cudaSetDevice(1), cudaErrorInvalidDevice);
  float* block = nullptr;
  setenv("WEIGHTSHARING_EMULATION_DEVICES", "0", 1);
  expect_error(cudaGetDeviceCount(&count), cudaErrorNoDevice);
  EXPECT(count == 0);
  expect_error(cudaMalloc(&block, 4), cudaErrorNoDevice);
  setenv("WEIGHTSHARING_EMULATION_DEVICES", "driver", 1);
  expect_error(cudaGetDeviceCount(&count), cudaErrorInsufficientDriver);
  require_success(cudaDriverGetVersion(&value));
  EXPECT(value == 0);
  setenv("WEIGHTSHARING_EMULATION_DEVICES", "2", 1);
  require_success(cudaSetDevice(1));
  require_success(cudaMalloc(&block, 4));
  cudaPointerAttributes attributes;
  require_success(cudaPointerGetAttributes(&attributes, block));
  EXPECT(attributes.device == 1);
  require_success(cudaFree(block));
  require_success(cudaSetDevice(0));
  unsetenv("WEIGHTSHARING_EMULATION_DEVICES");
}

inline void launches() {
  Device device;
  require_success(device.launch_twice(device.stream));
  EXPECT(!device.doubled());  // nobody waited
  require_success(cudaStreamSynchronize(device.stream));
  EXPECT(device.doubled());

  const void* dynamic = reinterpret_cast<const void*>(&mirror<none>);
  expect_error(device.launch(dynamic, nullptr, 60000), cudaErrorInvalidValue, "cudaFuncSetAttribute");
  require_success(cudaFuncSetAttribute(&mirror<none>, cudaFuncAttributeMaxDynamicSharedMemorySize, 60000));
  require_success(device.launch(dynamic, nullptr, 60000));
  expect_error(device.launch(dynamic, nullptr, 60001), cudaErrorInvalidValue);
  expect_error(cudaFuncSetAttribute(dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize, 227 * 1024 + 1),
               cudaErrorInvalidValue);
  EXPECT(device.result()[0] == mirror_expected(device.host, 0));
  Arrays parameters{device.from, device.to, 1};
  void* arguments[] = {&parameters};
  expect_error(cudaLaunchKernel(&twice<none>, dim3(1), dim3(1025), arguments), cudaErrorInvalidConfiguration,
               "1025");
  expect_error(cudaLaunchKernel(&twice<none>, dim3(1, 65536), dim3(1), arguments),
               cudaErrorInvalidConfiguration);
  expect_error(cudaLaunchKernel(&padded, dim3(1), dim3(1), arguments), cudaErrorInvalidDeviceFunction,
               "emulation::add");

  // A failed kernel: told by the next call that waits, once; work queued behind it is dropped; the next
  // launch runs.
  require_success(cudaMemset(device.to, 0, 4));
  require_success(cudaDeviceSynchronize());
  require_success(device.launch(reinterpret_cast<const void*>(&neighbours<early_return>), device.stream));
  require_success(device.launch_twice(device.stream));
  expect_error(cudaStreamSynchronize(device.stream), cudaErrorLaunchFailure, "early_return: deadlock");
  EXPECT(!device.doubled());
  require_success(cudaStreamSynchronize(device.stream));
  require_success(device.launch_twice(device.stream));
  require_success(cudaStreamSynchronize(device.stream));
  EXPECT(device.doubled());
  // Nor is it lost if the first to meet it is a cudaFree.
  void* other = nullptr;
  require_success(cudaMalloc(&other, 4));
  require_success(device.launch(reinterpret_cast<const void*>(&neighbours<early_return>), device.stream));
  require_success(cudaFree(other));
  expect_error(cudaStreamSynchronize(device.stream), cudaErrorLaunchFailure);
}

inline void streams() {
  Device device;
  cudaStream_t second, blocking;
  cudaEvent_t event, start;
  require_success(cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking));
  require_success(cudaStreamCreate(&blocking));
  require_success(cudaEventCreate(&start));
  require_success(cudaEventCreate(&event));
  require_success(cudaEventRecord(start, device.stream));
  require_success(device.launch_twice(device.stream));
  require_success(cudaEventRecord(event, device.stream));
  EXPECT(cudaEventQuery(event) == cudaErrorNotReady);
  float milliseconds = -1;
  EXPECT(cudaEventElapsedTime(&milliseconds, start, event) == cudaErrorNotReady);
  require_success(cudaStreamWaitEvent(second, event));
  float* copied = nullptr;
  const size_t bytes = device.n() * sizeof(float);
  require_success(cudaMalloc(&copied, bytes));
  require_success(cudaMemcpyAsync(copied, device.to, bytes, cudaMemcpyDeviceToDevice, second));
  std::vector<float> values(device.n());
  // To pageable memory: returns when it is done.
  require_success(cudaMemcpyAsync(values.data(), copied, bytes, cudaMemcpyDeviceToHost, second));
  for (int i = 0; i < device.n(); ++i) EXPECT(values[i] == 2 * device.host[i]);
  require_success(cudaEventElapsedTime(&milliseconds, start, event));
  EXPECT(milliseconds >= 0);

  // Pageable memory is read at once, pinned memory when the work runs.
  float *pinned = nullptr, pageable = 3;
  require_success(cudaMallocHost(&pinned, sizeof(float)));
  *pinned = 5;
  require_success(cudaMemcpyAsync(copied, &pageable, 4, cudaMemcpyHostToDevice, second));
  require_success(cudaMemcpyAsync(copied + 1, pinned, 4, cudaMemcpyHostToDevice, second));
  pageable = *pinned = 7;
  require_success(cudaStreamSynchronize(second));
  require_success(cudaMemcpy(values.data(), copied, 8, cudaMemcpyDeviceToHost));
  EXPECT(values[0] == 3 && values[1] == 7);

  // The legacy stream waits for blocking streams and they for it.
  require_success(cudaMemset(device.to, 0, bytes));
  require_success(device.launch_twice(blocking));
  EXPECT(device.doubled());
  require_success(cudaMemset(device.to, 0, bytes));
  require_success(device.launch_twice(nullptr));
  require_success(cudaMemcpyAsync(copied, device.to, bytes, cudaMemcpyDeviceToDevice, blocking));
  require_success(cudaStreamSynchronize(blocking));
  require_success(cudaMemcpy(values.data(), copied, bytes, cudaMemcpyDeviceToHost));
  EXPECT(values[1] == 2 * device.host[1]);

  while (cudaStreamQuery(second) == cudaErrorNotReady) {
  }
  require_success(cudaFree(copied));
  require_success(cudaFreeHost(pinned));
  for (cudaStream_t stream : {second, blocking}) require_success(cudaStreamDestroy(stream));
  for (cudaEvent_t each : {start, event}) require_success(cudaEventDestroy(each));
  expect_error(cudaStreamSynchronize(second), cudaErrorInvalidResourceHandle);
  expect_error(cudaEventRecord(event, nullptr), cudaErrorInvalidResourceHandle);
}

inline void no_stream_wait() {
  Device device;
  require_success(device.launch_twice(device.stream));
  EXPECT(device.doubled());
}

inline void use_after_free() {
  Device device;
  float* freed = device.to;
  require_success(cudaMalloc(&device.to, device.n() * sizeof(float)));
  require_success(cudaFree(freed));
  std::swap(freed, device.to);
  device.launch_twice(device.stream);
  std::swap(freed, device.to);
  require_success(cudaStreamSynchronize(device.stream));
}

}  // namespace planted
