// Windows: one filter, or a few, over a regular grid.
//
// Ladder of versions (not yet measured on a GPU):
//   window_naive     one thread per unit, filter and trial, any operation, padding, psp, stride and dilation
//   window_tile_any  a tile of pre in shared memory by cp.async, 8 x 2 units per thread; a value read from
//                    the tile feeds the 8 rows below each other. Any extents, layers, stride 1
//   window_tile      extents known: 8 rows x 16 bytes of units per thread, weights in registers, a 16-byte
//                    read feeds all units of the thread that it touches; blocks inside pre and post copy and
//                    store whole accesses without a question per access. Counted in the machine code for
//                    sm_90, float32: about 22, 39 and 64 instructions per unit for 3x3, 5x5 and 7x7 (62 for
//                    3x3 before, with 4 rows per thread), 94, 112 and 144 registers, 5, 4 and 3 blocks of
//                    19 KB per multiprocessor
// With padding='ignore' the tiles inside pre run as ever; the units of a tile whose window sticks out are
// reduced once more, tap by tap, where zeros outside would not do: for max, min and where a sum is NaN.
//
// Bytes per unit of window_tile: one read and one write, plus the border of the tile, (32 + K - 1) / 32
// rows and (columns + 8) / columns columns, which the second-level cache serves.
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
  const T value = reduce_taps<true>(p, source_rates(p.source) + trial * p.pre_size,
                                    p.weights + static_cast<int64_t>(filter) * p.taps, first);
  write_unit(p.post + trial * p.post_size + post + p.first_filter + filter, value, p.accumulate);
}

// This thread is responsible for one filter at one unit of one trial. Threads: batch * units * filters,
// one-dimensional.
template <class T>
__global__ void window_naive(const WindowParameters<T> p) {
  window_unit<int64_t>(p, thread_index());
}

// Of a tile of units with padding='ignore': the units whose window lies inside pre on the axes 2 and 3 are
// rows [top, bottom) and columns [left, right) of height x width.
struct Border {
  int32_t width, height, left, right, top, bottom;

  __device__ bool any() const { return left > 0 || right < width || top > 0 || bottom < height; }
  __device__ bool holds(int32_t row, int32_t column) const {
    return row < top || row >= bottom || column < left || column >= right;
  }
};

// Without 'ignore' there is no border.
template <class T>
inline __device__ Border border_of(const WindowParameters<T>& p, const TilePlace& at, int32_t columns,
                                   int32_t rows) {
  Border b;
  b.width = min(columns, p.axis[3].post * p.inner - at.column);
  b.height = min(rows, p.axis[2].post - at.row);
  b.left = b.top = 0;
  b.right = b.width;
  b.bottom = b.height;
  if (p.outside != outside_ignore) return b;
  const auto end = [](const Axis& a) { return a.pre - (a.taps - 1) * a.dilation - a.offset; };
  b.left = max(0, min(b.width, -p.axis[3].offset * p.inner - at.column));
  b.right = max(b.left, min(b.width, end(p.axis[3]) * p.inner - at.column));
  b.top = max(0, min(b.height, -p.axis[2].offset - at.row));
  b.bottom = max(b.top, min(b.height, end(p.axis[2]) - at.row));
  return b;
}

// The threads of the block share the units of the border; `reduce(row, column)` is the value of one, tap by
// tap.
template <class T, class Reduce>
inline __device__ void reduce_border(const WindowParameters<T>& p, const TilePlace& at, const Border& b,
                                     int32_t filter, Reduce reduce) {
  const int32_t above = (b.height - (b.bottom - b.top)) * b.width, beside = b.width - (b.right - b.left);
  WEIGHTSHARING_NO_UNROLL
  for (int32_t k = threadIdx.x; k < above + (b.bottom - b.top) * beside; k += blockDim.x) {
    int32_t row, column;
    if (k < above) {
      row = k / b.width;
      if (row >= b.top) row += b.bottom - b.top;
      column = k % b.width;
    } else {
      row = b.top + (k - above) / beside;
      column = (k - above) % beside;
      if (column >= b.left) column += b.right - b.left;
    }
    row += at.row;
    column += at.column;
    T* to = post_plane(p, at, filter) + row * p.post_step[2] +
            (p.inner > 1 ? static_cast<int64_t>(column) : column * p.post_step[3]);
    write_unit(to, reduce(row, column), p.accumulate);
  }
}

