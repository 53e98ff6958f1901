// The pieces of work of one step, and the launches that they become.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cuda/device_functions.h"
#include "plan/levels.h"

namespace weightsharing::cuda {

struct Piece {
  std::vector<Launch> launches;  // one after the other; small ones do not need each other
  plan::Work work;               // with arrays of its own only for a single small launch
  bool small;                    // may share a launch: all its launches are of kernels that `level` knows
};

struct Step {
  std::vector<Launch> launches;
  std::vector<std::shared_ptr<Memory>> tables;
};

// Whether `level` knows the kernel of a launch.
bool may_share(const Launch& launch);

// Launches of one step: the pieces, then the step counter is advanced. `pieces` lists the step's pieces for
// kernels that read the time from the counter given. With `together` small pieces of one level share a
// launch, those of a chain even threads. The counter is advanced by the last shared launch where that is
// possible: it then reads the time from `spare`, which an earlier one has set.
Step make_step(const std::function<std::vector<Piece>(const std::int64_t* counter)>& pieces,
               std::int64_t* counter, std::int64_t* spare, bool together, const std::string& level_kernel,
               int device);

}  // namespace weightsharing::cuda
