#include "plan/gather.h"

#include <algorithm>

namespace weightsharing::plan {
namespace {

// Centres as coordinates on four axes, those in front trivial.
class Centres {
 public:
  explicit Centres(const SharedGeometry& g) : listed_(*g.listed), units_(g.units), rank_(g.rank()) {}

  Index operator()(Index unit, int d) const {
    const int front = 4 - rank_;
    return d < front ? 0 : listed_[unit * rank_ + d - front];
  }
  // The lowest and the highest coordinate on an axis.
  std::pair<Index, Index> range(int d) const {
    Index lowest = (*this)(0, d), highest = lowest;
    for (Index u = 1; u < units_; ++u) {
      lowest = std::min(lowest, (*this)(u, d));
      highest = std::max(highest, (*this)(u, d));
    }
    return {lowest, highest};
  }

 private:
  const std::vector<Index>& listed_;
  Index units_;
  int rank_;
};

// The axis of a padded copy that has a unit at every coordinate from the lowest centre to the highest.
Axis copied(Axis a, Index lowest, Index highest) {
  a.post = highest - lowest + 1;
  a.offset += lowest;
  a.stride = 1;
  return a;
}

cpu::StripRow row_of(const Axis& a) {
  cpu::StripRow r{};
  r.pre = a.pre;
  r.offset = a.offset;
  r.post = r.block = a.post;
  r.inner = r.stride = r.blocks = r.fill_stride = r.fill_units = r.planes = 1;
  r.plane_entries = a.post + (a.taps - 1) * a.dilation;
  r.plane_length = ceil_div(r.plane_entries + cpu::slack, 16) * 16;
  return r;
}

}  // namespace

GatherPlan plan_gather(const SharedGeometry& g, Index first_filter, Index filters) {
  GatherPlan p{};
  p.first_filter = first_filter;
  p.plane = {0};
  cpu::GatherShape& shape = p.gather;
  shape.taps = g.taps(first_filter);
  shape.units = g.units;
  shape.block = 512;
  shape.filters = filters;
  shape.post_offset = first_filter;
  shape.post_unit = g.filters;
  p.blocks = ceil_div(shape.units, shape.block);
  p.flops =
      2.0 * static_cast<double>(g.units) * static_cast<double>(filters) * static_cast<double>(shape.taps);

  std::vector<SteppedAxis> axes = with_steps(g.axes[first_filter], 1);
  fill_up(axes, 4);
  const Centres centre(g);
  Index lowest[4];
  cpu::StripShape& s = p.strip;
  for (int d = 0; d < 4; ++d) {
    const auto [low, high] = centre.range(d);
    lowest[d] = low;
    const Axis a = copied(axes[d].axis, low, high);
    if (d == 3) {
      s.row = row_of(a);
      break;
    }
    s.axis[d] = strip_axis({a, axes[d].pre_step, 0});
    s.axis[d].compact = false;
    set_block(s.axis[d], a.post);
  }
  s.row.plane_phase = s.row.plane_channel = p.plane.data();
  Index rows[3], step = s.row.plane_length;
  for (int d = 2; d >= 0; --d) {
    rows[d] = strip_rows(s.axis[d]);
    s.axis[d].strip_step = step;
    step *= rows[d];
  }
  s.elements = volume({rows[0], rows[1], rows[2], s.row.plane_length}, "the padded copy of pre");
  p.prepare_blocks = rows[0] * rows[1] * rows[2];

  for (Index u = 0; u < g.units; ++u) {
    Index base = 0;
    for (int d = 0; d < 4; ++d) {
      base += (centre(u, d) - lowest[d]) * (d < 3 ? s.axis[d].strip_step : 1);
      p.coordinate.push_back(centre(u, d) + axes[d].axis.offset);
    }
    p.base.push_back(base);
  }
  const Axis& last = axes[3].axis;
  p.taps = tap_table(s.axis, last, 1, [&](Index tap, Index) { return tap * last.dilation; });
  shape.base = p.base.data();
  shape.coordinate = p.coordinate.data();
  shape.tap_offset = p.taps.offset.data();
  shape.tap_index = p.taps.index.data();
  return p;
}

}  // namespace weightsharing::plan
