// Tiles of pre in shared memory, with everything irregular (borders, planes outside, alignment) resolved
// while loading, so that the loops over taps behind it are plain.
#pragma once

#include "cuda/coordinates.cuh"
#include "cuda/reduction.cuh"
#include "cuda/tiles.h"

namespace weightsharing::cuda {

// Four floats or two doubles: one 16-byte access.
template <class T>
struct Wide {
  alignas(16) T element[16 / sizeof(T)];
};

// Whether 16-byte accesses of rows that begin at `row` and lie `step` elements apart are aligned.
template <class T>
inline __device__ bool is_aligned(const T* row, int64_t step) {
  return (reinterpret_cast<uintptr_t>(row) | static_cast<uintptr_t>(step * sizeof(T))) % 16 == 0;
}

// The units a block is responsible for: columns [column, ...) of the flattened last axis, rows [row, ...) of
// axis 2, one unit of the axes 0 and 1, one trial.
struct TilePlace {
  int32_t column, row, outer[2], trial;
};

template <class T>
inline __device__ TilePlace tile_place(const WindowParameters<T>& p, int32_t columns, int32_t rows) {
  TilePlace at;
  uint32_t index = blockIdx.x;
  at.column = take(index, (p.axis[3].post * p.inner + columns - 1) / columns) * columns;
  at.row = take(index, (p.axis[2].post + rows - 1) / rows) * rows;
  at.outer[1] = take(index, p.axis[1].post);
  at.outer[0] = take(index, p.axis[0].post);
  at.trial = static_cast<int32_t>(index);
  return at;
}

// Elements [begin, begin + vectors * wide) of the flattened rows [first_row, first_row + rows) of one plane,
// as the padding continues them; `plane` is null for a plane outside. `begin` is a multiple of wide, so that
// whole accesses are aligned where the rows of pre are. All threads of the block call it; the copies still
// have to be waited for.
template <class T>
inline __device__ void load_tile(const WindowParameters<T>& p, const T* plane, int32_t begin,
                                 int32_t first_row, int32_t rows, int32_t vectors, T* tile) {
  constexpr int32_t wide = 16 / sizeof(T);
  const int32_t length = p.axis[3].pre * p.inner;
  const T fill = p.outside == outside_ignore ? T(0) : p.outside_value;
  const bool aligned = is_aligned(plane, p.pre_step[2]);
  const int32_t threads = blockDim.x, row_step = threads / vectors, vector_step = threads % vectors;
  int32_t row = threadIdx.x / vectors, vector = threadIdx.x % vectors;
  if (aligned && plane && begin >= 0 && begin + vectors * wide <= length && first_row >= 0 &&
      first_row + rows <= p.axis[2].pre) {
    // Nothing to ask for each access.
    const T* from = plane + (first_row + row) * p.pre_step[2] + begin + vector * wide;
    const int64_t step = row_step * p.pre_step[2] + vector_step * wide,
                  next_row = p.pre_step[2] - vectors * wide;
    for (int32_t k = threadIdx.x; k < rows * vectors; k += threads) {
      cp_async<16>(tile + k * wide, from);
      from += step;
      vector += vector_step;
      if (vector < vectors) continue;
      vector -= vectors;
      from += next_row;
    }
    return;
  }
  while (row < rows) {
    T* to = tile + (row * vectors + vector) * wide;
    const int32_t x = begin + vector * wide,
                  y = plane ? place(first_row + row, p.axis[2].pre, p.outside) : -1;
    if (y < 0) {
      WEIGHTSHARING_UNROLL
      for (int32_t k = 0; k < wide; ++k) to[k] = fill;
    } else {
      const T* from = plane + y * p.pre_step[2];
      if (x >= 0 && x + wide <= length) {
        if (aligned) {
          cp_async<16>(to, from + x);
        } else {
          WEIGHTSHARING_UNROLL
          for (int32_t k = 0; k < wide; ++k) cp_async<sizeof(T)>(to + k, from + x + k);
        }
      } else {
        for (int32_t k = 0; k < wide; ++k) {
          const int32_t column = (x + k >= 0 ? x + k : x + k - p.inner + 1) / p.inner;  // rounded down
          const int32_t u = place(column, p.axis[3].pre, p.outside);
          to[k] = u < 0 ? fill : from[u * p.inner + (x + k - column * p.inner)];
        }
      }
    }
    row += row_step;
    vector += vector_step;
    if (vector >= vectors) {
      vector -= vectors;
      ++row;
    }
  }
}

// The plane of pre that outer taps i and j of the block's units read; null when it lies outside.
template <class T>
inline __device__ const T* plane_of(const WindowParameters<T>& p, const TilePlace& at, int32_t i, int32_t j) {
  const Axis &a = p.axis[0], &b = p.axis[1];
  const int32_t u0 = place(a.offset + a.stride * at.outer[0] + a.dilation * i, a.pre, p.outside);
  const int32_t u1 = place(b.offset + b.stride * at.outer[1] + b.dilation * j, b.pre, p.outside);
  if (u0 < 0 || u1 < 0) return nullptr;
  return source_rates(p.source) + at.trial * p.pre_size + u0 * p.pre_step[0] + u1 * p.pre_step[1];
}

// A sum becomes a mean where that is asked for; `column` is flattened.
template <Reduction reduction, class T>
inline __device__ T finish_unit(const WindowParameters<T>& p, const TilePlace& at, int32_t row,
                                int32_t column, T value) {
  if (reduction != reduce_sum || p.reduction != reduce_mean) return value;
  if (p.outside != outside_ignore) return value / static_cast<T>(p.taps);
  const int32_t q[4] = {at.outer[0], at.outer[1], row, column / p.inner};
  int32_t count = 1;
  WEIGHTSHARING_UNROLL
  for (int d = 0; d < 4; ++d) count *= taps_inside(p.axis[d], p.axis[d].offset + p.axis[d].stride * q[d]);
  return count > 0 ? value / static_cast<T>(count) : T(0);
}

// Post element of the block's row 0 and column 0 of filter `filter`.
template <class T>
inline __device__ T* post_plane(const WindowParameters<T>& p, const TilePlace& at, int32_t filter) {
  return p.post + at.trial * p.post_size + at.outer[0] * p.post_step[0] + at.outer[1] * p.post_step[1] +
         p.first_filter + filter;
}

// Adds `taps` taps that lie one row of the tile apart: sum[r] gets rows r, r + 1, ..., so that a loaded value
// feeds all of them. `column` points at the element of the first row; weights lie `weight_step` apart.
template <Reduction reduction, int rows, int columns, class T>
inline __device__ void slide_down(const T* column, int32_t pitch, const T* weights, int32_t weight_step,
                                  int32_t taps, T (&sum)[rows][columns]) {
  T window[rows][columns];
  WEIGHTSHARING_UNROLL
  for (int r = 0; r < rows; ++r) {
    WEIGHTSHARING_UNROLL
    for (int c = 0; c < columns; ++c) window[r][c] = column[r * pitch + 32 * c];
  }
  for (int32_t first = 0; first < taps; first += rows) {
    // Rows leave the window in turn; unrolled once around, every index is known.
    WEIGHTSHARING_UNROLL
    for (int k = 0; k < rows; ++k) {
      if (first + k >= taps) break;
      const T weight = weights[(first + k) * weight_step];
      WEIGHTSHARING_UNROLL
      for (int r = 0; r < rows; ++r) {
        WEIGHTSHARING_UNROLL
        for (int c = 0; c < columns; ++c)
          sum[r][c] = contribute<reduction>(sum[r][c], weight, window[(r + k) % rows][c]);
      }
      if (first + k + 1 == taps) break;
      WEIGHTSHARING_UNROLL
      for (int c = 0; c < columns; ++c) window[k][c] = column[(first + k + rows) * pitch + 32 * c];
    }
  }
}

// Results of a thread on their way: sums in three levels.
template <class T, Reduction reduction, int rows, int columns>
struct Sums {
  static constexpr int fan_in = 16;
  T part[rows][columns], level[2][rows][columns];
  int32_t added = 0, moved = 0;

