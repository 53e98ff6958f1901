#include "cuda/step.h"

#include <algorithm>
#include <cstring>
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
                                                         {"copy_each", level_copy_each},
                                                         {"combine_arrays", level_combine},
                                                         {"gather_history", level_gather_history},
                                                         {"statistic_part", level_statistic_part},
                                                         {"statistic_total", level_statistic_total},
                                                         {"update", level_update},
                                                         {"show", level_show},
                                                         {"keep", level_keep},
                                                         {"check", level_check}};
  const auto found = kinds.find(family_of(*launch.kernel));
  if (found == kinds.end()) return std::nullopt;
  // `level` interprets programs: with the same bits, but for a psp that runs tap by tap it takes too long.
  const bool once_per_unit = found->second == level_update || found->second == level_apply;
  if (launch.kernel->has_program && !once_per_unit) return std::nullopt;
  return found->second;
}

using Chain = std::vector<const Launch*>;

// One launch for many: their parameters one after the other, and a table that gives each block its chain.
Launch shared_launch(const std::vector<Chain>& chains, LevelParameters p, const std::string& level_kernel,
                     int device, Step& step) {
  std::vector<std::uint32_t> words;
  std::vector<std::size_t> starts;
  std::vector<LevelPiece> heads;
  for (const Chain& chain : chains) {
    starts.push_back(words.size());
    for (std::size_t k = 0; k < chain.size(); ++k) {
      const std::vector<std::byte>& parameters = chain[k]->parameters;
      LevelPiece head{};
      head.kind = *kind_of(*chain[k]);
      head.words = static_cast<std::int32_t>((parameters.size() + 3) / 4);
      head.more = static_cast<std::int32_t>(chain.size() - 1 - k);
      if (k == 0) heads.push_back(head);
      const std::size_t place = words.size();
      words.resize(place + sizeof head / 4 + (parameters.size() + 15) / 16 * 4);
      std::memcpy(&words[place], &head, sizeof head);
      std::memcpy(&words[place + sizeof head / 4], parameters.data(), parameters.size());
    }
  }
  const auto memory = upload(words, device);
  std::vector<LevelBlock> blocks;
  for (std::size_t c = 0; c < chains.size(); ++c) {
    const unsigned threads = chains[c][0]->grid[0] * chains[c][0]->block[0];
    for (unsigned number = 0; number * threads_per_block < threads; ++number) {
      LevelBlock block{};
      block.chain = static_cast<const std::uint32_t*>(memory->data()) + starts[c];
      block.first = heads[c];
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
  std::vector<plan::Place> places = plan::places_of(work);
  const int size = static_cast<int>(list.size());
  for (int k = 0; !together && k < size; ++k) places[k] = {k, k};
  int count = 0;
  for (const plan::Place& place : places) count = std::max(count, place.level + 1);

  // Levels with a shared launch: the last one advances the counter, if another one can set the spare one.
  std::vector<int> shared;
  for (int level = 0; together && level < count; ++level)
    if (std::any_of(list.begin(), list.end(), [&](const Piece& piece) {
          return piece.small && places[&piece - list.data()].level == level;
        }))
      shared.push_back(level);
  const bool advances = shared.size() > 1 && shared.back() == count - 1;
  const std::vector<Piece> late = advances ? pieces(spare) : std::vector<Piece>{};

  Step step;
  for (int level = 0; level < count; ++level) {
    const bool is_last = advances && level == count - 1;
    std::map<int, std::vector<Chain>> of_chain;  // by number: one chain, or pieces of several launches
    for (int k = 0; k < size; ++k) {
      if (places[k].level != level) continue;
      for (std::size_t l = 0; l < list[k].launches.size(); ++l) {
        const Launch& launch = is_last && list[k].small ? late[k].launches[l] : list[k].launches[l];
        std::vector<Chain>& chains = of_chain[places[k].chain];
        if (!together || !list[k].small)
          step.launches.push_back(launch);
        else if (places[k].chain == k)
          chains.push_back({&launch});
        else
          chains[0].push_back(&launch);
      }
    }
    std::vector<Chain> chains;
    for (const auto& entry : of_chain) chains.insert(chains.end(), entry.second.begin(), entry.second.end());
    if (chains.empty()) continue;
    LevelParameters p{};
    if (advances && level == shared.front()) p = {nullptr, counter, spare, 0};
    if (is_last) p = {nullptr, spare, counter, 1};
    step.launches.push_back(shared_launch(chains, p, level_kernel, device, step));
  }
  if (!advances)
    step.launches.push_back(make_launch(plan::single_launch("advance"), AdvanceParameters{counter}));
  return step;
}

}  // namespace weightsharing::cuda
