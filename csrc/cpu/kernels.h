// What a kernel is told: plain structs of numbers and pointers, the same for every instruction set.
// Files that are compiled once per instruction set include this header and nothing of the standard library,
// so that no inline function compiled for a newer processor can be linked into code for an older one.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "cpu/shapes.h"
#include "primitives/random.h"

namespace weightsharing::cpu {

// Numbers of include/weightsharing/projection.h, and of statistics of schedule.h.
enum Reduction { reduce_sum, reduce_max, reduce_min, reduce_mean };
enum Statistic { statistic_mean, statistic_max, statistic_min, statistic_norm1, statistic_norm2 };

// Units that a program works on at a time: 128 floats are eight AVX-512 vectors, and 64 slots of them fit in
// 32 KB.
inline constexpr int program_block = 128;
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

// A padded copy of the part of pre that a block of units reads.
template <class T>
struct Strip : StripShape {
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
struct WindowParameters : WindowShape {
  Strip<T> strip;
  const T* weights;  // [filter][tap]
  bool weights_finite;
  int reduction;
  const ProgramView<T>* psp;  // null: weight * strip element
  const T* inside[4];         // 'ignore' and mean: taps inside, per unit of each axis
  // bank: weights packed [filter block][tap][lanes], filters padded with zeros to whole blocks
  const T* packed;
  Factors<T> factors;     // lowrank
  const T* transformed;   // winograd: [16][filter block][channel][lanes]
  Index channels, tiles;  // winograd: tiles of 2 x 2 units transformed at a time
  T rate_bound;           // lowrank, winograd: larger rates take the direct path
};

// Units at listed centres, on a padded copy of the whole of pre.
template <class T>
struct GatherParameters : GatherShape {
  Strip<T> strip;  // a single block that covers everything
  const T* weights;
  int reduction;
  const ProgramView<T>* psp;
};

// Boxes without weights.
template <class T>
struct PoolParameters : PoolShape {
  int reduction;
  const ProgramView<T>* rate;  // g, null for pre.r itself
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
