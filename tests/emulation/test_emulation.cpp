// Kernels with planted bugs, which the emulation must catch, and the same kernels without. test_emulation.py
// builds this file with and without sanitizers: `test_emulation correct` runs all that must pass,
// `test_emulation NAME` one planted bug. Exit status: 0 all is right, 1 a wrong result, 2 the emulation
// refused, else a sanitizer's.
#include <cuda_runtime.h>
#include <stdlib.h>

#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "cuda/device.h"

using namespace weightsharing::cuda;

namespace {

struct WrongResult : std::runtime_error {
  using std::runtime_error::runtime_error;
};

void expect(bool right, const char* what) {
  if (!right) throw WrongResult(what);
}
#define EXPECT(condition) expect(condition, #condition)

void expect_error(cudaError_t error, cudaError_t expected, const std::string& words = "") {
  if (error != expected)
    throw WrongResult(std::string("got ") + cudaGetErrorName(error) + " (" + cudaGetErrorString(error) +
                      "), expected " + cudaGetErrorName(expected));
  if (std::string(cudaGetErrorString(error)).find(words) == std::string::npos)
    throw WrongResult(std::string("the message '") + cudaGetErrorString(error) + "' does not say '" + words +
                      "'");
  cudaGetLastError();
}

// Fails as the emulation does, with its words.
void require_success(cudaError_t error) {
  if (error) throw emulation::Error(std::string(cudaGetErrorName(error)) + ": " + cudaGetErrorString(error));
}

std::vector<float> numbers(int n) {
  std::vector<float> values(n);
  for (int i = 0; i < n; ++i) values[i] = static_cast<float>((i * 37 + 11) % 101 - 50);
  return values;
}

struct Arrays {
  const float* from;
  float* to;
  int n;
};

constexpr int block_size = 96;
constexpr int units = 5 * block_size + 17;

// Runs a kernel on `units` numbers and compares; what lies beyond the arrays is out of bounds for
// AddressSanitizer.
template <auto kernel>
void compare(const std::function<float(const std::vector<float>&, int)>& expected, size_t shared = 0,
             int n = units) {
  const std::vector<float> from = numbers(n);
  std::vector<float> to(n, -1);
  emulation::launch<kernel>(dim3((n + block_size - 1) / block_size), dim3(block_size),
                            Arrays{from.data(), to.data(), n}, shared);
  for (int i = 0; i < n; ++i) expect(to[i] == expected(from, i), "a unit has another value");
}

int block_start(int i) { return i / block_size * block_size; }
int block_end(const std::vector<float>& v, int i) {
  return std::min(block_start(i) + block_size, static_cast<int>(v.size())) - 1;
}

// ---- shared memory and barriers ----

enum Bug { none, no_barrier, one_off, no_guard, early_return, other_line };

// Sum of the left and right neighbours within the block.
template <Bug bug>
__global__ void neighbours(const Arrays p) {
  WEIGHTSHARING_SHARED(float, tile, [block_size]);
  const int i = blockIdx.x * block_size + threadIdx.x,
            last = min(block_size, p.n - int(blockIdx.x) * block_size) - 1;
  if (bug == early_return && i >= p.n) return;
  const int x = threadIdx.x;
  tile[x + (bug == one_off ? 1 : 0)] = i < p.n ? p.from[i] : 0;
  if (bug == other_line && x >= 40)
    __syncthreads();
  else if (bug != no_barrier)
    __syncthreads();
  if (bug == no_guard || i < p.n) p.to[i] = tile[max(x - 1, 0)] + tile[min(x + 1, last)];
}
float neighbours_expected(const std::vector<float>& v, int i) {
  return v[std::max(i - 1, block_start(i))] + v[std::min(i + 1, block_end(v, i))];
}

// The mirror image, in dynamic shared memory.
template <Bug bug>
__global__ void mirror(const Arrays p) {
  WEIGHTSHARING_DYNAMIC_SHARED(float, tile);
  const int i = blockIdx.x * block_size + threadIdx.x,
            last = min(block_size, p.n - int(blockIdx.x) * block_size) - 1;
  if (i < p.n) tile[threadIdx.x + (bug == one_off ? 1 : 0)] = p.from[i];
  __syncthreads();
  if (i < p.n) p.to[i] = tile[last - int(threadIdx.x)];
}
float mirror_expected(const std::vector<float>& v, int i) { return v[block_start(i) + block_end(v, i) - i]; }

// Prefix sums: the second barrier of a round keeps fast threads from writing what slow ones still read.
template <Bug bug>
__global__ void prefix(const Arrays p) {
  WEIGHTSHARING_SHARED(float, tile, [block_size]);
  const int i = blockIdx.x * block_size + threadIdx.x, x = threadIdx.x;
  tile[x] = i < p.n ? p.from[i] : 0;
  for (int d = 1; d < block_size; d *= 2) {
    __syncthreads();
    const float left = x >= d ? tile[x - d] : 0;
    if (bug != no_barrier) __syncthreads();
    tile[x] += left;
  }
  if (i < p.n) p.to[i] = tile[x];
}
float prefix_expected(const std::vector<float>& v, int i) {
  float sum = 0;
  for (int j = block_start(i); j <= i; ++j) sum += v[j];
  return sum;
}

// Two columns exchanged within a warp.
template <Bug bug>
__global__ void exchange(const Arrays p) {
  WEIGHTSHARING_SHARED(float, tile, [block_size]);
  const int i = blockIdx.x * block_size + threadIdx.x, x = threadIdx.x;
  tile[x] = i < p.n ? p.from[i] : 0;
  if (bug != no_barrier) __syncwarp();
  if (i < p.n) p.to[i] = tile[x ^ 1];
}

// A 16-byte access to a place that is aligned to 4.
template <Bug bug>
__global__ void wide(const Arrays p) {
  WEIGHTSHARING_SHARED(float, tile, [block_size * 4 + 4]);
  *reinterpret_cast<float4*>(&tile[4 * threadIdx.x + (bug == one_off ? 1 : 0)]) = make_float4(1, 2, 3, 4);
  const int i = blockIdx.x * block_size + threadIdx.x;
  if (i < p.n) p.to[i] = tile[4 * threadIdx.x + (bug == one_off ? 1 : 0)];
}

// No barrier, no fiber: also the tail of a grid that is larger than the array.
template <Bug bug>
__global__ void twice(const Arrays p) {
  const int i = blockIdx.x * block_size + threadIdx.x;
  if (bug == no_guard || i < p.n) p.to[i] = 2 * __ldg(p.from + i);
}

// More stack than a thread has, page by page.
__device__ int deep(const int* depth) {
  volatile char page[2048];
  page[0] = static_cast<char>(*depth);
  return *depth ? deep(depth + 1) + page[0] : 0;
}
struct Depths {
  const int* depths;
  int* out;
};
__global__ void recursive(const Depths p) { *p.out = deep(p.depths); }

// ---- cp.async ----

enum AsyncBug { async_none, no_wait, late_wait, wait_too_few, no_commit, misaligned };

// Every thread copies 4 numbers per stage, two stages under way; the sum over `stages` stages of the
// neighbour's numbers.
constexpr int stages = 5;
template <AsyncBug bug>
__global__ void staged(const Arrays p) {
  WEIGHTSHARING_SHARED(float, tile, [2][block_size][4]);
  const int x = threadIdx.x;
  const auto fetch = [&](int stage) {
    if (stage < stages)
      cp_async<16>(&tile[stage % 2][x][0], p.from + (stage * block_size + x) * 4 + (bug == misaligned));
    if (bug != no_commit) cp_async_commit();
  };
  fetch(0);
  float sum = 0;
  for (int stage = 0; stage < stages; ++stage) {
    fetch(stage + 1);
    if (bug != late_wait && bug != no_wait) cp_async_wait<bug == wait_too_few ? 2 : 1>();
    __syncthreads();
    const float* there = tile[stage % 2][(x + 1) % block_size];
    sum += there[0] + there[3];
    __syncthreads();
  }
  if (bug != no_wait) cp_async_wait<0>();
  p.to[x] = sum;
}
template <AsyncBug bug>
void run_staged() {
  const std::vector<float> from = numbers(stages * block_size * 4);
  // 16-byte aligned, as device memory is
  float* aligned = static_cast<float*>(aligned_alloc(16, from.size() * sizeof(float)));
  std::copy(from.begin(), from.end(), aligned);
  std::vector<float> to(block_size);
  emulation::launch<&staged<bug>>(dim3(1), dim3(block_size), Arrays{aligned, to.data(), block_size});
  free(aligned);
  for (int x = 0; x < block_size; ++x) {
    float sum = 0;
    for (int stage = 0; stage < stages; ++stage) {
      const int there = (stage * block_size + (x + 1) % block_size) * 4;
      sum += from[there] + from[there + 3];
    }
    expect(to[x] == sum, "a unit has another value");
  }
}

// Zeros where there is no source, whose address may be anything.
__global__ void padded(const Arrays p) {
  WEIGHTSHARING_SHARED(float, tile, [block_size]);
  const int i = blockIdx.x * block_size + threadIdx.x;
  cp_async<4>(&tile[threadIdx.x], p.from + i, i < p.n - 3 ? 4 : 0);
  cp_async_commit();
  cp_async_wait<0>();
  __syncthreads();
  if (i < p.n) p.to[i] = tile[threadIdx.x];
}

// ---- warps ----

enum MaskBug { mask_none, caller_not_named, source_not_named, beyond_block, lane_ended, divergent_shuffle };

// Sums of the 32 lanes, then of each half on its own while the other half does the same.
template <MaskBug bug>
__global__ void warp_sums(const Arrays p) {
  const int i = blockIdx.x * block_size + threadIdx.x, lane = threadIdx.x % 32;
  float all = i < p.n ? p.from[i] : 0;
  float half = all;
  if (bug == lane_ended && lane == 7) return;
  if (bug == caller_not_named) {
    half = __shfl_sync(0x0000FFFFu, half, 0);
  } else if (bug == source_not_named) {
    if (lane < 16) half = __shfl_down_sync(0x0000FFFFu, half, 8);
  }
  for (int d = 16; d; d /= 2) {
    if (bug == divergent_shuffle && lane % 2)
      all += __shfl_xor_sync(~0u, all, d);
    else
      all += __shfl_xor_sync(~0u, all, d);
  }
  const unsigned mask = lane < 16 ? 0x0000FFFFu : 0xFFFF0000u;
  for (int d = 8; d; d /= 2) half += __shfl_down_sync(mask, half, d, 16);
  half = __shfl_sync(mask, half, 0, 16);
  if (i < p.n) p.to[i] = 1000 * all + half;
}
float warp_sums_expected(const std::vector<float>& v, int i) {
  const auto sum = [&](int width) {
    float total = 0;
    for (int j = i / width * width; j < i / width * width + width && j < static_cast<int>(v.size()); ++j)
      total += v[j];
    return total;
  };
  return 1000 * sum(32) + sum(16);
}

struct Votes {
  int* out;
};
__global__ void votes(const Votes p) {
  const int x = threadIdx.x, lane = x % 32;
  const float up = __shfl_up_sync(~0u, float(lane), 3);
  const double index = __shfl_sync(~0u, double(lane), lane + 33);
  bool right = up == (lane >= 3 ? lane - 3 : lane) && index == (lane + 1) % 32;
  right = right && __ballot_sync(~0u, lane % 3 == 0) == 0x49249249u;
  right = right && __any_sync(~0u, lane == 5) && !__any_sync(~0u, false) && __all_sync(~0u, true) &&
          !__all_sync(~0u, lane);
  for (int round = 0; round < 3; ++round) {
    right =
        right && __syncthreads_count(x % 2 == 0) == 32 && __syncthreads_or(x == 63) && !__syncthreads_or(0);
    right = right && __syncthreads_and(1) && !__syncthreads_and(x != 9);
  }
  p.out[blockIdx.x * 64 + x] = right;
}

__global__ void partial_warp(const Arrays p) {
  float sum = p.from[threadIdx.x];
  sum += __shfl_xor_sync(~0u, sum, 1);
  p.to[threadIdx.x] = sum;
}

// ---- several blocks ----

struct Total {
  const float* from;
  float* total;
  int* extremes;
  int n;
};
template <Bug bug>
__global__ void total(const Total p) {
  const int i = blockIdx.x * block_size + threadIdx.x;
  if (i >= p.n) return;
  if (bug == no_barrier) {
    *p.total += p.from[i];
  } else {
    atomicAdd(p.total, p.from[i]);
    atomicMax(&p.extremes[0], int(p.from[i]));
    atomicMin(&p.extremes[1], int(p.from[i]));
    atomicAdd(&p.extremes[2], 1);
  }
}

// A block that needs what the block before it wrote.
__global__ void chained(const Arrays p) {
  const int block = blockIdx.x;
  p.to[block] = (block ? p.to[block - 1] : 0) + p.from[block];
}

// The last thread of each of two blocks writes the same element.
__global__ void same_element(const Arrays p) {
  if (threadIdx.x == 3) *p.to = p.from[blockIdx.x];
}

struct Indices {
  int* out;
};
__global__ void indices(const Indices p) {
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  __syncthreads();
  atomicAdd(&p.out[block * blockDim.x * blockDim.y * blockDim.z + thread], 1);
}

// ---- tensor cores ----

struct Matrices {
  const float* a;  // 16x8
  const float* b;  // 8x8
  float* d;        // 16x8
};
__global__ void product(const Matrices p) {
  const int g = threadIdx.x / 4, t = threadIdx.x % 4;
  const unsigned a[4] = {round_to_tf32(p.a[g * 8 + t]), round_to_tf32(p.a[(g + 8) * 8 + t]),
                         round_to_tf32(p.a[g * 8 + t + 4]), round_to_tf32(p.a[(g + 8) * 8 + t + 4])};
  const unsigned b[2] = {round_to_tf32(p.b[t * 8 + g]), round_to_tf32(p.b[(t + 4) * 8 + g])};
  float d[4] = {1, 1, 1, 1};
  mma_tf32(d, a, b);
  mma_tf32(d, a, b);
  for (int i = 0; i < 4; ++i) p.d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = d[i];
}

// ---- what must pass ----

void arithmetic() {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT(max(nan, 1.0f) == 1 && min(1.0, double(nan)) == 1 && max(3, 4) == 4 && min(3u, 4u) == 3);
  EXPECT(isnan(maximum(nan, 1.0f)) && isnan(maximum(1.0f, nan)) && maximum(1.0f, 2.0f) == 2);
  EXPECT(isnan(minimum(double(nan), 1.0)) && isnan(minimum(1.0, double(nan))) && minimum(1.0, 2.0) == 1);
  EXPECT(__float_as_int(1.0f) == 0x3F800000 && __uint_as_float(0x40000000u) == 2 && __clz(1) == 31 &&
         __ffs(8) == 4);
  EXPECT(__popc(0xF0F0u) == 8 && __umulhi(1u << 31, 6) == 3 && rsqrt(4.0) == 0.5);
  EXPECT(round_to_tf32(1.0f) == 0x3F800000u && round_to_tf32(__uint_as_float(0x3F801000u)) == 0x3F802000u);
  unsigned old = 5;
  EXPECT(atomicCAS(&old, 5u, 9u) == 5 && old == 9 && atomicCAS(&old, 5u, 1u) == 9 && old == 9);
  EXPECT(atomicExch(&old, 2u) == 9 && atomicOr(&old, 5u) == 2 && atomicAnd(&old, 6u) == 7 &&
         atomicXor(&old, 1u) == 6 && old == 7);
}

void warps() {
  compare<&warp_sums<mask_none>>(warp_sums_expected);
  std::vector<int> out(3 * 64);
  emulation::launch<&votes>(dim3(3), dim3(64), Votes{out.data()});
  EXPECT(std::count(out.begin(), out.end(), 1) == 3 * 64);
}

void blocks() {
  const std::vector<float> from = numbers(units);
  float sum = 0;
  int extremes[3] = {0, 0, 0};
  emulation::launch<&total<none>>(dim3(units / block_size + 1), dim3(block_size),
                                  Total{from.data(), &sum, extremes, units});
  float expected = 0;
  for (float v : from) expected += v;
  EXPECT(sum == expected && extremes[0] == 50 && extremes[1] == -50 && extremes[2] == units);
  std::vector<int> out(3 * 4 * 2 * 5 * 2 * 3);
  emulation::launch<&indices>(dim3(3, 4, 2), dim3(5, 2, 3), Indices{out.data()});
  EXPECT(std::count(out.begin(), out.end(), 1) == static_cast<int>(out.size()));
}

void tensor_cores() {
  const std::vector<float> a = numbers(16 * 8), b = numbers(8 * 8);
  std::vector<float> d(16 * 8);
  emulation::launch<&product>(dim3(1), dim3(32), Matrices{a.data(), b.data(), d.data()});
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 8; ++j) {
      float sum = 1;
      for (int k = 0; k < 8; ++k) sum += 2 * a[i * 8 + k] * b[k * 8 + j];
      EXPECT(d[i * 8 + j] == sum);
    }
}

