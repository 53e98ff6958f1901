// cp.async.
#pragma once

#include <stdlib.h>

#include <algorithm>
#include <vector>

#include "planted/testing.h"

namespace planted {

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
inline void run_staged() {
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

}  // namespace planted
