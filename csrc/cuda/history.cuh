// What keeps time: ring buffers of rates, the step counter, and g(rate) of a psp that splits.
//
// Ladder of versions (not yet measured on a GPU):
//   copy     16 bytes per thread where both ends allow it
//   apply    one thread per rate
//   advance  one thread
#pragma once

#include "cuda/coordinates.cuh"
#include "cuda/program.cuh"

namespace weightsharing::cuda {

// This thread is responsible for 16 bytes of the row, the last ones also for a shorter rest.
// Threads: ceil(elements / (16 / sizeof(T))), one-dimensional.
template <class T>
__global__ void copy(const CopyParameters<T> p) {
  constexpr int32_t wide = 16 / sizeof(T);
  const int64_t first = thread_index() * wide;
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

// This thread is responsible for one rate. Threads: elements, one-dimensional.
template <class T>
__global__ void apply(const ApplyParameters<T> p) {
  const int64_t index = thread_index();
  if (index < p.elements) p.to[index] = apply_program(p.program, source_rates(p.source)[index]);
}

// Thread 0 is responsible for the counter.
template <int steps>
__global__ void advance(const AdvanceParameters p) {
  if (thread_index() == 0) *p.step += steps;
}

}  // namespace weightsharing::cuda
