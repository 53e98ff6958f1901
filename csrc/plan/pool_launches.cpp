#include "plan/pool_launches.h"

#include <algorithm>
#include <vector>

#include "plan/levels.h"

namespace weightsharing::plan {
namespace {

// pool_rows and pool_2x2 count the elements of a row of pre in 32 bits, and a few threads beyond it.
constexpr Index most_elements_of_a_row = (Index{1} << 31) - (Index{1} << 16);

// Why boxes with two rows of two cannot go to pool_2x2, or nothing.
std::string hindrance_of_2x2(const std::vector<AxisInMemory>& entries, Index inner, Index wide) {
  const Axis last = entries.back().axis, row = entries[entries.size() - 2].axis;
  if (row.taps != 2) return "the rows of a box are apart by more than a row of pre";
  for (const Axis& a : {row, last}) {
    if (a.post > 1 && a.stride != 2) return "boxes are not side by side";
    if (2 * a.post > a.pre) return "boxes are clipped at the border";
  }
  const bool whole = inner > 1 ? inner % wide == 0 : last.pre % wide == 0 && last.post % (wide / 2) == 0;
  return whole ? "" : "rows are not whole vectors of 16 bytes";
}

std::vector<AxisInMemory> axes_of(const PoolingGeometry& g) {
  std::vector<AxisInMemory> entries(g.axes.size());
  std::int64_t pre_step = 1, post_step = 1;
  for (std::size_t d = g.axes.size(); d-- > 0;) {
    entries[d] = {g.axes[d], pre_step, post_step};
    pre_step *= g.axes[d].pre;
    post_step *= g.axes[d].post;
  }
  return entries;
}

void set_axes(PoolLaunchPlan& p, std::vector<AxisInMemory> entries) {
  while (entries.size() < 4) entries.insert(entries.begin(), AxisInMemory{Axis{}, 0, 0});
  for (int d = 0; d < 4; ++d) {
    const Axis& a = entries[d].axis;
    // A box may not reach further than pre: extents are clipped, so that sums of coordinates stay small.
    p.axis[d] = {narrow(a.pre, "an extent of pre"), narrow(a.post, "an extent of post"),
                 narrow(std::min(a.taps, a.pre), "an extent"), narrow(std::min(a.stride, a.pre), "a stride")};
    p.pre_step[d] = entries[d].pre_step;
    p.post_step[d] = entries[d].post_step;
  }
}

}  // namespace

PoolLaunchPlan plan_pool_launch(const PoolingGeometry& g, Operation operation, std::size_t element_bytes,
                                const GpuTarget& target) {
  PoolLaunchPlan p{};
  p.pre_size = volume(g.pre, "pre");
  p.post_size = volume(g.post, "post");
  std::vector<AxisInMemory> entries = axes_of(g);
  Index inner = 1;
  while (entries.size() > 1 && passes_through(entries.back().axis)) {
    inner *= entries.back().axis.pre;
    entries.pop_back();
  }
  const Axis last = entries.back().axis;
  // As many units side by side as make about 4 KB of a row; one must fit.
  const Index wanted = 4096 / static_cast<Index>(element_bytes);
  const Index units = std::clamp<Index>((wanted / inner - last.taps) / last.stride + 1, 1, last.post);
  const Index line = ((units - 1) * last.stride + last.taps) * inner + 32;
  // pool_rows adds in sequence, rows first, then along the row; longer sums need the levels of pool_naive.
  const bool sum = operation == Operation::sum || operation == Operation::mean;
  const Index most = sum ? 32 : 1024;
  Index rows = 1;
  for (std::size_t d = 0; d + 1 < entries.size(); ++d) rows *= entries[d].axis.taps;
  const bool fast = p.post_size >= least_for_tiles && rows <= most && last.taps <= most &&
                    last.pre * inner < most_elements_of_a_row &&
                    4 * line * static_cast<Index>(element_bytes) <= most_for_tiles(target);
  p.kernel = fast ? PoolKernel::rows : PoolKernel::naive;
  p.reason =
      fast ? "pool_rows: rows are combined on their way to shared memory" : "pool_naive: one thread per unit";
  if (fast && rows == 2 && last.taps == 2) {
    const std::string hindrance = hindrance_of_2x2(entries, inner, 16 / static_cast<Index>(element_bytes));
    if (hindrance.empty()) {
      p.kernel = PoolKernel::two_by_two;
      p.reason = "pool_2x2: boxes side by side in rows of whole vectors, past shared memory";
    } else {
      p.reason += " (not pool_2x2: " + hindrance + ")";
    }
  }
  p.inner = fast ? narrow(inner, "the number of layers") : 1;
  p.units = fast ? narrow(units, "the number of units") : 1;
  if (p.inner == 1) p.small = PoolKernel::naive;  // which knows no layers
  set_axes(p, fast ? entries : axes_of(g));
  return p;
}

bool is_small(const PoolLaunchPlan& plan, Index batch) {
  Index box = 1;
  for (const cuda::PoolAxis& axis : plan.axis) box *= axis.extent;
  return plan.small && box * plan.post_size * batch <= most_small_work;
}

}  // namespace weightsharing::plan
