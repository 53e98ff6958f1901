// Synapses: compressed rows of weights, one row per post unit.
//
// Ladder of versions (not yet measured on a GPU):
//   synapses_naive  one thread per row: neighbouring threads read far apart
//   synapses_warp   one warp per row: weights and columns are read 128 bytes at a time
#pragma once

#include "cuda/coordinates.cuh"
#include "cuda/program.cuh"
#include "cuda/reduction.cuh"

namespace weightsharing::cuda {

template <class T>
inline __device__ T synapse(const SynapsesParameters<T>& p, const T* rates, int64_t j) {
  const T weight = p.weights[j], rate = rates[p.column[j]];
  return p.has_psp ? run_psp(p.psp, weight, rate) : weight * rate;
}

// One row of one trial.
template <class T>
__device__ __forceinline__ void synapses_unit(const SynapsesParameters<T>& p, int64_t index) {
  const int64_t unit = index % p.post_size, trial = index / p.post_size;
  if (trial >= p.batch) return;
  const T* rates = source_rates(p.source) + trial * p.pre_size;
  Reducer<T> reducer(p.reduction);
  for (int64_t j = p.row_start[unit]; j < p.row_start[unit + 1]; ++j) reducer.add(synapse(p, rates, j));
  write_unit(p.post + trial * p.post_size + unit, reducer.result(reducer.count), p.accumulate);
}

// This thread is responsible for one row of one trial. Threads: batch * post_size, one-dimensional.
template <class T>
__global__ void synapses_naive(const SynapsesParameters<T> p) {
  synapses_unit(p, thread_index());
}

// One row of one trial by the warp of these 32 threads, lane l for its synapses l, l + 32, ...
template <class T>
__device__ __forceinline__ void synapses_row(const SynapsesParameters<T>& p, int64_t thread) {
  const int64_t index = thread / 32, unit = index % p.post_size, trial = index / p.post_size;
  const int32_t lane = threadIdx.x % 32;
  if (trial >= p.batch) return;  // the whole warp
  const T* rates = source_rates(p.source) + trial * p.pre_size;
  const int64_t begin = p.row_start[unit], end = p.row_start[unit + 1];
  Reducer<T> reducer(p.reduction);
  for (int64_t j = begin + lane; j < end; j += 32) reducer.add(synapse(p, rates, j));
  // Lanes without a synapse take no part; those with one are the first lanes.
  T value = combine_lanes(reducer.result(0), lane, end - begin, p.reduction);
  if (lane) return;
  if (p.reduction == reduce_mean && begin < end) value /= static_cast<T>(end - begin);
  write_unit(p.post + trial * p.post_size + unit, value, p.accumulate);
}

// This warp is responsible for one row of one trial. Warps: batch * post_size, one-dimensional; a block is
// whole warps.
template <class T>
__global__ void synapses_warp(const SynapsesParameters<T> p) {
  synapses_row(p, thread_index());
}

}  // namespace weightsharing::cuda
