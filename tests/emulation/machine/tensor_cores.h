// Products of small matrices, rounded as tensor cores may round.
#pragma once

#include "machine/arithmetic.h"
#include "machine/barriers.h"

#pragma GCC visibility push(hidden)

namespace weightsharing::cuda {

inline unsigned round_to_tf32(float x) {
  const unsigned bits = __float_as_uint(x);
  return isfinite(x) ? (bits + 0x1000u) & ~0x1FFFu : bits;
}

// Nine numbers as tensor cores add them, in the least favourable reading of what is known: none keeps more
// than 24 bits below the leading bit of the largest, and nothing is rounded, all is cut off.
EMULATION_QUIET inline float cut_sum(const double (&term)[9]) {
  double largest = 0, sum = 0;
  for (double value : term) {
    if (!(__builtin_fabs(value) <= 3.4e38)) largest = value;  // not finite
    if (__builtin_fabs(largest) <= 3.4e38 && __builtin_fabs(value) > largest) largest = __builtin_fabs(value);
  }
  if (!(__builtin_fabs(largest) <= 3.4e38)) {
    for (double value : term) sum += value;
    return static_cast<float>(sum);
  }
  if (largest == 0) return 0.0f;
  int exponent;
  __builtin_frexp(largest, &exponent);
  const double unit = __builtin_ldexp(1.0, exponent - 24);
  for (double value : term) sum += __builtin_trunc(value / unit) * unit;
  const float rounded = static_cast<float>(sum);
  return __builtin_fabs(rounded) > __builtin_fabs(sum) ? __builtin_nextafterf(rounded, 0.0f) : rounded;
}

EMULATION_QUIET inline void mma_tf32_at(emulation::Site site, float* d, const unsigned* a,
                                        const unsigned* b) {
  emulation::WarpBarrier& warp = emulation::enter(~0u, site);
  auto& values = warp.values[warp.barrier.generation & 1];
  const unsigned me = emulation::lane();
  __builtin_memcpy(values[me], a, 16);
  __builtin_memcpy(values[me] + 16, b, 8);
  emulation::wait(warp.barrier, emulation::warp_lanes, site);
  const auto held = [&values](unsigned lane, unsigned index) {
    unsigned word;
    __builtin_memcpy(&word, values[lane] + 4 * index, 4);
    return __uint_as_float(word & ~0x1FFFu);  // tensor cores do not look at the low bits
  };
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned row = me / 4, column = me % 4 * 2 + i % 2;
    double term[9] = {d[i]};
    for (unsigned k = 0; k < 8; ++k)  // exact
      term[k + 1] =
          static_cast<double>(held(row * 4 + k % 4, i / 2 + k / 4 * 2)) * held(column * 4 + k % 4, 4 + k / 4);
    d[i] = cut_sum(term);
  }
  --warp.inside;
}
#define mma_tf32(d, a, b) mma_tf32_at(EMULATION_SITE("mma_tf32"), d, a, b)

}  // namespace weightsharing::cuda

#pragma GCC visibility pop
