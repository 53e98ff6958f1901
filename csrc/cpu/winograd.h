// Winograd's F(2x2, 3x3) for banks of 3x3 filters over many channels: a tile of 2 x 2 units costs 16 products
// per channel and filter instead of 36.
//
// U = G w G' (prepared), V = B' d B per tile and channel, M = sum over channels of U * V (sixteen matrix
// products, the bank's register tile), Y = A' M A. All transforms are additions, so the error stays within a
// small multiple of the direct sum's bound with max|w| * max|r|. Rates that are not finite or too large send
// the block to the direct path.
#pragma once

#include "cpu/bank.h"

namespace weightsharing::cpu::WEIGHTSHARING_ISA {
namespace {

// V of `tiles` neighbouring tiles: v[xi][tile][channel], from four strip rows that start at d.
template <class T>
void transform_tiles(const T* d, Index row_step, Index channels, Index tiles, T* v) {
  const Index plane = tiles * channels;
  for (Index tile = 0; tile < tiles; ++tile) {
    const T* corner = d + 2 * tile * channels;
    T* out = v + tile * channels;
#pragma omp simd
    for (Index c = 0; c < channels; ++c) {
      T t[4][4];
      for (int j = 0; j < 4; ++j) {
        const T* p = corner + j * channels + c;
        const T d0 = p[0], d1 = p[row_step], d2 = p[2 * row_step], d3 = p[3 * row_step];
        t[0][j] = d0 - d2;
        t[1][j] = d1 + d2;
        t[2][j] = d2 - d1;
        t[3][j] = d1 - d3;
      }
      for (int i = 0; i < 4; ++i) {
        T* o = out + 4 * i * plane + c;
        o[0] = t[i][0] - t[i][2];
        o[plane] = t[i][1] + t[i][2];
        o[2 * plane] = t[i][2] - t[i][1];
        o[3 * plane] = t[i][1] - t[i][3];
      }
    }
  }
}

// m[tile][lanes of the block] for one of the sixteen products.
template <class T, int V>
void multiply_tiles(const WindowParameters<T>& w, const T* v, const T* packed, Index tiles, T* m) {
  constexpr int P = bank_pixels<V>, W = V * lanes<T>;
  Index tile = 0;
  for (; tile + P <= tiles; tile += P)
    bank_tile<T, reduce_sum, false, P, V>(v + tile * w.channels, w.channels, w.tap_offset, w.channels, packed,
                                          m + tile * W);
  for (; tile < tiles; ++tile)
    bank_tile<T, reduce_sum, false, 1, V>(v + tile * w.channels, w.channels, w.tap_offset, w.channels, packed,
                                          m + tile * W);
}

// The 2 x 2 units of each tile, `filters` of the block's lanes.
template <class T>
void finish_tiles(const WindowParameters<T>& w, const T* m, Index tiles, Index filters, T divisor, T* post,
                  Index row_step, bool accumulate) {
  const Index lanes_of_block = w.filter_block, plane = tiles * lanes_of_block;
  for (Index tile = 0; tile < tiles; ++tile) {
    const T* p = m + tile * lanes_of_block;
    T* unit = post + 2 * tile * w.post_unit;
    T* target[4] = {unit, unit + w.post_unit, unit + row_step, unit + row_step + w.post_unit};
#pragma omp simd
    for (Index f = 0; f < filters; ++f) {
      T s[2][4];
      for (int j = 0; j < 4; ++j) {
        const T m0 = p[j * plane + f], m1 = p[(4 + j) * plane + f], m2 = p[(8 + j) * plane + f],
                m3 = p[(12 + j) * plane + f];
        s[0][j] = m0 + m1 + m2;
        s[1][j] = m1 - m2 - m3;
      }
      for (int i = 0; i < 2; ++i) {
        const T y0 = (s[i][0] + s[i][1] + s[i][2]) / divisor, y1 = (s[i][1] - s[i][2] - s[i][3]) / divisor;
        target[2 * i][f] = accumulate ? target[2 * i][f] + y0 : y0;
        target[2 * i + 1][f] = accumulate ? target[2 * i + 1][f] + y1 : y1;
      }
    }
  }
}

template <class T>
void winograd(const WindowParameters<T>& w, const Task<T>& task) {
  const Strip<T>& s = w.strip;
  const Block b = block_of(s, task.block);
  T* strip = task.scratch;
  T* v = strip + s.elements;
  T* m = v + 16 * w.tiles * w.channels;
  fill_strip(s, b, task.pre, strip, strip + s.elements + w.scratch_tile);
  if (!strip_below(s, b, strip, w.rate_bound)) {
    bank_rows(w, b, strip, task.post, task.accumulate);
    return;
  }
  const StripAxis& rows = s.axis[2];
  const T divisor = w.reduction == reduce_mean ? static_cast<T>(w.taps) : T(1);
  const Index even_rows = b.units[2] / 2 * 2, even_columns = b.units[3] / 2 * 2;
  for_outer_units(w, b, [&](Index in, Index out, RowPlace at) {
    const auto direct_units = [&](Index k, Index x, Index n) {
      at.unit[2] = b.start[2] + k;
      bank_units(w, false, strip + in + k * rows.strip_step, at, b.start[3],
                 task.post + out + k * rows.post_step, x, n, task.accumulate);
    };
    for (Index k = 0; k < even_rows; k += 2) {
      const T* row = strip + in + k * rows.strip_step;
      T* post = task.post + out + k * rows.post_step;
      for (Index x = 0; x < even_columns; x += 2 * w.tiles) {
        const Index tiles = smaller(w.tiles, (even_columns - x) / 2);
        transform_tiles(row + x * w.channels, rows.strip_step, w.channels, tiles, v);
        for (Index f = 0; f < w.filters; f += w.filter_block) {
          const auto multiply = w.filter_block == 4 * lanes<T>   ? multiply_tiles<T, 4>
                                : w.filter_block == 2 * lanes<T> ? multiply_tiles<T, 2>
                                                                 : multiply_tiles<T, 1>;
          for (Index xi = 0; xi < 16; ++xi) {
            const Index blocks = (w.filters + w.filter_block - 1) / w.filter_block;
            const T* packed = w.transformed + (xi * blocks * w.filter_block + f) * w.channels;
            multiply(w, v + xi * tiles * w.channels, packed, tiles, m + xi * tiles * w.filter_block);
          }
          finish_tiles(w, m, tiles, smaller(w.filter_block, w.filters - f), divisor,
                       post + x * w.post_unit + f, rows.post_step, task.accumulate);
        }
      }
      for (Index i = 0; i < 2 && even_columns < b.units[3]; ++i) direct_units(k + i, even_columns, 1);
    }
    if (even_rows < b.units[2]) direct_units(even_rows, 0, b.units[3]);
  });
}

}  // namespace
}  // namespace weightsharing::cpu::WEIGHTSHARING_ISA
