// What keeps time: ring buffers of rates, the step counter, g(rate) of a psp that splits, and reductions over
// time.
//
// Ladder of versions (not yet measured on a GPU):
//   copy            16 bytes per thread where both ends allow it
//   copy_each       one thread per element, for small rows: a thread copies what it has just computed
//   apply           one thread per rate
//   combine_arrays  one thread per element
//   gather_history  one thread per rate; neighbours with different delays read different rows
//   advance         one thread
#pragma once

#include "cuda/coordinates.cuh"
#include "cuda/program.cuh"

namespace weightsharing::cuda {

// Row of a step in a ring of so many; steps before the start have rows too.
inline __device__ int64_t row_of(int64_t step, int32_t depth) {
  const int64_t row = step % depth;
  return row < 0 ? row + depth : row;
}

// 16 bytes of the row, at its end also a shorter rest.
template <class T>
__device__ __forceinline__ void copy_some(const CopyParameters<T>& p, int64_t index) {
  constexpr int32_t wide = 16 / sizeof(T);
  const int64_t first = index * wide;
  if (first >= p.elements) return;
  T* to = p.to + (p.depth > 1 ? *p.step % p.depth : 0) * p.elements + first;
  const T* from = p.from ? p.from + first : nullptr;
  const bool aligned = (reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from)) % 16 == 0;
  if (aligned && first + wide <= p.elements) {
    *reinterpret_cast<float4*>(to) = from ? *reinterpret_cast<const float4*>(from) : make_float4(0, 0, 0, 0);
    return;
  }
  for (int32_t k = 0; k < wide && first + k < p.elements; ++k) to[k] = from ? from[k] : T(0);
}

// One element of the row.
template <class T>
__device__ __forceinline__ void copy_element(const CopyParameters<T>& p, int64_t index) {
  if (index >= p.elements) return;
  p.to[(p.depth > 1 ? *p.step % p.depth : 0) * p.elements + index] = p.from ? p.from[index] : T(0);
}

// One rate.
template <class T>
__device__ __forceinline__ void apply_rate(const ApplyParameters<T>& p, int64_t index) {
  if (index < p.elements) p.to[index] = apply_program(p.program, source_rates(p.source)[index]);
}

// One element; NaN in either operand stays.
template <class T>
__device__ __forceinline__ void combine_element(const CombineParameters<T>& p, int64_t index) {
  if (index >= p.elements) return;
  const T before = p.out[index], value = p.values[index];
  p.out[index] = p.reduction == reduce_max   ? maximum(before, value)
                 : p.reduction == reduce_min ? minimum(before, value)
                                             : before + value / p.divisor;
}

// One rate.
template <class T>
__device__ __forceinline__ void gather_past(const GatherHistoryParameters<T>& p, int64_t index) {
  if (index >= p.elements) return;
  const int32_t delay = p.delays[index % p.units];
  p.out[index] = delay ? p.history[row_of(*p.step - delay, p.depth) * p.elements + index] : p.rates[index];
}

// This thread is responsible for 16 bytes of the row, the last one also for a shorter rest.
// Threads: ceil(elements / (16 / sizeof(T))), one-dimensional.
template <class T>
__global__ void copy(const CopyParameters<T> p) {
  copy_some(p, thread_index());
}

// This thread is responsible for one element of the row. Threads: elements, one-dimensional.
template <class T>
__global__ void copy_each(const CopyParameters<T> p) {
  copy_element(p, thread_index());
}

// This thread is responsible for one rate. Threads: elements, one-dimensional.
template <class T>
__global__ void apply(const ApplyParameters<T> p) {
  apply_rate(p, thread_index());
}

// This thread is responsible for one element. Threads: elements, one-dimensional.
template <class T>
__global__ void combine_arrays(const CombineParameters<T> p) {
  combine_element(p, thread_index());
}

// This thread is responsible for one rate of one trial. Threads: elements, one-dimensional.
template <class T>
__global__ void gather_history(const GatherHistoryParameters<T> p) {
  gather_past(p, thread_index());
}

// Thread 0 is responsible for the counter.
template <int steps>
__global__ void advance(const AdvanceParameters p) {
  if (thread_index() == 0) *p.step += steps;
}

}  // namespace weightsharing::cuda
