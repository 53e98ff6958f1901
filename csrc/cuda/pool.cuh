// Pooling: boxes without weights, clipped at the borders of pre.
//
// Ladder of versions. Not yet measured on a GPU: the numbers are counted in the machine code for sm_90, of
// float32 and max; a copy at the speed of an H200 needs about 30 KB under way per multiprocessor.
//   pool_naive  one thread per unit and trial, a loop over its box
//   pool_rows   the rows of a box are combined 16 bytes at a time on their way to shared memory, and the
//               result reduced along the row from there: every byte of pre that a row of boxes needs is read
//               once, whatever the extent. Two vectors of two rows each are read before they are combined:
//               64 registers, 4 reads of 16 bytes under way per thread, at most 64 KB per multiprocessor,
//               none in the phase behind the barrier (one row of one vector at a time: 56 registers, 1 read,
//               16 KB)
//   pool_2x2    boxes of 2 x 2 side by side stay in registers: no shared memory, no barrier. 48 registers, 8
//               reads of 16 bytes under way per thread, at most 160 KB per multiprocessor; 302 instructions
//               for the 8 results of a thread, 175 of them up to the first read (314 and 218 with layers); at
//               4.2 TB/s a multiprocessor issues about 1100 in the time that the bytes of a warp take
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

template <Reduction reduction, class T>
inline __device__ Wide<T> identity_wide() {
  Wide<T> wide;
  WEIGHTSHARING_UNROLL
  for (T& element : wide.element) element = identity<reduction, T>();
  return wide;
}
template <Reduction reduction, class T>
inline __device__ void combine_into(Wide<T>& total, const Wide<T>& more) {
  WEIGHTSHARING_UNROLL
  for (unsigned v = 0; v < 16 / sizeof(T); ++v)
    total.element[v] = combine<reduction>(total.element[v], more.element[v]);
}

// This block is responsible for p.units boxes of axis 3 next to each other, in blockDim.y rows of boxes. This
// thread reads every blockDim.x-th 16 bytes of its rows, then is responsible for every blockDim.x-th unit.
//
// For pre_step[3] = post_step[3] = inner. Grid: ceil(post[3] / units) * ceil(post[2] / blockDim.y) * post[1]
// * post[0] * batch, one-dimensional; block: x lanes * y rows; shared memory: pool_shared_bytes. Elements are
// added one after the other, first rows and then along the row: for sums at most chunk_taps of each.
template <class T, Reduction reduction>
__global__ void __launch_bounds__(PoolTile::threads, 4) pool_rows(const PoolParameters<T> p) {
  constexpr int V = 16 / sizeof(T);
  WEIGHTSHARING_DYNAMIC_SHARED(T, shared);
  uint32_t index = blockIdx.x;
  const int32_t first = take(index, (p.axis[3].post + p.units - 1) / p.units) * p.units;
  const int32_t q2 = take(index, (p.axis[2].post + blockDim.y - 1) / blockDim.y) * blockDim.y + threadIdx.y;
  const int32_t q1 = take(index, p.axis[1].post), q0 = take(index, p.axis[0].post),
                trial = static_cast<int32_t>(index);
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
    constexpr int X = PoolTile::columns_at_once, K = PoolTile::rows_at_once;
    const int32_t apart = blockDim.x * V;
    for (int32_t x = begin - shift + threadIdx.x * V; x < end; x += X * apart) {
      Wide<T> total[X];
      // Only the last vector of a row of pre may stick out of it.
      bool whole = aligned;
      WEIGHTSHARING_UNROLL
      for (int c = 0; c < X; ++c) {
        total[c] = identity_wide<reduction, T>();
        whole = whole && (x + c * apart >= end || x + c * apart + V <= length);
      }
      for (int32_t i = s0.begin; i < s0.end; ++i)
        for (int32_t j = s1.begin; j < s1.end; ++j) {
          const T* row = rates + i * p.pre_step[0] + j * p.pre_step[1] + s2.begin * p.pre_step[2] + x;
          for (int32_t k = s2.begin; k < s2.end; k += K, row += K * p.pre_step[2]) {
            // All of them are under way before any is combined.
            Wide<T> rate[K * X];
            WEIGHTSHARING_UNROLL
            for (Wide<T>& r : rate) r = identity_wide<reduction, T>();
            if (whole) {
              WEIGHTSHARING_UNROLL
              for (int n = 0; n < K * X; ++n) {
                const int32_t y = n / X, dx = n % X * apart;
                if (k + y < s2.end && x + dx < end)
                  rate[n] = *reinterpret_cast<const Wide<T>*>(row + y * p.pre_step[2] + dx);
              }
            } else {
              WEIGHTSHARING_UNROLL
              for (int n = 0; n < K * X * V; ++n) {
                const int32_t y = n / V / X, dx = n / V % X * apart + n % V;
                if (k + y < s2.end && x + dx < length)
                  rate[n / V].element[n % V] = row[y * p.pre_step[2] + dx];
              }
            }
            WEIGHTSHARING_UNROLL
            for (int n = 0; n < K * X; ++n) combine_into<reduction>(total[n % X], rate[n]);
          }
        }
      WEIGHTSHARING_UNROLL
      for (int c = 0; c < X; ++c)
        if (x + c * apart < end)
          *reinterpret_cast<Wide<T>*>(line + x + c * apart - (begin - shift)) = total[c];
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
    for (int32_t k = 0; k < extent; ++k) total = combine<reduction>(total, from[k * p.inner]);
    if (reduction == reduce_sum && p.reduction == reduce_mean)
      total /= static_cast<T>(static_cast<int64_t>(rows) * extent);
    write_unit(post + x, total, p.accumulate);
  }
}