  __device__ Sums() {
    WEIGHTSHARING_UNROLL
    for (int r = 0; r < rows; ++r) {
      WEIGHTSHARING_UNROLL
      for (int c = 0; c < columns; ++c) {
        part[r][c] = identity<reduction, T>();
        level[0][r][c] = level[1][r][c] = T(0);
      }
    }
  }
  // Before `taps` <= chunk_taps more are added to part.
  __device__ void reserve(int32_t taps) {
    if (reduction != reduce_sum) return;
    if (added + taps > chunk_taps) {
      move(level[0], part);
      added = 0;
      if (++moved == fan_in) {
        move(level[1], level[0]);
        moved = 0;
      }
    }
    added += taps;
  }
  __device__ T result(int r, int c) const {
    if (reduction != reduce_sum) return part[r][c];
    return level[1][r][c] + (level[0][r][c] + part[r][c]);
  }
  __device__ bool has_nan() const {
    bool nan = false;
    WEIGHTSHARING_UNROLL
    for (int r = 0; r < rows; ++r) {
      WEIGHTSHARING_UNROLL
      for (int c = 0; c < columns; ++c) nan = nan || result(r, c) != result(r, c);
    }
    return nan;
  }

 private:
  __device__ static void move(T (&to)[rows][columns], T (&from)[rows][columns]) {
    WEIGHTSHARING_UNROLL
    for (int r = 0; r < rows; ++r) {
      WEIGHTSHARING_UNROLL
      for (int c = 0; c < columns; ++c) {
        to[r][c] += from[r][c];
        from[r][c] = T(0);
      }
    }
  }
};

// Adds KH x KW taps of one plane; `corner` points at the tile's element for the thread's first unit, tap (0,
// 0).
template <Reduction reduction, int rows, int columns, class T>
inline __device__ void add_window(const T* corner, int32_t pitch, int32_t tap_step, const T* weights,
                                  int32_t KH, int32_t KW, Sums<T, reduction, rows, columns>& sums) {
  for (int32_t k = 0; k < KW; ++k)
    for (int32_t first = 0; first < KH; first += chunk_taps) {
      const int32_t taps = min(KH - first, chunk_taps);
      sums.reserve(taps);
      slide_down<reduction>(corner + first * pitch + k * tap_step, pitch, weights + first * KW + k, KW, taps,
                            sums.part);
    }
}

// The thread's rows x columns results, columns 32 apart, go to post; those for which `leave_out(row, column)`
// holds do not. Row and column are counted from the tile's first unit.
template <Reduction reduction, int rows, int columns, class T, class LeaveOut>
inline __device__ void write_tile(const WindowParameters<T>& p, const TilePlace& at, int32_t filter,
                                  int32_t first_row, int32_t first_column,
                                  const Sums<T, reduction, rows, columns>& sums, LeaveOut leave_out) {
  const int32_t row = at.row + first_row, column = at.column + first_column;
  T* post = post_plane(p, at, filter);
  const int32_t length = p.axis[3].post * p.inner;
  WEIGHTSHARING_UNROLL
  for (int c = 0; c < columns; ++c) {
    const int32_t x = column + 32 * c;
    if (x >= length) continue;
    // Layers are neighbours; without them the last axis has a step of its own.
    T* to = post + (p.inner > 1 ? static_cast<int64_t>(x) : x * p.post_step[3]);
    WEIGHTSHARING_UNROLL
    for (int r = 0; r < rows; ++r)
      if (row + r < p.axis[2].post && !leave_out(first_row + r, first_column + 32 * c))
        write_unit(to + (row + r) * p.post_step[2],
                   finish_unit<reduction>(p, at, row + r, x, sums.result(r, c)), p.accumulate);
  }
}

}  // namespace weightsharing::cuda
