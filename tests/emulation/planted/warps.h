// Shuffles, votes, tensor cores, and the arithmetic of one thread.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "planted/testing.h"

namespace planted {

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
inline float warp_sums_expected(const std::vector<float>& v, int i) {
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

inline void arithmetic() {
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

inline void warps() {
  compare<&warp_sums<mask_none>>(warp_sums_expected);
  std::vector<int> out(3 * 64);
  emulation::launch<&votes>(dim3(3), dim3(64), Votes{out.data()});
  EXPECT(std::count(out.begin(), out.end(), 1) == 3 * 64);
}

inline void tensor_cores() {
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

inline void beyond_the_block() {
  const std::vector<float> from = numbers(20);
  std::vector<float> to(20);
  emulation::launch<&partial_warp>(dim3(1), dim3(20), Arrays{from.data(), to.data(), 20});
}

}  // namespace planted
