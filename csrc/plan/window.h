// Filters over a regular grid: strips, blocks and tables for a processor. Plain data, no memory of rates, no
// threads.
#pragma once

#include <string>
#include <vector>

#include "cpu/shapes.h"
#include "plan/axes.h"
#include "plan/strip.h"

namespace weightsharing::plan {

enum class Family { window, bank };

// Filters with equal extents, neighbours in the bank.
struct WindowPlan {
  WindowPlan() = default;
  WindowPlan(WindowPlan&&) = default;  // no copies: the shapes point into the tables
  WindowPlan& operator=(WindowPlan&&) = default;

  Family family;
  std::string reason;
  Index first_filter;
  // What kernels are told.
  cpu::StripShape strip;
  cpu::WindowShape window;
  // The tables of the two.
  std::vector<Index> plane_phase, plane_channel;
  TapTable taps;

  std::vector<Index> inside[4];  // per axis and unit: taps inside pre
  Index row_dilation;
  Index blocks;
  // low rank: axes of the filter as the strip sees them, last axis with its channels
  Shape factor_extents;
  double flops;  // of the direct algorithm
};

WindowPlan plan_window(const SharedGeometry& geometry, Index first_filter, Index filters, bool tapwise,
                       const CpuTarget& target);

// The same filter in the blocks that suit low rank.
WindowPlan plan_lowrank(const SharedGeometry& geometry, const WindowPlan& direct, CpuTarget target);

// So many terms save a third of the direct algorithm's work, borders of the blocks included, which pays for
// their passes through memory; at most 16.
std::size_t most_lowrank_terms(const WindowPlan& plan);

// Whether Winograd's F(2x2, 3x3) computes this bank with fewer products: 3x3 over the last two axes of the
// grid with enough channels and filters that products, not transforms, count. The numbers do not depend on
// the instruction set: neither does the choice.
bool suits_winograd(const WindowPlan& plan);

}  // namespace weightsharing::plan
