#include "cuda/step.h"

#include <algorithm>
#include <map>
#include <optional>

#include "cuda/on_device.h"

namespace weightsharing::cuda {
namespace {

constexpr unsigned threads_per_block = 256;  // of `level`

std::optional<LevelKind> kind_of(const Launch& launch) {
  static const std::map<std::string, LevelKind> kinds = {{"window_naive", level_window},
                                                         {"gather_naive", level_gather},
                                                         {"pool_naive", level_pool},
                                                         {"synapses_naive", level_synapses},
                                                         {"synapses_warp", level_synapses_warp},
                                                         {"apply", level_apply},
                                                         {"copy", level_copy},
                                                         {"combine_arrays", level_combine},
                                                         {"gather_history", level_gather_history},
                                                         {"update", level_update},
                                                         {"show", level_show},
                                                         {"keep", level_keep},
                                                         {"check", level_check}};
  const auto found = kinds.find(family_of(*launch.kernel));
  if (found == kinds.end()) return std::nullopt;
  return found->second;
}

// One launch for many: their parameters one after the other, and a table that gives each block its piece.
Launch shared_launch(const std::vector<const Launch*>& launches, LevelParameters p,
                     const std::string& level_kernel, int device, Step& step) {
  std::vector<std::byte> parameters;
  std::vector<std::size_t> starts;
  for (const Launch* launch : launches) {
    starts.push_back(parameters.size());
    parameters.insert(parameters.end(), launch->parameters.begin(), launch->parameters.end());
    parameters.resize((parameters.size() + 15) / 16 * 16);
  }
  const auto memory = upload(parameters, device);
  std::vector<LevelBlock> blocks;
  for (std::size_t k = 0; k < launches.size(); ++k) {
    const Launch& launch = *launches[k];
    const unsigned threads = launch.grid[0] * launch.block[0];
    for (unsigned number = 0; number * threads_per_block < threads; ++number) {
      LevelBlock block{};
      block.parameters =
          reinterpret_cast<const std::uint32_t*>(static_cast<std::byte*>(memory->data()) + starts[k]);
      block.words = static_cast<std::int32_t>((launch.parameters.size() + 3) / 4);
      block.kind = *kind_of(launch);
      block.number = static_cast<std::int32_t>(number);
      blocks.push_back(block);
    }
  }
  const auto table = upload(blocks, device);
  p.blocks = static_cast<const LevelBlock*>(table->data());
  step.tables.insert(step.tables.end(), {memory, table});
  return make_launch(
      plan::block_launch(level_kernel, static_cast<Index>(blocks.size()), threads_per_block, 1, 0), p);
}

}  // namespace

bool may_share(const Launch& launch) { return kind_of(launch).has_value(); }

Step make_step(const std::function<std::vector<Piece>(const std::int64_t*)>& pieces, std::int64_t* counter,
               std::int64_t* spare, bool together, const std::string& level_kernel, int device) {
  const std::vector<Piece> list = pieces(counter);
  std::vector<plan::Work> work;
  for (const Piece& piece : list) work.push_back(piece.work);
  std::vector<int> levels = plan::levels_of(work);
  if (!together)
    for (std::size_t k = 0; k < levels.size(); ++k) levels[k] = static_cast<int>(k);
  const int count = levels.empty() ? 0 : *std::max_element(levels.begin(), levels.end()) + 1;

  // Levels with a shared launch.
  std::vector<int> shared;
  for (int level = 0; together && level < count; ++level)
    for (std::size_t k = 0; k < list.size(); ++k)
      if (levels[k] == level && list[k].small && (shared.empty() || shared.back() != level))
        shared.push_back(level);
  const bool advances = shared.size() > 1 && shared.back() == count - 1;
  const std::vector<Piece> late = advances ? pieces(spare) : std::vector<Piece>{};

  Step step;
  for (int level = 0; level < count; ++level) {
    std::vector<const Launch*> small;
    for (std::size_t k = 0; k < list.size(); ++k) {
      if (levels[k] != level) continue;
      const bool is_last = advances && level == count - 1;
      for (std::size_t l = 0; l < list[k].launches.size(); ++l)
        if (together && list[k].small)
          small.push_back(is_last ? &late[k].launches[l] : &list[k].launches[l]);
        else
          step.launches.push_back(list[k].launches[l]);
    }
    if (small.empty()) continue;
    LevelParameters p{};
    if (advances && level == shared.front()) p = {nullptr, counter, spare, 0};
    if (advances && level == count - 1) p = {nullptr, spare, counter, 1};
    step.launches.push_back(shared_launch(small, p, level_kernel, device, step));
  }
  if (!advances)
    step.launches.push_back(make_launch(plan::single_launch("advance"), AdvanceParameters{counter}));
  return step;
}

}  // namespace weightsharing::cuda
