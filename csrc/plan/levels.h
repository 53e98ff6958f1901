// Which pieces of work of a step may run side by side.
#pragma once

#include <cstdint>
#include <vector>

namespace weightsharing::plan {

// Pieces up to so many products or values are launched together (not measured yet): a launch that depends on
// another one costs a device about as much time as 64K products.
constexpr std::int64_t most_small_work = 65536;

// What a piece of work reads and writes, whole arrays by their address.
struct Work {
  std::vector<const void*> reads, writes;
};

// Level of each piece of a list: all pieces that must come before it are in levels before its own.
std::vector<int> levels_of(const std::vector<Work>& list);

}  // namespace weightsharing::plan
