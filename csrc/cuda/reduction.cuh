// Sum, maximum and minimum with the NaN rule of the specification: a result is NaN when any element is.
#pragma once

#include "cuda/device.h"
#include "cuda/params.h"

namespace weightsharing::cuda {

// Sums add at most so many elements one after the other, and then such partial sums in levels, so that their
// rounding error grows slowly with the number of elements. docs/design.md, section 6, has the bounds.
constexpr int chunk_taps = 32;

// reduce_mean is a sum here; the division is the caller's.
template <Reduction reduction, class T>
inline __device__ T identity() {
  // NVRTC has no INFINITY
  return reduction == reduce_max   ? static_cast<T>(-__int_as_float(0x7f800000))
         : reduction == reduce_min ? static_cast<T>(__int_as_float(0x7f800000))
                                   : T(0);
}
template <Reduction reduction, class T>
inline __device__ T combine(T a, T b) {
  if constexpr (reduction == reduce_max)
    return maximum(a, b);
  else if constexpr (reduction == reduce_min)
    return minimum(a, b);
  else
    return a + b;
}
// Adds one tap: a fused multiply-add for sums.
template <Reduction reduction, class T>
inline __device__ T contribute(T sum, T weight, T rate) {
  return combine<reduction>(sum, weight * rate);
}

// The same with a reduction known at run time only: elements come one by one. Eight sums of a level make one
// of the next; the last level adds in sequence.
template <class T>
struct Reducer {
  static constexpr int levels = 6, fan_in = 8;
  int32_t reduction;
  T part = T(0), level[levels] = {};
  int64_t count = 0;

  __device__ explicit Reducer(int32_t reduction_) : reduction(reduction_) {}

  __device__ void add(T value) {
    if (reduction == reduce_max) {
      part = count ? maximum(part, value) : value;
    } else if (reduction == reduce_min) {
      part = count ? minimum(part, value) : value;
    } else {
      part += value;
      if ((count + 1) % chunk_taps == 0) carry((count + 1) / chunk_taps);
    }
    ++count;
  }
  // `divisor` counts for mean. 0 when nothing was added.
  __device__ T result(int64_t divisor) const {
    T sum = part;
    WEIGHTSHARING_UNROLL
    for (int d = 0; d < levels; ++d) sum += level[d];
    if (reduction == reduce_max || reduction == reduce_min) return part;
    return reduction == reduce_mean && divisor > 0 ? sum / static_cast<T>(divisor) : sum;
  }

 private:
  __device__ void carry(int64_t chunks) {
    bool moves = true;
    T value = part;
    part = T(0);
    WEIGHTSHARING_UNROLL
    for (int d = 0; d < levels; ++d) {
      if (!moves) continue;
      level[d] += value;
      moves = d < levels - 1 && chunks % fan_in == 0;
      chunks /= fan_in;
      if (!moves) continue;
      value = level[d];
      level[d] = T(0);
    }
  }
};

// Value of all lanes of a warp in lane 0, combined in a fixed order, so that it never depends on the timing.
// The first `lanes` of them take part.
template <class T>
inline __device__ T combine_lanes(T value, int32_t lane, int64_t lanes, int32_t reduction) {
  WEIGHTSHARING_UNROLL
  for (int32_t distance = 16; distance > 0; distance /= 2) {
    const T other = __shfl_down_sync(0xffffffffu, value, distance);
    if (lane + distance >= lanes) continue;
    value = reduction == reduce_max   ? maximum(value, other)
            : reduction == reduce_min ? minimum(value, other)
                                      : value + other;
  }
  return value;
}

template <class T>
inline __device__ void write_unit(T* post, T value, int32_t accumulate) {
  *post = accumulate ? *post + value : value;
}

}  // namespace weightsharing::cuda
