#include "cpu/weights.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "plan/lowrank.h"

namespace weightsharing::cpu {
namespace {

// [filter][tap] -> [filter block][tap][lanes], whole blocks.
template <class T>
std::vector<T> pack(const std::vector<T>& weights, Index filters, Index taps, Index lanes) {
  const Index blocks = (filters + lanes - 1) / lanes;
  std::vector<T> packed(static_cast<std::size_t>(blocks * lanes * taps), T(0));
  for (Index f = 0; f < filters; ++f)
    for (Index t = 0; t < taps; ++t)
      packed[(f / lanes * taps + t) * lanes + f % lanes] = weights[f * taps + t];
  return packed;
}

// Element (row, column) of G w G' for one filter and channel; taps lie `step` apart.
template <class T>
double transformed_element(int row, int column, const T* taps, Index step) {
  constexpr double g[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
  double sum = 0;
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j)
      sum += g[row][i] * g[column][j] * static_cast<double>(taps[(3 * i + j) * step]);
  return sum;
}

}  // namespace

template <class T>
BankWeights<T> bank_weights(const plan::WindowPlan& plan, const std::vector<T>& weights) {
  return {pack(weights, plan.window.filters, plan.window.taps, plan.window.filter_block)};
}

template <class T>
std::variant<LowRankWeights<T>, std::string> lowrank_weights(const plan::WindowPlan& plan,
                                                             const std::vector<T>& weights) {
  const std::size_t most_terms = plan::most_lowrank_terms(plan);
  if (!most_terms) return "too small to gain from products of 1-D filters";
  const std::vector<double> values(weights.begin(), weights.end());
  const double tolerance = 4 * static_cast<double>(std::numeric_limits<T>::epsilon());
  const std::vector<plan::Term> terms = plan::factorise(values, plan.factor_extents, tolerance, most_terms);
  if (terms.empty()) return "not a sum of at most " + std::to_string(most_terms) + " products of 1-D filters";
  LowRankWeights<T> prepared;
  for (const plan::Term& term : terms)
    for (const std::vector<double>& factor : term.factor)
      prepared.values.emplace_back(factor.begin(), factor.end());
  for (const std::vector<T>& factor : prepared.values) prepared.factors.push_back(factor.data());
  prepared.rate_bound =
      static_cast<T>(plan::rate_bound(terms, static_cast<double>(std::numeric_limits<T>::max())));
  return prepared;
}

template <class T>
std::optional<WinogradWeights<T>> winograd_weights(const plan::WindowPlan& plan,
                                                   const std::vector<T>& weights) {
  const Index filters = plan.window.filters, taps = plan.window.taps, lanes = plan.window.filter_block;
  const Index channels = plan.strip.row.inner;
  WinogradWeights<T> prepared{bank_weights(plan, weights), {}, T(0)};
  double largest = 0;
  std::vector<T> u(static_cast<std::size_t>(filters * channels));
  for (int xi = 0; xi < 16; ++xi) {
    for (Index f = 0; f < filters; ++f)
      for (Index c = 0; c < channels; ++c) {
        const double value = transformed_element(xi / 4, xi % 4, &weights[f * taps + c], channels);
        u[f * channels + c] = static_cast<T>(value);
        largest = std::max(largest, std::abs(value));
      }
    const std::vector<T> packed = pack(u, filters, channels, lanes);
    prepared.transformed.insert(prepared.transformed.end(), packed.begin(), packed.end());
  }
  // Each unit adds 9 products of at most 4 rates per channel.
  const double size = std::max(1.0, largest) * 36 * static_cast<double>(channels);
  if (!(size < 1e30)) return std::nullopt;
  prepared.rate_bound = static_cast<T>(0.25 * static_cast<double>(std::numeric_limits<T>::max()) / size);
  return prepared;
}

template BankWeights<float> bank_weights(const plan::WindowPlan&, const std::vector<float>&);
template BankWeights<double> bank_weights(const plan::WindowPlan&, const std::vector<double>&);
template std::variant<LowRankWeights<float>, std::string> lowrank_weights(const plan::WindowPlan&,
                                                                          const std::vector<float>&);
template std::variant<LowRankWeights<double>, std::string> lowrank_weights(const plan::WindowPlan&,
                                                                           const std::vector<double>&);
template std::optional<WinogradWeights<float>> winograd_weights(const plan::WindowPlan&,
                                                                const std::vector<float>&);
template std::optional<WinogradWeights<double>> winograd_weights(const plan::WindowPlan&,
                                                                 const std::vector<double>&);

}  // namespace weightsharing::cpu
