// Neuron equations, by the interpreter.
//
// Ladder of versions (not yet measured on a GPU):
//   update  one thread per unit and trial
#pragma once

#include "cuda/coordinates.cuh"
#include "cuda/program.cuh"

namespace weightsharing::cuda {

// One unit of one trial; unit 0 also stores the outputs that have one value per trial.
template <class T>
__device__ __forceinline__ void update_unit(const UpdateParameters<T>& p, int64_t index) {
  const int64_t unit = index % p.units, trial = index / p.units;
  if (trial >= p.batch) return;
  const int64_t step = *p.step;
  const auto load = [&](int32_t i) {
    const Operand<T> input = p.inputs[i];
    if (!input.data) return static_cast<T>(static_cast<double>(step) * p.dt);
    if (input.period == p.units) return input.data[index];
    return input.data[trial * input.period + (input.period == 1 ? 0 : unit % input.period)];
  };
  const auto store = [&](int32_t i, T value) {
    const Operand<T> output = p.outputs[i];
    if (output.period == p.units)
      output.data[index] = value;
    else if (unit == 0)
      output.data[trial] = value;
  };
  UnitNoise noise{{}, step, unit};
  if (p.keys) noise.key = {{p.keys[2 * trial], p.keys[2 * trial + 1]}};
  run_program(p.program, load, store, noise);
}

// This thread is responsible for one unit of one trial. Threads: batch * units, one-dimensional.
template <class T>
__global__ void update(const UpdateParameters<T> p) {
  update_unit(p, thread_index());
}

}  // namespace weightsharing::cuda
