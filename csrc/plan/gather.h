// Listed centres: one padded copy of pre, and where in it each unit's taps begin.
#pragma once

#include <vector>

#include "cpu/shapes.h"
#include "plan/strip.h"

namespace weightsharing::plan {

// Filters with equal extents, neighbours in the bank.
struct GatherPlan {
  GatherPlan() = default;
  GatherPlan(GatherPlan&&) = default;  // no copies: the shapes point into the tables
  GatherPlan& operator=(GatherPlan&&) = default;

  Index first_filter;
  // What kernels are told.
  cpu::StripShape strip;
  cpu::GatherShape gather;
  // The tables of the two.
  std::vector<Index> plane;  // one plane, from coordinate 0
  std::vector<Index> base, coordinate;
  TapTable taps;

  Index prepare_blocks, blocks;
  double flops;
};

GatherPlan plan_gather(const SharedGeometry& geometry, Index first_filter, Index filters);

}  // namespace weightsharing::plan
