#include "plan/filters.h"

namespace weightsharing::plan {
namespace {

bool equal_extents(const std::vector<Axis>& a, const std::vector<Axis>& b) {
  for (std::size_t d = 0; d < a.size(); ++d)
    if (a[d].taps != b[d].taps) return false;
  return true;
}

}  // namespace

std::vector<std::pair<Index, Index>> equal_runs(const SharedGeometry& g) {
  if (g.axes.size() == 1) return {{0, g.filters}};
  std::vector<std::pair<Index, Index>> runs;
  for (Index f = 0; f < g.filters; ++f)
    if (f && equal_extents(g.axes[f], g.axes[f - 1]))
      runs.back().second = f + 1;
    else
      runs.push_back({f, f + 1});
  return runs;
}

}  // namespace weightsharing::plan
