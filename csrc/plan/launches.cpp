#include "plan/launches.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace weightsharing::plan {
namespace {

constexpr unsigned threads_per_block = 256;

}  // namespace

LaunchShape flat_launch(Index elements) {
  const Index blocks = (elements + threads_per_block - 1) / threads_per_block;
  return block_launch(std::max<Index>(blocks, 1), {threads_per_block, 1}, 0);
}

LaunchShape block_launch(Index blocks, BlockOfThreads threads, std::int64_t shared_bytes) {
  if (blocks > std::numeric_limits<std::int32_t>::max())
    throw std::invalid_argument("CUDA: more units than one launch can have");
  return {
      {static_cast<unsigned>(blocks), 1, 1}, {threads.x, threads.y, 1}, static_cast<unsigned>(shared_bytes)};
}

std::int64_t most_for_tiles(const GpuTarget& target) {
  return std::min<std::int64_t>(target.shared_bytes,
                                std::max<std::int64_t>(48 * 1024, target.shared_bytes / 2));
}

bool passes_through(const Axis& a) {
  return a.taps == 1 && a.stride == 1 && a.offset == 0 && a.pre == a.post;
}

std::int32_t narrow(Index value, const char* what) {
  if (value > std::numeric_limits<std::int32_t>::max() || value < std::numeric_limits<std::int32_t>::min())
    throw std::invalid_argument(std::string("CUDA: ") + what + " " + std::to_string(value) +
                                " does not fit 32 bits");
  return static_cast<std::int32_t>(value);
}

}  // namespace weightsharing::plan
