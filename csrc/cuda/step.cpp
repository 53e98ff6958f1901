#include "cuda/step.h"

#include <algorithm>
#include <map>
#include <set>

#include "cuda/small.h"

namespace weightsharing::cuda {
namespace {

std::vector<plan::Place> places_of(const std::vector<Piece>& pieces, bool together) {
  std::vector<plan::Work> work;
  for (const Piece& piece : pieces) work.push_back(piece.work);
  std::vector<plan::Place> places = plan::places_of(work);
  const int size = static_cast<int>(places.size());
  for (int k = 0; !together && k < size; ++k) places[k] = {k, k};
  return places;
}

// The small launches of one level: chains, or single launches of pieces that have several.
class ChainsOfLevel {
 public:
  void add(int piece, const plan::Place& place, const Launch& launch) {
    std::vector<Chain>& chains = of_chain_[place.chain];
    if (place.chain == piece)
      chains.push_back({&launch});
    else
      chains[0].push_back(&launch);
  }
  std::vector<Chain> all() const {
    std::vector<Chain> chains;
    for (const auto& [number, some] : of_chain_) chains.insert(chains.end(), some.begin(), some.end());
    return chains;
  }

 private:
  std::map<int, std::vector<Chain>> of_chain_;  // by number
};

}  // namespace

Step make_step(const PiecesOfStep& pieces, const StepCounters& counters, const StepOptions& options) {
  const std::vector<Piece> list = pieces(counters.now);
  const std::vector<plan::Place> places = places_of(list, options.together);
  const int size = static_cast<int>(list.size());
  int levels = 0;
  for (const plan::Place& place : places) levels = std::max(levels, place.level + 1);

  // Levels with a shared launch: the last one advances the counter, if another one can set the spare one.
  std::set<int> shared;
  for (int k = 0; k < size; ++k)
    if (options.together && list[k].small) shared.insert(places[k].level);
  const bool advances = shared.size() > 1 && *shared.rbegin() == levels - 1;
  const std::vector<Piece> late = advances ? pieces(counters.spare) : std::vector<Piece>{};

  Step step;
  for (int level = 0; level < levels; ++level) {
    const bool is_last = advances && level == levels - 1;
    ChainsOfLevel small;
    for (int k = 0; k < size; ++k) {
      if (places[k].level != level) continue;
      const Piece& piece = is_last && list[k].small ? late[k] : list[k];
      for (const Launch& launch : piece.launches)
        if (options.together && piece.small)
          small.add(k, places[k], launch);
        else
          step.launches.push_back(launch);
    }
    const std::vector<Chain> chains = small.all();
    if (chains.empty()) continue;
    LevelParameters p{};
    if (advances && level == *shared.begin()) p = {nullptr, counters.now, counters.spare, 0};
    if (is_last) p = {nullptr, counters.spare, counters.now, 1};
    SharedLaunch of_level = share_launch(chains, p, options.dtype, options.device);
    step.launches.push_back(of_level.launch);
    step.tables.insert(step.tables.end(), of_level.tables.begin(), of_level.tables.end());
  }
  if (!advances)
    step.launches.push_back(
        make_launch(kernel_named("advance"), plan::single_launch(), AdvanceParameters{counters.now}));
  return step;
}

}  // namespace weightsharing::cuda
