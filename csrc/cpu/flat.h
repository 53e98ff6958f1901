// Overlapping boxes: windows of width w are built from windows of width w/2, so that the work per unit grows
// with the logarithm of the extent. Sums add disjoint windows and never subtract: an infinity stays where it
// is.
#pragma once

#include "cpu/pool.h"

namespace weightsharing::cpu::WEIGHTSHARING_ISA {
namespace {

// out[i] := reduction of in[i .. i + extent) for `count` windows of `run` elements, one after another; `in`
// is overwritten.
template <class T, int reduction>
void slide(T* in, T* out, Index count, Index extent, Index run) {
  const Index n = count * run;
  Index width = 1, done = 0;
  bool empty = true;
  const auto widen =
      [&](Index rest) {  // windows of 2 * width; ascending, so each element is read before it is replaced
        const Index m = n + (rest - 2 * width) * run;
        const Index step = width * run;
        for (Index i = 0; i < m; ++i) in[i] = combine<reduction, true>(in[i], in[i + step]);
        width *= 2;
      };
  if constexpr (reduction == reduce_sum) {
    for (Index rest = extent; rest; rest >>= 1) {
      if (rest & 1) {
        if (empty)
          copy(out, in, n);
        else
          combine_rows<T, reduction>(out, in + done * run, n);
        empty = false;
        done += width;
      }
      if (rest > 1) widen(extent);
    }
  } else {
    while (2 * width <= extent) widen(extent);
    copy(out, in, n);
    if (width < extent) combine_rows<T, reduction>(out, in + (extent - width) * run, n);
  }
}

template <class T, int reduction>
void flat_block(const PoolParameters<T>& p, const Task<T>& task) {
  const PoolAxis* a = p.axis;
  const Block b = block_of(a, task.block);
  T* now = task.scratch;
  T* next = now + p.buffer_elements;
  T* wide = next + p.buffer_elements;
  T* program = wide + p.buffer_elements;
  // The block's part of pre, what lies outside filled with the value that changes nothing.
  Index size[4];
  for (int d = 0; d < 4; ++d) size[d] = (b.units[d] - 1) * a[d].stride + a[d].extent;
  const Index row = size[3] * p.inner, first = b.start[3] * a[3].stride;
  const Index known = (smaller(first + size[3], a[3].pre) - first) * p.inner;
  for (Index i = 0; i < size[0]; ++i)
    for (Index j = 0; j < size[1]; ++j)
      for (Index k = 0; k < size[2]; ++k) {
        const Index u = b.start[0] * a[0].stride + i, v = b.start[1] * a[1].stride + j,
                    w = b.start[2] * a[2].stride + k;
        T* target = now + ((i * size[1] + j) * size[2] + k) * row;
        const bool inside = u < a[0].pre && v < a[1].pre && w < a[2].pre;
        if (inside) {
          copy(target, task.pre + u * a[0].pre_step + v * a[1].pre_step + w * a[2].pre_step + first * p.inner,
               known);
          if (p.rate) apply_program(*p.rate, target, known, program);
        }
        const Index from = inside ? known : 0;
        fill(target + from, identity<reduction, T>, row - from);
      }
  // Axis after axis, last one first: `outer` boxes of size[d] entries of `run` elements become boxes of
  // b.units[d] entries.
  Index run = p.inner;
  for (int d = 3; d >= 0; --d) {
    Index outer = 1;
    for (int e = 0; e < d; ++e) outer *= size[e];
    const Index here = size[d] * run, there = b.units[d] * run;
    if (a[d].extent > 1 || a[d].stride > 1) {
      for (Index o = 0; o < outer; ++o) {
        T *in = now + o * here, *out = next + o * there;
        // Windows at every place, of which a stride keeps some.
        const Index places = (b.units[d] - 1) * a[d].stride + 1;
        slide<T, reduction>(in, a[d].stride == 1 ? out : wide, places, a[d].extent, run);
        for (Index q = 0; q < b.units[d] && a[d].stride > 1; ++q)
          copy(out + q * run, wide + q * a[d].stride * run, run);
      }
      T* swap = now;
      now = next;
      next = swap;
    }
    run = there;
  }
  const Index n = b.units[3] * p.inner;
  T* value = now;
  for (Index i = b.start[0]; i < b.start[0] + b.units[0]; ++i)
    for (Index j = b.start[1]; j < b.start[1] + b.units[1]; ++j)
      for (Index k = b.start[2]; k < b.start[2] + b.units[2]; ++k, value += n) {
        if (p.reduction == reduce_mean)
          divide_boxes(p, inside_of(a[0], i) * inside_of(a[1], j) * inside_of(a[2], k), b.start[3],
                       b.units[3], value);
        T* post =
            task.post + i * a[0].post_step + j * a[1].post_step + k * a[2].post_step + b.start[3] * p.inner;
        write_units(post, 1, value, n, task.accumulate);
      }
}

template <class T>
void flat(const PoolParameters<T>& p, const Task<T>& task) {
  const auto run = p.reduction == reduce_max   ? flat_block<T, reduce_max>
                   : p.reduction == reduce_min ? flat_block<T, reduce_min>
                                               : flat_block<T, reduce_sum>;
  run(p, task);
}

}  // namespace
}  // namespace weightsharing::cpu::WEIGHTSHARING_ISA
