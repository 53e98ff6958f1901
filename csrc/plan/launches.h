// From a checked geometry to kernel launches: which kernel, which grid; nothing here touches a device.
#pragma once

#include <algorithm>
#include <string>
#include <type_traits>
#include <vector>

#include "cuda/params.h"
#include "cuda/tiles.h"
#include "weightsharing/engine.h"

namespace weightsharing::plan {

// What the plan must know of the device.
struct GpuTarget {
  int shared_bytes;        // that one block may ask for
  int compute_capability;  // 90 for 9.0
};

struct LaunchShape {
  std::string kernel;
  unsigned grid[3] = {1, 1, 1};
  unsigned block[3] = {1, 1, 1};
  unsigned shared_bytes = 0;
};

// One thread per element.
LaunchShape flat_launch(const std::string& kernel, Index elements);
LaunchShape single_launch(const std::string& kernel);

enum class WindowKernel { naive, gather_naive, gather, tile, tile_any, bank, bank_tf32 };

// Filters with equal extents, neighbours in the bank; axes are four, those in front trivial.
struct WindowLaunchPlan {
  WindowKernel kernel;
  std::string family, reason;
  bool may_be_separable;  // one filter of two axes: its values decide
  cuda::Axis axis[4];
  std::int64_t pre_step[4], post_step[4];
  std::int64_t pre_size, post_size, units;
  int taps, filters, first_filter, post_unit, inner;
  int filter_block;                  // bank: filters of one block
  std::vector<std::int32_t> listed;  // [unit][4]
};

// `two_by_two` is what arrays at multiples of 16 bytes get, others get `rows`: known at the launch only.
enum class PoolKernel { naive, rows, two_by_two };

struct PoolLaunchPlan {
  PoolKernel kernel;
  std::string reason;  // begins with the name of the kernel
  cuda::PoolAxis axis[4];
  std::int64_t pre_step[4], post_step[4];
  std::int64_t pre_size, post_size;
  int inner, units;
};

// std::invalid_argument where the algorithm asked for by name cannot be had.
std::vector<WindowLaunchPlan> plan_window_launches(const SharedGeometry& geometry, Operation operation,
                                                   std::size_t element_bytes, bool general_psp,
                                                   Algorithm algorithm, const GpuTarget& target);
PoolLaunchPlan plan_pool_launch(const PoolingGeometry& geometry, Operation operation,
                                std::size_t element_bytes, const GpuTarget& target);

// The kernel of a launch by name: "pool_rows<float, max>" for pool_rows and what stands in its brackets.
template <class T>
std::string instance(const char* kernel, const std::string& rest = "") {
  const std::string type = std::is_same_v<T, float> ? "float" : "double";
  return std::string(kernel) + "<" + type + (rest.empty() ? "" : ", " + rest) + ">";
}
inline const char* reduction_name(std::int32_t reduction) {
  return reduction == cuda::reduce_max ? "max" : reduction == cuda::reduce_min ? "min" : "sum";
}

// Tiles of rows x columns units of the last two axes, for each unit of the others and each trial.
template <class T>
Index tiles_of(const cuda::WindowParameters<T>& w, Index columns, Index rows) {
  return cuda::divide_up(static_cast<Index>(w.axis[3].post) * w.inner, columns) *
         cuda::divide_up(w.axis[2].post, rows) * w.axis[1].post * w.axis[0].post * w.batch;
}

LaunchShape block_launch(const std::string& kernel, Index blocks, unsigned threads_x, unsigned threads_y,
                         std::int64_t shared_bytes);

template <class T>
LaunchShape any_tile_launch(const std::string& kernel, const cuda::WindowParameters<T>& w,
                            std::int64_t shared_bytes) {
  using Tile = cuda::AnyWindowTile<T>;
  return block_launch(kernel, tiles_of(w, Tile::columns, Tile::rows), Tile::threads, 1, shared_bytes);
}

template <class T>
LaunchShape window_launch(const WindowLaunchPlan& plan, const cuda::WindowParameters<T>& w) {
  const std::string reduction = reduction_name(w.reduction);
  switch (plan.kernel) {
    case WindowKernel::tile: {
      using Tile = cuda::WindowTile<T>;
      const std::string extent = std::to_string(w.axis[2].taps);
      return block_launch(instance<T>("window_tile", extent + ", " + extent + ", " + reduction),
                          tiles_of(w, Tile::columns, Tile::rows), Tile::threads, 1, 0);
    }
    case WindowKernel::tile_any:
      return any_tile_launch(instance<T>("window_tile_any", reduction), w, cuda::any_window_shared_bytes(w));
    case WindowKernel::bank: {
      // pixels per block and threads of the instances in instances.def
      const Index pixels = sizeof(T) == 4 ? 128 : 64;
      const unsigned threads = 128;
      const Index blocks =
          cuda::divide_up(w.units * w.batch, pixels) * (w.packed_filters / plan.filter_block);
      return block_launch(instance<T>("bank_gemm", std::to_string(plan.filter_block)), blocks, threads, 1,
                          cuda::bank_shared_bytes<T>(plan.filter_block, pixels, w.taps));
    }
    case WindowKernel::bank_tf32: {
      using Tile = cuda::BankTf32Tile;
      const Index blocks =
          cuda::divide_up(w.units * w.batch, Tile::pixels) * (w.packed_filters / plan.filter_block);
      return block_launch("bank_tf32<" + std::to_string(plan.filter_block) + ">", blocks, Tile::threads, 1,
                          cuda::bank_tf32_shared_bytes(plan.filter_block, w.taps));
    }
    case WindowKernel::gather: {
      using Tile = cuda::GatherTile;
      const int filters = w.filters > 1 ? Tile::filters : 1;
      const Index blocks =
          cuda::divide_up(w.units, Tile::threads) * cuda::divide_up(w.filters, filters) * w.batch;
      return block_launch(instance<T>("gather_tile", std::to_string(filters) + ", " + reduction), blocks,
                          Tile::threads, 1, 0);
    }
    default:
      return flat_launch(
          instance<T>(plan.kernel == WindowKernel::gather_naive ? "gather_naive" : "window_naive"),
          plan.units * plan.filters * w.batch);
  }
}

template <class T>
LaunchShape pool_launch(const PoolLaunchPlan& plan, const cuda::PoolParameters<T>& p) {
  if (plan.kernel == PoolKernel::naive)
    return flat_launch(instance<T>("pool_naive"), plan.post_size * p.batch);
  const Index outer = static_cast<Index>(p.axis[1].post) * p.axis[0].post * p.batch;
  if (plan.kernel == PoolKernel::two_by_two && cuda::pool_2x2_aligned(p)) {
    const Index lanes = cuda::pool_2x2_lanes(p);
    const Index rows = std::min<Index>(cuda::PoolTile::threads / lanes, p.axis[2].post);
    const Index per_block = lanes * cuda::PoolTile::vectors * (16 / static_cast<Index>(sizeof(T)));
    const Index blocks = cuda::divide_up(static_cast<Index>(p.axis[3].post) * p.inner, per_block) *
                         cuda::divide_up(p.axis[2].post, rows) * outer;
    return block_launch(instance<T>("pool_2x2", reduction_name(p.reduction)), blocks,
                        static_cast<unsigned>(lanes), static_cast<unsigned>(rows), 0);
  }
  const unsigned lanes = 64, rows = cuda::PoolTile::threads / lanes;
  const Index blocks =
      cuda::divide_up(p.axis[3].post, p.units) * cuda::divide_up(p.axis[2].post, rows) * outer;
  return block_launch(instance<T>("pool_rows", reduction_name(p.reduction)), blocks, lanes, rows,
                      cuda::pool_shared_bytes(p, rows));
}

// A warp per row where rows are long enough to fill one.
template <class T>
LaunchShape synapses_launch(Index post, Index batch, Index synapses) {
  const bool warps = synapses >= 8 * post;
  return flat_launch(instance<T>(warps ? "synapses_warp" : "synapses_naive"),
                     post * batch * (warps ? 32 : 1));
}

}  // namespace weightsharing::plan
