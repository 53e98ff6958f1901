// Pooling: rows are combined whole, which is one vector operation per element of pre, and then reduced along
// the last axis.
#pragma once

#include "cpu/window.h"

namespace weightsharing::cpu::WEIGHTSHARING_ISA {
namespace {

inline Block block_of(const PoolAxis* axis, Index index) {
  Block b;
  for (int d = 3; d >= 0; --d) {
    b.start[d] = index % axis[d].blocks * axis[d].block;
    b.units[d] = smaller(axis[d].block, axis[d].post - b.start[d]);
    index /= axis[d].blocks;
  }
  return b;
}

// Coordinates [begin, end) of the box of unit q, inside pre.
struct Span {
  Index begin, end;
};
inline Span span_of(const PoolAxis& a, Index q) {
  return {q * a.stride, smaller(q * a.stride + a.extent, a.pre)};
}
inline Index inside_of(const PoolAxis& a, Index q) { return span_of(a, q).end - span_of(a, q).begin; }

template <class T, int reduction>
inline void combine_rows(T* __restrict__ acc, const T* __restrict__ row, Index n) {
#pragma omp simd
  for (Index i = 0; i < n; ++i) acc[i] = combine<reduction, true>(acc[i], row[i]);
}

// Rows of n elements that are combined into one; sums of many rows in levels, as Tower does, on `levels`
// buffers.
template <class T, int reduction>
struct RowPile {
  static constexpr int levels = 5, rows_per_level = 16;
  T* level[levels];
  Index n;
  int count[levels] = {};

  RowPile(T* buffers, Index step, Index elements) : n(elements) {
    for (int d = 0; d < levels; ++d) level[d] = buffers + d * step;
  }
  void add(const T* row) {
    for (int d = 0;; ++d) {
      if (count[d] == 0)
        copy(level[d], row, n);
      else
        combine_rows<T, reduction>(level[d], row, n);
      ++count[d];
      if (reduction != reduce_sum || count[d] < rows_per_level || d == levels - 1) return;
      count[d] = 0;
      row = level[d];
    }
  }
  // At least one row was added.
  const T* total() {
    T* sum = nullptr;
    for (int d = 0; d < levels; ++d) {
      if (count[d] == 0) continue;
      if (sum) combine_rows<T, reduction>(level[d], sum, n);
      sum = level[d];
    }
    return sum;
  }
};

// Reduction of n neighbours; sums by halves.
template <class T, int reduction>
inline T reduce_run(const T* p, Index n) {
  if (reduction == reduce_sum && n > 16) {
    const Index half = n / 2;
    return reduce_run<T, reduction>(p, half) + reduce_run<T, reduction>(p + half, n - half);
  }
  T value = p[0];
  for (Index k = 1; k < n; ++k) value = combine<reduction, true>(value, p[k]);
  return value;
}

// out[q][c] := reduction over the box of unit q of row[coordinate - first][c]. S: the stride and extent when
// they are equal and known, 0 otherwise.
template <class T, int reduction, int S>
inline void reduce_row(const PoolAxis& a, Index inner, Index start, Index units, const T* __restrict__ row,
                       T* __restrict__ out, T* buffers, Index buffer_step) {
  const Index first = start * a.stride;
  if constexpr (S > 0) {
    // Whole boxes only; the vectoriser turns the constant stride into shuffles.
    const Index whole = smaller(units, larger(0, a.pre / S - start));
#pragma omp simd
    for (Index q = 0; q < whole; ++q) {
      T value = row[q * S];
      for (int k = 1; k < S; ++k) value = combine<reduction, true>(value, row[q * S + k]);
      out[q] = value;
    }
    if (whole < units)
      reduce_row<T, reduction, 0>(a, inner, start + whole, units - whole, row + whole * S, out + whole,
                                  buffers, buffer_step);
  } else {
    for (Index q = 0; q < units; ++q) {
      const Span s = span_of(a, start + q);
      const T* p = row + (s.begin - first) * inner;
      T* o = out + q * inner;
      if (inner == 1) {
        o[0] = reduce_run<T, reduction>(p, s.end - s.begin);
        continue;
      }
      RowPile<T, reduction> pile(buffers, buffer_step, inner);
      for (Index k = 0; k < s.end - s.begin; ++k) pile.add(p + k * inner);
      copy(o, pile.total(), inner);
    }
  }
}

template <class T>
void divide_boxes(const PoolParameters<T>& p, Index outer_count, Index start, Index units, T* value) {
  for (Index q = 0; q < units; ++q) {
    const T count = static_cast<T>(outer_count * inside_of(p.axis[3], start + q));
    for (Index c = 0; c < p.inner; ++c) value[q * p.inner + c] /= count;
  }
}

template <class T, int reduction>
void pool_block(const PoolParameters<T>& p, const Task<T>& task) {
  const PoolAxis* a = p.axis;
  const Block b = block_of(a, task.block);
  const Index step = p.buffer_elements;
  T* across = task.scratch;                                  // levels of the rows
  T* along = across + RowPile<T, reduction>::levels * step;  // levels of the last axis
  T* extra = along + RowPile<T, reduction>::levels * step;   // g(row), then results
  T* program = extra + step;
  const Index first = b.start[3] * a[3].stride;
  const Index n = (span_of(a[3], b.start[3] + b.units[3] - 1).end - first) * p.inner;
  for (Index i = b.start[0]; i < b.start[0] + b.units[0]; ++i)
    for (Index j = b.start[1]; j < b.start[1] + b.units[1]; ++j)
      for (Index k = b.start[2]; k < b.start[2] + b.units[2]; ++k) {
        const Span si = span_of(a[0], i), sj = span_of(a[1], j), sk = span_of(a[2], k);
        RowPile<T, reduction> pile(across, step, n);
        for (Index u = si.begin; u < si.end; ++u)
          for (Index v = sj.begin; v < sj.end; ++v)
            for (Index w = sk.begin; w < sk.end; ++w) {
              const T* row =
                  task.pre + u * a[0].pre_step + v * a[1].pre_step + w * a[2].pre_step + first * p.inner;
              if (p.rate) {
                copy(extra, row, n);
                apply_program(*p.rate, extra, n, program);
                row = extra;
              }
              pile.add(row);
            }
        T* post =
            task.post + i * a[0].post_step + j * a[1].post_step + k * a[2].post_step + b.start[3] * p.inner;
        T* out = task.accumulate ? extra : post;
        const bool pairs = p.inner == 1 && a[3].stride == 2 && a[3].extent == 2;
        (pairs ? reduce_row<T, reduction, 2> : reduce_row<T, reduction, 0>)(a[3], p.inner, b.start[3],
                                                                            b.units[3], pile.total(), out,
                                                                            along, step);
        if (p.reduction == reduce_mean)
          divide_boxes(p, (si.end - si.begin) * (sj.end - sj.begin) * (sk.end - sk.begin), b.start[3],
                       b.units[3], out);
        if (task.accumulate) write_units(post, 1, out, b.units[3] * p.inner, true);
      }
}

template <class T>
void pool(const PoolParameters<T>& p, const Task<T>& task) {
  const auto run = p.reduction == reduce_max   ? pool_block<T, reduce_max>
                   : p.reduction == reduce_min ? pool_block<T, reduce_min>
                                               : pool_block<T, reduce_sum>;
  run(p, task);
}

}  // namespace
}  // namespace weightsharing::cpu::WEIGHTSHARING_ISA
