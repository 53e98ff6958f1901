// What every plan of kernel launches is made of: grids, names of kernels, the device; nothing here touches
// one.
#pragma once

#include <string>
#include <type_traits>

#include "cuda/params.h"
#include "weightsharing/engine.h"
#include "weightsharing/projection.h"

namespace weightsharing::plan {

// What the plan must know of the device.
struct GpuTarget {
  int shared_bytes;        // that one block may ask for
  int compute_capability;  // 90 for 9.0
};

struct LaunchShape {
  unsigned grid[3] = {1, 1, 1};
  unsigned block[3] = {1, 1, 1};
  unsigned shared_bytes = 0;
};

// One thread per element.
LaunchShape flat_launch(Index elements);
inline LaunchShape single_launch() { return {}; }

struct BlockOfThreads {
  unsigned x, y;
};
LaunchShape block_launch(Index blocks, BlockOfThreads threads, std::int64_t shared_bytes);

// Below so many results a kernel with a thread per unit fills the device better than tiles of a thousand
// units.
constexpr Index least_for_tiles = 2048;
// Shared memory for a tile: so much that two blocks fit a multiprocessor, at least what every device gives
// unasked, where this one does.
std::int64_t most_for_tiles(const GpuTarget& target);

// An axis with the elements from one coordinate or unit to the next.
struct AxisInMemory {
  Axis axis;
  std::int64_t pre_step, post_step;
};
// Whether layers along it stay by themselves: unit q reads coordinate q alone.
bool passes_through(const Axis& axis);

// Parameters of kernels are 32 bits wide: std::invalid_argument where a number is wider.
std::int32_t narrow(Index value, const char* what);

// The kernel of a launch by name: "pool_rows<float, max>" for pool_rows and what stands in its brackets.
template <class T>
std::string instance(const char* kernel, const std::string& rest = "") {
  const std::string type = std::is_same_v<T, float> ? "float" : "double";
  return std::string(kernel) + "<" + type + (rest.empty() ? "" : ", " + rest) + ">";
}
inline const char* reduction_name(std::int32_t reduction) {
  return reduction == cuda::reduce_max ? "max" : reduction == cuda::reduce_min ? "min" : "sum";
}

}  // namespace weightsharing::plan
