#include "plan/choose.h"

#include <algorithm>
#include <stdexcept>

namespace weightsharing::plan {
namespace {

struct Entry {
  Axis axis;
  Index pre_step, post_step;
};

// A thread's scratch: 2^31 elements are 8 GB of float32.
constexpr Index most_strip_elements = Index{1} << 31;

Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }

// The grid's axes with their steps through memory; `unit` elements of post per grid unit.
std::vector<Entry> entries_of(const std::vector<Axis>& axes, Index unit) {
  std::vector<Entry> entries(axes.size());
  Index pre_step = 1, post_step = unit;
  for (std::size_t d = axes.size(); d-- > 0;) {
    entries[d] = {axes[d], pre_step, axes[d].post == 1 ? 0 : post_step};
    pre_step *= axes[d].pre;
    post_step *= axes[d].post;
  }
  return entries;
}

bool passes_through(const Axis& a) {
  return a.taps == 1 && a.stride == 1 && a.offset == 0 && a.pre == a.post;
}
bool collapsed(const Axis& a) { return a.post == 1 && a.taps == a.pre && a.offset == 0 && a.dilation == 1; }

cpu::StripAxis strip_axis(const Axis& a, Index pre_step, Index post_step) {
  cpu::StripAxis s{};
  s.pre = a.pre;
  s.post = a.post;
  s.taps = a.taps;
  s.stride = a.stride;
  s.dilation = a.dilation;
  s.offset = a.offset;
  s.compact = a.stride > (a.taps - 1) * a.dilation + 1;
  s.block = 1;
  s.blocks = a.post;
  s.pre_step = pre_step;
  s.post_step = post_step;
  return s;
}

Index rows(const cpu::StripAxis& a) {
  return a.compact ? a.block * a.taps : (a.block - 1) * a.stride + (a.taps - 1) * a.dilation + 1;
}

void set_block(cpu::StripAxis& a, Index block) {
  a.block = block;
  a.blocks = ceil_div(a.post, block);
}

}  // namespace

std::vector<std::pair<Index, Index>> equal_runs(const SharedGeometry& g) {
  if (g.axes.size() == 1) return {{0, g.filters}};
  const auto same = [](const std::vector<Axis>& a, const std::vector<Axis>& b) {
    for (std::size_t d = 0; d < a.size(); ++d)
      if (a[d].taps != b[d].taps) return false;
    return true;
  };
  std::vector<std::pair<Index, Index>> runs;
  for (Index f = 0; f < g.filters; ++f)
    if (f && same(g.axes[f], g.axes[f - 1]))
      runs.back().second = f + 1;
    else
      runs.push_back({f, f + 1});
  return runs;
}

