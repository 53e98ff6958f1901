// Windows: one filter, or a few, over a regular grid.
//
// Ladder of versions (not yet measured on a GPU):
//   window_naive  one thread per unit, filter and trial, any operation, padding, psp, stride and dilation
#pragma once

#include "cuda/gather.cuh"

namespace weightsharing::cuda {

// This thread is responsible for one filter at one unit of one trial; filters are neighbours, then units of the last
// axis. Threads: batch * units * filters, one-dimensional.
template <class T>
__global__ void window_naive(const WindowParameters<T> p) {
  int64_t index = thread_index();
  const int32_t filter = static_cast<int32_t>(index % p.filters);
  index /= p.filters;
  int64_t first[4], post = 0;
  WEIGHTSHARING_UNROLL
  for (int d = 3; d >= 0; --d) {
    const int64_t q = index % p.axis[d].post;
    index /= p.axis[d].post;
    first[d] = p.axis[d].offset + q * p.axis[d].stride;
    post += q * p.post_step[d];
  }
  const int64_t trial = index;
  if (trial >= p.batch) return;
  const T value = reduce_taps(p, source_rates(p.source) + trial * p.pre_size,
                              p.weights + static_cast<int64_t>(filter) * p.taps, first);
  write_unit(p.post + trial * p.post_size + post + p.first_filter + filter, value, p.accumulate);
}

}  // namespace weightsharing::cuda
