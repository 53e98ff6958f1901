// What a kernel is told: plain structs of numbers and pointers, the same for every instruction set.
// Files that are compiled once per instruction set include this header and nothing of the standard library,
// so that no inline function compiled for a newer processor can be linked into code for an older one.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "primitives/random.h"

namespace weightsharing::cpu {

using Index = int64_t;

// Numbers of include/weightsharing/projection.h, and of statistics of schedule.h.
enum Reduction { reduce_sum, reduce_max, reduce_min, reduce_mean };
enum Statistic { statistic_mean, statistic_max, statistic_min, statistic_norm1, statistic_norm2 };

// Units that a program works on at a time: 128 floats are eight AVX-512 vectors, and 64 slots of them fit in
// 32 KB.
inline constexpr int program_block = 128;
// A strip or tile may be read this many elements past its end by the last vector of a row.
inline constexpr int slack = 64;
// Terms of a sum that are added in sequence; longer sums add such partial sums (Tower in vector.h), which
// keeps the rounding error of long sums small.
inline constexpr int chunk_taps = 32;
// Units whose statistic is taken in one piece.
inline constexpr int statistic_block = 4096;

template <class T>
struct ProgramView {
  const int32_t* code;
  int length;
  int slots;
  const T* constants;
  bool copies_inputs;  // outputs may lie where inputs lie, and are stored before the last operation
};

// One axis of the strip other than the last: which pre coordinates its rows hold.
struct StripAxis {
  Index pre;   // coordinates of pre
  Index post;  // units
  Index taps, stride, dilation, offset;
  Index block;  // units per block
  Index blocks;
  bool compact;      // rows hold unit * taps + tap (taps do not overlap), else every coordinate
  Index pre_step;    // elements of pre from one coordinate to the next
  Index post_step;   // elements of post from one unit to the next
  Index strip_step;  // elements of the strip from one row to the next
};

// The last axis of the strip: `planes` runs of elements, each a slice of the coordinates, so that
// neighbouring units read neighbouring elements whatever the stride (one plane per phase of the stride and
// per collapsed channel).
struct StripRow {
  Index pre;     // coordinates of pre
  Index inner;   // elements of pre per coordinate (layers or channels merged into this axis)
  Index offset;  // coordinate of tap 0 of unit 0
  Index stride;  // coordinates from one unit to the next
  Index post;    // units (coordinates of post)
  Index block, blocks;
  Index fill_stride;  // coordinates from one entry of a plane to the next: `stride` (phases apart) or 1 (all
                      // in one plane)
  Index fill_units;   // elements copied per coordinate
  Index planes;
  const Index* plane_phase;    // coordinate of a plane's first entry, relative to the block's first tap
  const Index* plane_channel;  // first element within the coordinate
  Index plane_entries;         // coordinates per plane
  Index plane_length;          // elements per plane with slack
};

// A padded copy of the part of pre that a block of units reads.
template <class T>
struct Strip {
  StripAxis axis[3];
  StripRow row;
  Index elements;
  int outside;
  T outside_value;
  const ProgramView<T>* rate;  // g of a psp f(w)*g(r), null for r itself
};

// A filter as a sum of products of one-dimensional filters.
template <class T>
struct Factors {
  Index terms;
  const T* const*
      values;  // [term][4]: the filter along each axis of the strip, null for an axis with one tap
};

// One filter, or the filters of a bank with equal extents, over a regular grid.
template <class T>
struct WindowParameters {
  Strip<T> strip;
  Index taps;
  const Index* tap_offset;  // elements of the strip from a unit's first element to tap t
  const int32_t*
      tap_index;  // [tap][4]: tap number per axis, on the last one coordinates from tap 0; for clipped work
  const T* weights;  // [filter][tap]
  bool weights_finite;
  int reduction;
  const ProgramView<T>* psp;  // null: weight * strip element
  Index filters;
  Index post_offset;  // first filter's place in a post unit
  Index post_unit;    // elements of post from one unit to the next on the last axis
  Index
      row_units;  // units per coordinate of the last axis (layers), a run of them is contiguous in the strip
  bool flatten;   // the rows of a block are computed as one run
  const T* inside[4];  // 'ignore' and mean: taps inside, per unit of each axis
  // bank: weights packed [filter block][tap][lanes], filters padded with zeros to whole blocks
  const T* packed;
  Index filter_block;
  Index unit_step;             // bank: strip elements from one unit to the next
  Factors<T> factors;          // lowrank
  const Index* column_offset;  // lowrank: elements of the strip from tap 0 of the last axis to tap k
  Index column_taps;
  Index term_elements;    // lowrank: elements of one intermediate result
  const T* transformed;   // winograd: [16][filter block][channel][lanes]
  Index channels, tiles;  // winograd: tiles of 2 x 2 units transformed at a time
  T rate_bound;           // lowrank, winograd: larger rates take the direct path
  Index scratch_tile;     // elements of scratch after the strip
};

// Units at listed centres, on a padded copy of the whole of pre.
template <class T>
struct GatherParameters {
  Strip<T> strip;           // a single block that covers everything
  const Index* base;        // [unit] strip element of the first tap
  const Index* coordinate;  // [unit][4] coordinate of the first tap, for 'ignore'
  Index units, block;
  Index taps;
  const Index* tap_offset;
  const int32_t* tap_index;
  const T* weights;
  bool weights_finite;
  int reduction;
  const ProgramView<T>* psp;
  Index filters, post_offset, post_unit;
};

// Boxes without weights, clipped at the borders; axes 0..2 and the last one, `inner` elements per coordinate
// of the last.
struct PoolAxis {
  Index pre, post, extent, stride;
  Index pre_step, post_step;  // elements; of the last axis: inner
  Index block, blocks;        // units
};

template <class T>
struct PoolParameters {
  PoolAxis axis[4];
  Index inner;
  int reduction;
  const ProgramView<T>* rate;  // g, null for pre.r itself
  Index buffer_elements;       // of one of the buffers in scratch: 11 for pool, 3 for flat
};

template <class T>
struct SynapsesParameters {
  Index pre, post, block;
  const Index* row_start;
  const Index* column;
  const uint8_t* consecutive;  // [row] whether its columns are neighbours in order
  bool pointwise;              // row q has one synapse, from unit q
  const T* weights;
  int reduction;
  const ProgramView<T>* psp;   // null: weight * rate
  const ProgramView<T>* rate;  // g, applied to all rates first
};

template <class T>
struct ProgramInput {
  const T* data;
  Index step;  // 1: one value per unit, 0: one for all
};

// Where the noise of a block comes from: its first unit is a multiple of program_block.
struct NoiseBlock {
  NoiseKey key;  // of population and trial
  Index step, unit;
};

// What one call of a kernel works on.
template <class T>
struct Task {
  const T* pre;
  T* post;
  T* scratch;  // of this thread
  T* shared;   // of the call: written by the `prepare` kernels, read by the others
  Index block;
  bool accumulate;  // add to post instead of overwriting it
};

// The kernels of one instruction set. Every kernel computes one block and touches nothing else.
template <class T>
struct Kernels {
  void (*window)(const WindowParameters<T>&, const Task<T>&);
  void (*lowrank)(const WindowParameters<T>&, const Task<T>&);
  void (*bank)(const WindowParameters<T>&, const Task<T>&);
  void (*winograd)(const WindowParameters<T>&, const Task<T>&);
  void (*gather_prepare)(const GatherParameters<T>&, const Task<T>&);
  void (*gather)(const GatherParameters<T>&, const Task<T>&);
  void (*pool)(const PoolParameters<T>&, const Task<T>&);
  void (*flat)(const PoolParameters<T>&, const Task<T>&);
  void (*synapses_prepare)(const SynapsesParameters<T>&, const Task<T>&);
  void (*synapses)(const SynapsesParameters<T>&, const Task<T>&);
  // outputs[k][0..n) := program(inputs), n <= program_block; scratch of slots * program_block
  // elements; `noise` is read by programs that draw.
  void (*program)(const ProgramView<T>&, const ProgramInput<T>* inputs, T* const* outputs, Index n,
                  T* scratch, const NoiseBlock* noise);
  // Of n values, 0 < n <= statistic_block: the largest, the smallest, or the sum of x, |x| (norm1), x*x
  // (norm2).
  double (*statistic)(int which, const T* values, Index n);
  int vector_elements;
};

enum class Isa { baseline, v3, v4 };

namespace baseline {
extern const Kernels<float> kernels_float;
extern const Kernels<double> kernels_double;
}  // namespace baseline
namespace v3 {
extern const Kernels<float> kernels_float;
extern const Kernels<double> kernels_double;
}  // namespace v3
namespace v4 {
extern const Kernels<float> kernels_float;
extern const Kernels<double> kernels_double;
}  // namespace v4

}  // namespace weightsharing::cpu