WindowPlan plan_window(const SharedGeometry& g, Index first_filter, Index filters, bool tapwise,
                       const CpuTarget& target) {
  WindowPlan p{};
  p.first_filter = first_filter;
  p.filters = filters;
  p.taps = g.taps(first_filter);
  p.post_unit = g.filters;

  std::vector<Entry> entries = entries_of(g.axes[first_filter], g.filters);
  Index inner = 1, inner_taps = 1;
  p.row_units = 1;
  while (entries.size() > 1 && inner_taps == 1 && passes_through(entries.back().axis)) {
    inner *= entries.back().axis.pre;
    p.row_units = inner;
    entries.pop_back();
  }
  while (entries.size() > 1 && p.row_units == 1 && collapsed(entries.back().axis)) {
    inner *= entries.back().axis.pre;
    inner_taps = inner;
    entries.pop_back();
  }
  const Axis last = entries.back().axis;
  entries.pop_back();
  while (entries.size() < 3) entries.insert(entries.begin(), Entry{Axis{}, 0, 0});
  for (int d = 0; d < 3; ++d)
    p.axis[d] = strip_axis(entries[d].axis, entries[d].pre_step, entries[d].post_step);

  const bool bank = !tapwise && p.row_units == 1 && filters > 1 && filters * 2 >= target.vector_elements;
  p.family = bank ? Family::bank : Family::window;
  const Index v = target.vector_elements;
  p.filter_block = filters > 2 * v ? 4 * v : filters > v ? 2 * v : v;

  // The last axis: `planes` of neighbouring units for windows, pixels with their channels for banks.
  cpu::StripRow& r = p.row;
  r.pre = last.pre;
  r.inner = inner;
  r.offset = last.offset;
  r.stride = last.stride;
  r.post = last.post;
  p.row_dilation = last.dilation;
  const Index most_elements = bank ? 512 : 2048;
  r.blocks = ceil_div(r.post * p.row_units, most_elements * 3 / 2);
  r.blocks = std::min(r.blocks, r.post);
  r.block = ceil_div(r.post, r.blocks);
  r.blocks = ceil_div(r.post, r.block);
  std::vector<Index> plane_of(last.taps), entry_of(last.taps);
  if (bank) {
    r.fill_stride = 1;
    r.fill_units = inner;
    p.plane_phase = {0};
    p.plane_channel = {0};
    r.plane_entries = (r.block - 1) * last.stride + (last.taps - 1) * last.dilation + 1;
    p.unit_step = last.stride * inner;
  } else {
    r.fill_stride = last.stride;
    r.fill_units = p.row_units;
    std::vector<Index> phases;
    Index furthest = 0;
    for (Index k = 0; k < last.taps; ++k) {
      const Index phase = k * last.dilation % last.stride;
      const auto known = std::find(phases.begin(), phases.end(), phase);
      plane_of[k] = (known - phases.begin()) * inner_taps;
      if (known == phases.end()) phases.push_back(phase);
      entry_of[k] = k * last.dilation / last.stride;
      furthest = std::max(furthest, entry_of[k]);
    }
    for (Index phase : phases)
      for (Index c = 0; c < inner_taps; ++c) {
        p.plane_phase.push_back(phase);
        p.plane_channel.push_back(c);
      }
    r.plane_entries = r.block + furthest;
    p.unit_step = r.fill_units;
  }
  r.planes = static_cast<Index>(p.plane_phase.size());
  r.plane_length = ceil_div(r.plane_entries * r.fill_units + cpu::slack, 16) * 16;

  // Blocks grow, rows first, while the strip fits the cache and there is work for several threads; a block of
  // less than about 64 thousand multiply-adds is not worth its border.
  p.flops = 2.0 * static_cast<double>(g.units) * static_cast<double>(filters) * static_cast<double>(p.taps);
  const Index wanted_blocks =
      static_cast<Index>(std::clamp(p.flops / (2 * 65536.0), 1.0, static_cast<double>(target.most_blocks)));
  const auto strip_elements = [&] {
    return rows(p.axis[0]) * rows(p.axis[1]) * rows(p.axis[2]) * r.planes * r.plane_length + cpu::slack * 16;
  };
  // A strip beyond the cache anyhow, that of a filter as large as a field, is filled for several rows of
  // units.
  const Index most_bytes = std::max(target.cache_bytes, strip_elements() * target.element_bytes * 5 / 4);
  const auto blocks = [&] { return p.axis[0].blocks * p.axis[1].blocks * p.axis[2].blocks * r.blocks; };
  for (int d = 2; d >= 0; --d)
    while (p.axis[d].block < p.axis[d].post) {
      const Index before = p.axis[d].block;
      set_block(p.axis[d], std::min(2 * before, p.axis[d].post));
      if (strip_elements() * target.element_bytes > most_bytes || blocks() < wanted_blocks) {
        set_block(p.axis[d], before);
        d = -1;
        break;
      }
    }
  for (cpu::StripAxis& a : p.axis) set_block(a, ceil_div(a.post, a.blocks));  // equal blocks
  p.axis[2].strip_step = r.planes * r.plane_length;
  p.axis[1].strip_step = rows(p.axis[2]) * p.axis[2].strip_step;
  p.axis[0].strip_step = rows(p.axis[1]) * p.axis[1].strip_step;
  p.strip_elements = strip_elements();
  p.blocks = blocks();
  if (p.strip_elements > most_strip_elements)
    throw std::invalid_argument("the taps of the filter lie so far apart that a single row of units reads " +
                                std::to_string(p.strip_elements) +
                                " elements; use a smaller dilation, or list the centres with subsampling");

  const Index n = r.block * p.row_units;
  const bool rows_adjoin = !p.axis[2].compact && p.axis[2].stride == 1 && r.planes == 1;
  p.flatten = !bank && !tapwise && rows_adjoin && p.axis[2].block > 1 && n < 4 * target.vector_elements;

  // Taps in the order of the weights: axes 0..2, last axis, channel.
  for (Index i = 0; i < p.axis[0].taps; ++i)
    for (Index j = 0; j < p.axis[1].taps; ++j)
      for (Index k = 0; k < p.axis[2].taps; ++k)
        for (Index x = 0; x < last.taps; ++x)
          for (Index c = 0; c < inner_taps; ++c) {
            const auto along = [&](int d, Index t) {
              return t * (p.axis[d].compact ? 1 : p.axis[d].dilation) * p.axis[d].strip_step;
            };
            const Index column = bank ? x * last.dilation * inner + c
                                      : (plane_of[x] + c) * r.plane_length + entry_of[x] * r.fill_units;
            p.tap_offset.push_back(along(0, i) + along(1, j) + along(2, k) + column);
            for (Index index : {i, j, k, x * last.dilation})
              p.tap_index.push_back(static_cast<std::int32_t>(index));
          }
  for (int d = 0; d < 4; ++d) {
    const Axis a = d < 3 ? entries[d].axis : last;
    for (Index q = 0; q < a.post; ++q) {
      Index inside = 0;
      for (Index k = 0; k < a.taps; ++k) {
        const Index u = a.offset + a.stride * q + a.dilation * k;
        inside += u >= 0 && u < a.pre;
      }
      p.inside[d].push_back(inside * (d == 3 ? inner_taps : 1));
    }
  }

  p.factor_extents = {p.axis[0].taps, p.axis[1].taps, p.axis[2].taps, last.taps * inner_taps};
  p.column_taps = last.taps * inner_taps;
  const Index length = ceil_div(n, cpu::slack) * cpu::slack;
  Index boxes = 1;
  for (const cpu::StripAxis& a : p.axis) {
    boxes *= a.block;
    p.term_elements = std::max(p.term_elements, boxes * a.strip_step);
  }
  p.term_elements = std::max(p.term_elements, boxes * length) + cpu::slack;
  const Index run = (p.axis[2].block - 1) * p.axis[2].strip_step + n;
  p.scratch_tile = bank ? 0 : (p.flatten ? run : 4 * n) + cpu::slack;
  p.reason = bank          ? std::to_string(filters) + " filters fill the vector lanes"
             : filters > 1 ? "few filters: units fill the vector lanes"
                           : "one filter: units fill the vector lanes";
  return p;
}

