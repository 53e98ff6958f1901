// Low rank: a filter that is a sum of few products of one-dimensional filters costs 2 * terms * K instead of
// K * K.
//
// Each term passes over the axes, last one first; a pass is a direct window with the taps of one axis. Rates
// that are not finite, or so large that a product of two passes might overflow where the window would not,
// send the block to the direct path.
#pragma once

#include "cpu/window.h"

namespace weightsharing::cpu::WEIGHTSHARING_ISA {
namespace {

constexpr Index axis_chunk = 256;  // taps of one axis that are passed at a time

template <class T>
void lowrank(const WindowParameters<T>& w, const Task<T>& task) {
  const Strip<T>& s = w.strip;
  const Block b = block_of(s, task.block);
  T* strip = task.scratch;
  T* rest = strip + s.elements;
  fill_strip(s, b, task.pre, strip, rest + w.scratch_tile);
  if (!strip_below(s, b, strip, w.rate_bound)) {
    window_rows(w, b, strip, task.post, rest, task.accumulate);
    return;
  }

  const Index n = b.units[3] * w.row_units;
  const Index length = (n + slack - 1) / slack * slack;  // of a row of an intermediate result
  Index rows[3];
  for (int d = 0; d < 3; ++d) rows[d] = rows_of(s.axis[d], b.units[d]);
  T* total = rest;
  T* buffer[2] = {rest + w.term_elements, rest + 2 * w.term_elements};

  Index offset[axis_chunk];  // taps of the other axes, a chunk at a time
  for (Index term = 0; term < w.factors.terms; ++term) {
    const T* const* factor = w.factors.values + 4 * term;
    const T one[1] = {1};
    const Taps<T> columns{w.column_taps, w.column_offset, factor[3] ? factor[3] : one};
    for (Index i = 0; i < rows[0]; ++i)
      for (Index j = 0; j < rows[1]; ++j)
        tiles<T, reduce_sum, false>(columns, strip + i * s.axis[0].strip_step + j * s.axis[1].strip_step,
                                    s.axis[2].strip_step, buffer[0] + (i * rows[1] + j) * rows[2] * length,
                                    length, rows[2], n);
    // Axis d: `outer` boxes of `here` rows of `run` elements become boxes of b.units[d] rows.
    int current = 0;
    Index run = length;
    for (int d = 2; d >= 0; --d) {
      const StripAxis& a = s.axis[d];
      Index outer = 1;
      for (int e = 0; e < d; ++e) outer *= rows[e];
      if (a.taps > 1 || rows[d] != b.units[d]) {
        const T* from = buffer[current];
        T* to = buffer[1 - current];
        const T* values = factor[d] ? factor[d] : one;
        for (Index o = 0; o < outer; ++o)
          for (Index t = 0; t < a.taps; t += axis_chunk) {
            const Index count = smaller(axis_chunk, a.taps - t);
            for (Index k = 0; k < count; ++k) offset[k] = (t + k) * (a.compact ? 1 : a.dilation) * run;
            const Taps<T> taps{count, offset, values + t};
            const T* in = from + o * rows[d] * run;
            T* out = to + o * b.units[d] * run;
            if (t == 0) {
              tiles<T, reduce_sum, false>(taps, in, unit_rows(a) * run, out, run, b.units[d], run);
            } else {  // the chunks of a long filter are added through the term's third buffer
              T* part = rest + 3 * w.term_elements;
              tiles<T, reduce_sum, false>(taps, in, unit_rows(a) * run, part, run, b.units[d], run);
              for (Index x = 0; x < b.units[d] * run; ++x) out[x] += part[x];
            }
          }
        current = 1 - current;
      }
      run *= b.units[d];
    }
    if (term == 0)
      copy(total, buffer[current], run);
    else
      for (Index x = 0; x < run; ++x) total[x] += buffer[current][x];
  }
  for_outer_units(w, b, [&](Index, Index out, RowPlace at) {
    T* box = total + ((at.unit[0] - b.start[0]) * b.units[1] + at.unit[1] - b.start[1]) * b.units[2] * length;
    for (Index k = 0; k < b.units[2]; ++k) {
      at.unit[2] = b.start[2] + k;
      T* value = box + k * length;
      divide_row(w, at, b.start[3] * w.row_units, value, n);
      write_units(task.post + out + k * s.axis[2].post_step, w.post_unit, value, n, task.accumulate);
    }
  });
}

}  // namespace
}  // namespace weightsharing::cpu::WEIGHTSHARING_ISA
