// Listed synapses, and values of whole populations.

#include "cuda/synapses.cuh"

#include <cmath>

#include "cuda/statistic.cuh"
#include "kernels/cases.h"

namespace weightsharing::cuda {

template <class T>
void synapses(int cases) {
  const Code psp = example_program();
  const T constants[] = {T(0.25)};
  for (int number = 0; number < 2 * cases; ++number) {
    SynapsesParameters<T> p{};
    p.batch = pick(1, 2);
    p.pre_size = pick(1, 40);
    p.post_size = pick(1, 30);
    constexpr int reductions[] = {reduce_sum, reduce_mean, reduce_max, reduce_min};
    p.reduction = reductions[number / 2 % 4];
    p.accumulate = one_in(3);
    p.has_psp = one_in(3);
    p.psp = psp.program(constants);
    one_sign = one_in(3);
    std::vector<int64_t> row_start{0};
    std::vector<int32_t> column;
    for (int64_t q = 0; q < p.post_size; ++q) {
      const int n = one_in(3) ? 0 : one_in(8) ? pick(3000, 20000) : pick(1, 100);
      for (int k = 0; k < n; ++k) column.push_back(pick(0, static_cast<int>(p.pre_size) - 1));
      row_start.push_back(static_cast<int64_t>(column.size()));
    }
    Array<T> weights(column.size()), rates(static_cast<std::size_t>(p.pre_size * p.batch)),
        out(static_cast<std::size_t>(p.post_size * p.batch));
    if (one_in(3)) rates.data[random_bits() % rates.size] = std::numeric_limits<T>::quiet_NaN();
    const int64_t step = 0;
    p.source = {rates.data, nullptr, &step, p.pre_size * p.batch, 1, 0};
    p.post = out.data;
    p.row_start = row_start.data();
    p.column = column.data();
    p.weights = weights.data;
    const std::vector<T> before(out.data, out.data + out.size);
    const int64_t rows = p.post_size * p.batch;
    if (number % 2)
      emulation::launch<&synapses_warp<T>>(dim3(static_cast<unsigned>(divide_up(rows, 4))), dim3(128), p);
    else
      emulation::launch<&synapses_naive<T>>(dim3(static_cast<unsigned>(divide_up(rows, 64))), dim3(64), p);
    for (int64_t b = 0; b < p.batch; ++b)
      for (int64_t q = 0; q < p.post_size; ++q) {
        Plain<T> plain{p.reduction};
        for (int64_t j = row_start[q]; j < row_start[q + 1]; ++j) {
          const T w = weights.data[j], r = rates.data[b * p.pre_size + column[j]];
          if (p.has_psp)
            plain.add(T(1), example_psp(w, r));
          else
            plain.add(w, r);
        }
        const T old = p.accumulate ? before[b * p.post_size + q] : T(0);
        compare("synapses case " + std::to_string(number) + " unit " + std::to_string(q),
                out.data[b * p.post_size + q], static_cast<T>(old + plain.result(plain.count)),
                plain.tolerance(plain.count, old));
      }
  }
}

template <class T>
void statistics(int cases) {
  for (int number = 0; number < 5 * cases; ++number) {
    StatisticParameters<T> p{};
    p.which = number % 5;
    p.batch = pick(1, 3);
    p.units = one_in(3) ? pick(1, 70) : one_in(2) ? pick(2000, 2100) : pick(4000, 9000);
    p.parts_per_trial = divide_up(p.units, statistic_units);
    one_sign = one_in(3);
    Array<T> values(static_cast<std::size_t>(p.batch * p.units)), out(static_cast<std::size_t>(p.batch));
    Array<double> parts(static_cast<std::size_t>(p.batch * p.parts_per_trial));
    if (one_in(3)) values.data[random_bits() % values.size] = std::numeric_limits<T>::quiet_NaN();
    p.values = values.data;
    p.parts = parts.data;
    p.out = out.data;
    if (number / 5 % 2) {
      const auto blocks = [](int64_t warps) { return dim3(static_cast<unsigned>(divide_up(warps, 4))); };
      emulation::launch<&statistic_part<T>>(blocks(p.batch * p.parts_per_trial), dim3(128), p);
      if (p.parts_per_trial > 1) emulation::launch<&statistic_total<T>>(blocks(p.batch), dim3(128), p);
    } else {
      emulation::launch<&statistic_naive<T>>(dim3(1), dim3(32), p);
    }
    for (int b = 0; b < p.batch; ++b) {
      constexpr int reductions[] = {reduce_mean, reduce_max, reduce_min, reduce_sum, reduce_sum};
      Plain<T> plain{reductions[p.which]};
      for (int64_t u = 0; u < p.units; ++u) {
        const T x = values.data[b * p.units + u];
        if (p.which == statistic_norm2)
          plain.add(x, x);
        else
          plain.add(T(1), p.which == statistic_norm1 ? std::abs(x) : x);
      }
      const T wanted = plain.result(p.units);
      compare("statistic case " + std::to_string(number) + " trial " + std::to_string(b), out.data[b],
              p.which == statistic_norm2 ? std::sqrt(wanted) : wanted, plain.tolerance(p.units, T(0)));
    }
  }
}

template void synapses<float>(int);
template void synapses<double>(int);
template void statistics<float>(int);
template void statistics<double>(int);

}  // namespace weightsharing::cuda
