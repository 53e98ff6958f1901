// Launches of a pooling: which kernel, which grid, and which twin for little work.
#pragma once

#include <algorithm>
#include <optional>
#include <string>

#include "cuda/tiles.h"
#include "plan/launches.h"

namespace weightsharing::plan {

// `two_by_two` is what arrays at multiples of 16 bytes get, others get `rows`: known at the launch only.
enum class PoolKernel { naive, rows, two_by_two };
constexpr std::size_t pool_kernels = 3;

struct PoolLaunchPlan {
  PoolKernel kernel;
  // One thread per unit, with the same result: what may share a launch. None where layers were merged.
  std::optional<PoolKernel> small;
  std::string reason;  // begins with the name of the kernel
  cuda::PoolAxis axis[4];
  std::int64_t pre_step[4], post_step[4];
  std::int64_t pre_size, post_size;
  int inner, units;
};

PoolLaunchPlan plan_pool_launch(const PoolingGeometry& geometry, Operation operation,
                                std::size_t element_bytes, const GpuTarget& target);

// Whether so many trials may share a launch with other work of a step.
bool is_small(const PoolLaunchPlan& plan, Index batch);

// What a kernel is told of the geometry; the rest is zero.
template <class T>
cuda::PoolParameters<T> pool_parameters(const PoolLaunchPlan& plan) {
  cuda::PoolParameters<T> p{};
  p.pre_size = plan.pre_size;
  p.post_size = plan.post_size;
  std::copy(plan.pre_step, plan.pre_step + 4, p.pre_step);
  std::copy(plan.post_step, plan.post_step + 4, p.post_step);
  std::copy(plan.axis, plan.axis + 4, p.axis);
  p.inner = plan.inner;
  p.units = plan.units;
  return p;
}

// The kernel for the arrays in `p`.
template <class T>
PoolKernel kernel_for(const PoolLaunchPlan& plan, const cuda::PoolParameters<T>& p) {
  const bool as_planned = plan.kernel != PoolKernel::two_by_two || cuda::pool_2x2_aligned(p);
  return as_planned ? plan.kernel : PoolKernel::rows;
}

template <class T>
std::string pool_kernel(PoolKernel kernel, std::int32_t reduction) {
  if (kernel == PoolKernel::naive) return instance<T>("pool_naive");
  return instance<T>(kernel == PoolKernel::rows ? "pool_rows" : "pool_2x2", reduction_name(reduction));
}

template <class T>
LaunchShape pool_launch(PoolKernel kernel, const cuda::PoolParameters<T>& p) {
  using cuda::divide_up;
  using Tile = cuda::PoolTile;
  if (kernel == PoolKernel::naive) return flat_launch(p.post_size * p.batch);
  const Index outer = static_cast<Index>(p.axis[1].post) * p.axis[0].post * p.batch;
  if (kernel == PoolKernel::two_by_two) {
    const Index lanes = cuda::pool_2x2_lanes(p);
    const Index rows = std::min<Index>(Tile::threads / lanes, p.axis[2].post);
    const Index per_block = lanes * Tile::vectors * (16 / static_cast<Index>(sizeof(T)));
    const Index blocks = divide_up(static_cast<Index>(p.axis[3].post) * p.inner, per_block) *
                         divide_up(p.axis[2].post, rows) * outer;
    return block_launch(blocks, {static_cast<unsigned>(lanes), static_cast<unsigned>(rows)}, 0);
  }
  const unsigned lanes = 64, rows = Tile::threads / lanes;
  const Index blocks = divide_up(p.axis[3].post, p.units) * divide_up(p.axis[2].post, rows) * outer;
  return block_launch(blocks, {lanes, rows}, cuda::pool_shared_bytes(p, rows));
}

}  // namespace weightsharing::plan