// This block is responsible for a tile of units of one trial, all filters: each plane of pre passes through
// shared memory once (once per filter when there are several planes). This thread is responsible for 8 rows
// below each other at 2 columns 32 apart, and for its share of the border.
//
// For any extents of the axes 2 and 3, stride 1 there, dilation 1 on axis 2, no psp. Grid: tiles,
// one-dimensional; block: AnyWindowTile::threads; shared memory: any_window_shared_bytes.
template <class T, Reduction reduction>
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
  Border border = border_of(p, at, Tile::columns, Tile::rows);

  for (int32_t filter = 0; filter < p.filters; ++filter) {
    Sums<T, reduction, R, C> sums;
    bool nothing = true;
    for (int32_t plane = 0; plane < planes; ++plane) {
      const T* from = plane_of(p, at, plane / p.axis[1].taps, plane % p.axis[1].taps);
      if (!from && p.outside == outside_ignore) continue;
      nothing = false;
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
    if (nothing) border.right = border.left;
    const bool again = border.any() && (reduction != reduce_sum || __syncthreads_or(sums.has_nan()));
    write_tile<reduction>(p, at, filter, row, column, sums,
                          [&](int32_t y, int32_t x) { return again && border.holds(y, x); });
    if (!again) continue;
    reduce_border(p, at, border, filter, [&](int32_t y, int32_t x) {
      const int32_t q[4] = {at.outer[0], at.outer[1], y, x / p.inner};
      int64_t first[4];
      WEIGHTSHARING_UNROLL
      for (int d = 0; d < 4; ++d) first[d] = p.axis[d].offset + static_cast<int64_t>(q[d]) * p.axis[d].stride;
      return reduce_taps<false>(p, source_rates(p.source) + at.trial * p.pre_size + x % p.inner,
                                p.weights + static_cast<int64_t>(filter) * p.taps, first);
    });
  }
}

// Blocks of 128 threads per multiprocessor: as many as leave each thread the registers that its 32 results
// and the weights need, products of max and min some more.
template <class T, int taps, Reduction reduction>
constexpr int window_tile_blocks = taps * sizeof(T) <= 36    ? (reduction == reduce_sum ? 5 : 4)
                                   : taps * sizeof(T) <= 100 ? 4
                                   : taps * sizeof(T) <= 200 ? 3
                                                             : 2;

// Rows of taps that are added in sequence; the rest has a sum of its own.
template <int KH, int KW>
constexpr int rows_in_sequence = KH * KW <= chunk_taps ? KH : chunk_taps / KW;

// The tile of a block that lies inside pre with all that its units read, where whole accesses are aligned:
// each warp copies whole rows, then the block what is left of them.
template <class T, int tile_rows, int pitch>
inline __device__ void copy_tile(const T* from, int64_t step, T* tile) {
  using Tile = WindowTile<T>;
  constexpr int V = Tile::wide, warps = Tile::threads / 32, rest = (pitch - Tile::columns) / V;
  const int32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const T* row = from + warp * step + lane * V;
  T* to = tile + warp * pitch + lane * V;
  WEIGHTSHARING_UNROLL
  for (int i = 0; i < tile_rows; i += warps) {
    if (i + warps <= tile_rows || i + warp < tile_rows) cp_async<16>(to + i * pitch, row);
    row += warps * step;
  }
  WEIGHTSHARING_UNROLL
  for (int begin = 0; begin < tile_rows * rest; begin += Tile::threads) {
    const int32_t k = begin + threadIdx.x, i = k / rest, column = Tile::columns + k % rest * V;
    if (k < tile_rows * rest) cp_async<16>(tile + i * pitch + column, from + i * step + column);
  }
}

