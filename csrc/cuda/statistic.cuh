// What equations read of a whole population: mean, max, min and norms of a variable. Sums run in double
// precision whatever the type, as on the CPU.
//
// Ladder of versions (not yet measured on a GPU):
//   statistic_naive  one thread per trial
//   statistic_part   one warp for each statistic_units units of a trial, reading 32 neighbours at a time;
//                    with more than one such part statistic_total puts them together, one warp per trial
#pragma once

#include "cuda/coordinates.cuh"
#include "cuda/program.cuh"
#include "cuda/reduction.cuh"

namespace weightsharing::cuda {

inline __device__ int32_t reduction_of(int32_t which) {
  return which == statistic_max ? reduce_max : which == statistic_min ? reduce_min : reduce_sum;
}
inline __device__ double statistic_term(int32_t which, double x) {
  return which == statistic_norm1 ? math_fabs(x) : which == statistic_norm2 ? x * x : x;
}
// From the sum, or the largest or smallest value, of all units.
template <class T>
inline __device__ void write_statistic(const StatisticParameters<T>& p, int64_t trial, double total) {
  if (p.which == statistic_mean) total /= static_cast<double>(p.units);
  if (p.which == statistic_norm2) total = math_sqrt(total);
  p.out[trial] = static_cast<T>(total);
}

// This thread is responsible for one trial. Threads: batch, one-dimensional.
template <class T>
__global__ void statistic_naive(const StatisticParameters<T> p) {
  const int64_t trial = thread_index();
  if (trial >= p.batch) return;
  Reducer<double> reducer(reduction_of(p.which));
  for (int64_t u = 0; u < p.units; ++u)
    reducer.add(statistic_term(p.which, static_cast<double>(p.values[trial * p.units + u])));
  write_statistic(p, trial, reducer.result(0));
}

// One part of one trial by the warp of these 32 threads, lane l for its units l, l + 32, ...
template <class T>
__device__ __forceinline__ void statistic_of_part(const StatisticParameters<T>& p, int64_t thread) {
  const int64_t index = thread / 32, part = index % p.parts_per_trial, trial = index / p.parts_per_trial;
  const int32_t lane = threadIdx.x % 32;
  if (trial >= p.batch) return;  // the whole warp
  const int64_t begin = part * statistic_units;
  const int64_t end = begin + statistic_units < p.units ? begin + statistic_units : p.units;
  const T* values = p.values + trial * p.units;
  Reducer<double> reducer(reduction_of(p.which));
  for (int64_t u = begin + lane; u < end; u += 32)
    reducer.add(statistic_term(p.which, static_cast<double>(values[u])));
  const double value = combine_lanes(reducer.result(0), lane, end - begin, reducer.reduction);
  if (lane) return;
  if (p.parts_per_trial == 1)
    write_statistic(p, trial, value);
  else
    p.parts[index] = value;
}

// The parts of one trial by the warp of these 32 threads, lane l for parts l, l + 32, ...
template <class T>
__device__ __forceinline__ void statistic_of_trial(const StatisticParameters<T>& p, int64_t thread) {
  const int64_t trial = thread / 32;
  const int32_t lane = threadIdx.x % 32;
  if (trial >= p.batch) return;  // the whole warp
  const double* parts = p.parts + trial * p.parts_per_trial;
  Reducer<double> reducer(reduction_of(p.which));
  for (int64_t k = lane; k < p.parts_per_trial; k += 32) reducer.add(parts[k]);
  const double value = combine_lanes(reducer.result(0), lane, p.parts_per_trial, reducer.reduction);
  if (!lane) write_statistic(p, trial, value);
}

// This warp is responsible for one part of one trial. Warps: batch * parts_per_trial, one-dimensional; a
// block is whole warps.
template <class T>
__global__ void statistic_part(const StatisticParameters<T> p) {
  statistic_of_part(p, thread_index());
}

// This warp is responsible for one trial. Warps: batch, one-dimensional; a block is whole warps.
template <class T>
__global__ void statistic_total(const StatisticParameters<T> p) {
  statistic_of_trial(p, thread_index());
}

}  // namespace weightsharing::cuda
