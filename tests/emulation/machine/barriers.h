// Where the threads of a block or the lanes of a warp meet.
#pragma once

#include <algorithm>

#include "machine/fibers.h"

#pragma GCC visibility push(hidden)

namespace emulation {

// Returns the votes of all when `expected` threads have arrived.
EMULATION_QUIET inline unsigned wait(Barrier& barrier, unsigned expected, Site site, unsigned vote = 0) {
  if (barrier.arrived == 0)
    barrier.site = site;
  else if (barrier.site.line != site.line || strcmp(barrier.site.what, site.what) ||
           strcmp(barrier.site.file, site.file))
    fail("threads that must meet wait at different places: %s at %s:%d and %s at %s:%d (thread %u)",
         barrier.site.what, barrier.site.file, barrier.site.line, site.what, site.file, site.line,
         machine.current);
  const unsigned parity = barrier.generation & 1;
  barrier.votes[parity] += vote;
  release(&barrier.order[parity]);
  if (++barrier.arrived == expected) {
    barrier.arrived = 0;
    barrier.votes[parity ^ 1] = 0;
    ++barrier.generation;
  } else {
    const unsigned me = machine.current;
    Thread& thread = machine.thread[me];
    thread.waits_at = &barrier;
    thread.generation = barrier.generation;
    switch_to(next_fiber());
    become(me);
  }
  acquire(&barrier.order[parity]);
  return barrier.votes[parity];
}

EMULATION_QUIET inline unsigned wait_block(Site site, unsigned vote = 0) {
  return wait(machine.block, machine.threads, site, vote);
}

EMULATION_QUIET inline unsigned lane() { return machine.current % warp_lanes; }

EMULATION_QUIET inline unsigned lanes_of_warp() {
  const unsigned lanes = std::min(warp_lanes, machine.threads - machine.current / warp_lanes * warp_lanes);
  return lanes == warp_lanes ? ~0u : (1u << lanes) - 1;
}

EMULATION_QUIET inline WarpBarrier& enter(unsigned mask, Site site) {
  if (!(mask >> lane() & 1))
    fail("%s at %s:%d: lane %u is not in its mask %08x", site.what, site.file, site.line, lane(), mask);
  if (mask & ~lanes_of_warp())
    fail("%s at %s:%d: mask %08x names lanes beyond the block", site.what, site.file, site.line, mask);
  WarpBarrier* const barriers = machine.warp[machine.current / warp_lanes];
  WarpBarrier* unused = nullptr;
  for (unsigned i = 0; i < masks_per_warp; ++i) {
    if (barriers[i].mask == mask) {
      ++barriers[i].inside;
      return barriers[i];
    }
    if (!barriers[i].inside) unused = &barriers[i];
  }
  if (!unused)
    fail("%s at %s:%d: more than %u masks at once", site.what, site.file, site.line, masks_per_warp);
  unused->mask = mask;
  unused->inside = 1;
  unused->barrier.votes[0] = unused->barrier.votes[1] = 0;
  return *unused;
}

EMULATION_QUIET inline unsigned wait_warp(Site site, unsigned mask, unsigned vote = 0) {
  WarpBarrier& warp = enter(mask, site);
  const unsigned votes = wait(warp.barrier, __builtin_popcount(mask), site, vote);
  --warp.inside;
  return votes;
}

struct SyncWarp {
  Site site;
  void operator()() const { wait_warp(site, lanes_of_warp()); }
  void operator()(unsigned mask) const { wait_warp(site, mask); }
};

}  // namespace emulation

#define __syncthreads() ((void)emulation::wait_block(EMULATION_SITE("__syncthreads")))
#define __syncthreads_or(vote) \
  ((int)(emulation::wait_block(EMULATION_SITE("__syncthreads_or"), (vote) ? 1 : 0) != 0))
#define __syncthreads_and(vote) \
  ((int)(emulation::wait_block(EMULATION_SITE("__syncthreads_and"), (vote) ? 0 : 1) == 0))
#define __syncthreads_count(vote) \
  ((int)emulation::wait_block(EMULATION_SITE("__syncthreads_count"), (vote) ? 1 : 0))
#define __syncwarp(...) (emulation::SyncWarp{EMULATION_SITE("__syncwarp")}(__VA_ARGS__))

inline void __threadfence() {}
inline void __threadfence_block() {}

#pragma GCC visibility pop
