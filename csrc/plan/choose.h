// From a checked geometry to tiles for a processor: plain data, no memory of rates, no threads.
#pragma once

#include <string>
#include <vector>

#include "cpu/kernels.h"
#include "weightsharing/engine.h"

namespace weightsharing::plan {

// What the plan must know of the processor.
struct CpuTarget {
  Index vector_elements;  // of the dtype, in one register
  Index element_bytes;
  Index cache_bytes =
      192 << 10;  // for a strip: most of a second-level cache that is shared with results and weights
  Index most_blocks = 32;  // that a plan makes for the sake of threads alone
};

enum class Family { window, bank, gather };

// Filters with equal extents, neighbours in the bank.
struct WindowPlan {
  Family family;
  std::string reason;
  Index first_filter, filters, taps;
  cpu::StripAxis axis[3];
  cpu::StripRow row;
  std::vector<Index> plane_phase, plane_channel;
  Index strip_elements;
  std::vector<Index> tap_offset;
  std::vector<std::int32_t> tap_index;  // [tap][4]
  std::vector<Index> inside[4];         // per axis and unit: taps inside pre
  Index post_unit, row_units, row_dilation, unit_step, filter_block;
  bool flatten;
  Index blocks;
  Index scratch_tile;
  // low rank: axes of the filter as the strip sees them, last axis with its channels
  Shape factor_extents;
  Index column_taps, term_elements;
  double flops;  // of the direct algorithm
};

struct GatherPlan {
  Index first_filter, filters, taps;
  cpu::StripAxis axis[3];
  cpu::StripRow row;
  Index strip_elements, prepare_blocks;
  std::vector<Index> base, coordinate;  // [unit], [unit][4]
  std::vector<Index> tap_offset;
  std::vector<std::int32_t> tap_index;
  Index units, block, blocks;
  double flops;
};

struct PoolPlan {
  bool flat;
  std::string reason;
  cpu::PoolAxis axis[4];
  Index inner, buffer_elements, blocks;
  double flops;
};

// Runs of filters with equal extents: [first, end).
std::vector<std::pair<Index, Index>> equal_runs(const SharedGeometry& geometry);

WindowPlan plan_window(const SharedGeometry& geometry, Index first_filter, Index filters, bool tapwise,
                       const CpuTarget& target);
GatherPlan plan_gather(const SharedGeometry& geometry, Index first_filter, Index filters);
PoolPlan plan_pool(const PoolingGeometry& geometry, const CpuTarget& target);

// Multiply-adds per unit of the low-rank passes, halos of the blocks included.
double lowrank_cost(const WindowPlan& plan, std::size_t terms);

}  // namespace weightsharing::plan
