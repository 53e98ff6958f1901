// Low rank: a filter that is a sum of few products of one-dimensional filters costs 2 * terms * K instead of
// K * K.
//
// Each term passes over the axes, first one first; a pass is a direct window with the taps of one axis.
// Blocks are wide and low: the pass over rows, which comes first, computes little twice, a pass along rows
// before it would be needed for every row that the filter reaches. Rates that are not finite, or so large
// that a product of two passes might overflow where the window would not, send the block to the direct path.
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
  const Index length = (n + slack - 1) / slack * slack;  // of a row of results
  T* total = rest;
  T* buffer[2] = {rest + w.term_elements, rest + 2 * w.term_elements};
  T* part = rest + 3 * w.term_elements;

  Index offset[axis_chunk];  // taps of the axes before the last, a chunk at a time
  for (Index term = 0; term < w.factors.terms; ++term) {
    const T* const* factor = w.factors.values + 4 * term;
    const T one[1] = {1};
    // Axis d: `boxes` boxes, `step` apart, of rows of `run` elements become boxes of b.units[d] rows. What
    // stands between the planes of a row passes as well; nobody reads the result.
    const T* from = strip;
    int next = 0;
    Index boxes = 1, step = 0;
    for (int d = 0; d < 3; ++d) {
      const StripAxis& a = s.axis[d];
      const Index run = a.strip_step, units = b.units[d];
      const bool adjoin = boxes == 1 || step == units * run;
      if (a.taps > 1 || rows_of(a, units) != units || !adjoin) {
        T* to = buffer[next];
        const T* values = factor[d] ? factor[d] : one;
        for (Index o = 0; o < boxes; ++o)
          for (Index t = 0; t < a.taps; t += axis_chunk) {
            const Index count = smaller(axis_chunk, a.taps - t);
            for (Index k = 0; k < count; ++k) offset[k] = (t + k) * (a.compact ? 1 : a.dilation) * run;
            const Taps<T> taps{count, offset, values + t};
            const T* in = from + o * step;
            T* out = to + o * units * run;
            if (t == 0) {
              tiles<T, reduce_sum, false>(taps, in, unit_rows(a) * run, out, run, units, run);
            } else {  // the chunks of a long filter are added up
              tiles<T, reduce_sum, false>(taps, in, unit_rows(a) * run, part, run, units, run);
              for (Index x = 0; x < units * run; ++x) out[x] += part[x];
            }
          }
        from = to;
        next = 1 - next;
      }
      boxes *= units;
      step = run;
    }
    const Taps<T> columns{w.column_taps, w.tap_offset, factor[3] ? factor[3] : one};
    tiles<T, reduce_sum, false>(columns, from, step, term ? part : total, length, boxes, n);
    if (term)
      for (Index x = 0; x < boxes * length; ++x) total[x] += part[x];
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
