#include "plan/levels.h"

#include <algorithm>
#include <map>
#include <optional>

namespace weightsharing::plan {

std::vector<Place> places_of(const std::vector<Work>& list) {
  struct Use {
    Place place;
    bool own;
  };
  struct State {
    std::optional<Use> written;
    std::vector<Use> read;  // since then
  };
  std::map<const void*, State> states;
  std::vector<Place> places;
  for (const Work& work : list) {
    Place here{0, static_cast<int>(places.size())};
    std::vector<Place> same_threads;
    const auto comes_after = [&](const Use& before, const Access& access) {
      if (before.own && access.own)
        same_threads.push_back(before.place);
      else
        here.level = std::max(here.level, before.place.level + 1);
    };
    for (const Access& access : work.reads)
      if (states[access.array].written) comes_after(*states[access.array].written, access);
    for (const Access& access : work.writes) {
      const State& state = states[access.array];
      if (state.written) comes_after(*state.written, access);
      for (const Use& use : state.read) comes_after(use, access);
    }
    for (const Place& before : same_threads) here.level = std::max(here.level, before.level);
    const int alone = here.chain;
    for (const Place& before : same_threads) {
      if (before.level < here.level || before.chain == here.chain) continue;
      if (here.chain == alone) {
        here.chain = before.chain;
      } else {  // two chains at once
        here = {here.level + 1, alone};
        break;
      }
    }
    for (const Access& access : work.reads) states[access.array].read.push_back({here, access.own});
    for (const Access& access : work.writes) states[access.array] = {Use{here, access.own}, {}};
    places.push_back(here);
  }
  return places;
}

}  // namespace weightsharing::plan
