// Neuron equations, by the interpreter.
//
// Ladder of versions (not yet measured on a GPU):
//   update  one thread per unit and trial
#pragma once

#include "cuda/coordinates.cuh"
#include "cuda/program.cuh"

namespace weightsharing::cuda {

// This thread is responsible for one unit of one trial; unit 0 also for the outputs that have one value per
// trial. Threads: batch * units, one-dimensional.
template <class T>
__global__ void update(const UpdateParameters<T> p) {
  const int64_t index = thread_index(), unit = index % p.units, trial = index / p.units;
  if (trial >= p.batch) return;
  const auto load = [&](int32_t i) {
    const Operand<T> input = p.inputs[i];
    if (!input.data) return static_cast<T>(static_cast<double>(*p.step) * p.dt);
    return input.data[input.per_unit ? index : trial];
  };
  const auto store = [&](int32_t i, T value) {
    const Operand<T> output = p.outputs[i];
    if (output.per_unit)
      output.data[index] = value;
    else if (unit == 0)
      output.data[trial] = value;
  };
  run_program(p.program, load, store);
}

}  // namespace weightsharing::cuda
