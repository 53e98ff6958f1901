// What the lanes of a warp tell each other: votes and shuffles.
#pragma once

#include <type_traits>

#include "machine/barriers.h"

#pragma GCC visibility push(hidden)

namespace emulation {

template <class T>
EMULATION_QUIET T shuffle(Site site, unsigned mask, T value, unsigned source) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>, "shuffles move 4 or 8 bytes");
  WarpBarrier& warp = enter(mask, site);
  auto& values = warp.values[warp.barrier.generation & 1];
  __builtin_memcpy(values[lane()], &value, sizeof value);
  wait(warp.barrier, __builtin_popcount(mask), site);
  if (!(mask >> source & 1))
    fail("%s at %s:%d: lane %u reads lane %u, which its mask %08x does not name", site.what, site.file,
         site.line, lane(), source, mask);
  __builtin_memcpy(&value, values[source], sizeof value);
  --warp.inside;
  return value;
}
template <class T>
T shuffle_index(Site site, unsigned mask, T value, int source, int width = 32) {
  return shuffle(site, mask, value, (lane() & ~(width - 1)) + (source & (width - 1)));
}
template <class T>
T shuffle_up(Site site, unsigned mask, T value, unsigned delta, int width = 32) {
  const unsigned segment = lane() & ~(width - 1);
  return shuffle(site, mask, value, lane() >= segment + delta ? lane() - delta : lane());
}
template <class T>
T shuffle_down(Site site, unsigned mask, T value, unsigned delta, int width = 32) {
  const unsigned segment = lane() & ~(width - 1);
  return shuffle(site, mask, value, lane() + delta < segment + width ? lane() + delta : lane());
}
template <class T>
T shuffle_xor(Site site, unsigned mask, T value, int bits, int width = 32) {
  const unsigned segment = lane() & ~(width - 1), source = lane() ^ bits;
  return shuffle(site, mask, value, source < segment + width ? source : lane());
}

}  // namespace emulation

#define __ballot_sync(mask, vote) \
  emulation::wait_warp(EMULATION_SITE("__ballot_sync"), mask, (vote) ? 1u << emulation::lane() : 0u)
#define __any_sync(mask, vote) ((int)(__ballot_sync(mask, vote) != 0))
#define __all_sync(mask, vote) ((int)(__ballot_sync(mask, !(vote)) == 0))
#define __shfl_sync(...) emulation::shuffle_index(EMULATION_SITE("__shfl_sync"), __VA_ARGS__)
#define __shfl_up_sync(...) emulation::shuffle_up(EMULATION_SITE("__shfl_up_sync"), __VA_ARGS__)
#define __shfl_down_sync(...) emulation::shuffle_down(EMULATION_SITE("__shfl_down_sync"), __VA_ARGS__)
#define __shfl_xor_sync(...) emulation::shuffle_xor(EMULATION_SITE("__shfl_xor_sync"), __VA_ARGS__)

#pragma GCC visibility pop
