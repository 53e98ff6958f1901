// Blocks of a plan over threads. Which thread computes a block never changes its result.
#pragma once

#include <omp.h>

#include "weightsharing/engine.h"

namespace weightsharing::cpu {

// Threads to use for `wanted` (0: the process' setting): 1 in a child forked after threads were used, because
// the OpenMP runtime's threads do not survive a fork and a parallel region would wait for them for ever.
int threads_for(int wanted);
void note_parallel_region();

// body(block, thread) for every block in [0, blocks).
template <class Body>
void for_blocks(Index blocks, int threads, const Body& body) {
  if (threads <= 1 || blocks <= 1) {
    for (Index block = 0; block < blocks; ++block) body(block, 0);
    return;
  }
  note_parallel_region();
#pragma omp parallel for schedule(static) num_threads(threads)
  for (Index block = 0; block < blocks; ++block) body(block, omp_get_thread_num());
}

}  // namespace weightsharing::cpu