double lowrank_cost(const WindowPlan& p, std::size_t terms) {
  // Per block: a pass over each axis, first one first, on rows with their borders; then along the rows.
  const double columns = static_cast<double>(p.row.block * p.row_units);
  double units = 1, cost = 0;
  for (const cpu::StripAxis& a : p.axis) {
    units *= static_cast<double>(a.block);
    if (a.taps > 1) cost += units * static_cast<double>(a.strip_step) * static_cast<double>(a.taps + 1);
  }
  cost += units * columns * static_cast<double>(p.column_taps + 2);
  return static_cast<double>(terms) * cost / (units * columns);
}

GatherPlan plan_gather(const SharedGeometry& g, Index first_filter, Index filters) {
  GatherPlan p{};
  p.first_filter = first_filter;
  p.filters = filters;
  p.taps = g.taps(first_filter);
  p.units = g.units;
  p.block = 512;
  p.blocks = ceil_div(p.units, p.block);
  p.flops = 2.0 * static_cast<double>(g.units) * static_cast<double>(filters) * static_cast<double>(p.taps);

  const int rank = g.rank();
  std::vector<Axis> axes(4 - rank, Axis{});
  axes.insert(axes.end(), g.axes[first_filter].begin(), g.axes[first_filter].end());
  Index lowest[4] = {}, highest[4] = {};
  const auto centre = [&](Index unit, int d) {
    return d < 4 - rank ? Index{0} : (*g.listed)[unit * rank + d - (4 - rank)];
  };
  for (int d = 0; d < 4; ++d) {
    lowest[d] = highest[d] = centre(0, d);
    for (Index u = 1; u < g.units; ++u) {
      lowest[d] = std::min(lowest[d], centre(u, d));
      highest[d] = std::max(highest[d], centre(u, d));
    }
  }
  // The padded copy: every coordinate from the lowest first tap to the highest last one.
  Index pre_step = 1, entries[4];
  for (int d = 3; d >= 0; --d) {
    Axis a = axes[d];
    a.post = highest[d] - lowest[d] + 1;
    a.offset += lowest[d];
    a.stride = 1;
    entries[d] = a.post + (a.taps - 1) * a.dilation;
    if (d < 3) {
      p.axis[d] = strip_axis(a, pre_step, 0);
      p.axis[d].compact = false;
      set_block(p.axis[d], a.post);
    } else {
      p.row.pre = a.pre;
      p.row.offset = a.offset;
      p.row.post = p.row.block = a.post;
    }
    pre_step *= a.pre;
  }
  p.row.inner = p.row.stride = p.row.blocks = p.row.fill_stride = p.row.fill_units = p.row.planes = 1;
  p.row.plane_entries = entries[3];
  p.row.plane_length = ceil_div(entries[3] + cpu::slack, 16) * 16;
  Index step[4] = {0, 0, p.row.plane_length, 1};
  step[1] = entries[2] * step[2];
  step[0] = entries[1] * step[1];
  for (int d = 0; d < 3; ++d) p.axis[d].strip_step = step[d];
  p.strip_elements =
      volume({entries[0], entries[1], entries[2], p.row.plane_length}, "the padded copy of pre");
  p.prepare_blocks = entries[0] * entries[1] * entries[2];

  for (Index u = 0; u < g.units; ++u) {
    Index base = 0;
    for (int d = 0; d < 4; ++d) {
      base += (centre(u, d) - lowest[d]) * step[d];
      p.coordinate.push_back(centre(u, d) + axes[d].offset);
    }
    p.base.push_back(base);
  }
  for (Index i = 0; i < axes[0].taps; ++i)
    for (Index j = 0; j < axes[1].taps; ++j)
      for (Index k = 0; k < axes[2].taps; ++k)
        for (Index x = 0; x < axes[3].taps; ++x) {
          p.tap_offset.push_back(i * axes[0].dilation * step[0] + j * axes[1].dilation * step[1] +
                                 k * axes[2].dilation * step[2] + x * axes[3].dilation);
          for (Index index : {i, j, k, x * axes[3].dilation})
            p.tap_index.push_back(static_cast<std::int32_t>(index));
        }
  return p;
}