// Results of a thread for one filter, rows [row, row + R) and columns [column, column + V) of the block's
// tile, which may still be on its way. All threads of the block call it.
template <int KH, int KW, Reduction reduction, class T, int R, int V>
inline __device__ void reduce_tile(const WindowParameters<T>& p, int32_t filter, const T* tile, T* weights,
                                   int32_t row, int32_t column, T (&sum)[R][V]) {
  using Tile = WindowTile<T>;
  constexpr int reach = KW / 2, pitch = Tile::columns + 2 * Tile::lead;
  static_assert(KW % 2 == 1 && reach <= Tile::lead && Tile::lead % V == 0, "the border fits the lead");
  // Of a row of the tile the thread reads whole accesses [first, first + reads * V) past its own column.
  constexpr int first = (Tile::lead - reach) / V * V, reads = (Tile::lead + reach + V - first + V - 1) / V;
  constexpr int shift = Tile::lead - reach - first;
  constexpr int half = rows_in_sequence<KH, KW>;
  static_assert((KH - half) * KW <= chunk_taps, "two sums suffice");
  constexpr int weight_reads = (KH * KW + V - 1) / V;
  if (filter) __syncthreads();  // the weights of before are read
  // Through shared memory, on the way of the tile: read from global memory they would come after it.
  if (threadIdx.x < KH * KW)
    cp_async<sizeof(T)>(weights + threadIdx.x, p.weights + filter * (KH * KW) + threadIdx.x);
  cp_async_commit();
  cp_async_wait<0>();
  __syncthreads();
  T weight[weight_reads * V], first_half[R][V] = {};
  WEIGHTSHARING_UNROLL
  for (int k = 0; k < weight_reads; ++k) {
    const Wide<T> read = *reinterpret_cast<const Wide<T>*>(weights + k * V);
    WEIGHTSHARING_UNROLL
    for (int v = 0; v < V; ++v) weight[k * V + v] = read.element[v];
  }
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
          sum[r][v] = contribute<reduction>(sum[r][v], weight[(i - r) * KW + k], value[shift + k + v]);
      }
      if constexpr (reduction == reduce_sum && half != KH) {
        if (i - r != half - 1) continue;
        WEIGHTSHARING_UNROLL
        for (int v = 0; v < V; ++v) {
          first_half[r][v] = sum[r][v];
          sum[r][v] = T(0);
        }
      }
    }
  }
  if constexpr (reduction == reduce_sum) {
    if constexpr (half != KH) {
      WEIGHTSHARING_UNROLL
      for (int r = 0; r < R; ++r) {
        WEIGHTSHARING_UNROLL
        for (int v = 0; v < V; ++v) sum[r][v] += first_half[r][v];
      }
    }
    if (p.reduction == reduce_mean) {
      WEIGHTSHARING_UNROLL
      for (int r = 0; r < R; ++r) {
        WEIGHTSHARING_UNROLL
        for (int v = 0; v < V; ++v) sum[r][v] /= static_cast<T>(KH * KW);
      }
    }
  }
}

