// What equations read of a whole population: mean, max, min and norms of a variable. One block of units at a
// time; the blocks are put together by whoever runs them, always in the same order.
#pragma once

#include "cpu/vector.h"

namespace weightsharing::cpu::WEIGHTSHARING_ISA {
namespace {

// Sums run in double precision whatever the type, in as many lanes as hide the latency of an addition, so
// that a lane adds statistic_block / 32 numbers.
constexpr int statistic_lanes = 32;

template <int statistic>
inline double statistic_term(double x) {
  if constexpr (statistic == statistic_norm1) return __builtin_fabs(x);
  if constexpr (statistic == statistic_norm2) return x * x;
  return x;
}

template <int statistic, class T>
double sum_of_terms(const T* values, Index n) {
  double sum[statistic_lanes] = {};
  Index i = 0;
  for (; i + statistic_lanes <= n; i += statistic_lanes)
    _Pragma("omp simd") for (int k = 0; k < statistic_lanes; ++k) sum[k] +=
        statistic_term<statistic>(values[i + k]);
  for (int k = 0; i + k < n; ++k) sum[k] += statistic_term<statistic>(values[i + k]);
  for (int width = statistic_lanes / 2; width > 0; width /= 2)
    for (int k = 0; k < width; ++k) sum[k] += sum[k + width];
  return sum[0];
}

template <int reduction, class T>
double extreme(const T* values, Index n) {
  T best = values[0];
  Index i = 0;
  if (n >= lanes<T>) {
    Vector<T> several = load(values);
    for (i = lanes<T>; i + lanes<T> <= n; i += lanes<T>)
      several = combine<reduction, true>(several, load(values + i));
    for (int k = 0; k < lanes<T>; ++k) best = combine<reduction, true>(best, T(several[k]));
  }
  for (; i < n; ++i) best = combine<reduction, true>(best, values[i]);
  return best;
}

template <class T>
double statistic(int which, const T* values, Index n) {
  switch (which) {
    case statistic_max:
      return extreme<reduce_max>(values, n);
    case statistic_min:
      return extreme<reduce_min>(values, n);
    case statistic_norm1:
      return sum_of_terms<statistic_norm1>(values, n);
    case statistic_norm2:
      return sum_of_terms<statistic_norm2>(values, n);
    default:
      return sum_of_terms<statistic_mean>(values, n);
  }
}

}  // namespace
}  // namespace weightsharing::cpu::WEIGHTSHARING_ISA