PoolPlan plan_pool(const PoolingGeometry& g, const CpuTarget& target) {
  PoolPlan p{};
  std::vector<Entry> entries = entries_of(g.axes, 1);
  p.inner = 1;
  while (entries.size() > 1 && passes_through(entries.back().axis)) {
    p.inner *= entries.back().axis.pre;
    entries.pop_back();
  }
  // An axis that one box covers whole belongs to the axis before it, whose boxes are then runs of elements.
  while (entries.size() > 1 && p.inner == 1 && entries.back().axis.post == 1 &&
         entries.back().axis.taps >= entries.back().axis.pre) {
    const Index c = entries.back().axis.pre;
    entries.pop_back();
    Entry& e = entries.back();
    e.axis.pre *= c;
    e.axis.taps *= c;
    e.axis.stride *= c;
    e.pre_step /= c;
  }
  while (entries.size() < 4) entries.insert(entries.begin(), Entry{Axis{}, 0, 0});

  double overlap = 1;
  p.flops = static_cast<double>(volume(g.post, "post"));
  for (int d = 0; d < 4; ++d) {
    const Axis& a = entries[d].axis;
    const Index extent = std::min(a.taps, a.pre);
    p.axis[d] = {
        a.pre, a.post, a.post == 1 ? extent : a.taps, a.stride, entries[d].pre_step, entries[d].post_step,
        1,     a.post};
    p.flops *= static_cast<double>(extent);
    if (a.post > 1) overlap *= std::max(1.0, static_cast<double>(a.taps) / static_cast<double>(a.stride));
  }
  p.flat = overlap >= 3;
  p.reason = p.flat ? "boxes overlap: windows of width w from windows of width w/2"
                    : "boxes hardly overlap: rows are combined whole";

  cpu::PoolAxis& x = p.axis[3];
  const auto span = [&](int d) { return (p.axis[d].block - 1) * p.axis[d].stride + p.axis[d].extent; };
  const auto set = [&](int d, Index block) {
    p.axis[d].block = block;
    p.axis[d].blocks = ceil_div(p.axis[d].post, block);
  };
  set(3, std::max<Index>(1, std::min(x.post, 4096 / std::max<Index>(1, x.stride * p.inner))));
  const auto elements = [&] {
    return p.flat ? span(0) * span(1) * span(2) * span(3) * p.inner : span(3) * p.inner;
  };
  const auto blocks = [&] {
    return p.axis[0].blocks * p.axis[1].blocks * p.axis[2].blocks * p.axis[3].blocks;
  };
  const double work = static_cast<double>(volume(g.pre, "pre"));
  const Index wanted_blocks = static_cast<Index>(std::clamp(work / 65536.0, 1.0, 32.0));
  for (int d = 2; d >= 0; --d)
    while (p.axis[d].block < p.axis[d].post) {
      const Index before = p.axis[d].block;
      set(d, std::min(2 * before, p.axis[d].post));
      const bool fits = !p.flat || elements() * target.element_bytes <= target.cache_bytes;
      if (!fits || blocks() < wanted_blocks) {
        set(d, before);
        d = -1;
        break;
      }
    }
  p.buffer_elements = elements() + cpu::slack;
  p.blocks = blocks();
  return p;
}

}  // namespace weightsharing::plan