// This block is responsible for a tile of units of one trial, all filters, as window_tile_any. This thread is
// responsible for 8 rows below each other of as many neighbouring columns as fill 16 bytes, and for its share
// of the border.
//
// For KH x KW on the axes 2 and 3 with stride and dilation 1 there, one tap on the axes 0 and 1, axis 3
// centred (offset -(KW / 2)) and without layers (pre_step[3] = 1), no psp. Grid: tiles, one-dimensional;
// block: WindowTile::threads; no dynamic shared memory.
template <class T, int KH, int KW, Reduction reduction>
__global__ void __launch_bounds__(WindowTile<T>::threads, window_tile_blocks<T, KH * KW, reduction>)
    window_tile(const WindowParameters<T> p) {
  using Tile = WindowTile<T>;
  constexpr int R = Tile::rows_per_thread, V = Tile::wide;
  constexpr int tile_rows = Tile::rows + KH - 1, pitch = Tile::columns + 2 * Tile::lead;
  constexpr int half = rows_in_sequence<KH, KW>;
  static_assert(KH * KW <= Tile::threads, "one weight per thread");
  WEIGHTSHARING_SHARED(T, tile, [tile_rows * pitch]);
  WEIGHTSHARING_SHARED(T, weights, [(KH * KW + V - 1) / V * V]);
  const TilePlace at = tile_place(p, Tile::columns, Tile::rows);
  const int32_t row = threadIdx.x / 32 * R, column = threadIdx.x % 32 * V;
  const T* plane = plane_of(p, at, 0, 0);
  Border border = border_of(p, at, Tile::columns, Tile::rows);
  if (!plane && p.outside == outside_ignore) border.right = border.left;
  const int32_t first_row = at.row + p.axis[2].offset;
  const bool inside = plane && at.column >= Tile::lead &&
                      at.column + Tile::columns + Tile::lead <= p.axis[3].pre && first_row >= 0 &&
                      first_row + tile_rows <= p.axis[2].pre && is_aligned(plane, p.pre_step[2]);
  if (inside)
    copy_tile<T, tile_rows, pitch>(plane + first_row * p.pre_step[2] + (at.column - Tile::lead),
                                   p.pre_step[2], tile);
  else
    load_tile(p, plane, at.column - Tile::lead, first_row, tile_rows, pitch / V, tile);
  // One filter, whose units all lie inside post, go there in whole accesses and replace what was there.
  const bool plain = p.filters == 1 && !border.any() && !p.accumulate && p.post_step[3] == 1 &&
                     at.column + Tile::columns <= p.axis[3].post && at.row + Tile::rows <= p.axis[2].post &&
                     is_aligned(post_plane(p, at, 0), p.post_step[2]);

  if (plain) {
    T sum[R][V];
    reduce_tile<KH, KW, reduction>(p, 0, tile, weights, row, column, sum);
    T* to = post_plane(p, at, 0) + (at.row + row) * p.post_step[2] + at.column + column;
    WEIGHTSHARING_UNROLL
    for (int r = 0; r < R; ++r) {
      Wide<T> value;
      WEIGHTSHARING_UNROLL
      for (int v = 0; v < V; ++v) value.element[v] = sum[r][v];
      *reinterpret_cast<Wide<T>*>(to + r * p.post_step[2]) = value;
    }
    return;
  }

  for (int32_t filter = 0; filter < p.filters; ++filter) {
    T sum[R][V];
    reduce_tile<KH, KW, reduction>(p, filter, tile, weights, row, column, sum);
    bool nan = false;
    if (reduction == reduce_sum && border.any()) {
      WEIGHTSHARING_UNROLL
      for (int r = 0; r < R; ++r) {
        WEIGHTSHARING_UNROLL
        for (int v = 0; v < V; ++v) nan = nan || sum[r][v] != sum[r][v];
      }
    }
    // A mean at the border divides by the taps inside.
    const bool again =
        border.any() && (reduction != reduce_sum || p.reduction == reduce_mean || __syncthreads_or(nan));
    T* post = post_plane(p, at, filter) + at.row * p.post_step[2];
    const int32_t x = at.column + column;
    WEIGHTSHARING_UNROLL
    for (int r = 0; r < R; ++r) {
      const int32_t y = at.row + row + r;
      if (y >= p.axis[2].post || x >= p.axis[3].post) continue;
      T* to = post + (row + r) * p.post_step[2] + x * p.post_step[3];
      Wide<T> value;
      WEIGHTSHARING_UNROLL
      for (int v = 0; v < V; ++v) value.element[v] = sum[r][v];
      const bool whole_access =
          p.post_step[3] == 1 && x + V <= p.axis[3].post && reinterpret_cast<uintptr_t>(to) % 16 == 0;
      const bool at_border =
          again && (border.holds(row + r, column) || border.holds(row + r, column + V - 1));
      if (whole_access && !at_border) {
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
          if (x + v < p.axis[3].post && !(at_border && border.holds(row + r, column + v)))
            write_unit(to + v * p.post_step[3], value.element[v], p.accumulate);
      }
    }
    if (!again) continue;
    // The taps inside are a rectangle.
    reduce_border(p, at, border, filter, [&](int32_t y, int32_t x) {
      y += p.axis[2].offset;
      x += p.axis[3].offset;
      const int32_t bottom = min(KH, p.axis[2].pre - y), right = min(KW, p.axis[3].pre - x);
      const int32_t top = max(0, -y), left = max(0, -x);
      if (!plane || top >= bottom || left >= right) return T(0);
      T total = identity<reduction, T>(), upper = T(0);
      WEIGHTSHARING_NO_UNROLL
      for (int32_t i = top; i < bottom; ++i) {
        WEIGHTSHARING_NO_UNROLL
        for (int32_t j = left; j < right; ++j)
          total = contribute<reduction>(total, p.weights[filter * (KH * KW) + i * KW + j],
                                        plane[(y + i) * p.pre_step[2] + x + j]);
        if (reduction != reduce_sum || i != half - 1) continue;
        upper = total;
        total = T(0);
      }
      if (reduction == reduce_sum) total += upper;
      if (p.reduction == reduce_mean) total /= static_cast<T>((bottom - top) * (right - left));
      return total;
    });
  }
}

}  // namespace weightsharing::cuda
