#include "plan/pool.h"

#include <algorithm>

namespace weightsharing::plan {
namespace {

// Four axes; axes behind them that pass through are merged into `inner` elements per coordinate of the last.
struct MergedAxes {
  std::vector<SteppedAxis> axes;
  Index inner = 1;
};

MergedAxes merge_axes(std::vector<SteppedAxis> axes) {
  MergedAxes m;
  while (axes.size() > 1 && passes_through(axes.back().axis)) {
    m.inner *= axes.back().axis.pre;
    axes.pop_back();
  }
  // An axis that one box covers whole belongs to the axis before it, whose boxes are then runs of elements.
  while (axes.size() > 1 && m.inner == 1 && axes.back().axis.post == 1 &&
         axes.back().axis.taps >= axes.back().axis.pre) {
    const Index covered = axes.back().axis.pre;
    axes.pop_back();
    SteppedAxis& before = axes.back();
    before.axis.pre *= covered;
    before.axis.taps *= covered;
    before.axis.stride *= covered;
    before.pre_step /= covered;
  }
  fill_up(axes, 4);
  m.axes = std::move(axes);
  return m;
}

cpu::PoolAxis pool_axis(const SteppedAxis& stepped) {
  const Axis& a = stepped.axis;
  return {a.pre,
          a.post,
          a.post == 1 ? std::min(a.taps, a.pre) : a.taps,
          a.stride,
          stepped.pre_step,
          stepped.post_step,
          1,
          a.post};
}

// Boxes that an element of pre lies in, about.
double overlap_of(const std::vector<SteppedAxis>& axes) {
  double overlap = 1;
  for (const SteppedAxis& stepped : axes) {
    const Axis& a = stepped.axis;
    if (a.post > 1) overlap *= std::max(1.0, static_cast<double>(a.taps) / static_cast<double>(a.stride));
  }
  return overlap;
}

// Elements of pre that a block reads, all (flat) or those of one row.
Index buffer_elements(const cpu::PoolShape& shape, bool flat) {
  const auto span = [&](int d) {
    const cpu::PoolAxis& a = shape.axis[d];
    return (a.block - 1) * a.stride + a.extent;
  };
  return (flat ? span(0) * span(1) * span(2) : 1) * span(3) * shape.inner;
}

Index blocks_of(const cpu::PoolShape& shape) {
  return shape.axis[0].blocks * shape.axis[1].blocks * shape.axis[2].blocks * shape.axis[3].blocks;
}

}  // namespace

PoolPlan plan_pool(const PoolingGeometry& g, const CpuTarget& target) {
  const MergedAxes m = merge_axes(with_steps(g.axes, 1));
  PoolPlan p{};
  p.flat = overlap_of(m.axes) >= 3;
  p.reason = p.flat ? "boxes overlap: windows of width w from windows of width w/2"
                    : "boxes hardly overlap: rows are combined whole";
  p.flops = static_cast<double>(volume(g.post, "post"));
  for (const SteppedAxis& stepped : m.axes)
    p.flops *= static_cast<double>(std::min(stepped.axis.taps, stepped.axis.pre));

  cpu::PoolShape& shape = p.pool;
  shape.inner = m.inner;
  std::transform(m.axes.begin(), m.axes.end(), shape.axis, pool_axis);
  cpu::PoolAxis& last = shape.axis[3];
  const Index row_block = 4096 / std::max<Index>(1, last.stride * shape.inner);
  set_block(last, std::max<Index>(1, std::min(last.post, row_block)));
  const double work = static_cast<double>(volume(g.pre, "pre"));
  const Index wanted_blocks = static_cast<Index>(std::clamp(work / 65536.0, 1.0, 32.0));
  grow_blocks(shape.axis, [&] {
    const bool fits = !p.flat || buffer_elements(shape, true) * target.element_bytes <= target.cache_bytes;
    return fits && blocks_of(shape) >= wanted_blocks;
  });
  shape.buffer_elements = buffer_elements(shape, p.flat) + cpu::slack;
  p.blocks = blocks_of(shape);
  return p;
}

}  // namespace weightsharing::plan
