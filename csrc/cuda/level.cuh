// Small pieces of work of one step that do not need each other's results, in one launch: between two kernels
// of a graph that depend on each other a device rests longer than such a piece takes.
//
// Ladder of versions (not yet measured on a GPU):
//   level  a table gives each block its piece; each thread does what it would do in the piece's own kernel
#pragma once

#include "cuda/exchange.cuh"
#include "cuda/gather.cuh"
#include "cuda/history.cuh"
#include "cuda/pool.cuh"
#include "cuda/statistic.cuh"
#include "cuda/synapses.cuh"
#include "cuda/update.cuh"
#include "cuda/window.cuh"

namespace weightsharing::cuda {

constexpr int level_threads = 256;  // of a block, as flat launches have
constexpr int level_words = 128;    // room for the parameters of any piece

// One piece of a chain by one thread of it.
template <class T>
__device__ __forceinline__ void run_piece(LevelKind kind, const uint32_t* parameters, int64_t index) {
  switch (kind) {
#define WEIGHTSHARING_PIECE(name, Parameters, work)                   \
  case LevelKind::name:                                               \
    work(*reinterpret_cast<const Parameters<T>*>(parameters), index); \
    break;
    WEIGHTSHARING_PIECE(gather, WindowParameters, gather_unit)
    WEIGHTSHARING_PIECE(pool, PoolParameters, pool_unit)
    WEIGHTSHARING_PIECE(synapses, SynapsesParameters, synapses_unit)
    WEIGHTSHARING_PIECE(synapses_warp, SynapsesParameters, synapses_row)
    WEIGHTSHARING_PIECE(apply, ApplyParameters, apply_rate)
    WEIGHTSHARING_PIECE(copy, CopyParameters, copy_some)
    WEIGHTSHARING_PIECE(copy_each, CopyParameters, copy_element)
    WEIGHTSHARING_PIECE(combine, CombineParameters, combine_element)
    WEIGHTSHARING_PIECE(gather_history, GatherHistoryParameters, gather_past)
    WEIGHTSHARING_PIECE(statistic_part, StatisticParameters, statistic_of_part)
    WEIGHTSHARING_PIECE(statistic_total, StatisticParameters, statistic_of_trial)
    WEIGHTSHARING_PIECE(update, UpdateParameters, update_unit)
    WEIGHTSHARING_PIECE(show, ShowParameters, show_rate)
    WEIGHTSHARING_PIECE(keep, KeepParameters, keep_values)
    WEIGHTSHARING_PIECE(check, CheckParameters, check_value)
#undef WEIGHTSHARING_PIECE
    default:  // window; small work has few units, and a division of 32 bits takes half the time
      window_unit(*reinterpret_cast<const WindowParameters<T>*>(parameters), static_cast<int32_t>(index));
  }
}

// This block is responsible for one block of each piece of a chain, this thread for what it would be in the
// piece's own kernel; the very first thread also for a step counter, which nobody else in the launch reads.
// Grid: as many as there are entries in p.blocks; block: level_threads.
template <class T>
__global__ void __launch_bounds__(level_threads, sizeof(T) == 4 ? 2 : 1) level(const LevelParameters p) {
  static_assert(
      sizeof(WindowParameters<T>) <= 4 * level_words && sizeof(PoolParameters<T>) <= 4 * level_words,
      "the largest parameters fit");
  WEIGHTSHARING_SHARED(uint32_t, parameters, [level_words]);
  if (p.from && thread_index() == 0) *p.to = *p.from + p.add;
  const LevelBlock block = p.blocks[blockIdx.x];
  const int64_t index = static_cast<int64_t>(block.number) * level_threads + threadIdx.x;
  const uint32_t* from = block.chain;
  LevelPiece piece = block.first;
  for (;;) {
    from += sizeof(LevelPiece) / 4;
    for (int32_t k = threadIdx.x; k < piece.words; k += level_threads) parameters[k] = from[k];
    __syncthreads();
    run_piece<T>(piece.kind, parameters, index);
    if (!piece.more) return;
    from += (piece.words + 3) / 4 * 4;
    piece = *reinterpret_cast<const LevelPiece*>(from);
    __syncthreads();  // nobody needs the parameters of before
  }
}

}  // namespace weightsharing::cuda
