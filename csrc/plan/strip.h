// What the plans of windows and of listed centres have in common: axes of a padded strip, and where taps lie
// in it.
#pragma once

#include <vector>

#include "cpu/shapes.h"
#include "plan/axes.h"

namespace weightsharing::plan {

// In blocks of one unit; strip_step is for later.
inline cpu::StripAxis strip_axis(const SteppedAxis& stepped) {
  const Axis& a = stepped.axis;
  cpu::StripAxis s{};
  s.pre = a.pre;
  s.post = a.post;
  s.taps = a.taps;
  s.stride = a.stride;
  s.dilation = a.dilation;
  s.offset = a.offset;
  s.compact = a.stride > (a.taps - 1) * a.dilation + 1;
  s.pre_step = stepped.pre_step;
  s.post_step = stepped.post_step;
  set_block(s, 1);
  return s;
}

// Of a block.
inline Index strip_rows(const cpu::StripAxis& a) {
  return a.compact ? a.block * a.taps : (a.block - 1) * a.stride + (a.taps - 1) * a.dilation + 1;
}

struct TapTable {
  std::vector<Index> offset;
  std::vector<std::int32_t> index;  // [tap][4]
};

// Taps in the order of the weights: axes 0..2, last axis, channel. column(tap, channel): elements along a row
// of the strip.
template <class Column>
TapTable tap_table(const cpu::StripAxis (&axis)[3], const Axis& last, Index channels, const Column& column) {
  const auto along = [&](int d, Index tap) {
    return tap * (axis[d].compact ? 1 : axis[d].dilation) * axis[d].strip_step;
  };
  TapTable table;
  for (Index i = 0; i < axis[0].taps; ++i)
    for (Index j = 0; j < axis[1].taps; ++j)
      for (Index k = 0; k < axis[2].taps; ++k)
        for (Index x = 0; x < last.taps; ++x)
          for (Index c = 0; c < channels; ++c) {
            table.offset.push_back(along(0, i) + along(1, j) + along(2, k) + column(x, c));
            for (Index index : {i, j, k, x * last.dilation})
              table.index.push_back(static_cast<std::int32_t>(index));
          }
  return table;
}

}  // namespace weightsharing::plan