// Side by side along the contiguous axis: half as many results as a vector has elements.
template <class T>
struct Half {
  alignas(8) T element[8 / sizeof(T)];
};

// to[...] := value, or added to what is there, as write_unit.
template <class V>
inline __device__ void write_vector(V* to, V value, int32_t accumulate) {
  if (accumulate) {
    const V old = *to;
    WEIGHTSHARING_UNROLL
    for (unsigned v = 0; v < sizeof value.element / sizeof value.element[0]; ++v)
      value.element[v] = old.element[v] + value.element[v];
  }
  *to = value;
}

// This block is responsible for blockDim.y rows of boxes, in each of them for blockDim.x * U 16-byte vectors
// of results, this thread for every blockDim.x-th of them in one row. All that a thread reads is under way
// before any of it is combined. Neighbouring lanes read neighbouring vectors: with inner = 1, where a vector
// of pre makes half a vector of results, a thread takes two that lie blockDim.x apart and writes 8 bytes for
// each.
//
// For boxes of 2 x 2 on the axes 2 and 3, side by side, none clipped, with extents of 1 on the axes before;
// pre_step[3] = post_step[3] = inner, which is 1 or a multiple of a vector. Rows of pre begin at multiples of
// 16 bytes and hold whole vectors, rows of post begin at multiples of 8 (inner = 1) or 16 bytes. Grid:
// ceil(post[3] * inner / results of a block in one row) * ceil(post[2] / blockDim.y) * post[1] * post[0] *
// batch, one-dimensional; block: x lanes * y rows.
template <class T, Reduction reduction>
__global__ void __launch_bounds__(PoolTile::threads, 4) pool_2x2(const PoolParameters<T> p) {
  constexpr int V = 16 / sizeof(T), U = PoolTile::vectors;
  const int32_t lanes = blockDim.x, lane = threadIdx.x;
  const int32_t length = p.axis[3].post * p.inner, per_block = lanes * (U * V);  // results
  uint32_t index = blockIdx.x;
  const int32_t first =
      take(index, static_cast<uint32_t>(length + per_block - 1) / static_cast<uint32_t>(per_block)) *
      per_block;
  const int32_t q2 = take(index, (p.axis[2].post + blockDim.y - 1) / blockDim.y) * blockDim.y + threadIdx.y;
  const int32_t q1 = take(index, p.axis[1].post), q0 = take(index, p.axis[0].post),
                trial = static_cast<int32_t>(index);
  const bool layers = p.inner > 1;
  if (q2 >= p.axis[2].post || first + (layers ? lane * V : lane * (V / 2)) >= length) return;

  // From the start of a row, the two vectors that each vector of results needs. Behind the end of the row the
  // last one is read once more and not written.
  int32_t at[2 * U];
  WEIGHTSHARING_UNROLL
  for (int u = 0; u < U; ++u) {
    if (layers) {
      const int32_t x = min(first + (u * lanes + lane) * V, length - V);
      const uint32_t layer = static_cast<uint32_t>(x) % static_cast<uint32_t>(p.inner);
      at[2 * u] = 2 * x - static_cast<int32_t>(layer);
      at[2 * u + 1] = at[2 * u] + p.inner;
    } else {
      const int32_t x = 2 * first + (2 * u * lanes + lane) * V;
      at[2 * u] = min(x, 2 * length - V);
      at[2 * u + 1] = min(x + lanes * V, 2 * length - V);
    }
  }
  const T* row = source_rates(p.source) + trial * p.pre_size +
                 static_cast<int64_t>(q0) * p.axis[0].stride * p.pre_step[0] +
                 static_cast<int64_t>(q1) * p.axis[1].stride * p.pre_step[1] +
                 static_cast<int64_t>(q2) * 2 * p.pre_step[2];
  Wide<T> rate[2][2 * U];
  WEIGHTSHARING_UNROLL
  for (int n = 0; n < 4 * U; ++n)
    rate[n / (2 * U)][n % (2 * U)] =
        *reinterpret_cast<const Wide<T>*>(row + n / (2 * U) * p.pre_step[2] + at[n % (2 * U)]);

  T* post = p.post + trial * p.post_size + q0 * p.post_step[0] + q1 * p.post_step[1] + q2 * p.post_step[2];
  // The same as pool_rows: a quarter is exact, and a sum that began with 0 is never -0.
  const T scale = p.reduction == reduce_mean ? T(0.25) : T(1);
  const auto result = [&](T a, T b) {
    const T both = combine<reduction>(a, b);
    return reduction == reduce_sum ? both * scale + T(0) : both;
  };
  WEIGHTSHARING_UNROLL
  for (int u = 0; u < U; ++u) {
    Wide<T>&left = rate[0][2 * u], &right = rate[0][2 * u + 1];
    combine_into<reduction>(left, rate[1][2 * u]);
    combine_into<reduction>(right, rate[1][2 * u + 1]);
    if (layers) {
      const int32_t x = first + (u * lanes + lane) * V;
      Wide<T> value;
      WEIGHTSHARING_UNROLL
      for (int v = 0; v < V; ++v) value.element[v] = result(left.element[v], right.element[v]);
      if (x < length) write_vector(reinterpret_cast<Wide<T>*>(post + x), value, p.accumulate);
    } else {
      WEIGHTSHARING_UNROLL
      for (int h = 0; h < 2; ++h) {
        const int32_t x = first + ((2 * u + h) * lanes + lane) * (V / 2);
        const Wide<T>& pairs = h ? right : left;
        Half<T> value;
        WEIGHTSHARING_UNROLL
        for (int v = 0; v < V / 2; ++v)
          value.element[v] = result(pairs.element[2 * v], pairs.element[2 * v + 1]);
        if (x < length) write_vector(reinterpret_cast<Half<T>*>(post + x), value, p.accumulate);
      }
    }
  }
}

}  // namespace weightsharing::cuda
