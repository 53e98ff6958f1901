#include "plan/window_launches.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <stdexcept>

#include "plan/filters.h"
#include "plan/levels.h"

namespace weightsharing::plan {
namespace {

constexpr Index most_short = std::numeric_limits<std::int32_t>::max();

void set_axes(WindowLaunchPlan& p, std::vector<AxisInMemory> entries) {
  while (entries.size() < 4)
    entries.insert(entries.begin(), AxisInMemory{Axis{}, entries[0].pre_step * entries[0].axis.pre, 0});
  for (int d = 0; d < 4; ++d) {
    const Axis& a = entries[d].axis;
    p.axis[d] = {narrow(a.pre, "an extent of pre"),         narrow(a.post, "an extent of post"),
                 narrow(a.taps, "an extent of the filter"), narrow(a.stride, "a stride"),
                 narrow(a.dilation, "a dilation"),          narrow(a.offset, "an offset")};
    p.pre_step[d] = entries[d].pre_step;
    p.post_step[d] = entries[d].post_step;
  }
}

bool is_sum(Operation operation) { return operation == Operation::sum || operation == Operation::mean; }

bool is_large(const WindowLaunchPlan& p) { return p.units * p.filters >= least_for_tiles; }

std::int64_t bank_bytes(const WindowLaunchPlan& p, std::size_t element_bytes) {
  return element_bytes == 4 ? cuda::bank_shared_bytes<float>(p.filter_block, 128, p.taps)
                            : cuda::bank_shared_bytes<double>(p.filter_block, 64, p.taps);
}

// '3xtf32' was asked for by name: it, or a reason.
void check_tf32(const SharedGeometry& g, const WindowRequest& request, const GpuTarget& target) {
  std::string reason;
  const std::string capability =
      std::to_string(target.compute_capability / 10) + "." + std::to_string(target.compute_capability % 10);
  if (!g.bank)
    reason = "this is one filter";
  else if (request.element_bytes != 4)
    reason = "the dtype is float64";
  else if (!is_sum(request.operation))
    reason = std::string("the operation is '") + name_of(request.operation) + "'";
  else if (request.general_psp)
    reason = "the psp is not f(w) * g(pre.r)";
  else if (g.listed)
    reason = "the centres are listed (subsampling)";
  else if (target.compute_capability < 80)
    reason = "the device has the compute capability " + capability;
  if (!reason.empty())
    throw std::invalid_argument(
        "algorithm='3xtf32' is for float32 banks of regular filters, operation 'sum' or 'mean', with a psp "
        "f(w) * g(pre.r), on CUDA devices of compute capability 8.0 or newer; " +
        reason + ". Use algorithm='auto'.");
}

// Whether 32 bits hold every coordinate that a tap may name: the fast kernels count in them.
bool short_coordinates(const std::vector<Axis>& axes) {
  return std::all_of(axes.begin(), axes.end(), [](const Axis& a) {
    const double most = static_cast<double>(std::abs(a.offset)) + static_cast<double>(a.post) * a.stride +
                        static_cast<double>(a.taps) * a.dilation + static_cast<double>(a.pre);
    return most < most_short;
  });
}

// Tiles count places on the flattened last axis, and rows, in 32 bits, past the end by less than a tile.
bool is_short(const Axis& a, Index neighbours) {
  const Index reach = (a.taps - 1) * a.dilation + std::abs(a.offset) + 1;
  return (std::max(a.pre, a.post) + reach) * neighbours < most_short - 1024;
}

std::vector<AxisInMemory> axes_of(const SharedGeometry& g, Index filter) {
  std::vector<AxisInMemory> entries(static_cast<std::size_t>(g.rank()));
  std::int64_t pre_step = 1, post_step = g.filters;
  for (int d = g.rank() - 1; d >= 0; --d) {
    entries[d] = {g.axes[filter][d], pre_step, post_step};
    pre_step *= entries[d].axis.pre;
    post_step *= entries[d].axis.post;
  }
  return entries;
}

// A thread per unit, which all geometries can have.
WindowLaunchPlan naive_plan(const SharedGeometry& g, Index first, Index end, std::size_t element_bytes) {
  WindowLaunchPlan p{};
  p.kernel = g.listed ? WindowKernel::gather_naive : WindowKernel::naive;
  p.small = p.kernel;
  p.family = g.listed ? "gather" : "window";
  p.reason = g.listed ? "the centres are listed: one thread per unit and filter" : "one thread per unit";
  p.pre_size = volume(g.pre, "pre");
  p.post_size = volume(g.post, "post");
  p.units = g.units;
  p.inner = 1;
  p.taps = narrow(g.taps(first), "the number of taps");
  p.filters = narrow(end - first, "the number of filters");
  p.first_filter = narrow(first, "the number of filters");
  p.post_unit = narrow(g.filters, "the number of filters");
  p.filter_block = element_bytes == 4 && p.filters > 32 ? 64 : 32;
  set_axes(p, axes_of(g, first));
  return p;
}

void choose_gather(WindowLaunchPlan& p, const SharedGeometry& g, const WindowRequest& request,
                   const GpuTarget& target) {
  const int rank = g.rank(), front = 4 - rank;
  for (Index u = 0; u < g.units; ++u)
    for (int d = 0; d < 4; ++d)
      p.listed.push_back(
          d < front ? 0 : narrow((*g.listed)[u * rank + d - front] + p.axis[d].offset, "a centre"));
  if (request.general_psp || !is_large(p) || p.taps > cuda::GatherTile::most_taps ||
      cuda::gather_shared_bytes(p.filters, request.element_bytes) > target.shared_bytes)
    return;
  p.kernel = WindowKernel::gather;
  p.reason = "the centres are listed: weights in shared memory";
}

void take_tf32(WindowLaunchPlan& p, const std::vector<Axis>& axes, const GpuTarget& target) {
  p.kernel = WindowKernel::bank_tf32;
  p.small.reset();  // another rounding
  p.family = "bank";
  p.reason = "asked for: three products of TF32 for each of float32";
  const std::int64_t bytes = cuda::bank_tf32_shared_bytes(p.filter_block, p.taps);
  if (!short_coordinates(axes))
    throw std::invalid_argument(
        "algorithm='3xtf32' counts coordinates in 32 bits, and with this dilation "
        "taps lie further away. Use algorithm='auto'.");
  if (bytes > target.shared_bytes)
    throw std::invalid_argument("algorithm='3xtf32' needs " + std::to_string(bytes) +
                                " bytes of shared memory per block here, the device has " +
                                std::to_string(target.shared_bytes) + ". Use algorithm='auto'.");
}

// The axes as tiles see them. Layers that share their weights become part of the last one: neighbouring units
// read neighbouring elements. Tiles need two axes.
struct MergedAxes {
  std::vector<AxisInMemory> all;
  Index inner = 1;

