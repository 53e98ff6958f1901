// One step of a network as a flat list, repeated in C++. Arrays belong to the caller and stay where they are.
#pragma once

#include <memory>
#include <vector>

#include "weightsharing/engine.h"

namespace weightsharing {

// An array that equations read or write: (trials, units), or one value per trial.
struct Operand {
  void* data;  // null: the time t in ms
  bool per_unit;
};

class Schedule {
 public:
  virtual ~Schedule() = default;

  virtual void clear(void* out, Index elements) = 0;
  // Reads rates, or with a delay of n steps row (s - n) % depth of history (depth, batch, pre).
  virtual void project(std::shared_ptr<Engine> engine, const void* rates, const void* history, Index depth,
                       Index delay, Index pre_elements, void* out, Index batch, bool accumulate) = 0;
  virtual void update(const Program& program, std::vector<Operand> inputs, std::vector<Operand> outputs,
                      Index batch, Index units) = 0;
  // Row s % depth of history := rates.
  virtual void push(const void* rates, void* history, Index depth, Index elements) = 0;

  // Steps first, ..., first + steps - 1.
  virtual void run(Index first, Index steps) = 0;
};

std::unique_ptr<Schedule> make_schedule(DType dtype, double dt, int threads);

}  // namespace weightsharing
