// What the algorithms of a window need of its weights: functions of plan and values.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cpu/kernels.h"
#include "plan/window.h"

namespace weightsharing::cpu {

// The order of the alternatives of PreparedWeights.
enum class WindowAlgorithm { direct, bank, lowrank, winograd };

// The weights as they are.
template <class T>
struct DirectWeights {
  void tell(WindowParameters<T>&) const {}
};

template <class T>
struct BankWeights {
  std::vector<T> packed;

  void tell(WindowParameters<T>& w) const { w.packed = packed.data(); }
};

template <class T>
struct LowRankWeights {
  std::vector<std::vector<T>> values;
  std::vector<const T*> factors;  // [term][4]
  T rate_bound;

  Index terms() const { return static_cast<Index>(factors.size() / 4); }
  void tell(WindowParameters<T>& w) const {
    w.factors = {terms(), factors.data()};
    w.rate_bound = rate_bound;
    w.scratch_tile = std::max(w.scratch_tile, 4 * w.term_elements);
  }
};

template <class T>
struct WinogradWeights {
  BankWeights<T> bank;  // for units that no tile of 2 x 2 holds
  std::vector<T> transformed;
  T rate_bound;

  static constexpr Index tiles = 24;

  void tell(WindowParameters<T>& w) const {
    bank.tell(w);
    w.transformed = transformed.data();
    w.channels = w.strip.row.inner;
    w.tiles = tiles;
    w.rate_bound = rate_bound;
    w.scratch_tile = std::max(w.scratch_tile, 16 * tiles * (w.channels + w.filter_block));
  }
};

template <class T>
using PreparedWeights = std::variant<DirectWeights<T>, BankWeights<T>, LowRankWeights<T>, WinogradWeights<T>>;

template <class T>
BankWeights<T> bank_weights(const plan::WindowPlan& plan, const std::vector<T>& weights);

// `plan` is that of plan_lowrank. Or why there are none.
template <class T>
std::variant<LowRankWeights<T>, std::string> lowrank_weights(const plan::WindowPlan& plan,
                                                             const std::vector<T>& weights);

// Of a bank that suits_winograd; none where products might overflow.
template <class T>
std::optional<WinogradWeights<T>> winograd_weights(const plan::WindowPlan& plan,
                                                   const std::vector<T>& weights);

}  // namespace weightsharing::cpu
