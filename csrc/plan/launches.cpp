#include "plan/launches.h"

#include <limits>
#include <stdexcept>

#include "plan/choose.h"

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

std::vector<WindowLaunchPlan> plan_window_launches(const SharedGeometry& g, Operation, std::size_t, bool) {
  std::vector<WindowLaunchPlan> plans;
  const int rank = g.rank(), front = 4 - rank;
  for (const auto& [first, end] : equal_runs(g)) {
    WindowLaunchPlan p{};
    p.family = g.listed ? "gather" : "window";
    p.reason = g.listed ? "the centres are listed" : "one thread per unit";
    p.pre_size = volume(g.pre, "pre");
    p.post_size = volume(g.post, "post");
    p.units = g.units;
    p.taps = narrow(g.taps(first), "the number of taps");
    p.filters = narrow(end - first, "the number of filters");
    p.first_filter = narrow(first, "the number of filters");
    p.post_unit = narrow(g.filters, "the number of filters");
    std::int64_t pre_step = 1, post_step = g.filters;
    for (int d = 3; d >= 0; --d) {
      const Axis a = d < front ? Axis{} : g.axes[first][d - front];
      p.axis[d] = {narrow(a.pre, "an extent of pre"),         narrow(a.post, "an extent of post"),
                   narrow(a.taps, "an extent of the filter"), narrow(a.stride, "a stride"),
                   narrow(a.dilation, "a dilation"),          narrow(a.offset, "an offset")};
      p.pre_step[d] = pre_step;
      p.post_step[d] = post_step;
      pre_step *= a.pre;
      post_step *= a.post;
    }
    if (g.listed)
      for (Index u = 0; u < g.units; ++u)
        for (int d = 0; d < 4; ++d)
          p.listed.push_back(
              d < front ? 0 : narrow((*g.listed)[u * rank + d - front] + p.axis[d].offset, "a centre"));
    plans.push_back(std::move(p));
  }
  return plans;
}

LaunchShape window_launch(const WindowLaunchPlan& p, Index batch, const std::string& naive) {
  return flat_launch(naive, p.units * p.filters * batch);
}

PoolLaunchPlan plan_pool_launch(const PoolingGeometry& g, Operation) {
  PoolLaunchPlan p{};
  p.reason = "one thread per unit";
  const int front = 4 - static_cast<int>(g.axes.size());
  p.pre_size = volume(g.pre, "pre");
  p.post_size = volume(g.post, "post");
  std::int64_t pre_step = 1, post_step = 1;
  for (int d = 3; d >= 0; --d) {
    const Axis a = d < front ? Axis{} : g.axes[d - front];
    p.axis[d] = {narrow(a.pre, "an extent of pre"), narrow(a.post, "an extent of post"),
                 narrow(a.taps, "an extent"), narrow(a.stride, "a stride")};
    p.pre_step[d] = pre_step;
    p.post_step[d] = post_step;
    pre_step *= a.pre;
    post_step *= a.post;
  }
  return p;
}

LaunchShape synapses_launch(const std::string& kernel, Index post, Index batch, Index) {
  return flat_launch(kernel, post * batch);
}

}  // namespace weightsharing::plan
