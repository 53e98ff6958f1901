// Weights as kernels read them: pure functions of a plan and the values, for host memory.
#pragma once

#include <optional>
#include <vector>

#include "plan/window_launches.h"

namespace weightsharing::cuda {

// [tap][packed_filters] with zeros behind the last filter, for a bank.
template <class T>
std::vector<T> pack(const plan::WindowLaunchPlan& plan, const std::vector<T>& filters);

// A filter as a sum of few products of a row and a column.
template <class T>
struct Products {
  std::vector<T> rows, columns;  // [term][taps of axis 2], [term][taps of axis 3]
  std::int32_t terms = 0;
  T rate_bound = 0;  // from here on a product of two passes might overflow where the window would not
};

// Where it costs less than half of the window's taps: std::nullopt otherwise.
template <class T>
std::optional<Products<T>> separate(const plan::WindowLaunchPlan& plan, const std::vector<T>& filter);

}  // namespace weightsharing::cuda
