// Which pieces of work of a step may run side by side.
#pragma once

#include <cstdint>
#include <vector>

namespace weightsharing::plan {

// Pieces up to so many products or values are launched together (not measured yet): a launch that depends on
// another one costs a device about as much time as 64K products.
constexpr std::int64_t most_small_work = 65536;

// An array that a piece of work reads or writes, by its address. `own`: thread i of the piece touches element
// i of it and no other, so that it may go on with what thread i of another piece left there.
struct Access {
  const void* array;
  bool own = false;
};

struct Work {
  std::vector<Access> reads, writes;
};

// Where a piece of work is done: all that must come before it are in levels before its own, or in its chain
// before it. A chain is done by the same threads, piece after piece; its number is that of its first piece.
struct Place {
  int level, chain;
};

std::vector<Place> places_of(const std::vector<Work>& list);

}  // namespace weightsharing::plan
