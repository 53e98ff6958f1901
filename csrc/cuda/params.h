// What a CUDA kernel is told: one plain struct per launch, passed by value (at most 4 KB), the same for nvcc,
// NVRTC and the emulation. Members have fixed widths; tables, programs and weights lie in global memory.
#pragma once

#if defined(__CUDACC_RTC__)
typedef int int32_t;  // NVRTC has no headers
typedef long long int64_t;
typedef unsigned int uint32_t;
typedef unsigned long uintptr_t;
#else
#include <stdint.h>
#endif

namespace weightsharing::cuda {

// Numbers of include/weightsharing/projection.h.
enum Reduction : int32_t { reduce_sum, reduce_max, reduce_min, reduce_mean };

// Bytecode in global memory; run by every thread for its own unit, slots in local memory.
template <class T>
struct Program {
  const int32_t* code;  // rows of five, see include/weightsharing/program.h
  const T* constants;
  int32_t length;
  int32_t slots;
};

// Rates that a projection reads: those of now, or with a delay row (step - delay) % depth of a history.
template <class T>
struct Source {
  const T* rates;
  const T* history;     // null without a delay
  const int64_t* step;  // the step counter on the device
  int64_t row;          // elements of one row of the history, all trials
  int32_t depth;
  int32_t delay;
};

// Tap k of unit q reads coordinate offset + stride * q + dilation * k.
struct Axis {
  int32_t pre, post, taps, stride, dilation, offset;
};

// window, bank and gather. Axes are four, those in front trivial.
template <class T>
struct WindowParameters {
  Source<T> source;
  T* post;
  const T* weights;       // [filter][tap], a flip already applied
  const int32_t* listed;  // gather: [unit][4] coordinate of the first tap; null for a regular grid
  int64_t pre_size;       // elements of one trial
  int64_t post_size;
  int64_t pre_step[4];   // elements from one coordinate to the next
  int64_t post_step[4];  // elements from one unit to the next
  int64_t units;         // post units of one filter and trial
  Axis axis[4];
  Program<T> psp;  // of (weight, rate), when has_psp
  T outside_value;
  int32_t has_psp;
  int32_t batch;
  int32_t taps;
  int32_t filters;       // of this launch
  int32_t first_filter;  // its place in a post unit
  int32_t post_unit;     // elements of post per unit of the grid (filters of the whole bank)
  int32_t reduction;
  int32_t outside;
  int32_t accumulate;
  // Only the fast kernels read these. Layers that share all weights: with inner > 1 every column of axis 3
  // holds so many neighbouring units, in pre and post alike, and pre_step[3] = post_step[3] = inner. Never 0.
  int32_t inner;
  int32_t packed_filters;  // filters of this launch, rounded up to whole blocks of bank_gemm
  const T* packed;         // [tap][packed_filters], zeros behind the last filter, 16-byte aligned
};

// A window whose filter is a sum of few products: weight[i][j] = sum over terms of row_factor[i] *
// column_factor[j].
template <class T>
struct SeparableParameters {
  WindowParameters<T> window;
  const T* row_factors;     // [term][taps of axis 2]
  const T* column_factors;  // [term][taps of axis 3]
  T rate_bound;             // from here on a product of two passes might overflow where the window would not
  int32_t terms;
};

struct PoolAxis {
  int32_t pre, post, extent, stride;
};

template <class T>
struct PoolParameters {
  Source<T> source;
  T* post;
  int64_t pre_size, post_size;
  int64_t pre_step[4], post_step[4];
  PoolAxis axis[4];
  int32_t batch;
  int32_t reduction;
  int32_t accumulate;
  // Only the fast kernels read these.
  int32_t
      inner;  // neighbouring elements per coordinate of axis 3, in pre and post alike: pre_step[3] = inner
  int32_t units;  // pool_rows: units of axis 3 per block
};

template <class T>
struct SynapsesParameters {
  Source<T> source;
  T* post;
  const int64_t* row_start;
  const int32_t* column;
  const T* weights;
  Program<T> psp;
  int64_t pre_size, post_size;
  int32_t has_psp;
  int32_t batch;
  int32_t reduction;
  int32_t accumulate;
};

// to[i] := program(from[i]): g of a psp f(w) * g(rate), once per rate.
template <class T>
struct ApplyParameters {
  Source<T> source;
  T* to;
  int64_t elements;
  Program<T> program;
};

template <class T>
struct Operand {
  T* data;         // null: the time t
  int64_t period;  // unit u of a trial has element u % period: the number of units, 1, or in between
};

// Equations of one population. Outputs with one value per trial (period 1) go to `data` of trial t by unit 0;
// the host points them at a buffer of their own, which a copy moves into place when all units are done.
template <class T>
struct UpdateParameters {
  Program<T> program;
  const Operand<T>* inputs;
  const Operand<T>* outputs;
  const int64_t* step;
  const uint32_t* keys;  // two words for the noise of each trial; null if the program draws none
  double dt;
  int64_t units;
  int32_t batch;
};

// Numbers of include/weightsharing/schedule.h.
enum Statistic : int32_t { statistic_mean, statistic_max, statistic_min, statistic_norm1, statistic_norm2 };
// Units that one warp reduces.
constexpr int64_t statistic_units = 2048;

// out[trial] := a statistic of the units of a trial.
template <class T>
struct StatisticParameters {
  const T* values;
  double* parts;  // [trial][part], written where there are several parts
  T* out;
  int64_t units;
  int64_t parts_per_trial;  // ceil(units / statistic_units)
  int32_t batch;
  int32_t which;
};

// to[row * elements + i] := from[i], row = step % depth (depth 1: a plain copy); from null: zeros.
template <class T>
struct CopyParameters {
  const T* from;
  T* to;
  const int64_t* step;
  int64_t elements;
  int32_t depth;
};

// *step += 1: the last launch of a step.
struct AdvanceParameters {
  int64_t* step;
};

// out[i] := out[i] + values[i] / divisor, or the larger or smaller of the two.
template <class T>
struct CombineParameters {
  const T* values;
  T* out;
  int64_t elements;
  T divisor;
  int32_t reduction;
};

// out := the rate of each unit as it was delays[unit] steps ago; 0 is now.
template <class T>
struct GatherHistoryParameters {
  const T* rates;
  const T* history;
  const int32_t* delays;  // of each unit of one trial
  T* out;
  const int64_t* step;
  int64_t elements;  // of all trials
  int64_t units;
  int32_t depth;
};

// What one run shows: frame i before step origin + starts[i]. The host writes it before the run.
template <class T>
struct Shown {
  const T* frames;
  const int64_t* starts;
  int64_t count;  // 0: nothing
  int64_t period, origin;
  int32_t each_trial;  // a frame is (trials, units), else (units)
};

template <class T>
struct ShowParameters {
  T* rates;
  const Shown<T>* shown;
  const int64_t* step;
  int64_t units;
  int32_t batch;
};

// Rows that one run keeps: row i of (rows, trials, kept units) at the end of step first + i * period.
template <class T>
struct Kept {
  const T* values;
  const int64_t* ranks;  // null: all units
  T* rows;               // those of this run, from `first_row` on
  int64_t units, kept, batch;
  int64_t first, period, first_row, row_count;
};

template <class T>
struct KeepParameters {
  const Kept<T>* const* kept;  // the address of the table: a run may need a longer one
  const int32_t* count;
  const int64_t* step;
  int64_t threads;  // of the launch
};

// The first step that left NaN or infinity anywhere, and the first place of that step: number of the check,
// element and kind (0 NaN, 1 infinity, 2 minus infinity), from the top in 16, 46 and 2 bits.
struct NotFinite {
  unsigned long long step, place;  // all ones: none
};

template <class T>
struct CheckParameters {
  const T* values;
  NotFinite* found;
  const int64_t* step;
  int64_t elements;
  int32_t number;
};

// Small pieces of work of one step in one launch: see level.cuh.
enum class LevelKind : int32_t {
  window,
  gather,
  pool,
  synapses,
  synapses_warp,
  apply,
  copy,
  copy_each,
  combine,
  gather_history,
  statistic_part,
  statistic_total,
  update,
  show,
  keep,
  check
};

// Parameters of a piece as they lie in global memory: this head, the words of the struct up to a multiple of
// four, and then the next piece of the chain.
struct LevelPiece {
  LevelKind kind;
  int32_t words;
  int32_t more;  // pieces that follow in the chain
  int32_t unused;
};

// What one block of the launch does: block `number` of each piece of a chain.
struct LevelBlock {
  const uint32_t* chain;
  LevelPiece first;  // copied from there, one access less
  int32_t number;
};

struct LevelParameters {
  const LevelBlock* blocks;
  const int64_t* from;  // null, or a step counter that this launch copies, changed by `add`, to another one
  int64_t* to;
  int32_t add;
};

}  // namespace weightsharing::cuda
