// From a checked geometry to kernel launches: which kernel, which grid; nothing here touches a device.
#pragma once

#include <string>
#include <type_traits>
#include <vector>

#include "cuda/params.h"
#include "weightsharing/projection.h"

namespace weightsharing::plan {

struct LaunchShape {
  std::string kernel;
  unsigned grid[3] = {1, 1, 1};
  unsigned block[3] = {1, 1, 1};
  unsigned shared_bytes = 0;
};

// "window_naive" -> "window_naive<float>"
template <class T>
std::string typed(const char* kernel) {
  return std::string(kernel) + (std::is_same_v<T, float> ? "<float>" : "<double>");
}

// One thread per element.
LaunchShape flat_launch(const std::string& kernel, Index elements);
LaunchShape single_launch(const std::string& kernel);

// Filters with equal extents, neighbours in the bank; axes are four, those in front trivial.
struct WindowLaunchPlan {
  std::string family, reason;
  cuda::Axis axis[4];
  std::int64_t pre_step[4], post_step[4];
  std::int64_t pre_size, post_size, units;
  int taps, filters, first_filter, post_unit;
  std::vector<std::int32_t> listed;  // [unit][4]
};

std::vector<WindowLaunchPlan> plan_window_launches(const SharedGeometry& geometry, Operation operation,
                                                   std::size_t element_bytes, bool general_psp);
LaunchShape window_launch(const WindowLaunchPlan& plan, Index batch, const std::string& naive);
template <class T>
LaunchShape window_launch(const WindowLaunchPlan& plan, Index batch) {
  return window_launch(plan, batch, typed<T>(plan.listed.empty() ? "window_naive" : "gather_naive"));
}

struct PoolLaunchPlan {
  std::string reason;
  cuda::PoolAxis axis[4];
  std::int64_t pre_step[4], post_step[4];
  std::int64_t pre_size, post_size;
};

PoolLaunchPlan plan_pool_launch(const PoolingGeometry& geometry, Operation operation);
template <class T>
LaunchShape pool_launch(const PoolLaunchPlan& plan, Index batch) {
  return flat_launch(typed<T>("pool_naive"), plan.post_size * batch);
}

LaunchShape synapses_launch(const std::string& kernel, Index post, Index batch, Index synapses);
template <class T>
LaunchShape synapses_launch(Index post, Index batch, Index synapses) {
  return synapses_launch(typed<T>("synapses_naive"), post, batch, synapses);
}

}  // namespace weightsharing::plan
