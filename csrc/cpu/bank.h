// Banks of many filters: an implicit matrix product, filters in the vector lanes, pixels broadcast.
//
// The strip keeps the channels of a pixel together; a tile of pixels x vectors of filters stays in registers
// while all taps pass. Per tap: one load per vector of weights, shared by all pixels, and one broadcast per
// pixel, shared by all vectors.
#pragma once

#include "cpu/window.h"

namespace weightsharing::cpu::WEIGHTSHARING_ISA {
namespace {

// V vectors of filters, P pixels: accumulators P * V, weights V, one broadcast: within the registers.
template <int V>
constexpr int bank_pixels = vector_registers == 32 ? (V == 4   ? 6
                                                      : V == 2 ? 12
                                                               : 16)
                                                   : (V == 4   ? 2
                                                      : V == 2 ? 5
                                                               : 10);

template <class T, int reduction, bool keep_nan, int P, int V>
inline Several<Vector<T>, P * V> bank_pass(const T* in, Index in_step, const Index* offset, Index from,
                                           Index to, const T* packed) {
  Several<Vector<T>, P * V> acc;
  for (int i = 0; i < P * V; ++i) acc.v[i] = broadcast(identity<reduction, T>);
  for (Index t = from; t < to; ++t) {
    Vector<T> w[V];
    for (int v = 0; v < V; ++v) w[v] = load(packed + (t * V + v) * lanes<T>);
    const T* pixel = in + offset[t];
    for (int p = 0; p < P; ++p) {
      const Vector<T> r = broadcast(pixel[p * in_step]);
      for (int v = 0; v < V; ++v)
        acc.v[p * V + v] = contribute<reduction, keep_nan>(acc.v[p * V + v], w[v], r);
    }
  }
  return acc;
}

// out[pixel][filter of the block]
template <class T, int reduction, bool keep_nan, int P, int V>
inline void bank_tile(const T* in, Index in_step, const Index* offset, Index count, const T* packed, T* out) {
  Several<Vector<T>, P * V> acc;
  if (reduction != reduce_sum || count <= chunk_taps) {
    acc = bank_pass<T, reduction, keep_nan, P, V>(in, in_step, offset, 0, count, packed);
  } else {
    Tower<Several<Vector<T>, P * V>> tower;
    for (Index t = 0; t < count; t += chunk_taps)
      tower.add(bank_pass<T, reduction, keep_nan, P, V>(in, in_step, offset, t,
                                                        smaller(t + chunk_taps, count), packed));
    acc = tower.total();
  }
  for (int i = 0; i < P * V; ++i) store(out + i * lanes<T>, acc.v[i]);
}

// One row of n pixels for one block of V vectors of filters, of which `filters` exist.
template <class T, int reduction, bool keep_nan, int V>
void bank_row(const WindowParameters<T>& w, const T* in, const T* packed, Index filters, T* post, Index n,
              const T* divisor, T constant_divisor, bool accumulate) {
  constexpr int P = bank_pixels<V>, W = V * lanes<T>;
  T out[P * W];
  const auto finish = [&](Index x, Index pixels) {
    for (Index p = 0; p < pixels; ++p) {
      T* value = out + p * W;
      if (w.reduction == reduce_mean) {
        const T count = divisor ? constant_divisor * divisor[x + p] : constant_divisor;
        for (Index f = 0; f < filters; ++f) value[f] = count > T(0) ? value[f] / count : T(0);
      }
      write_units(post + (x + p) * w.post_unit, 1, value, filters, accumulate);
    }
  };
  Index x = 0;
  for (; x + P <= n; x += P) {
    bank_tile<T, reduction, keep_nan, P, V>(in + x * w.unit_step, w.unit_step, w.tap_offset, w.taps, packed,
                                            out);
    finish(x, P);
  }
  for (; x < n; ++x) {
    bank_tile<T, reduction, keep_nan, 1, V>(in + x * w.unit_step, w.unit_step, w.tap_offset, w.taps, packed,
                                            out);
    finish(x, 1);
  }
}

template <class T, int V>
void bank_row_of(bool keep_nan, const WindowParameters<T>& w, const T* in, const T* packed, Index filters,
                 T* post, Index n, const T* divisor, T constant_divisor, bool accumulate) {
  if (w.reduction == reduce_max)
    (keep_nan ? bank_row<T, reduce_max, true, V>
              : bank_row<T, reduce_max, false, V>)(w, in, packed, filters, post, n, divisor, constant_divisor,
                                                   accumulate);
  else if (w.reduction == reduce_min)
    (keep_nan ? bank_row<T, reduce_min, true, V>
              : bank_row<T, reduce_min, false, V>)(w, in, packed, filters, post, n, divisor, constant_divisor,
                                                   accumulate);
  else
    bank_row<T, reduce_sum, false, V>(w, in, packed, filters, post, n, divisor, constant_divisor, accumulate);
}

// Units [x, x + n) of one row of units, all filters.
template <class T>
void bank_units(const WindowParameters<T>& w, bool keep_nan, const T* row, const RowPlace& at, Index start,
                T* post, Index x, Index n, bool accumulate) {
  T count = static_cast<T>(w.taps);
  const T* inside = nullptr;
  if (w.strip.outside == outside_ignore && w.reduction == reduce_mean) {
    count = w.inside[0][at.unit[0]] * w.inside[1][at.unit[1]] * w.inside[2][at.unit[2]];
    inside = w.inside[3] + start + x;
  }
  const auto run = w.filter_block == 4 * lanes<T>   ? bank_row_of<T, 4>
                   : w.filter_block == 2 * lanes<T> ? bank_row_of<T, 2>
                                                    : bank_row_of<T, 1>;
  for (Index f = 0; f < w.filters; f += w.filter_block)
    run(keep_nan, w, row + x * w.unit_step, w.packed + f * w.taps, smaller(w.filter_block, w.filters - f),
        post + x * w.post_unit + f, n, inside, count, accumulate);
}

// Computes the block from a filled strip.
template <class T>
void bank_rows(const WindowParameters<T>& w, const Block& b, const T* strip, T* post, bool accumulate) {
  const bool extreme = w.reduction == reduce_max || w.reduction == reduce_min;
  const bool keep_nan = extreme && !(w.weights_finite && strip_below(w.strip, b, strip, infinity<T>));
  const StripAxis& rows = w.strip.axis[2];
  for_outer_units(w, b, [&](Index in, Index out, RowPlace at) {
    for (Index k = 0; k < b.units[2]; ++k) {
      at.unit[2] = b.start[2] + k;
      bank_units(w, keep_nan, strip + in + k * unit_rows(rows) * rows.strip_step, at, b.start[3],
                 post + out + k * rows.post_step, 0, b.units[3], accumulate);
    }
  });
}

template <class T>
void bank(const WindowParameters<T>& w, const Task<T>& task) {
  const Block b = block_of(w.strip, task.block);
  fill_strip(w.strip, b, task.pre, task.scratch, task.scratch + w.strip.elements + w.scratch_tile);
  bank_rows(w, b, task.scratch, task.post, task.accumulate);
}

}  // namespace
}  // namespace weightsharing::cpu::WEIGHTSHARING_ISA
