// Pooling: boxes without weights, clipped at the borders of pre.
//
// Ladder of versions (not yet measured on a GPU):
//   pool_naive  one thread per unit and trial, a loop over its box
#pragma once

#include "cuda/coordinates.cuh"
#include "cuda/reduction.cuh"

namespace weightsharing::cuda {

// This thread is responsible for one unit of one trial. Threads: batch * post_size, one-dimensional.
template <class T>
__global__ void pool_naive(const PoolParameters<T> p) {
  int64_t index = thread_index(), begin[4], end[4], post = 0;
  WEIGHTSHARING_UNROLL
  for (int d = 3; d >= 0; --d) {
    const int64_t q = index % p.axis[d].post;
    index /= p.axis[d].post;
    begin[d] = q * p.axis[d].stride;
    end[d] = begin[d] + p.axis[d].extent < p.axis[d].pre ? begin[d] + p.axis[d].extent : p.axis[d].pre;
    post += q * p.post_step[d];
  }
  const int64_t trial = index;
  if (trial >= p.batch) return;
  const T* rates = source_rates(p.source) + trial * p.pre_size;
  Reducer<T> reducer(p.reduction);
  for (int64_t i = begin[0]; i < end[0]; ++i)
    for (int64_t j = begin[1]; j < end[1]; ++j)
      for (int64_t k = begin[2]; k < end[2]; ++k) {
        const T* row = rates + i * p.pre_step[0] + j * p.pre_step[1] + k * p.pre_step[2];
        for (int64_t l = begin[3]; l < end[3]; ++l) reducer.add(row[l * p.pre_step[3]]);
      }
  write_unit(p.post + trial * p.post_size + post, reducer.result(reducer.count), p.accumulate);
}

}  // namespace weightsharing::cuda
