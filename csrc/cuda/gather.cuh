// Listed centres: every unit has its own first tap. And the one loop over taps that every naive kernel is
// made of.
//
// Ladder of versions (not yet measured on a GPU):
//   gather_naive  one thread per unit, filter and trial, any operation, padding and psp; rates through the L1
//   cache
#pragma once

#include "cuda/coordinates.cuh"
#include "cuda/program.cuh"
#include "cuda/reduction.cuh"

namespace weightsharing::cuda {

// One unit of one filter: its taps in the order of the weights, `first` the coordinate of tap (0, 0, 0, 0).
template <class T>
inline __device__ T reduce_taps(const WindowParameters<T>& p, const T* rates, const T* weights,
                                const int64_t (&first)[4]) {
  Reducer<T> reducer(p.reduction);
  const bool ignore = p.outside == outside_ignore;
  int64_t tap = 0;
  for (int32_t i = 0; i < p.axis[0].taps; ++i) {
    const int64_t u0 =
        place<int64_t>(first[0] + static_cast<int64_t>(i) * p.axis[0].dilation, p.axis[0].pre, p.outside);
    for (int32_t j = 0; j < p.axis[1].taps; ++j) {
      const int64_t u1 =
          place<int64_t>(first[1] + static_cast<int64_t>(j) * p.axis[1].dilation, p.axis[1].pre, p.outside);
      for (int32_t k = 0; k < p.axis[2].taps; ++k) {
        const int64_t u2 =
            place<int64_t>(first[2] + static_cast<int64_t>(k) * p.axis[2].dilation, p.axis[2].pre, p.outside);
        const bool row_outside = u0 < 0 || u1 < 0 || u2 < 0;
        if (row_outside && ignore) {
          tap += p.axis[3].taps;
          continue;
        }
        const int64_t row = u0 * p.pre_step[0] + u1 * p.pre_step[1] + u2 * p.pre_step[2];
        for (int32_t l = 0; l < p.axis[3].taps; ++l, ++tap) {
          const int64_t u3 = place<int64_t>(first[3] + static_cast<int64_t>(l) * p.axis[3].dilation,
                                            p.axis[3].pre, p.outside);
          const bool is_outside = row_outside || u3 < 0;
          if (is_outside && ignore) continue;
          const T rate = is_outside ? p.outside_value : rates[row + u3 * p.pre_step[3]];
          const T weight = weights[tap];
          reducer.add(p.has_psp ? run_psp(p.psp, weight, rate) : weight * rate);
        }
      }
    }
  }
  return reducer.result(ignore ? reducer.count : p.taps);
}

// One filter at one listed unit of one trial; filters are neighbours, so that a warp writes one run of post.
template <class T>
__device__ __forceinline__ void gather_unit(const WindowParameters<T>& p, int64_t index) {
  const int32_t filter = static_cast<int32_t>(index % p.filters);
  index /= p.filters;
  const int64_t unit = index % p.units, trial = index / p.units;
  if (trial >= p.batch) return;
  const int32_t* listed = p.listed + 4 * unit;
  const int64_t first[4] = {listed[0], listed[1], listed[2], listed[3]};
  const T value = reduce_taps(p, source_rates(p.source) + trial * p.pre_size,
                              p.weights + static_cast<int64_t>(filter) * p.taps, first);
  write_unit(p.post + trial * p.post_size + unit * p.post_unit + p.first_filter + filter, value,
             p.accumulate);
}

// This thread is responsible for one filter at one listed unit of one trial. Threads: batch * units *
// filters, one-dimensional.
template <class T>
__global__ void gather_naive(const WindowParameters<T> p) {
  gather_unit(p, thread_index());
}

}  // namespace weightsharing::cuda
