// Padded strips: a copy of what a block of units reads, with everything irregular (borders, strides, layers,
// g of the psp) resolved while copying, so that the kernels behind it are plain loops over neighbouring
// elements.
#pragma once

#include "cpu/program.h"
#include "primitives/padding.h"

namespace weightsharing::cpu::WEIGHTSHARING_ISA {
namespace {

inline Index row_coordinate(const StripAxis& a, Index row) {
  return a.compact ? a.offset + a.stride * (row / a.taps) + a.dilation * (row % a.taps) : a.offset + row;
}
inline Index rows_of(const StripAxis& a, Index units) {
  return a.compact ? units * a.taps : (units - 1) * a.stride + (a.taps - 1) * a.dilation + 1;
}
// Strip rows from one unit to the next.
inline Index unit_rows(const StripAxis& a) { return a.compact ? a.taps : a.stride; }

// One row of the strip (all planes) from one row of pre; `source` is null for a row outside of pre.
template <class T>
void fill_row(const Strip<T>& s, Index first, const T* source, T* row, T* scratch) {
  const StripRow& r = s.row;
  for (Index p = 0; p < r.planes; ++p) {
    T* plane = row + p * r.plane_length;
    const Index used = r.plane_entries * r.fill_units;
    fill(plane + used, T(0), r.plane_length - used);
    if (!source) {
      fill(plane, s.outside_value, used);
      if (s.rate) apply_program(*s.rate, plane, used, scratch);
      if (s.outside == outside_ignore) fill(plane, T(0), used);
      continue;
    }
    const Index u0 = first + r.plane_phase[p];
    // Entries [begin, end) lie inside pre.
    const Index to_inside = u0 < 0 ? (-u0 + r.fill_stride - 1) / r.fill_stride : 0;
    const Index begin = smaller(to_inside, r.plane_entries);
    const Index fitting = u0 < r.pre ? (r.pre - 1 - u0) / r.fill_stride + 1 : 0;
    const Index end = larger(begin, smaller(fitting, r.plane_entries));
    const T* from = source + r.plane_channel[p];
    const auto edge = [&](Index j0, Index j1) {
      for (Index j = j0; j < j1; ++j) {
        const Index u = place(u0 + j * r.fill_stride, r.pre, s.outside);
        if (u < 0)
          fill(plane + j * r.fill_units, s.outside_value, r.fill_units);
        else
          copy(plane + j * r.fill_units, from + u * r.inner, r.fill_units);
      }
    };
    edge(0, begin);
    const Index step = r.fill_stride * r.inner;
    const T* inside = from + (u0 + begin * r.fill_stride) * r.inner;
    if (step == r.fill_units) {
      copy(plane + begin * r.fill_units, inside, (end - begin) * r.fill_units);
    } else if (r.fill_units == 1) {
      for (Index j = begin; j < end; ++j) plane[j] = inside[(j - begin) * step];
    } else {
      for (Index j = begin; j < end; ++j)
        copy(plane + j * r.fill_units, inside + (j - begin) * step, r.fill_units);
    }
    edge(end, r.plane_entries);
    if (s.rate) apply_program(*s.rate, plane, used, scratch);
    if (s.outside == outside_ignore) {
      fill(plane, T(0), begin * r.fill_units);
      fill(plane + end * r.fill_units, T(0), used - end * r.fill_units);
    }
  }
}

struct Block {
  Index start[4], units[4];
};

// Units of block number `index`, last axis fastest.
template <class T>
Block block_of(const Strip<T>& s, Index index) {
  Block b;
  b.start[3] = index % s.row.blocks * s.row.block;
  b.units[3] = smaller(s.row.block, s.row.post - b.start[3]);
  index /= s.row.blocks;
  for (int d = 2; d >= 0; --d) {
    b.start[d] = index % s.axis[d].blocks * s.axis[d].block;
    b.units[d] = smaller(s.axis[d].block, s.axis[d].post - b.start[d]);
    index /= s.axis[d].blocks;
  }
  return b;
}

// Fills rows of the block's strip; only those that its units read.
template <class T>
void fill_strip(const Strip<T>& s, const Block& b, const T* pre, T* strip, T* scratch) {
  Index rows[3], first[3];
  for (int d = 0; d < 3; ++d) {
    rows[d] = rows_of(s.axis[d], b.units[d]);
    first[d] = b.start[d] * s.axis[d].stride;
  }
  const Index first_column = s.row.offset + b.start[3] * s.row.stride;
  for (Index i = 0; i < rows[0]; ++i) {
    const Index pi = place(first[0] + row_coordinate(s.axis[0], i), s.axis[0].pre, s.outside);
    for (Index j = 0; j < rows[1]; ++j) {
      const Index pj = place(first[1] + row_coordinate(s.axis[1], j), s.axis[1].pre, s.outside);
      for (Index k = 0; k < rows[2]; ++k) {
        const Index pk = place(first[2] + row_coordinate(s.axis[2], k), s.axis[2].pre, s.outside);
        const bool outside = pi < 0 || pj < 0 || pk < 0;
        const T* source =
            outside ? nullptr
                    : pre + pi * s.axis[0].pre_step + pj * s.axis[1].pre_step + pk * s.axis[2].pre_step;
        fill_row(s, first_column, source,
                 strip + i * s.axis[0].strip_step + j * s.axis[1].strip_step + k * s.axis[2].strip_step,
                 scratch);
      }
    }
  }
}

// Whether every element the block reads is smaller than `bound` in magnitude (false for NaN).
template <class T>
bool strip_below(const Strip<T>& s, const Block& b, const T* strip, T bound) {
  int bad = 0;
  const Index row = s.row.planes * s.row.plane_length;
  for (Index i = 0; i < rows_of(s.axis[0], b.units[0]); ++i)
    for (Index j = 0; j < rows_of(s.axis[1], b.units[1]); ++j)
      for (Index k = 0; k < rows_of(s.axis[2], b.units[2]); ++k) {
        const T* p = strip + i * s.axis[0].strip_step + j * s.axis[1].strip_step + k * s.axis[2].strip_step;
#pragma omp simd reduction(| : bad)
        for (Index x = 0; x < row; ++x) bad |= !(math_fabs(p[x]) < bound);
      }
  return !bad;
}

// Elements of scratch that programs need.
template <class T>
inline Index program_scratch(const ProgramView<T>* program) {
  return program ? program->slots * program_block : 0;
}

}  // namespace
}  // namespace weightsharing::cpu::WEIGHTSHARING_ISA
