#include "plan/launches.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <stdexcept>

#include "plan/filters.h"

namespace weightsharing::plan {
namespace {

constexpr unsigned threads_per_block = 256;

std::int32_t narrow(Index value, const char* what) {
  if (value > std::numeric_limits<std::int32_t>::max() || value < std::numeric_limits<std::int32_t>::min())
    throw std::invalid_argument(std::string("CUDA: ") + what + " " + std::to_string(value) +
                                " does not fit 32 bits");
  return static_cast<std::int32_t>(value);
}

}  // namespace

LaunchShape flat_launch(const std::string& kernel, Index elements) {
  const Index blocks = (elements + threads_per_block - 1) / threads_per_block;
  if (blocks > std::numeric_limits<std::int32_t>::max())
    throw std::invalid_argument("CUDA: more units than one launch can have");
  return {kernel, {static_cast<unsigned>(blocks > 0 ? blocks : 1), 1, 1}, {threads_per_block, 1, 1}, 0};
}

LaunchShape single_launch(const std::string& kernel) { return {kernel, {1, 1, 1}, {1, 1, 1}, 0}; }

LaunchShape block_launch(const std::string& kernel, Index blocks, unsigned threads_x, unsigned threads_y,
                         std::int64_t shared_bytes) {
  if (blocks > std::numeric_limits<std::int32_t>::max())
    throw std::invalid_argument("CUDA: more units than one launch can have");
  return {kernel,
          {static_cast<unsigned>(blocks), 1, 1},
          {threads_x, threads_y, 1},
          static_cast<unsigned>(shared_bytes)};
}

namespace {

struct Entry {
  Axis axis;
  std::int64_t pre_step, post_step;
};

void set_axes(WindowLaunchPlan& p, std::vector<Entry> entries) {
  while (entries.size() < 4)
    entries.insert(entries.begin(), Entry{Axis{}, entries[0].pre_step * entries[0].axis.pre, 0});
  for (int d = 0; d < 4; ++d) {
    const Axis& a = entries[d].axis;
    p.axis[d] = {narrow(a.pre, "an extent of pre"),         narrow(a.post, "an extent of post"),
                 narrow(a.taps, "an extent of the filter"), narrow(a.stride, "a stride"),
                 narrow(a.dilation, "a dilation"),          narrow(a.offset, "an offset")};
    p.pre_step[d] = entries[d].pre_step;
    p.post_step[d] = entries[d].post_step;
  }
}

std::int64_t bank_bytes(const WindowLaunchPlan& p, std::size_t element_bytes) {
  return element_bytes == 4 ? cuda::bank_shared_bytes<float>(p.filter_block, 128, p.taps)
                            : cuda::bank_shared_bytes<double>(p.filter_block, 64, p.taps);
}

// '3xtf32' was asked for by name: it, or a reason.
void check_tf32(const SharedGeometry& g, Operation operation, std::size_t element_bytes, bool general_psp,
                const GpuTarget& target) {
  std::string reason;
  const std::string capability =
      std::to_string(target.compute_capability / 10) + "." + std::to_string(target.compute_capability % 10);
  if (!g.bank)
    reason = "this is one filter";
  else if (element_bytes != 4)
    reason = "the dtype is float64";
  else if (operation != Operation::sum && operation != Operation::mean)
    reason = std::string("the operation is '") + name_of(operation) + "'";
  else if (general_psp)
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

bool passes_through(const Axis& a) {
  return a.taps == 1 && a.stride == 1 && a.offset == 0 && a.pre == a.post;
}

// Whether 32 bits hold every coordinate that a tap may name: the fast kernels count in them.
bool short_coordinates(const std::vector<Axis>& axes) {
  return std::all_of(axes.begin(), axes.end(), [](const Axis& a) {
    const double most = static_cast<double>(std::abs(a.offset)) + static_cast<double>(a.post) * a.stride +
                        static_cast<double>(a.taps) * a.dilation + static_cast<double>(a.pre);
    return most < std::numeric_limits<std::int32_t>::max();
  });
}

// Below so many results a kernel with a thread per unit fills the device better than tiles of a thousand
// units.
constexpr Index least_for_tiles = 2048;
// Shared memory for a tile: so much that two blocks fit a multiprocessor, at least what every device gives
// unasked, where this one does.
std::int64_t most_for_tiles(const GpuTarget& target) {
  return std::min<std::int64_t>(target.shared_bytes,
                                std::max<std::int64_t>(48 * 1024, target.shared_bytes / 2));
}

}  // namespace

std::vector<WindowLaunchPlan> plan_window_launches(const SharedGeometry& g, Operation operation,
                                                   std::size_t element_bytes, bool general_psp,
                                                   Algorithm algorithm, const GpuTarget& target) {
  if (algorithm == Algorithm::tf32x3) check_tf32(g, operation, element_bytes, general_psp, target);
  std::vector<WindowLaunchPlan> plans;
  const int rank = g.rank(), front = 4 - rank;
  const bool sum = operation == Operation::sum || operation == Operation::mean;
  for (const auto& [first, end] : equal_runs(g)) {
    WindowLaunchPlan p{};
    p.kernel = g.listed ? WindowKernel::gather_naive : WindowKernel::naive;
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
    std::vector<Entry> entries(static_cast<std::size_t>(rank));
    std::int64_t pre_step = 1, post_step = g.filters;
    for (int d = rank - 1; d >= 0; --d) {
      entries[d] = {g.axes[first][d], pre_step, post_step};
      pre_step *= entries[d].axis.pre;
      post_step *= entries[d].axis.post;
    }
    set_axes(p, entries);
    if (g.listed) {
      for (Index u = 0; u < g.units; ++u)
        for (int d = 0; d < 4; ++d)
          p.listed.push_back(
              d < front ? 0 : narrow((*g.listed)[u * rank + d - front] + p.axis[d].offset, "a centre"));
      if (!general_psp && p.units * p.filters >= least_for_tiles && p.taps <= cuda::GatherTile::most_taps &&
          cuda::gather_shared_bytes(p.filters, element_bytes) <= target.shared_bytes) {
        p.kernel = WindowKernel::gather;
        p.reason = "the centres are listed: weights in shared memory";
      }
      plans.push_back(std::move(p));
      continue;
    }

    // Layers that share their weights become part of the last axis: neighbouring units read neighbouring
    // elements. Tiles need two axes.
    std::vector<Entry> merged = entries;
    Index inner = 1;
    while (merged.size() > 2 && g.filters == 1 && passes_through(merged.back().axis)) {
      inner *= merged.back().axis.pre;
      merged.pop_back();
    }
    const Axis last = merged.back().axis, row = merged.size() > 1 ? merged[merged.size() - 2].axis : Axis{};
    if (algorithm == Algorithm::tf32x3) {
      p.kernel = WindowKernel::bank_tf32;
      p.family = "bank";
      p.reason = "asked for: three products of TF32 for each of float32";
      const std::int64_t bytes = cuda::bank_tf32_shared_bytes(p.filter_block, p.taps);
      if (!short_coordinates(g.axes[first]))
        throw std::invalid_argument(
            "algorithm='3xtf32' counts coordinates in 32 bits, and with this dilation "
            "taps lie further away. Use algorithm='auto'.");
      if (bytes > target.shared_bytes)
        throw std::invalid_argument("algorithm='3xtf32' needs " + std::to_string(bytes) +
                                    " bytes of shared memory per block here, the device has " +
                                    std::to_string(target.shared_bytes) + ". Use algorithm='auto'.");
      plans.push_back(std::move(p));
      continue;
    }
    const bool large = p.units * p.filters >= least_for_tiles;
    // Tiles count places on the flattened last axis, and rows, in 32 bits, past the end by less than a tile.
    const auto is_short = [&](const Axis& a, Index neighbours) {
      const Index reach = (a.taps - 1) * a.dilation + std::abs(a.offset) + 1;
      return (std::max(a.pre, a.post) + reach) * neighbours < std::numeric_limits<std::int32_t>::max() - 1024;
    };
    const bool tiles = large && !general_psp && last.stride == 1 && row.stride == 1 && row.dilation == 1 &&
                       row.post > 1 && is_short(last, inner) && is_short(row, 1);
    if (large && sum && !general_psp && p.filters >= 16 && inner == 1 && short_coordinates(g.axes[first]) &&
        bank_bytes(p, element_bytes) <= target.shared_bytes) {
      p.kernel = WindowKernel::bank;
      p.family = "bank";
      p.reason = std::to_string(p.filters) + " filters: a product of pixels x taps and taps x filters";
    } else if (tiles) {
      Index outer_taps = 1;
      for (std::size_t d = 0; d + 2 < merged.size(); ++d) outer_taps *= merged[d].axis.taps;
      // Shared memory of window_tile_any, in elements at most: AnyWindowTile of tiles.h.
      const Index reach = (last.taps - 1) * last.dilation * inner;
      const Index elements = (64 + row.taps) * (64 + reach + 16) + row.taps * last.taps;
      const bool fits = elements * static_cast<Index>(element_bytes) <= most_for_tiles(target);
      const bool known = outer_taps == 1 && inner == 1 && last.dilation == 1 && row.taps == last.taps &&
                         (last.taps == 3 || last.taps == 5 || last.taps == 7) &&
                         last.offset == -(last.taps / 2) &&
                         cuda::window_tile_bytes(last.taps, element_bytes) <= target.shared_bytes;
      if (known || fits) {
        p.kernel = known ? WindowKernel::tile : WindowKernel::tile_any;
        p.reason =
            known ? "a tile in shared memory, extents known to the compiler" : "a tile in shared memory";
        p.inner = narrow(inner, "the number of layers");
        set_axes(p, merged);
        // As separable_shared_bytes of tiles.h: the tile and the result of the pass along its rows.
        const Index both = (64 + row.taps) * (64 + reach + 16 + 64 + 16) + row.taps + last.taps + 16;
        p.may_be_separable = sum && p.filters == 1 && outer_taps == 1 && row.taps > 3 && last.taps > 3 &&
                             both * static_cast<Index>(element_bytes) <= most_for_tiles(target);
      } else {
        p.reason = "one thread per unit: the filter is too large for a tile in shared memory";
      }
    }
    plans.push_back(std::move(p));
  }
  return plans;
}

namespace {

// pool_rows and pool_2x2 count the elements of a row of pre in 32 bits, and a few threads beyond it.
constexpr Index most_elements_of_a_row = (Index{1} << 31) - (Index{1} << 16);

// Why boxes with two rows of two cannot go to pool_2x2, or nothing.
std::string hindrance_of_2x2(const std::vector<Entry>& entries, Index inner, Index wide) {
  const Axis last = entries.back().axis, row = entries[entries.size() - 2].axis;
  if (row.taps != 2) return "the rows of a box are apart by more than a row of pre";
  for (const Axis& a : {row, last}) {
    if (a.post > 1 && a.stride != 2) return "boxes are not side by side";
    if (2 * a.post > a.pre) return "boxes are clipped at the border";
  }
  const bool whole = inner > 1 ? inner % wide == 0 : last.pre % wide == 0 && last.post % (wide / 2) == 0;
  return whole ? "" : "rows are not whole vectors of 16 bytes";
}

}  // namespace

PoolLaunchPlan plan_pool_launch(const PoolingGeometry& g, Operation operation, std::size_t element_bytes,
                                const GpuTarget& target) {
  PoolLaunchPlan p{};
  p.pre_size = volume(g.pre, "pre");
  p.post_size = volume(g.post, "post");
  std::vector<Entry> entries(g.axes.size());
  std::int64_t pre_step = 1, post_step = 1;
  for (std::size_t d = g.axes.size(); d-- > 0;) {
    entries[d] = {g.axes[d], pre_step, post_step};
    pre_step *= g.axes[d].pre;
    post_step *= g.axes[d].post;
  }
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
  if (!fast) {
    entries.clear();
    pre_step = post_step = 1;
    for (std::size_t d = g.axes.size(); d-- > 0;) {
      entries.insert(entries.begin(), Entry{g.axes[d], pre_step, post_step});
      pre_step *= g.axes[d].pre;
      post_step *= g.axes[d].post;
    }
  }
  while (entries.size() < 4) entries.insert(entries.begin(), Entry{Axis{}, 0, 0});
  for (int d = 0; d < 4; ++d) {
    const Axis& a = entries[d].axis;
    // A box may not reach further than pre: extents are clipped, so that sums of coordinates stay small.
    p.axis[d] = {narrow(a.pre, "an extent of pre"), narrow(a.post, "an extent of post"),
                 narrow(std::min(a.taps, a.pre), "an extent"), narrow(std::min(a.stride, a.pre), "a stride")};
    p.pre_step[d] = entries[d].pre_step;
    p.post_step[d] = entries[d].post_step;
  }
  return p;
}

}  // namespace weightsharing::plan
