// The pieces of work of one step, and the launches that they become.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "cuda/launch.h"
#include "cuda/memory.h"
#include "plan/levels.h"

namespace weightsharing::cuda {

struct Piece {
  std::vector<Launch> launches;  // one after the other; small ones do not need each other
  plan::Work work;               // with arrays of its own only for a single small launch
  bool small;                    // may share a launch: `level` knows the kernels of all its launches
};

struct Step {
  std::vector<Launch> launches;
  std::vector<std::shared_ptr<Memory>> tables;
};

// Lists the pieces of a step for kernels that read the time from the counter given.
using PiecesOfStep = std::function<std::vector<Piece>(const std::int64_t* counter)>;

struct StepCounters {
  std::int64_t* now;
  std::int64_t* spare;
};

struct StepOptions {
  bool together;  // small pieces of one level share a launch, those of a chain even threads
  DType dtype;
  int device;
};

// Launches of one step: the pieces, then the step counter is advanced: by the last shared launch where that
// is possible. It then reads the time from the spare counter, which an earlier one has set.
Step make_step(const PiecesOfStep& pieces, const StepCounters& counters, const StepOptions& options);

}  // namespace weightsharing::cuda
