// Pooling: boxes without weights, clipped at the borders of pre.
//
// Ladder of versions (not yet measured on a GPU):
//   pool_naive  one thread per unit and trial, a loop over its box
//   pool_rows   the rows of a box are combined 16 bytes at a time on their way to shared memory, and the
//   result reduced
//               along the row from there: every byte of pre that a row of boxes needs is read once, whatever
//               the extent
#pragma once

#include "cuda/coordinates.cuh"
#include "cuda/reduction.cuh"
#include "cuda/tile.cuh"

namespace weightsharing::cuda {

// One unit of one trial.
template <class T>
__device__ __forceinline__ void pool_unit(const PoolParameters<T>& p, int64_t index) {
  int64_t begin[4], end[4], post = 0;
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

// This thread is responsible for one unit of one trial. Threads: batch * post_size, one-dimensional.
template <class T>
__global__ void pool_naive(const PoolParameters<T> p) {
  pool_unit(p, thread_index());
}

// Coordinates [begin, end) of the box of unit q, inside pre.
struct Span {
  int32_t begin, end;
};
inline __device__ Span span_of(const PoolAxis& a, int32_t q) {
  const int32_t begin = q * a.stride;
  return {begin, min(begin + a.extent, a.pre)};
}

// Elements [x, x + wide) of a row of `length`; what lies outside is left as it was.
template <class T>
inline __device__ void read_wide(const T* row, int32_t x, int32_t length, bool aligned, Wide<T>& to) {
  constexpr int V = 16 / sizeof(T);
  if (aligned && x + V <= length) {
    to = *reinterpret_cast<const Wide<T>*>(row + x);
  } else {
    WEIGHTSHARING_UNROLL
    for (int v = 0; v < V; ++v)
      if (x + v < length) to.element[v] = row[x + v];
  }
}

// This block is responsible for p.units boxes of axis 3 next to each other, in blockDim.y rows of boxes. This
// thread reads every blockDim.x-th 16 bytes of its rows, then is responsible for every blockDim.x-th unit.
//
// For pre_step[3] = post_step[3] = inner. Grid: ceil(post[3] / units) * ceil(post[2] / blockDim.y) * post[1]
// * post[0] * batch, one-dimensional; block: x lanes * y rows; shared memory: pool_shared_bytes.
template <class T, int reduction>
__global__ void __launch_bounds__(PoolTile::threads, 4) pool_rows(const PoolParameters<T> p) {
  constexpr int V = 16 / sizeof(T);
  WEIGHTSHARING_DYNAMIC_SHARED(T, shared);
  uint32_t index = blockIdx.x;
  const auto next = [&](uint32_t count) {
    const uint32_t here = index % count;
    index /= count;
    return static_cast<int32_t>(here);
  };
  const int32_t first = next((p.axis[3].post + p.units - 1) / p.units) * p.units;
  const int32_t q2 = next((p.axis[2].post + blockDim.y - 1) / blockDim.y) * blockDim.y + threadIdx.y;
  const int32_t q1 = next(p.axis[1].post), q0 = next(p.axis[0].post), trial = static_cast<int32_t>(index);
  const bool active = q2 < p.axis[2].post;
  const int32_t units = min(p.units, p.axis[3].post - first);
  const int32_t length = p.axis[3].pre * p.inner, begin = first * p.axis[3].stride * p.inner,
                shift = begin & (V - 1);
  const int32_t pitch = (((p.units - 1) * p.axis[3].stride + p.axis[3].extent) * p.inner + 2 * V - 2) / V * V;
  const Span s0 = span_of(p.axis[0], q0), s1 = span_of(p.axis[1], q1), s2 = span_of(p.axis[2], q2);
  const int32_t rows = (s0.end - s0.begin) * (s1.end - s1.begin) * (s2.end - s2.begin);
  T* line = shared + threadIdx.y * pitch;

  if (active) {
    const T* rates = source_rates(p.source) + trial * p.pre_size;
    const bool aligned =
        (reinterpret_cast<uintptr_t>(rates) |
         static_cast<uintptr_t>((p.pre_step[0] | p.pre_step[1] | p.pre_step[2]) * sizeof(T))) %
            16 ==
        0;
    const int32_t end = min(length, span_of(p.axis[3], first + units - 1).end * p.inner);
    for (int32_t x = begin - shift + threadIdx.x * V; x < end; x += blockDim.x * V) {
      Wide<T> total, part;
      WEIGHTSHARING_UNROLL
      for (int v = 0; v < V; ++v) total.element[v] = part.element[v] = identity<reduction, T>();
      int32_t added = 0;
      for (int32_t i = s0.begin; i < s0.end; ++i)
        for (int32_t j = s1.begin; j < s1.end; ++j) {
          const T* row = rates + i * p.pre_step[0] + j * p.pre_step[1] + s2.begin * p.pre_step[2];
          for (int32_t k = s2.begin; k < s2.end; ++k, row += p.pre_step[2]) {
            Wide<T> rate{};
            read_wide(row, x, length, aligned, rate);
            WEIGHTSHARING_UNROLL
            for (int v = 0; v < V; ++v)
              part.element[v] = combine<reduction>(part.element[v], rate.element[v]);
            if (reduction == reduce_sum && ++added == chunk_taps) {
              added = 0;
              WEIGHTSHARING_UNROLL
              for (int v = 0; v < V; ++v) {
                total.element[v] += part.element[v];
                part.element[v] = T(0);
              }
            }
          }
        }
      WEIGHTSHARING_UNROLL
      for (int v = 0; v < V; ++v) total.element[v] = combine<reduction>(total.element[v], part.element[v]);
      *reinterpret_cast<Wide<T>*>(line + x - (begin - shift)) = total;
    }
  }
  __syncthreads();
  if (!active) return;

  T* post = p.post + trial * p.post_size + q0 * p.post_step[0] + q1 * p.post_step[1] + q2 * p.post_step[2] +
            static_cast<int64_t>(first) * p.inner;
  for (int32_t x = threadIdx.x; x < units * p.inner; x += blockDim.x) {
    const int32_t q = x / p.inner, layer = x - q * p.inner;
    const Span s3 = span_of(p.axis[3], first + q);
    const int32_t extent = s3.end - s3.begin;
    const T* from = line + shift + q * p.axis[3].stride * p.inner + layer;
    T total = identity<reduction, T>();
    for (int32_t k = 0; k < extent;) {
      const int32_t chunk = min(k + chunk_taps, extent);
      T part = identity<reduction, T>();
      for (; k < chunk; ++k) part = combine<reduction>(part, from[k * p.inner]);
      total = combine<reduction>(total, part);
    }
    if (reduction == reduce_sum && p.reduction == reduce_mean)
      total /= static_cast<T>(static_cast<int64_t>(rows) * extent);
    write_unit(post + x, total, p.accumulate);
  }
}

}  // namespace weightsharing::cuda
