// Windows: one filter, or a few, over a regular grid.
//
// Ladder of versions (not yet measured on a GPU):
//   window_naive     one thread per unit, filter and trial, any operation, padding, psp, stride and dilation
//   window_tile_any  a tile of pre in shared memory by cp.async, 8 x 2 units per thread; a value read from
//   the tile feeds
//                    the 8 rows below each other. Any extents, layers, stride 1
//   window_tile      extents known: 4 rows x 16 bytes of units per thread, weights in registers, a 16-byte
//   read feeds
//                    all units of the thread that it touches
// Bytes per unit of window_tile: one read and one write, plus the border of the tile, (32 + K - 1) / 32 rows
// and (columns + 8) / columns columns, which the second-level cache serves.
#pragma once

#include "cuda/gather.cuh"
#include "cuda/tile.cuh"

namespace weightsharing::cuda {

// One filter at one unit of one trial; filters are neighbours, then units of the last axis. Index: what
// numbers all units.
template <class Index, class T>
__device__ __forceinline__ void window_unit(const WindowParameters<T>& p, Index index) {
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

// This thread is responsible for one filter at one unit of one trial. Threads: batch * units * filters,
// one-dimensional.
template <class T>
__global__ void window_naive(const WindowParameters<T> p) {
  window_unit<int64_t>(p, thread_index());
}

// This block is responsible for a tile of units of one trial, all filters: each plane of pre passes through
// shared memory once (once per filter when there are several planes). This thread is responsible for 8 rows
// below each other at 2 columns 32 apart.
//
// For any extents of the axes 2 and 3, stride 1 there, dilation 1 on axis 2, no psp; with 'ignore' sums of
// finite weights only. Grid: tiles, one-dimensional; block: AnyWindowTile::threads; shared memory:
// any_window_shared_bytes.
template <class T, int reduction>
__global__ void __launch_bounds__(AnyWindowTile<T>::threads, sizeof(T) == 4 ? 2 : 1)
    window_tile_any(const WindowParameters<T> p) {
  using Tile = AnyWindowTile<T>;
  constexpr int R = Tile::rows_per_thread, C = Tile::columns_per_thread;
  WEIGHTSHARING_DYNAMIC_SHARED(T, shared);
  const TilePlace at = tile_place(p, Tile::columns, Tile::rows);
  const int32_t KH = p.axis[2].taps, KW = p.axis[3].taps, tap_step = p.axis[3].dilation * p.inner;
  const int32_t begin = at.column + p.axis[3].offset * p.inner;
  const int32_t shift = begin & (Tile::wide - 1);
  const int32_t vectors = (Tile::columns + (KW - 1) * tap_step + 2 * Tile::wide - 2) / Tile::wide;
  const int32_t pitch = vectors * Tile::wide, tile_rows = Tile::rows + KH - 1;
  T* tile = shared;
  T* weights = tile + tile_rows * pitch;
  const int32_t row = threadIdx.x / 32 * R, column = threadIdx.x % 32;
  const int32_t planes = p.axis[0].taps * p.axis[1].taps;

  for (int32_t filter = 0; filter < p.filters; ++filter) {
    Sums<T, reduction, R, C> sums;
    for (int32_t plane = 0; plane < planes; ++plane) {
      const T* from = plane_of(p, at, plane / p.axis[1].taps, plane % p.axis[1].taps);
      if (!from && p.outside == outside_ignore) continue;
      __syncthreads();  // the tile of before is read
      if (filter == 0 || planes > 1)
        load_tile(p, from, begin - shift, at.row + p.axis[2].offset, tile_rows, vectors, tile);
      for (int32_t k = threadIdx.x; k < KH * KW; k += Tile::threads)
        weights[k] = p.weights[static_cast<int64_t>(filter) * p.taps + plane * KH * KW + k];
      cp_async_commit();
      cp_async_wait<0>();
      __syncthreads();
      add_window<reduction>(tile + row * pitch + shift + column, pitch, tap_step, weights, KH, KW, sums);
    }
    write_tile<reduction>(p, at, filter, at.row + row, at.column + column, sums);
  }
}

// Blocks of 256 threads per multiprocessor: 64, 80, 128 or 255 registers per thread, as the weights need.
template <class T, int taps>
constexpr int window_tile_blocks = taps * sizeof(T) <= 36    ? 4
                                   : taps * sizeof(T) <= 100 ? 3
                                   : taps * sizeof(T) <= 200 ? 2
                                                             : 1;

// This block is responsible for a tile of units of one trial, all filters, as window_tile_any. This thread is
// responsible for 4 rows below each other of as many neighbouring columns as fill 16 bytes.
//
// For KH x KW on the axes 2 and 3 with stride and dilation 1 there, one tap on the axes 0 and 1, axis 3
// centred (offset
// -(KW / 2)) and without layers (pre_step[3] = 1), no psp; with 'ignore' sums (not means) of finite weights
// only. Grid: tiles, one-dimensional; block: WindowTile::threads; no dynamic shared memory.
template <class T, int KH, int KW, int reduction>
__global__ void __launch_bounds__(WindowTile<T>::threads, window_tile_blocks<T, KH * KW>)
    window_tile(const WindowParameters<T> p) {
  using Tile = WindowTile<T>;
  constexpr int R = Tile::rows_per_thread, V = Tile::wide, reach = KW / 2;
  static_assert(KW % 2 == 1 && reach <= Tile::lead && Tile::lead % V == 0, "the border fits the lead");
  constexpr int tile_rows = Tile::rows + KH - 1, pitch = Tile::columns + 2 * Tile::lead;
  // Of a row of the tile the thread reads whole accesses [first, first + reads * V) past its own column.
  constexpr int first = (Tile::lead - reach) / V * V, reads = (Tile::lead + reach + V - first + V - 1) / V;
  constexpr int shift = Tile::lead - reach - first;
  // Rows of taps that are added in sequence; the rest has a sum of its own.
  constexpr int half = KH * KW <= chunk_taps ? KH : chunk_taps / KW;
  static_assert((KH - half) * KW <= chunk_taps, "two sums suffice");
  WEIGHTSHARING_SHARED(T, tile, [tile_rows * pitch]);
  const TilePlace at = tile_place(p, Tile::columns, Tile::rows);
  const int32_t row = threadIdx.x / 32 * R, column = threadIdx.x % 32 * V;
  const T scale = p.reduction == reduce_mean ? T(1) / static_cast<T>(p.taps) : T(1);
  load_tile(p, plane_of(p, at, 0, 0), at.column - Tile::lead, at.row + p.axis[2].offset, tile_rows, pitch / V,
            tile);
  cp_async_commit();

  for (int32_t filter = 0; filter < p.filters; ++filter) {
    T weight[KH][KW], sum[R][V], first_half[R][V] = {};
    WEIGHTSHARING_UNROLL
    for (int k = 0; k < KH * KW; ++k) weight[k / KW][k % KW] = p.weights[filter * (KH * KW) + k];
    // Needed for the first filter; for the others it keeps the compiler from holding what it read of the tile
    // in registers.
    cp_async_wait<0>();
    __syncthreads();
    WEIGHTSHARING_UNROLL
    for (int r = 0; r < R; ++r) {
      WEIGHTSHARING_UNROLL
      for (int v = 0; v < V; ++v) sum[r][v] = identity<reduction, T>();
    }
    WEIGHTSHARING_UNROLL
    for (int i = 0; i < R + KH - 1; ++i) {
      T value[reads * V];
      WEIGHTSHARING_UNROLL
      for (int k = 0; k < reads; ++k) {
        const Wide<T> read =
            *reinterpret_cast<const Wide<T>*>(tile + (row + i) * pitch + column + first + k * V);
        WEIGHTSHARING_UNROLL
        for (int v = 0; v < V; ++v) value[k * V + v] = read.element[v];
      }
      WEIGHTSHARING_UNROLL
      for (int r = 0; r < R; ++r) {
        if (i < r || i >= r + KH) continue;
        WEIGHTSHARING_UNROLL
        for (int k = 0; k < KW; ++k) {
          WEIGHTSHARING_UNROLL
          for (int v = 0; v < V; ++v)
            sum[r][v] = contribute<reduction>(sum[r][v], weight[i - r][k], value[shift + k + v]);
        }
        if (reduction != reduce_sum || i - r != half - 1 || half == KH) continue;
        WEIGHTSHARING_UNROLL
        for (int v = 0; v < V; ++v) {
          first_half[r][v] = sum[r][v];
          sum[r][v] = T(0);
        }
      }
    }
    T* post = post_plane(p, at, filter) + at.row * p.post_step[2];
    const int32_t x = at.column + column;
    WEIGHTSHARING_UNROLL
    for (int r = 0; r < R; ++r) {
      const int32_t y = at.row + row + r;
      if (y >= p.axis[2].post || x >= p.axis[3].post) continue;
      T* to = post + (row + r) * p.post_step[2] + x * p.post_step[3];
      Wide<T> value;
      WEIGHTSHARING_UNROLL
      for (int v = 0; v < V; ++v)
        value.element[v] = reduction == reduce_sum ? (first_half[r][v] + sum[r][v]) * scale : sum[r][v];
      if (p.post_step[3] == 1 && x + V <= p.axis[3].post && reinterpret_cast<uintptr_t>(to) % 16 == 0) {
        Wide<T>* whole = reinterpret_cast<Wide<T>*>(to);
        if (p.accumulate) {
          const Wide<T> before = *whole;
          WEIGHTSHARING_UNROLL
          for (int v = 0; v < V; ++v) value.element[v] += before.element[v];
        }
        *whole = value;
      } else {
        WEIGHTSHARING_UNROLL
        for (int v = 0; v < V; ++v)
          if (x + v < p.axis[3].post) write_unit(to + v * p.post_step[3], value.element[v], p.accumulate);
      }
    }
  }
}

}  // namespace weightsharing::cuda
