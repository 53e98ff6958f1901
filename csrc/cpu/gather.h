// Listed centres: every unit has its own first tap in a padded copy of the whole of pre.
#pragma once

#include "cpu/window.h"

namespace weightsharing::cpu::WEIGHTSHARING_ISA {
namespace {

// One block: one strip row of the padded copy.
template <class T>
void gather_prepare(const GatherParameters<T>& g, const Task<T>& task) {
  const Strip<T>& s = g.strip;
  Index row = task.block, at[3];
  for (int d = 2; d >= 0; --d) {
    at[d] = row % rows_of(s.axis[d], s.axis[d].post);
    row /= rows_of(s.axis[d], s.axis[d].post);
  }
  const T* source = task.pre;
  T* target = task.shared;
  for (int d = 0; d < 3; ++d) {
    const Index u = place(row_coordinate(s.axis[d], at[d]), s.axis[d].pre, s.outside);
    source = u < 0 || !source ? nullptr : source + u * s.axis[d].pre_step;
    target += at[d] * s.axis[d].strip_step;
  }
  fill_row(s, s.row.offset, source, target, task.scratch);
}

// Units in the lanes; program_block of them at a time share each tap's weight.
template <class T, int reduction>
void gather_units(const GatherParameters<T>& g, const T* copy_of_pre, const T* weights, Index start, Index n,
                  T* value, T* scratch) {
  constexpr int block = program_block;
  const bool ignore = g.strip.outside == outside_ignore;
  T contribution[block], rate[block];
  Tower<Several<T, block>> tower;
  Several<T, block> part;
  Index count[block];
  for (int i = 0; i < block; ++i) part.v[i] = identity<reduction, T>, count[i] = 0;
  for (Index t = 0; t < g.taps; ++t) {
    const T* p = copy_of_pre + g.tap_offset[t];
    for (Index i = 0; i < n; ++i) rate[i] = p[g.base[start + i]];
    if (g.psp) {
      const ProgramInput<T> inputs[2] = {{weights + t, 0}, {rate, 1}};
      T* output = contribution;
      run_program(*g.psp, inputs, &output, n, scratch, nullptr);
    } else {
      for (Index i = 0; i < n; ++i) contribution[i] = weights[t] * rate[i];
    }
    if (ignore) {
      const int32_t* k = g.tap_index + 4 * t;
      for (Index i = 0; i < n; ++i) {
        const Index* c = g.coordinate + 4 * (start + i);
        bool inside = true;
        for (int d = 0; d < 3; ++d) {
          const Index u = c[d] + g.strip.axis[d].dilation * k[d];
          inside = inside && u >= 0 && u < g.strip.axis[d].pre;
        }
        inside = inside && c[3] + k[3] >= 0 && c[3] + k[3] < g.strip.row.pre;
        if (inside) part.v[i] = combine<reduction, true>(part.v[i], contribution[i]), ++count[i];
      }
    } else {
      for (Index i = 0; i < n; ++i) part.v[i] = combine<reduction, true>(part.v[i], contribution[i]);
    }
    if (reduction == reduce_sum && (t + 1) % chunk_taps == 0 && t + 1 < g.taps) {
      tower.add(part);
      for (int i = 0; i < block; ++i) part.v[i] = T(0);
    }
  }
  if (reduction == reduce_sum && g.taps > chunk_taps) {
    tower.add(part);
    part = tower.total();
  }
  for (Index i = 0; i < n; ++i) {
    value[i] = part.v[i];
    const Index taps = ignore ? count[i] : g.taps;
    if (g.reduction == reduce_mean && taps) value[i] /= static_cast<T>(taps);
    if (!taps) value[i] = T(0);
  }
}

template <class T>
void gather(const GatherParameters<T>& g, const Task<T>& task) {
  const Index first = task.block * g.block, last = smaller(first + g.block, g.units);
  T value[program_block];
  for (Index f = 0; f < g.filters; ++f)
    for (Index u = first; u < last; u += program_block) {
      const Index n = smaller(program_block, last - u);
      const auto run = g.reduction == reduce_max   ? gather_units<T, reduce_max>
                       : g.reduction == reduce_min ? gather_units<T, reduce_min>
                                                   : gather_units<T, reduce_sum>;
      run(g, task.shared, g.weights + f * g.taps, u, n, value, task.scratch);
      write_units(task.post + u * g.post_unit + g.post_offset + f, g.post_unit, value, n, task.accumulate);
    }
}

}  // namespace
}  // namespace weightsharing::cpu::WEIGHTSHARING_ISA
