// Synapses: compressed rows of weights. Sixteen lanes at every instruction set, so that all of them add in
// the same order.
#pragma once

#include "cpu/window.h"

namespace weightsharing::cpu::WEIGHTSHARING_ISA {
namespace {

constexpr int row_lanes = 16;

template <class T>
void synapses_prepare(const SynapsesParameters<T>& s, const Task<T>& task) {
  const Index first = task.block * s.block, n = smaller(s.block, s.pre - first);
  copy(task.shared + first, task.pre + first, n);
  apply_program(*s.rate, task.shared + first, n, task.scratch);
}

template <class T, int reduction>
inline T reduce_lanes(const T* lane) {
  T level[row_lanes];
  copy(level, lane, Index{row_lanes});
  for (int width = row_lanes / 2; width; width /= 2)
    for (int k = 0; k < width; ++k) level[k] = combine<reduction, true>(level[k], level[k + width]);
  return level[0];
}

template <class T, int reduction>
T reduce_synapses(const SynapsesParameters<T>& s, const T* rates, Index first, Index last, bool consecutive,
                  T* scratch) {
  Several<T, row_lanes> part;
  Tower<Several<T, row_lanes>> tower;
  T(&acc)[row_lanes] = part.v;
  for (int k = 0; k < row_lanes; ++k) acc[k] = identity<reduction, T>;
  T gathered[program_block], contribution[program_block];
  for (Index j = first; j < last; j += program_block) {
    const Index n = smaller(program_block, last - j);
    const T* r = gathered;
    if (consecutive) {
      r = rates + s.column[j];
    } else {
      for (Index i = 0; i < n; ++i) gathered[i] = rates[s.column[j + i]];
    }
    if (s.psp) {
      const ProgramInput<T> inputs[2] = {{s.weights + j, 1}, {r, 1}};
      T* output = contribution;
      run_program(*s.psp, inputs, &output, n, scratch, nullptr);
      for (Index i = 0; i < n; ++i)
        acc[i % row_lanes] = combine<reduction, true>(acc[i % row_lanes], contribution[i]);
    } else {
      const T* w = s.weights + j;
      Index i = 0;
      for (; i + row_lanes <= n; i += row_lanes)
        for (int k = 0; k < row_lanes; ++k) acc[k] = contribute<reduction, true>(acc[k], w[i + k], r[i + k]);
      for (int k = 0; i + k < n; ++k) acc[k] = contribute<reduction, true>(acc[k], w[i + k], r[i + k]);
    }
    if (reduction == reduce_sum) {
      tower.add(part);
      for (int k = 0; k < row_lanes; ++k) acc[k] = T(0);
    }
  }
  if (reduction == reduce_sum) part = tower.total();
  return reduce_lanes<T, reduction>(part.v);
}

template <class T>
void synapses(const SynapsesParameters<T>& s, const Task<T>& task) {
  const Index first = task.block * s.block, end = smaller(first + s.block, s.post);
  const T* rates = s.rate ? task.shared : task.pre;
  if (s.pointwise && !s.psp) {
    // Products are rounded before they are added, here as everywhere: no fused multiply-add with post.
    T product[program_block];
    for (Index q = first; q < end; q += program_block) {
      const Index n = smaller(program_block, end - q);
      for (Index k = 0; k < n; ++k) product[k] = s.weights[q + k] * rates[q + k];
      write_units(task.post + q, 1, product, n, task.accumulate);
    }
    return;
  }
  const auto reduce = s.reduction == reduce_max   ? reduce_synapses<T, reduce_max>
                      : s.reduction == reduce_min ? reduce_synapses<T, reduce_min>
                                                  : reduce_synapses<T, reduce_sum>;
  for (Index q = first; q < end; ++q) {
    const Index from = s.row_start[q], to = s.row_start[q + 1];
    T value = from < to ? reduce(s, rates, from, to, s.consecutive[q], task.scratch) : T(0);
    if (s.reduction == reduce_mean && from < to) value /= static_cast<T>(to - from);
    task.post[q] = task.accumulate ? task.post[q] + value : value;
  }
}

}  // namespace
}  // namespace weightsharing::cpu::WEIGHTSHARING_ISA
