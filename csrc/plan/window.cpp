#include "plan/window.h"

#include <algorithm>
#include <stdexcept>

namespace weightsharing::plan {
namespace {

// A thread's scratch: 2^31 elements are 8 GB of float32.
constexpr Index most_strip_elements = Index{1} << 31;

// The grid as the strip sees it: axes 0..2, and a last one, along which rows run, with axes behind it merged
// into its elements.
struct MergedAxes {
  std::vector<SteppedAxis> rows;  // three
  Axis last;
  Index inner = 1;      // elements of pre per coordinate of the last axis
  Index channels = 1;   // taps per coordinate: collapsed axes
  Index row_units = 1;  // units per coordinate: layers
};

MergedAxes merge_axes(std::vector<SteppedAxis> axes) {
  const auto is_collapsed = [](const Axis& a) {
    return a.post == 1 && a.taps == a.pre && a.offset == 0 && a.dilation == 1;
  };
  MergedAxes m;
  while (axes.size() > 1 && passes_through(axes.back().axis)) {
    m.inner *= axes.back().axis.pre;
    m.row_units = m.inner;
    axes.pop_back();
  }
  while (axes.size() > 1 && m.row_units == 1 && is_collapsed(axes.back().axis)) {
    m.inner *= axes.back().axis.pre;
    m.channels = m.inner;
    axes.pop_back();
  }
  m.last = axes.back().axis;
  axes.pop_back();
  fill_up(axes, 3);
  m.rows = std::move(axes);
  return m;
}

// The last axis of the strip but for its planes: how many units lie in a block.
cpu::StripRow row_of(const MergedAxes& m, Index most_elements) {
  cpu::StripRow r{};
  r.pre = m.last.pre;
  r.inner = m.inner;
  r.offset = m.last.offset;
  r.stride = m.last.stride;
  r.post = m.last.post;
  r.blocks = std::min(ceil_div(r.post * m.row_units, most_elements * 3 / 2), r.post);
  set_block(r, ceil_div(r.post, r.blocks));
  return r;
}

void finish_planes(WindowPlan& p) {
  cpu::StripRow& r = p.strip.row;
  r.planes = static_cast<Index>(p.plane_phase.size());
  r.plane_phase = p.plane_phase.data();
  r.plane_channel = p.plane_channel.data();
  r.plane_length = ceil_div(r.plane_entries * r.fill_units + cpu::slack, 16) * 16;
}

// Rows for banks: pixels with their channels, one after another.
void lay_out_pixels(WindowPlan& p, const MergedAxes& m) {
  cpu::StripRow& r = p.strip.row = row_of(m, 512);
  r.fill_stride = 1;
  r.fill_units = m.inner;
  r.plane_entries = (r.block - 1) * m.last.stride + (m.last.taps - 1) * m.last.dilation + 1;
  p.plane_phase = {0};
  p.plane_channel = {0};
  p.window.unit_step = m.last.stride * m.inner;
  finish_planes(p);
}

// Where a tap of the last axis lies in rows for windows.
struct PlanePlace {
  Index plane;  // of the tap's first channel
  Index entry;
};

// Rows for windows: planes of neighbouring units, one for each phase of the stride that a tap has and each
// channel.
std::vector<PlanePlace> lay_out_planes(WindowPlan& p, const MergedAxes& m) {
  cpu::StripRow& r = p.strip.row = row_of(m, 2048);
  r.fill_stride = m.last.stride;
  r.fill_units = m.row_units;
  std::vector<PlanePlace> places;
  std::vector<Index> phases;
  Index furthest = 0;
  for (Index k = 0; k < m.last.taps; ++k) {
    const Index phase = k * m.last.dilation % m.last.stride, entry = k * m.last.dilation / m.last.stride;
    const auto known = std::find(phases.begin(), phases.end(), phase);
    places.push_back({(known - phases.begin()) * m.channels, entry});
    if (known == phases.end()) phases.push_back(phase);
    furthest = std::max(furthest, entry);
  }
  for (Index phase : phases)
    for (Index c = 0; c < m.channels; ++c) {
      p.plane_phase.push_back(phase);
      p.plane_channel.push_back(c);
    }
  r.plane_entries = r.block + furthest;
  p.window.unit_step = r.fill_units;
  finish_planes(p);
  return places;
}

Index strip_elements(const cpu::StripShape& s) {
  return strip_rows(s.axis[0]) * strip_rows(s.axis[1]) * strip_rows(s.axis[2]) * s.row.planes *
             s.row.plane_length +
         cpu::slack * 16;
}

Index blocks_of(const cpu::StripShape& s) {
  return s.axis[0].blocks * s.axis[1].blocks * s.axis[2].blocks * s.row.blocks;
}

// Blocks grow, rows first, while the strip fits the cache and there is work for several threads; a block of
// less than about 64 thousand multiply-adds is not worth its border.
void choose_blocks(WindowPlan& p, const CpuTarget& target) {
  cpu::StripShape& s = p.strip;
  const Index wanted_blocks =
      static_cast<Index>(std::clamp(p.flops / (2 * 65536.0), 1.0, static_cast<double>(target.most_blocks)));
  // A strip beyond the cache anyhow, that of a filter as large as a field, is filled for several rows of
  // units.
  const Index most_bytes = std::max(target.cache_bytes, strip_elements(s) * target.element_bytes * 5 / 4);
  grow_blocks(s.axis, [&] {
    return strip_elements(s) * target.element_bytes <= most_bytes && blocks_of(s) >= wanted_blocks;
  });
  for (cpu::StripAxis& a : s.axis) set_block(a, ceil_div(a.post, a.blocks));  // equal blocks
  s.axis[2].strip_step = s.row.planes * s.row.plane_length;
  s.axis[1].strip_step = strip_rows(s.axis[2]) * s.axis[2].strip_step;
  s.axis[0].strip_step = strip_rows(s.axis[1]) * s.axis[1].strip_step;
  s.elements = strip_elements(s);
  p.blocks = blocks_of(s);
  if (s.elements > most_strip_elements)
    throw std::invalid_argument("the taps of the filter lie so far apart that a single row of units reads " +
                                std::to_string(s.elements) +
                                " elements; use a smaller dilation, or list the centres with subsampling");
}

// Of each unit along an axis, the taps inside pre.
std::vector<Index> counts_inside(const Axis& a, Index taps_each) {
  std::vector<Index> counts;
  for (Index q = 0; q < a.post; ++q) {
    Index inside = 0;
    for (Index k = 0; k < a.taps; ++k) {
      const Index u = a.offset + a.stride * q + a.dilation * k;
      inside += u >= 0 && u < a.pre;
    }
    counts.push_back(inside * taps_each);
  }
  return counts;
}

// Elements of the largest of the results that the passes of low rank leave, axis after axis.
Index lowrank_elements(const cpu::StripShape& s, Index row_length) {
  Index boxes = 1, most = 0;
  for (const cpu::StripAxis& a : s.axis) {
    boxes *= a.block;
    most = std::max(most, boxes * a.strip_step);
  }
  return std::max(most, boxes * row_length) + cpu::slack;
}

// Multiply-adds per unit of the low-rank passes, halos of the blocks included.
double lowrank_cost(const WindowPlan& p, std::size_t terms) {
  // Per block: a pass over each axis, first one first, on rows with their borders; then along the rows.
  const double columns = static_cast<double>(p.strip.row.block * p.window.row_units);
  double units = 1, cost = 0;
  for (const cpu::StripAxis& a : p.strip.axis) {
    units *= static_cast<double>(a.block);
    if (a.taps > 1) cost += units * static_cast<double>(a.strip_step) * static_cast<double>(a.taps + 1);
  }
  cost += units * columns * static_cast<double>(p.window.column_taps + 2);
  return static_cast<double>(terms) * cost / (units * columns);
}

}  // namespace

WindowPlan plan_window(const SharedGeometry& g, Index first_filter, Index filters, bool tapwise,
                       const CpuTarget& target) {
  const MergedAxes m = merge_axes(with_steps(g.axes[first_filter], g.filters));
  const Axis& last = m.last;
  const Index v = target.vector_elements;
  const bool bank = !tapwise && m.row_units == 1 && filters > 1 && filters * 2 >= v;

  WindowPlan p{};
  p.family = bank ? Family::bank : Family::window;
  p.reason = bank          ? std::to_string(filters) + " filters fill the vector lanes"
             : filters > 1 ? "few filters: units fill the vector lanes"
                           : "one filter: units fill the vector lanes";
  p.first_filter = first_filter;
  p.row_dilation = last.dilation;
  cpu::WindowShape& w = p.window;
  w.taps = g.taps(first_filter);
  w.filters = filters;
  w.post_offset = first_filter;
  w.post_unit = g.filters;
  w.row_units = m.row_units;
  w.filter_block = filters > 2 * v ? 4 * v : filters > v ? 2 * v : v;
  p.flops = 2.0 * static_cast<double>(g.units) * static_cast<double>(filters) * static_cast<double>(w.taps);

  std::transform(m.rows.begin(), m.rows.end(), p.strip.axis, strip_axis);
  std::vector<PlanePlace> places;
  if (bank)
    lay_out_pixels(p, m);
  else
    places = lay_out_planes(p, m);
  choose_blocks(p, target);

  const cpu::StripRow& r = p.strip.row;
  p.taps = tap_table(p.strip.axis, last, m.channels, [&](Index tap, Index channel) {
    if (bank) return tap * last.dilation * m.inner + channel;
    return (places[tap].plane + channel) * r.plane_length + places[tap].entry * r.fill_units;
  });
  w.tap_offset = p.taps.offset.data();
  w.tap_index = p.taps.index.data();
  for (int d = 0; d < 3; ++d) p.inside[d] = counts_inside(m.rows[d].axis, 1);
  p.inside[3] = counts_inside(last, m.channels);

  const cpu::StripAxis& rows = p.strip.axis[2];
  const Index n = r.block * w.row_units;
  const bool rows_adjoin = !rows.compact && rows.stride == 1 && r.planes == 1;
  w.flatten = !bank && !tapwise && rows_adjoin && rows.block > 1 && n < 4 * v;
  w.scratch_tile = bank ? 0 : (w.flatten ? (rows.block - 1) * rows.strip_step + n : 4 * n) + cpu::slack;
  w.column_taps = last.taps * m.channels;
  w.term_elements = lowrank_elements(p.strip, ceil_div(n, cpu::slack) * cpu::slack);
  p.factor_extents = {p.strip.axis[0].taps, p.strip.axis[1].taps, rows.taps, w.column_taps};
  return p;
}

WindowPlan plan_lowrank(const SharedGeometry& geometry, const WindowPlan& direct, CpuTarget target) {
  // Passes of one-dimensional filters are soon through with a block: it may be larger, and the blocks fewer.
  target.cache_bytes *= 4;
  // Each block copies its border, almost the filter's rows: it has some rows of units for them.
  const cpu::StripAxis& down = direct.strip.axis[2];
  target.most_blocks = std::clamp<Index>(down.post / std::max<Index>(8, down.taps / 8), 4, 32);
  return plan_window(geometry, direct.first_filter, direct.window.filters, false, target);
}

std::size_t most_lowrank_terms(const WindowPlan& plan) {
  const double most_cost = 0.67 * static_cast<double>(plan.window.taps);
  std::size_t terms = 0;
  while (terms < 16 && lowrank_cost(plan, terms + 1) < most_cost) ++terms;
  return terms;
}

bool suits_winograd(const WindowPlan& p) {
  const cpu::StripAxis* a = p.strip.axis;
  const cpu::StripRow& r = p.strip.row;
  const bool square = a[0].taps == 1 && a[1].taps == 1 && a[2].taps == 3 && p.window.taps == 9 * r.inner &&
                      p.window.column_taps == 3 * r.inner;
  const bool regular = a[2].stride == 1 && a[2].dilation == 1 && r.stride == 1 && p.row_dilation == 1;
  return p.family == Family::bank && square && regular && r.inner >= 32 && p.window.filters >= 32;
}

}  // namespace weightsharing::plan