// A launch after a failed one, with more threads and with fewer, works as if nothing had been.
void recovery() {
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

// ---- the runtime ----

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

void memory() {
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

void devices() {
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

void launches() {
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

void streams() {
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

void graphs() {
  Device device;
  const size_t bytes = device.n() * sizeof(float), handles = emulation::live_handles();
  cudaStream_t side;
  cudaEvent_t forked, joined;
  require_success(cudaStreamCreateWithFlags(&side, cudaStreamNonBlocking));
  require_success(cudaEventCreateWithFlags(&forked, cudaEventDisableTiming));
  require_success(cudaEventCreateWithFlags(&joined, cudaEventDisableTiming));
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  cudaStreamCaptureStatus status;

  require_success(cudaMemset(device.to, 0, bytes));
  require_success(cudaStreamBeginCapture(device.stream, cudaStreamCaptureModeThreadLocal));
  require_success(cudaStreamIsCapturing(device.stream, &status));
  EXPECT(status == cudaStreamCaptureStatusActive);
  require_success(device.launch_twice(device.stream));
  require_success(cudaEventRecord(forked, device.stream));
  require_success(cudaStreamWaitEvent(side, forked));
  require_success(cudaMemcpyAsync(device.from, device.to, bytes, cudaMemcpyDeviceToDevice, side));
  require_success(cudaEventRecord(joined, side));
  require_success(cudaStreamWaitEvent(device.stream, joined));
  require_success(cudaStreamEndCapture(device.stream, &graph));
  size_t nodes = 0;
  require_success(cudaGraphGetNodes(graph, nullptr, &nodes));
  EXPECT(nodes == 2);
  EXPECT(device.result()[0] == 0);  // recorded, not run
  require_success(cudaGraphInstantiate(&executable, graph, 0));
  require_success(cudaGraphDestroy(graph));
  for (int replay = 0; replay < 3; ++replay) require_success(cudaGraphLaunch(executable, device.stream));
  require_success(cudaStreamSynchronize(device.stream));
  for (int i = 0; i < device.n(); ++i) EXPECT(device.result()[i] == 8 * device.host[i]);
  require_success(cudaGraphExecDestroy(executable));
  expect_error(cudaGraphLaunch(executable, device.stream), cudaErrorInvalidResourceHandle);

  // A side stream that is not joined.
  require_success(cudaStreamBeginCapture(device.stream, cudaStreamCaptureModeGlobal));
  require_success(cudaEventRecord(forked, device.stream));
  require_success(cudaStreamWaitEvent(side, forked));
  require_success(device.launch_twice(side));
  expect_error(cudaStreamEndCapture(device.stream, &graph), cudaErrorStreamCaptureUnjoined);
  EXPECT(!graph);
  require_success(cudaStreamIsCapturing(side, &status));
  EXPECT(status == cudaStreamCaptureStatusNone);

  expect_error(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal),
               cudaErrorStreamCaptureUnsupported);
  expect_error(cudaStreamEndCapture(device.stream, &graph), cudaErrorIllegalState);
  require_success(cudaStreamDestroy(side));
  require_success(cudaEventDestroy(forked));
  require_success(cudaEventDestroy(joined));
  EXPECT(emulation::live_handles() == handles);
}

// Each of these is refused during a capture and spoils it; afterwards the stream can be captured again.
void capture_rules() {
  Device device;
  void* memory = nullptr;
  cudaEvent_t event;
  float value = 0;
  require_success(cudaEventCreate(&event));
  const std::vector<std::pair<cudaError_t, std::function<cudaError_t()>>> forbidden = {
      {cudaErrorStreamCaptureUnsupported, [&] { return cudaMalloc(&memory, 4); }},
      {cudaErrorStreamCaptureUnsupported, [&] { return cudaFree(device.to); }},
      {cudaErrorStreamCaptureUnsupported, [&] { return cudaStreamSynchronize(device.stream); }},
      {cudaErrorStreamCaptureUnsupported, [&] { return cudaDeviceSynchronize(); }},
      {cudaErrorStreamCaptureUnsupported, [&] { return cudaStreamQuery(device.stream); }},
      {cudaErrorStreamCaptureUnsupported,
       [&] { return cudaMemcpyAsync(device.to, &value, 4, cudaMemcpyHostToDevice, device.stream); }},
      {cudaErrorStreamCaptureImplicit,
       [&] { return cudaMemcpy(&value, device.to, 4, cudaMemcpyDeviceToHost); }},
      {cudaErrorStreamCaptureImplicit, [&] { return device.launch_twice(nullptr); }},
      {cudaErrorCapturedEvent,
       [&] {
         require_success(cudaEventRecord(event, device.stream));
         return cudaEventSynchronize(event);
       }},
  };
  for (const auto& [error, call] : forbidden) {
    cudaGraph_t graph = nullptr;
    require_success(cudaStreamBeginCapture(device.stream, cudaStreamCaptureModeThreadLocal));
    require_success(device.launch_twice(device.stream));
    expect_error(call(), error);
    expect_error(device.launch_twice(device.stream), cudaErrorStreamCaptureInvalidated);
    expect_error(cudaStreamEndCapture(device.stream, &graph), cudaErrorStreamCaptureInvalidated);
    EXPECT(!graph);
  }
  require_success(cudaEventDestroy(event));
  require_success(device.launch_twice(device.stream));
  require_success(cudaStreamSynchronize(device.stream));
  EXPECT(device.doubled());

  // Whoever says so may take and give memory, and still must not wait.
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  cudaGraph_t graph = nullptr;
  require_success(cudaStreamBeginCapture(device.stream, cudaStreamCaptureModeGlobal));
  require_success(cudaThreadExchangeStreamCaptureMode(&mode));
  require_success(cudaMalloc(&memory, 4));
  require_success(cudaFree(memory));
  require_success(device.launch_twice(device.stream));
  require_success(cudaStreamEndCapture(device.stream, &graph));
  require_success(cudaGraphDestroy(graph));
  require_success(cudaStreamBeginCapture(device.stream, cudaStreamCaptureModeGlobal));
  expect_error(cudaDeviceSynchronize(), cudaErrorStreamCaptureUnsupported);
  expect_error(cudaStreamEndCapture(device.stream, &graph), cudaErrorStreamCaptureInvalidated);
  require_success(cudaThreadExchangeStreamCaptureMode(&mode));
  EXPECT(mode == cudaStreamCaptureModeRelaxed);
}

void correct() {
  compare<&neighbours<none>>(neighbours_expected);
  compare<&mirror<none>>(mirror_expected, block_size * sizeof(float));
  compare<&prefix<none>>(prefix_expected);
  compare<&exchange<none>>(
      [](const std::vector<float>& v, int i) { return (i ^ 1) < static_cast<int>(v.size()) ? v[i ^ 1] : 0; });
  compare<&wide<none>>([](const std::vector<float>&, int) { return 1.0f; });
  compare<&twice<none>>([](const std::vector<float>& v, int i) { return 2 * v[i]; });
  compare<&padded>(
      [](const std::vector<float>& v, int i) { return i < static_cast<int>(v.size()) - 3 ? v[i] : 0; });
  run_staged<async_none>();
  for (const auto& test : {arithmetic, warps, blocks, tensor_cores, recovery, memory, devices, launches,
                           streams, graphs, capture_rules})
    test();
}

// ---- what must be caught ----

void unsafe_capture() {
  Device device;
  cudaGraph_t graph;
  void* memory = nullptr;
  require_success(cudaStreamBeginCapture(device.stream, cudaStreamCaptureModeThreadLocal));
  require_success(device.launch_twice(device.stream));
  cudaMalloc(&memory, 4);
  require_success(cudaStreamEndCapture(device.stream, &graph));
}

void no_stream_wait() {
  Device device;
  require_success(device.launch_twice(device.stream));
  EXPECT(device.doubled());
}

void use_after_free() {
  Device device;
  float* freed = device.to;
  require_success(cudaMalloc(&device.to, device.n() * sizeof(float)));
  require_success(cudaFree(freed));
  std::swap(freed, device.to);
  device.launch_twice(device.stream);
  std::swap(freed, device.to);
  require_success(cudaStreamSynchronize(device.stream));
}

void no_atomic() {
  const std::vector<float> from = numbers(block_size);
  float sum = 0;
  emulation::launch<&total<no_barrier>>(dim3(1), dim3(block_size),
                                        Total{from.data(), &sum, nullptr, block_size});
}

void blocks_in_a_chain() {
  const std::vector<float> from = numbers(9);
  std::vector<float> to(9, std::numeric_limits<float>::quiet_NaN());
  emulation::launch<&chained>(dim3(9), dim3(1), Arrays{from.data(), to.data(), 9});
  float sum = 0;
  for (float v : from) sum += v;
  EXPECT(to[8] == sum);
}

void blocks_at_one_element() {
  const std::vector<float> from = numbers(2);
  float to = 0;
  emulation::launch<&same_element>(dim3(2), dim3(4), Arrays{from.data(), &to, 1});
}

void too_deep() {
  std::vector<int> depths(10000, 1);
  depths.back() = 0;
  int out = 0;
  emulation::launch<&recursive>(dim3(1), dim3(1), Depths{depths.data(), &out});
}

void beyond_the_block() {
  const std::vector<float> from = numbers(20);
  std::vector<float> to(20);
  emulation::launch<&partial_warp>(dim3(1), dim3(20), Arrays{from.data(), to.data(), 20});
}

const std::map<std::string, void (*)()> cases = {
    {"correct", correct},
    {"no_barrier", [] { compare<&neighbours<no_barrier>>(neighbours_expected); }},
    {"no_second_barrier", [] { compare<&prefix<no_barrier>>(prefix_expected); }},
    {"no_warp_barrier",
     [] {
       compare<&exchange<no_barrier>>([](const std::vector<float>& v, int i) { return v[i ^ 1]; }, 0,
                                      2 * block_size);
     }},
    {"shared_index", [] { compare<&neighbours<one_off>>(neighbours_expected); }},
    {"dynamic_shared_index",
     [] { compare<&mirror<one_off>>(mirror_expected, block_size * sizeof(float), block_size); }},
    {"misaligned", [] { compare<&wide<one_off>>([](const std::vector<float>&, int) { return 1.0f; }); }},
    {"no_guard",
     [] { compare<&twice<no_guard>>([](const std::vector<float>& v, int i) { return 2 * v[i]; }); }},
    {"no_guard_after_barrier", [] { compare<&neighbours<no_guard>>(neighbours_expected); }},
    {"early_return", [] { compare<&neighbours<early_return>>(neighbours_expected); }},
    {"other_line", [] { compare<&neighbours<other_line>>(neighbours_expected); }},
    {"no_async_wait", run_staged<no_wait>},
    {"late_async_wait", run_staged<late_wait>},
    {"short_async_wait", run_staged<wait_too_few>},
    {"no_async_commit", run_staged<no_commit>},
    {"misaligned_async", run_staged<misaligned>},
    {"caller_not_named", [] { compare<&warp_sums<caller_not_named>>(warp_sums_expected); }},
    {"source_not_named", [] { compare<&warp_sums<source_not_named>>(warp_sums_expected); }},
    {"lane_ended", [] { compare<&warp_sums<lane_ended>>(warp_sums_expected); }},
    {"divergent_shuffle", [] { compare<&warp_sums<divergent_shuffle>>(warp_sums_expected); }},
    {"beyond_the_block", beyond_the_block},
    {"no_atomic", no_atomic},
    {"blocks_in_a_chain", blocks_in_a_chain},
    {"blocks_at_one_element", blocks_at_one_element},
    {"unsafe_capture", unsafe_capture},
    {"no_stream_wait", no_stream_wait},
    {"use_after_free", use_after_free},
    {"too_deep", too_deep},
};

}  // namespace

int main(int count, char** words) {
  emulation::add<&twice<none>>("twice");
  emulation::add<&mirror<none>>("mirror");
  emulation::add<&neighbours<early_return>>("early_return");
  const auto found = cases.find(count == 2 ? words[1] : "");
  if (found == cases.end()) {
    for (const auto& each : cases) puts(each.first.c_str());
    return 0;
  }
  try {
    found->second();
  } catch (const WrongResult& wrong) {
    printf("wrong result: %s\n", wrong.what());
    return 1;
  } catch (const emulation::Error& error) {
    printf("refused: %s\n", error.what());
    return 2;
  }
  return 0;
}
