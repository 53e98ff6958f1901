// Axes with their steps through memory, and blocks of units along them.
#pragma once

#include <algorithm>
#include <vector>

#include "weightsharing/projection.h"

namespace weightsharing::plan {

// What the plan must know of the processor.
struct CpuTarget {
  Index vector_elements;  // of the dtype, in one register
  Index element_bytes;
  Index cache_bytes =
      192 << 10;  // for a strip: most of a second-level cache that is shared with results and weights
  Index most_blocks = 32;  // that a plan makes for the sake of threads alone
};

struct SteppedAxis {
  Axis axis;
  Index pre_step, post_step;  // elements from one coordinate, or unit, to the next
};

// The grid's axes; `unit` elements of post per grid unit.
inline std::vector<SteppedAxis> with_steps(const std::vector<Axis>& axes, Index unit) {
  std::vector<SteppedAxis> stepped(axes.size());
  Index pre_step = 1, post_step = unit;
  for (std::size_t d = axes.size(); d-- > 0;) {
    stepped[d] = {axes[d], pre_step, axes[d].post == 1 ? 0 : post_step};
    pre_step *= axes[d].pre;
    post_step *= axes[d].post;
  }
  return stepped;
}

// Trivial axes in front, until there are `count`.
inline void fill_up(std::vector<SteppedAxis>& axes, std::size_t count) {
  while (axes.size() < count) axes.insert(axes.begin(), SteppedAxis{Axis{}, 0, 0});
}

// Whether unit q reads coordinate q and no other.
inline bool passes_through(const Axis& a) {
  return a.taps == 1 && a.stride == 1 && a.offset == 0 && a.pre == a.post;
}

inline Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }

template <class A>
void set_block(A& axis, Index block) {
  axis.block = block;
  axis.blocks = ceil_div(axis.post, block);
}

// Doubles the blocks of axis 2, then of axis 1, then of axis 0, as long as `fits()` says so.
template <class A, class Fits>
void grow_blocks(A* axis, const Fits& fits) {
  for (int d = 2; d >= 0; --d)
    while (axis[d].block < axis[d].post) {
      const Index before = axis[d].block;
      set_block(axis[d], std::min(2 * before, axis[d].post));
      if (fits()) continue;
      set_block(axis[d], before);
      return;
    }
}

}  // namespace weightsharing::plan