  MergedAxes(const SharedGeometry& g, Index filter) : all(axes_of(g, filter)) {
    while (all.size() > 2 && g.filters == 1 && passes_through(all.back().axis)) {
      inner *= all.back().axis.pre;
      all.pop_back();
    }
  }
  Axis last() const { return all.back().axis; }
  Axis row() const { return all.size() > 1 ? all[all.size() - 2].axis : Axis{}; }
  bool allow_tiles() const {
    const Axis last = this->last(), row = this->row();
    return last.stride == 1 && row.stride == 1 && row.dilation == 1 && row.post > 1 &&
           is_short(last, inner) && is_short(row, 1);
  }
};

void choose_tile(WindowLaunchPlan& p, const MergedAxes& merged, const WindowRequest& request,
                 const GpuTarget& target) {
  const Axis last = merged.last(), row = merged.row();
  const Index element_bytes = static_cast<Index>(request.element_bytes);
  Index outer_taps = 1;
  for (std::size_t d = 0; d + 2 < merged.all.size(); ++d) outer_taps *= merged.all[d].axis.taps;
  // Shared memory of window_tile_any, in elements at most: AnyWindowTile of tiles.h.
  const Index reach = (last.taps - 1) * last.dilation * merged.inner;
  const Index elements = (64 + row.taps) * (64 + reach + 16) + row.taps * last.taps;
  const bool fits = elements * element_bytes <= most_for_tiles(target);
  const bool known = outer_taps == 1 && merged.inner == 1 && last.dilation == 1 && row.taps == last.taps &&
                     (last.taps == 3 || last.taps == 5 || last.taps == 7) &&
                     last.offset == -(last.taps / 2) &&
                     cuda::window_tile_bytes(last.taps, element_bytes) <= target.shared_bytes;
  if (!known && !fits) {
    p.reason = "one thread per unit: the filter is too large for a tile in shared memory";
    return;
  }
  p.kernel = known ? WindowKernel::tile : WindowKernel::tile_any;
  p.reason = known ? "a tile in shared memory, extents known to the compiler" : "a tile in shared memory";
  if (merged.inner > 1) p.small.reset();  // a thread per unit knows no layers
  p.inner = narrow(merged.inner, "the number of layers");
  set_axes(p, merged.all);
  // As separable_shared_bytes of tiles.h: the tile and the result of the pass along its rows.
  const Index both = (64 + row.taps) * (64 + reach + 16 + 64 + 16) + row.taps + last.taps + 16;
  p.may_be_separable = is_sum(request.operation) && p.filters == 1 && outer_taps == 1 && row.taps > 3 &&
                       last.taps > 3 && both * element_bytes <= most_for_tiles(target);
}

void choose_regular(WindowLaunchPlan& p, const SharedGeometry& g, const WindowRequest& request,
                    const GpuTarget& target) {
  if (!is_large(p) || request.general_psp) return;
  const MergedAxes merged(g, p.first_filter);
  if (is_sum(request.operation) && p.filters >= 16 && merged.inner == 1 &&
      short_coordinates(g.axes[p.first_filter]) &&
      bank_bytes(p, request.element_bytes) <= target.shared_bytes) {
    p.kernel = WindowKernel::bank;
    p.family = "bank";
    p.reason = std::to_string(p.filters) + " filters: a product of pixels x taps and taps x filters";
  } else if (merged.allow_tiles()) {
    choose_tile(p, merged, request, target);
  }
}

}  // namespace

std::vector<WindowLaunchPlan> plan_window_launches(const SharedGeometry& g, const WindowRequest& request,
                                                   const GpuTarget& target) {
  if (request.algorithm == Algorithm::tf32x3) check_tf32(g, request, target);
  std::vector<WindowLaunchPlan> plans;
  for (const auto& [first, end] : equal_runs(g)) {
    WindowLaunchPlan& p = plans.emplace_back(naive_plan(g, first, end, request.element_bytes));
    if (g.listed)
      choose_gather(p, g, request, target);
    else if (request.algorithm == Algorithm::tf32x3)
      take_tf32(p, g.axes[first], target);
    else
      choose_regular(p, g, request, target);
  }
  return plans;
}

bool is_small(const std::vector<WindowLaunchPlan>& parts, Index batch) {
  Index products = 0;
  for (const WindowLaunchPlan& p : parts) {
    if (!p.small || p.units * p.filters * batch > most_small_work) return false;
    products += p.units * p.filters * p.taps * batch;
  }
  return products <= most_small_work;
}

cuda::LevelKind level_kind(WindowKernel small) {
  return small == WindowKernel::gather_naive ? cuda::LevelKind::gather : cuda::LevelKind::window;
}

}  // namespace weightsharing::plan
