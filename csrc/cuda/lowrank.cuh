// Low rank: a filter that is a sum of few products of a row and a column costs 2 * terms * K taps instead of
// K * K.
//
// Ladder of versions (not yet measured on a GPU):
//   window_naive    the filter as it is
//   separable_tile  both passes of every term in one kernel: the result of the pass along rows never leaves
//   shared memory
#pragma once

#include "cuda/program.cuh"
#include "cuda/window.cuh"

namespace weightsharing::cuda {

// One row of the tile: `wide` neighbouring results of a pass with taps one element apart. Each access of the
// tile feeds all of them; `weights` are padded with zeros to whole accesses, which is harmless in a tile that
// is finite.
template <class T>
inline __device__ Wide<T> slide_along(const T* from, const T* weights, int32_t taps) {
  constexpr int V = 16 / sizeof(T);
  Wide<T> total{}, part{}, left = *reinterpret_cast<const Wide<T>*>(from);
  for (int32_t k = 0; k < taps; k += V) {
    const Wide<T> right = *reinterpret_cast<const Wide<T>*>(from + k + V);
    const Wide<T> weight = *reinterpret_cast<const Wide<T>*>(weights + k);
    WEIGHTSHARING_UNROLL
    for (int j = 0; j < V; ++j) {
      WEIGHTSHARING_UNROLL
      for (int v = 0; v < V; ++v)
        part.element[v] +=
            weight.element[j] * (v + j < V ? left.element[(v + j) % V] : right.element[(v + j) % V]);
    }
    left = right;
    if ((k + V) % chunk_taps) continue;
    WEIGHTSHARING_UNROLL
    for (int v = 0; v < V; ++v) {
      total.element[v] += part.element[v];
      part.element[v] = T(0);
    }
  }
  WEIGHTSHARING_UNROLL
  for (int v = 0; v < V; ++v) total.element[v] += part.element[v];
  return total;
}

// This block is responsible for a tile of units of one trial. Along rows a thread makes 16 bytes of the
// middle result at a time; down columns it is responsible for 8 rows below each other at 2 columns 32 apart.
// A tile with a rate that is not finite, or so large that a product of two passes might overflow where the
// window would not, takes the window's path.
//
// For one filter, sum or mean, one tap on the axes 0 and 1; else as window_tile_any. Grid: tiles,
// one-dimensional; block: AnyWindowTile::threads; shared memory: separable_shared_bytes.
template <class T>
__global__ void __launch_bounds__(AnyWindowTile<T>::threads, sizeof(T) == 4 ? 2 : 1)
    separable_tile(const SeparableParameters<T> parameters) {
  using Tile = AnyWindowTile<T>;
  constexpr int R = Tile::rows_per_thread, C = Tile::columns_per_thread, V = Tile::wide;
  constexpr int middle_pitch = Tile::columns + V;  // columns of the tile that a pass down may start in
  WEIGHTSHARING_DYNAMIC_SHARED(T, shared);
  const WindowParameters<T>& p = parameters.window;
  const TilePlace at = tile_place(p, Tile::columns, Tile::rows);
  const int32_t KH = p.axis[2].taps, KW = p.axis[3].taps, tap_step = p.axis[3].dilation * p.inner;
  const int32_t begin = at.column + p.axis[3].offset * p.inner, shift = begin & (V - 1);
  const int32_t vectors = Tile::columns / V + (KW - 1) * tap_step / V + 2, pitch = vectors * V;
  const int32_t tile_rows = Tile::rows + KH - 1, column_taps = (KW + V - 1) / V * V;
  T* tile = shared;
  T* middle = tile + tile_rows * pitch;
  T* column_factor = middle + tile_rows * middle_pitch;
  T* row_factor = column_factor + column_taps;
  const int32_t row = threadIdx.x / 32 * R, column = threadIdx.x % 32;

  load_tile(p, plane_of(p, at, 0, 0), begin - shift, at.row + p.axis[2].offset, tile_rows, vectors, tile);
  cp_async_commit();
  cp_async_wait<0>();
  __syncthreads();
  bool large = false;
  for (int32_t k = threadIdx.x; k < tile_rows * pitch; k += Tile::threads)
    large = large || !(math_fabs(tile[k]) < parameters.rate_bound);  // NaN too

  Sums<T, reduce_sum, R, C> sums;
  if (__syncthreads_or(large)) {
    add_window<reduce_sum>(tile + row * pitch + shift + column, pitch, tap_step, p.weights, KH, KW, sums);
  } else {
    for (int32_t term = 0; term < parameters.terms; ++term) {
      for (int32_t k = threadIdx.x; k < column_taps; k += Tile::threads)
        column_factor[k] = k < KW ? parameters.column_factors[term * KW + k] : T(0);
      for (int32_t k = threadIdx.x; k < KH; k += Tile::threads)
        row_factor[k] = parameters.row_factors[term * KH + k];
      __syncthreads();
      for (int32_t k = threadIdx.x; k < tile_rows * (middle_pitch / V); k += Tile::threads) {
        const int32_t y = k / (middle_pitch / V), x = k % (middle_pitch / V) * V;
        const T* from = tile + y * pitch + x;
        Wide<T> result{};
        if (tap_step == 1) {
          result = slide_along(from, column_factor, column_taps);
        } else {
          WEIGHTSHARING_UNROLL
          for (int v = 0; v < V; ++v) {
            T part = T(0);
            for (int32_t j = 0; j < KW; ++j) {
              part += column_factor[j] * from[v + j * tap_step];
              if ((j + 1) % chunk_taps == 0) {
                result.element[v] += part;
                part = T(0);
              }
            }
            result.element[v] += part;
          }
        }
        *reinterpret_cast<Wide<T>*>(middle + y * middle_pitch + x) = result;
      }
      __syncthreads();
      add_window<reduce_sum>(middle + row * middle_pitch + shift + column, middle_pitch, 0, row_factor, KH, 1,
                             sums);
      __syncthreads();  // the next term overwrites the middle result and the factors
    }
  }
  // With 'ignore' the zeros outside do: weights that are sums of products are finite.
  write_tile<reduce_sum>(p, at, 0, row, column, sums, [](int32_t, int32_t) { return false; });
}

}  // namespace weightsharing::cuda
