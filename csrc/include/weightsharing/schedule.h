// One step of a network as a flat list, repeated in C++. Arrays belong to the caller and stay where they are.
// An array of a population is (batch, units); a history (depth, batch, units), step s in row s % depth.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "weightsharing/engine.h"

namespace weightsharing {

// An array that equations read or write.
struct Operand {
  void* data;    // null: the time t in ms
  Index period;  // unit u of a trial has element u % period: the number of units, or 1 for all alike
};

// Where the noise of a population comes from.
struct Noise {
  std::uint64_t seed = 0;
  std::uint32_t population = 0;
  std::uint32_t first_trial = 0;
};

// What equations read of a whole population; norm1 is the sum of magnitudes, norm2 the root of the sum of
// squares.
enum class Statistic { mean, max, min, norm1, norm2 };

Statistic statistic_from(const std::string& name);

// Frames that are written over rates: frame i before step origin + starts[i], with a period again and again.
struct Frames {
  const void* data = nullptr;  // null: none
  bool each_trial = false;     // a frame is (batch, units), else (units)
  const std::int64_t* starts = nullptr;
  Index count = 0;
  Index period = 0;  // in steps; 0: once
  Index origin = 0;
};

// Rows that are kept: row i of (rows, batch, kept units) at the end of step first + i * period.
struct Record {
  const void* values;
  Index units;
  const std::int64_t* ranks = nullptr;  // null: all units
  Index kept;
  Index batch;
  void* rows;
  Index row_count;
  Index first, period;
};

struct RunResult {
  Index done;      // steps that were completed
  int not_finite;  // number of the `check_finite` item that found NaN or infinity in the last of them, or -1
  Index not_finite_element;  // where in its array
};

class Schedule {
 public:
  virtual ~Schedule() = default;

  // --- The list of a step, in this order ---
  virtual void clear(void* out, Index elements) = 0;
  // Reads rates, or with a delay of n steps row (s - n) % depth of a history.
  virtual void project(std::shared_ptr<Engine> engine, const void* rates, const void* history, Index depth,
                       Index delay, Index pre_elements, void* out, Index batch, bool accumulate) = 0;
  // out := out + values / divisor, or max or min of out and values.
  virtual void combine(const void* values, void* out, Index elements, Operation operation,
                       double divisor) = 0;
  // out[u] := the rate of unit u as it was delays[u] steps ago; 0 is now.
  virtual void gather_history(const void* rates, const void* history, Index depth, const std::int32_t* delays,
                              void* out, Index batch, Index units) = 0;
  // out: one value for each trial, of all its units. NaN in any of them stays.
  virtual void statistic(const void* values, void* out, Index batch, Index units, Statistic which) = 0;
  virtual void update(const Program& program, std::vector<Operand> inputs, std::vector<Operand> outputs,
                      Index batch, Index units, const Noise& noise) = 0;
  // Row s % depth := rates.
  virtual void push(const void* rates, void* history, Index depth, Index elements) = 0;
  // In step 0 every row := rates.
  virtual void fill_history(const void* rates, void* history, Index depth, Index elements) = 0;
  // Rates that frames are written over; returns the number for `set_frames`.
  virtual int input(void* rates, Index batch, Index units) = 0;
  // Ends the run after a step that leaves NaN or infinity in the array; returns the item's number.
  virtual int check_finite(const void* values, Index elements) = 0;

  // --- What may change between runs ---
  virtual void set_frames(int input, const Frames& frames) = 0;
  virtual void set_records(std::vector<Record> records) = 0;

  // Steps first, ..., first + steps - 1. Between steps, about every 20 ms, `go_on` is asked whether to.
  virtual RunResult run(Index first, Index steps, const std::function<bool()>& go_on) = 0;
};

std::unique_ptr<Schedule> make_schedule(DType dtype, double dt, int threads);

}  // namespace weightsharing
