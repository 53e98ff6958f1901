// Launches of a filter or a bank: which kernel, which grid, and which twin for little work.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "cuda/tiles.h"
#include "plan/launches.h"

namespace weightsharing::plan {

enum class WindowKernel { naive, gather_naive, gather, tile, tile_any, separable, bank, bank_tf32 };
constexpr std::size_t window_kernels = 8;

// Filters with equal extents, neighbours in the bank; axes are four, those in front trivial.
struct WindowLaunchPlan {
  WindowKernel kernel;
  // One thread per unit and filter, with the same result: what may share a launch. None where it would not
  // have the same axes or the same rounding.
  std::optional<WindowKernel> small;
  std::string family, reason;
  bool may_be_separable;  // one filter of two axes: its values decide
  cuda::Axis axis[4];
  std::int64_t pre_step[4], post_step[4];
  std::int64_t pre_size, post_size, units;
  int taps, filters, first_filter, post_unit, inner;
  int filter_block;                  // bank: filters of one block
  std::vector<std::int32_t> listed;  // [unit][4]

  // Filters of a bank in whole blocks.
  int packed_filters() const { return (filters + filter_block - 1) / filter_block * filter_block; }
};

struct WindowRequest {
  Operation operation;
  std::size_t element_bytes;
  bool general_psp;
  Algorithm algorithm;
};

// std::invalid_argument where the algorithm asked for by name cannot be had.
std::vector<WindowLaunchPlan> plan_window_launches(const SharedGeometry& geometry,
                                                   const WindowRequest& request, const GpuTarget& target);

// Whether all parts of a projection may share launches with other work of a step: each has a twin for little
// work, and so many trials are little work.
bool is_small(const std::vector<WindowLaunchPlan>& parts, Index batch);

// How the kernel `level` does the work of a twin.
cuda::LevelKind level_kind(WindowKernel small);

// What a kernel is told of the geometry; the rest is zero.
template <class T>
cuda::WindowParameters<T> window_parameters(const WindowLaunchPlan& plan) {
  cuda::WindowParameters<T> w{};
  std::copy(plan.axis, plan.axis + 4, w.axis);
  std::copy(plan.pre_step, plan.pre_step + 4, w.pre_step);
  std::copy(plan.post_step, plan.post_step + 4, w.post_step);
  w.pre_size = plan.pre_size;
  w.post_size = plan.post_size;
  w.units = plan.units;
  w.taps = plan.taps;
  w.filters = plan.filters;
  w.first_filter = plan.first_filter;
  w.post_unit = plan.post_unit;
  w.inner = plan.inner;
  return w;
}

// The name of a kernel, and how it is launched for the trials in `w`.
template <class T>
std::string window_kernel(WindowKernel kernel, const WindowLaunchPlan& plan, std::int32_t reduction) {
  const std::string of_reduction = reduction_name(reduction);
  switch (kernel) {
    case WindowKernel::tile: {
      const std::string extent = std::to_string(plan.axis[2].taps);
      return instance<T>("window_tile", extent + ", " + extent + ", " + of_reduction);
    }
    case WindowKernel::tile_any:
      return instance<T>("window_tile_any", of_reduction);
    case WindowKernel::separable:
      return instance<T>("separable_tile");
    case WindowKernel::bank:
      return instance<T>("bank_gemm", std::to_string(plan.filter_block));
    case WindowKernel::bank_tf32:
      return "bank_tf32<" + std::to_string(plan.filter_block) + ">";
    case WindowKernel::gather:
      return instance<T>("gather_tile",
                         std::string(plan.filters > 1 ? std::to_string(cuda::GatherTile::filters) : "1") +
                             ", " + of_reduction);
    case WindowKernel::gather_naive:
      return instance<T>("gather_naive");
    case WindowKernel::naive:
      break;
  }
  return instance<T>("window_naive");
}

// Tiles of rows x columns units of the last two axes, for each unit of the others and each trial.
template <class T>
Index tiles_of(const cuda::WindowParameters<T>& w, Index columns, Index rows) {
  return cuda::divide_up(static_cast<Index>(w.axis[3].post) * w.inner, columns) *
         cuda::divide_up(w.axis[2].post, rows) * w.axis[1].post * w.axis[0].post * w.batch;
}

template <class T>
LaunchShape window_launch(WindowKernel kernel, const WindowLaunchPlan& plan,
                          const cuda::WindowParameters<T>& w) {
  using cuda::divide_up;
  const auto tiles = [&](auto tile, std::int64_t shared_bytes) {
    using Tile = decltype(tile);
    return block_launch(tiles_of(w, Tile::columns, Tile::rows), {Tile::threads, 1}, shared_bytes);
  };
  const Index pixels_of_all = w.units * w.batch;
  switch (kernel) {
    case WindowKernel::tile:
      return tiles(cuda::WindowTile<T>{}, 0);
    case WindowKernel::tile_any:
      return tiles(cuda::AnyWindowTile<T>{}, cuda::any_window_shared_bytes(w));
    case WindowKernel::separable:
      return tiles(cuda::AnyWindowTile<T>{}, cuda::separable_shared_bytes(w));
    case WindowKernel::bank: {
      // pixels per block and threads of the instances in instances.def
      const Index pixels = sizeof(T) == 4 ? 128 : 64;
      return block_launch(divide_up(pixels_of_all, pixels) * (plan.packed_filters() / plan.filter_block),
                          {128, 1}, cuda::bank_shared_bytes<T>(plan.filter_block, pixels, w.taps));
    }
    case WindowKernel::bank_tf32: {
      using Tile = cuda::BankTf32Tile;
      return block_launch(
          divide_up(pixels_of_all, Tile::pixels) * (plan.packed_filters() / plan.filter_block),
          {Tile::threads, 1}, cuda::bank_tf32_shared_bytes(plan.filter_block, w.taps));
    }
    case WindowKernel::gather: {
      using Tile = cuda::GatherTile;
      const Index of_filters = w.filters > 1 ? divide_up(w.filters, Tile::filters) : w.filters;
      return block_launch(divide_up(w.units, Tile::threads) * of_filters * w.batch, {Tile::threads, 1}, 0);
    }
    case WindowKernel::naive:
    case WindowKernel::gather_naive:
      break;
  }
  return flat_launch(plan.units * plan.filters * w.batch);
}

}  // namespace weightsharing::plan
