// Shared memory and barriers, several blocks, the stack of a thread.
#pragma once

#include <limits>
#include <vector>

#include "planted/testing.h"

namespace planted {

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
inline float neighbours_expected(const std::vector<float>& v, int i) {
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
inline float mirror_expected(const std::vector<float>& v, int i) {
  return v[block_start(i) + block_end(v, i) - i];
}

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
inline float prefix_expected(const std::vector<float>& v, int i) {
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

inline void blocks() {
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

inline void no_atomic() {
  const std::vector<float> from = numbers(block_size);
  float sum = 0;
  emulation::launch<&total<no_barrier>>(dim3(1), dim3(block_size),
                                        Total{from.data(), &sum, nullptr, block_size});
}

inline void blocks_in_a_chain() {
  const std::vector<float> from = numbers(9);
  std::vector<float> to(9, std::numeric_limits<float>::quiet_NaN());
  emulation::launch<&chained>(dim3(9), dim3(1), Arrays{from.data(), to.data(), 9});
  float sum = 0;
  for (float v : from) sum += v;
  EXPECT(to[8] == sum);
}

inline void blocks_at_one_element() {
  const std::vector<float> from = numbers(2);
  float to = 0;
  emulation::launch<&same_element>(dim3(2), dim3(4), Arrays{from.data(), &to, 1});
}

inline void too_deep() {
  std::vector<int> depths(10000, 1);
  depths.back() = 0;
  int out = 0;
  emulation::launch<&recursive>(dim3(1), dim3(1), Depths{depths.data(), &out});
}

}  // namespace planted
