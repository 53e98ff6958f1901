// What a step takes from the host and leaves for it, while the host is elsewhere: frames that it shows, rows
// that it keeps, and the first value that is not finite. What changes from run to run lies in tables in
// device memory, so that a captured step stays valid.
//
// Ladder of versions (not yet measured on a GPU):
//   show   one thread per rate; each one looks the step up among the frames of the run
//   keep   all threads go through all rows that are due
//   check  one thread per value
#pragma once

#include "cuda/coordinates.cuh"

namespace weightsharing::cuda {

// Number of the frame that is set before a step, or -1.
template <class T>
inline __device__ int64_t frame_of(const Shown<T>& shown, int64_t step) {
  if (!shown.count || step < shown.origin) return -1;
  const int64_t since = step - shown.origin, place = shown.period ? since % shown.period : since;
  // One frame in each step needs no search.
  const int64_t guess = place - shown.starts[0];
  if (guess < 0) return -1;
  if (guess < shown.count && shown.starts[guess] == place) return guess;
  int64_t low = 0, high = shown.count;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (shown.starts[middle] < place)
      low = middle + 1;
    else
      high = middle;
  }
  return low < shown.count && shown.starts[low] == place ? low : -1;
}

// One rate of one trial.
template <class T>
__device__ __forceinline__ void show_rate(const ShowParameters<T>& p, int64_t index) {
  if (index >= p.batch * p.units) return;
  const Shown<T> shown = *p.shown;
  const int64_t frame = frame_of(shown, *p.step);
  if (frame < 0) return;
  p.rates[index] = shown.each_trial ? shown.frames[frame * p.batch * p.units + index]
                                    : shown.frames[frame * p.units + index % p.units];
}

// Every p.threads-th value of the rows that are due.
template <class T>
__device__ __forceinline__ void keep_values(const KeepParameters<T>& p, int64_t thread) {
  const int64_t step = *p.step;
  for (int32_t k = 0; k < *p.count; ++k) {
    const Kept<T> r = (*p.kept)[k];
    if (step < r.first || (step - r.first) % r.period) continue;
    const int64_t row = (step - r.first) / r.period - r.first_row;
    if (row < 0 || row >= r.row_count) continue;
    T* to = r.rows + row * r.batch * r.kept;
    for (int64_t i = thread; i < r.batch * r.kept; i += p.threads)
      to[i] = r.values[r.ranks ? i / r.kept * r.units + r.ranks[i % r.kept] : i];
  }
}

// One value.
template <class T>
__device__ __forceinline__ void check_value(const CheckParameters<T>& p, int64_t index) {
  if (index >= p.elements) return;
  const T value = p.values[index];
  // value - value is NaN for NaN and infinity.
  if (value - value == T(0)) return;
  const unsigned long long step = static_cast<unsigned long long>(*p.step);
  if (atomicMin(&p.found->step, step) < step) return;  // an earlier step was the first
  const int32_t kind = value != value ? 0 : value > T(0) ? 1 : 2;
  atomicMin(&p.found->place, static_cast<unsigned long long>(p.number) << 48 |
                                 static_cast<unsigned long long>(index) << 2 |
                                 static_cast<unsigned long long>(kind));
}

// This thread is responsible for one rate of one trial. Threads: batch * units, one-dimensional.
template <class T>
__global__ void show(const ShowParameters<T> p) {
  show_rate(p, thread_index());
}

// This thread is responsible for every p.threads-th value. Threads: p.threads, one-dimensional.
template <class T>
__global__ void keep(const KeepParameters<T> p) {
  keep_values(p, thread_index());
}

// This thread is responsible for one value. Threads: elements, one-dimensional.
template <class T>
__global__ void check(const CheckParameters<T> p) {
  check_value(p, thread_index());
}

}  // namespace weightsharing::cuda
