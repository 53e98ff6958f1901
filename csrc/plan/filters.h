// The filters of a bank: which are computed together, and their weights in the order in which kernels of any
// device read them.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "weightsharing/projection.h"

namespace weightsharing::plan {

// Runs of neighbouring filters with equal extents: [first, end).
std::vector<std::pair<Index, Index>> equal_runs(const SharedGeometry& geometry);

// Filters [first, first + count) of equal extents, one after another; with `flip` (method='convolution') the
// taps of each in reverse order.
template <class T>
std::vector<T> filters_in_order(const std::vector<const void*>& values, Index first, Index count, Index taps,
                                bool flip) {
  std::vector<T> weights;
  weights.reserve(static_cast<std::size_t>(count * taps));
  for (Index f = first; f < first + count; ++f) {
    const T* filter = static_cast<const T*>(values[static_cast<std::size_t>(f)]);
    weights.insert(weights.end(), filter, filter + taps);
    if (flip) std::reverse(weights.end() - taps, weights.end());
  }
  return weights;
}

}  // namespace weightsharing::plan
