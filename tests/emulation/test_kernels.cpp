// The kernels against plain loops in long double, in the emulation. Every fast kernel meets the same cases as
// the naive one: tails of every length, every padding, operation and dtype, NaN and infinity, accumulation,
// batches, misaligned rates. Prints the number of comparisons, or the first case that differs.
#include <cstdio>
#include <cstdlib>

#include "kernels/cases.h"

namespace weightsharing::cuda {
namespace {

template <class T>
void all(int cases) {
  programs<T>();
  time_keepers<T>();
  exchanges<T>();
  draws<T>();
  synapses<T>(cases);
  statistics<T>(cases);
  pools<T>(cases);
  windows<T>(cases);
}

}  // namespace
}  // namespace weightsharing::cuda

int main(int count, char** arguments) {
  const int cases = count > 1 ? std::atoi(arguments[1]) : 48;
  if (count > 2) weightsharing::cuda::random_bits.seed(static_cast<unsigned>(std::atoi(arguments[2])));
  weightsharing::cuda::all<float>(cases);
  weightsharing::cuda::all<double>(cases);
  weightsharing::cuda::tf32_on_hard_data();
  std::printf("%ld comparisons\n", weightsharing::cuda::comparisons);
}
