// Windows: one filter, or a few, over a regular grid.
//
// Direct: a tile of rows x vectors of accumulators stays in registers while all taps pass; each tap is one
// broadcast weight and one load per accumulator. Taps are a table of offsets into the strip, so rank, stride,
// dilation, layers and channels cost nothing here. Tapwise: any psp and 'ignore' with max or min, one tap at
// a time over a run of units.
#pragma once

#include "cpu/strip.h"

namespace weightsharing::cpu::WEIGHTSHARING_ISA {
namespace {

// Two multiply-add ports with a latency of four need eight accumulators in flight; more amortise the weight's
// broadcast.
constexpr int tile_rows = 4;
constexpr int tile_vectors = vector_registers == 32 ? 4 : 2;

template <class T>
struct Taps {
  Index count;
  const Index* offset;
  const T* weight;
};

// R rows of V vectors of units, row after row.
template <class T, int R, int V>
using TileSums = Several<Vector<T>, R * V>;

template <class T, int reduction, bool keep_nan, int R, int V>
inline TileSums<T, R, V> tile_pass(const Taps<T>& taps, Index from, Index to, const T* in, Index in_step) {
  TileSums<T, R, V> acc;
  for (int i = 0; i < R * V; ++i) acc.v[i] = broadcast(identity<reduction, T>);
  for (Index t = from; t < to; ++t) {
    const Vector<T> w = broadcast(taps.weight[t]);
    const T* p = in + taps.offset[t];
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < V; ++v)
        acc.v[r * V + v] =
            contribute<reduction, keep_nan>(acc.v[r * V + v], w, load(p + r * in_step + v * lanes<T>));
  }
  return acc;
}

// out[r * out_step + x] = reduction over taps, x < n.
template <class T, int reduction, bool keep_nan, int R, int V>
inline void tile_to(const Taps<T>& taps, const T* in, Index in_step, T* out, Index out_step, Index n) {
  TileSums<T, R, V> acc;
  if (reduction != reduce_sum || taps.count <= chunk_taps) {
    acc = tile_pass<T, reduction, keep_nan, R, V>(taps, 0, taps.count, in, in_step);
  } else {
    Tower<TileSums<T, R, V>> tower;
    for (Index t = 0; t < taps.count; t += chunk_taps)
      tower.add(
          tile_pass<T, reduction, keep_nan, R, V>(taps, t, smaller(t + chunk_taps, taps.count), in, in_step));
    acc = tower.total();
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) {
      const Index left = n - v * lanes<T>;
      if (left >= lanes<T>)
        store(out + r * out_step + v * lanes<T>, acc.v[r * V + v]);
      else if (left > 0)
        copy(out + r * out_step + v * lanes<T>, reinterpret_cast<const T*>(&acc.v[r * V + v]), left);
    }
}

// rows x n units. Reads up to `slack` elements past the end of a row of the strip, writes none past the end
// of out.
template <class T, int reduction, bool keep_nan>
void tiles(const Taps<T>& taps, const T* in, Index in_step, T* out, Index out_step, Index rows, Index n) {
  constexpr int R = tile_rows, V = tile_vectors, L = lanes<T>;
  Index r = 0;
  for (; r + R <= rows; r += R) {
    Index x = 0;
    for (; x + V * L <= n; x += V * L)
      tile_to<T, reduction, keep_nan, R, V>(taps, in + r * in_step + x, in_step, out + r * out_step + x,
                                            out_step, V * L);
    for (; x < n; x += L)
      tile_to<T, reduction, keep_nan, R, 1>(taps, in + r * in_step + x, in_step, out + r * out_step + x,
                                            out_step, n - x);
  }
  for (; r < rows; ++r) {
    Index x = 0;
    for (; x + 2 * V * L <= n; x += 2 * V * L)
      tile_to<T, reduction, keep_nan, 1, 2 * V>(taps, in + r * in_step + x, in_step, out + r * out_step + x,
                                                out_step, 2 * V * L);
    for (; x < n; x += L)
      tile_to<T, reduction, keep_nan, 1, 1>(taps, in + r * in_step + x, in_step, out + r * out_step + x,
                                            out_step, n - x);
  }
}

// One choice per run of rows, not per tap: sums need no NaN rule.
template <class T>
void direct(int reduction, bool keep_nan, const Taps<T>& taps, const T* in, Index in_step, T* out,
            Index out_step, Index rows, Index n) {
  if (reduction == reduce_max)
    (keep_nan ? tiles<T, reduce_max, true> : tiles<T, reduce_max, false>)(taps, in, in_step, out, out_step,
                                                                          rows, n);
  else if (reduction == reduce_min)
    (keep_nan ? tiles<T, reduce_min, true> : tiles<T, reduce_min, false>)(taps, in, in_step, out, out_step,
                                                                          rows, n);
  else
    tiles<T, reduce_sum, false>(taps, in, in_step, out, out_step, rows, n);
}

// n results that lie together in `value` go to post, divided by the number of taps for mean.
template <class T>
inline void write_units(T* post, Index post_unit, const T* value, Index n, bool accumulate) {
  if (post_unit == 1) {
    if (accumulate)
      for (Index i = 0; i < n; ++i) post[i] += value[i];
    else
      copy(post, value, n);
  } else if (accumulate) {
    for (Index i = 0; i < n; ++i) post[i * post_unit] += value[i];
  } else {
    for (Index i = 0; i < n; ++i) post[i * post_unit] = value[i];
  }
}

struct RowPlace {
  Index unit[3];  // of the axes before the last
};

// mean: divides a row's sums by the number of taps, or with 'ignore' by the number inside.
template <class T>
void divide_row(const WindowParameters<T>& w, const RowPlace& at, Index start, T* value, Index n) {
  if (w.reduction != reduce_mean) return;
  if (w.strip.outside != outside_ignore) {
    const T count = static_cast<T>(w.taps);
    for (Index i = 0; i < n; ++i) value[i] /= count;
    return;
  }
  const T outer = w.inside[0][at.unit[0]] * w.inside[1][at.unit[1]] * w.inside[2][at.unit[2]];
  for (Index i = 0; i < n; ++i) {
    const T count = outer * w.inside[3][(start + i) / w.row_units];
    value[i] = count > T(0) ? value[i] / count : T(0);
  }
}

// Any psp, any padding: units [start, start + n) of one row of units, one tap at a time; n <= program_block.
template <class T, int reduction>
void tapwise_run(const WindowParameters<T>& w, const T* weights, const RowPlace& at, const T* in, Index start,
                 Index n, T* value, T* scratch) {
  constexpr int block = program_block;
  const Strip<T>& s = w.strip;
  const bool ignore = s.outside == outside_ignore;
  T contribution[block];
  Index count[block];
  Tower<Several<T, block>> tower;
  Several<T, block> part;
  const auto restart = [&] {
    for (int i = 0; i < block; ++i) part.v[i] = identity<reduction, T>;
  };
  restart();
  for (Index i = 0; i < n; ++i) count[i] = 0;
  for (Index t = 0; t < w.taps; ++t) {
    if (reduction == reduce_sum && t && t % chunk_taps == 0) {
      tower.add(part);
      restart();
    }
    Index from = 0, to = n;
    if (ignore) {
      const int32_t* k = w.tap_index + 4 * t;
      bool inside = true;
      for (int d = 0; d < 3; ++d) {
        const StripAxis& a = s.axis[d];
        const Index u = a.offset + a.stride * at.unit[d] + a.dilation * k[d];
        inside = inside && u >= 0 && u < a.pre;
      }
      if (!inside) continue;
      // Coordinates offset + stride * q + dilation * k inside pre: a range of units.
      const Index base = s.row.offset + k[3];
      const Index low = base < 0 ? (-base + s.row.stride - 1) / s.row.stride : 0;
      const Index high = base < s.row.pre ? (s.row.pre - 1 - base) / s.row.stride + 1 : 0;
      from = smaller(n, larger(0, low * w.row_units - start));
      to = smaller(n, high * w.row_units - start);
      if (from >= to) continue;
    }
    const T* p = in + w.tap_offset[t];
    if (w.psp) {
      const ProgramInput<T> inputs[2] = {{weights + t, 0}, {p + from, 1}};
      T* output = contribution + from;
      run_program(*w.psp, inputs, &output, to - from, scratch, nullptr);
    } else {
      for (Index i = from; i < to; ++i) contribution[i] = weights[t] * p[i];
    }
    for (Index i = from; i < to; ++i) {
      part.v[i] = combine<reduction, true>(part.v[i], contribution[i]);
      ++count[i];
    }
  }
  if (reduction == reduce_sum && w.taps > chunk_taps) {
    tower.add(part);
    part = tower.total();
  }
  copy(value, part.v, n);
  if (w.reduction == reduce_mean)
    for (Index i = 0; i < n; ++i) value[i] /= static_cast<T>(ignore ? larger(count[i], 1) : w.taps);
  for (Index i = 0; i < n; ++i)
    if (count[i] == 0) value[i] = T(0);
}

template <class T>
void tapwise(const WindowParameters<T>& w, const T* weights, const RowPlace& at, const T* in, Index start,
             Index n, T* value, T* scratch) {
  for (Index i = 0; i < n; i += program_block) {
    const Index m = smaller(program_block, n - i);
    if (w.reduction == reduce_max)
      tapwise_run<T, reduce_max>(w, weights, at, in + i, start + i, m, value + i, scratch);
    else if (w.reduction == reduce_min)
      tapwise_run<T, reduce_min>(w, weights, at, in + i, start + i, m, value + i, scratch);
    else
      tapwise_run<T, reduce_sum>(w, weights, at, in + i, start + i, m, value + i, scratch);
  }
}

// Calls visit(strip element of the row's first unit, post element, place, units along axis 2) for each pair
// of outer units.
template <class T, class Visit>
void for_outer_units(const WindowParameters<T>& w, const Block& b, Visit visit) {
  const StripAxis* a = w.strip.axis;
  for (Index i = 0; i < b.units[0]; ++i)
    for (Index j = 0; j < b.units[1]; ++j) {
      const Index in = i * unit_rows(a[0]) * a[0].strip_step + j * unit_rows(a[1]) * a[1].strip_step;
      const Index out = (b.start[0] + i) * a[0].post_step + (b.start[1] + j) * a[1].post_step +
                        b.start[2] * a[2].post_step + b.start[3] * w.row_units * w.post_unit + w.post_offset;
      visit(in, out, RowPlace{{b.start[0] + i, b.start[1] + j, b.start[2]}});
    }
}

template <class T>
bool needs_tapwise(const WindowParameters<T>& w) {
  return w.psp || (w.strip.outside == outside_ignore &&
                   (w.reduction == reduce_max || w.reduction == reduce_min || !w.weights_finite));
}

// Computes the block from a filled strip.
template <class T>
void window_rows(const WindowParameters<T>& w, const Block& b, const T* strip, T* post, T* rest,
                 bool accumulate) {
  const StripAxis& rows = w.strip.axis[2];
  const Index in_step = unit_rows(rows) * rows.strip_step, n = b.units[3] * w.row_units;
  const bool slow = needs_tapwise(w);
  const bool extreme = w.reduction == reduce_max || w.reduction == reduce_min;
  const bool keep_nan =
      extreme && !slow && !(w.weights_finite && strip_below(w.strip, b, strip, infinity<T>));
  const bool straight = w.post_unit == 1 && !accumulate;
  T* tile_out = rest;  // rows of results on their way to post
  T* scratch = rest + w.scratch_tile;
  for_outer_units(w, b, [&](Index in, Index out, RowPlace at) {
    for (Index f = 0; f < w.filters; ++f) {
      const Taps<T> taps{w.taps, w.tap_offset, w.weights + f * w.taps};
      const auto finish = [&](T* value, Index k) {
        at.unit[2] = b.start[2] + k;
        if (!slow) divide_row(w, at, b.start[3] * w.row_units, value, n);
        T* target = post + out + f + k * rows.post_step;
        if (value != target) write_units(target, w.post_unit, value, n, accumulate);
      };
      if (slow) {
        for (Index k = 0; k < b.units[2]; ++k) {
          at.unit[2] = b.start[2] + k;
          tapwise(w, taps.weight, at, strip + in + k * in_step, b.start[3] * w.row_units, n, tile_out,
                  scratch);
          finish(tile_out, k);
        }
      } else if (w.flatten) {
        direct(w.reduction, keep_nan, taps, strip + in, 0, tile_out, 0, 1, (b.units[2] - 1) * in_step + n);
        for (Index k = 0; k < b.units[2]; ++k) finish(tile_out + k * in_step, k);
      } else if (straight) {
        T* target = post + out + f;
        direct(w.reduction, keep_nan, taps, strip + in, in_step, target, rows.post_step, b.units[2], n);
        if (w.reduction == reduce_mean)
          for (Index k = 0; k < b.units[2]; ++k) finish(target + k * rows.post_step, k);
      } else {
        for (Index k = 0; k < b.units[2]; k += tile_rows) {
          const Index m = smaller(tile_rows, b.units[2] - k);
          direct(w.reduction, keep_nan, taps, strip + in + k * in_step, in_step, tile_out, n, m, n);
          for (Index i = 0; i < m; ++i) finish(tile_out + i * n, k + i);
        }
      }
    }
  });
}

template <class T>
void window(const WindowParameters<T>& w, const Task<T>& task) {
  const Block b = block_of(w.strip, task.block);
  T* strip = task.scratch;
  T* rest = strip + w.strip.elements;
  fill_strip(w.strip, b, task.pre, strip, rest + w.scratch_tile);
  window_rows(w, b, strip, task.post, rest, task.accumulate);
}

}  // namespace
}  // namespace weightsharing::cpu::WEIGHTSHARING_ISA
