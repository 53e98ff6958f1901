// Where a thread is, which rates it reads, and which taps lie inside.
#pragma once

#include "cuda/device.h"
#include "cuda/params.h"
#include "primitives/padding.h"

namespace weightsharing::cuda {

inline __device__ int64_t thread_index() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

// Which of `count` comes next in the number of a block. No division where nothing is left to divide: each
// is a chain of forty cycles or so before the first load.
inline __device__ int32_t take(uint32_t& index, uint32_t count) {
  if (index < count) {
    const uint32_t here = index;
    index = 0;
    return static_cast<int32_t>(here);
  }
  const uint32_t here = index % count;
  index /= count;
  return static_cast<int32_t>(here);
}

// Rates as they stand in this step. step - delay may lie before the start: rows are counted modulo the depth,
// from below as well.
template <class T>
inline __device__ const T* source_rates(const Source<T>& source) {
  if (!source.history) return source.rates;
  const int64_t row = (*source.step - source.delay) % source.depth;
  return source.history + (row < 0 ? row + source.depth : row) * source.row;
}

// Taps along one axis that lie inside pre, `first` the coordinate of the first one.
inline __device__ int32_t taps_inside(const Axis& a, int32_t first) {
  const int32_t from = first < 0 ? (-first + a.dilation - 1) / a.dilation : 0;
  const int32_t to = first < a.pre ? (a.pre - 1 - first) / a.dilation + 1 : 0;
  const int32_t end = to < a.taps ? to : a.taps;
  return end > from ? end - from : 0;
}

}  // namespace weightsharing::cuda
