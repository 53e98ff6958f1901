// Sum, maximum and minimum with the NaN rule of the specification: a result is NaN when any element is.
#pragma once

#include "cuda/device.h"
#include "cuda/params.h"

namespace weightsharing::cuda {

// Sums add at most so many elements one after the other, then move to a second accumulator, and that one
// after as many moves to a third: the error stays that of a short sum.
constexpr int chunk_taps = 64;

// reduce_mean is a sum here; the division is the caller's.
template <int reduction, class T>
inline __device__ T identity() {
  // NVRTC has no INFINITY
  return reduction == reduce_max   ? static_cast<T>(-__int_as_float(0x7f800000))
         : reduction == reduce_min ? static_cast<T>(__int_as_float(0x7f800000))
                                   : T(0);
}
template <int reduction, class T>
inline __device__ T combine(T a, T b) {
  if constexpr (reduction == reduce_max)
    return maximum(a, b);
  else if constexpr (reduction == reduce_min)
    return minimum(a, b);
  else
    return a + b;
}
// Adds one tap: a fused multiply-add for sums.
template <int reduction, class T>
inline __device__ T contribute(T sum, T weight, T rate) {
  return combine<reduction>(sum, weight * rate);
}

// The same with a reduction known at run time only: elements come one by one.
template <class T>
struct Reducer {
  int32_t reduction;
  T grand, total, part;
  int64_t count = 0;

  __device__ explicit Reducer(int32_t reduction_) : reduction(reduction_), grand(0), total(0), part(0) {}

  __device__ void add(T value) {
    if (reduction == reduce_max) {
      part = count ? maximum(part, value) : value;
    } else if (reduction == reduce_min) {
      part = count ? minimum(part, value) : value;
    } else {
      part += value;
      if ((count + 1) % chunk_taps == 0) {
        total += part;
        part = T(0);
        if ((count + 1) % (chunk_taps * chunk_taps) == 0) {
          grand += total;
          total = T(0);
        }
      }
    }
    ++count;
  }
  // `divisor` counts for mean. 0 when nothing was added.
  __device__ T result(int64_t divisor) const {
    if (reduction == reduce_max || reduction == reduce_min) return part;
    const T sum = grand + (total + part);
    return reduction == reduce_mean && divisor > 0 ? sum / static_cast<T>(divisor) : sum;
  }
};

template <class T>
inline __device__ void write_unit(T* post, T value, int32_t accumulate) {
  *post = accumulate ? *post + value : value;
}

}  // namespace weightsharing::cuda
