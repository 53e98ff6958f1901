#include "cuda/weights.h"

#include <limits>

#include "plan/lowrank.h"

namespace weightsharing::cuda {

template <class T>
std::vector<T> pack(const plan::WindowLaunchPlan& plan, const std::vector<T>& filters) {
  const int width = plan.packed_filters();
  std::vector<T> packed(static_cast<std::size_t>(plan.taps) * width, T(0));
  for (int f = 0; f < plan.filters; ++f)
    for (int t = 0; t < plan.taps; ++t)
      packed[static_cast<std::size_t>(t) * width + f] = filters[static_cast<std::size_t>(f) * plan.taps + t];
  return packed;
}

template <class T>
std::optional<Products<T>> separate(const plan::WindowLaunchPlan& plan, const std::vector<T>& filter) {
  const Index height = plan.axis[2].taps, width = plan.axis[3].taps;
  const std::size_t most_terms = static_cast<std::size_t>(height * width / (2 * (height + width)));
  if (!most_terms) return std::nullopt;
  const std::vector<double> values(filter.begin(), filter.end());
  const double tolerance = 4 * static_cast<double>(std::numeric_limits<T>::epsilon());
  const std::vector<plan::Term> terms = plan::factorise(values, {height, width}, tolerance, most_terms);
  if (terms.empty()) return std::nullopt;
  Products<T> products;
  for (const plan::Term& term : terms) {
    products.rows.insert(products.rows.end(), term.factor[0].begin(), term.factor[0].end());
    products.columns.insert(products.columns.end(), term.factor[1].begin(), term.factor[1].end());
  }
  products.terms = static_cast<std::int32_t>(terms.size());
  products.rate_bound =
      static_cast<T>(plan::rate_bound(terms, static_cast<double>(std::numeric_limits<T>::max())));
  return products;
}

template std::vector<float> pack(const plan::WindowLaunchPlan&, const std::vector<float>&);
template std::vector<double> pack(const plan::WindowLaunchPlan&, const std::vector<double>&);
template std::optional<Products<float>> separate(const plan::WindowLaunchPlan&, const std::vector<float>&);
template std::optional<Products<double>> separate(const plan::WindowLaunchPlan&, const std::vector<double>&);

}  // namespace weightsharing::cuda
