// One step of a network as a flat list of launches on a device.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cuda/engine.h"
#include "weightsharing/schedule.h"

namespace weightsharing::cuda {

// An array that equations read or write: period values for each trial, see weightsharing/schedule.h.
struct OperandOnDevice {
  std::shared_ptr<Memory> memory;  // null: the time t
  Index period;
};

// Rows that one run keeps; the rows belong to the caller and lie in host memory.
struct RecordOnDevice {
  std::shared_ptr<Memory> values;
  std::vector<std::int64_t> ranks;  // empty: all units
  Index units, kept, batch;
  void* rows;
  Index row_count;
  Index first, period;
};

// The first value that was not finite.
struct NotFiniteOnDevice {
  int number;  // of the `check_finite` item
  Index element;
  Index step;  // after which it was found, counted as by `run`
  double value;
};

// One step of a network as a flat list of launches, captured once and replayed. Small pieces of work that do
// not need each other's results share a launch. Nothing is allocated in a step.
class Schedule {
 public:
  virtual ~Schedule() = default;

  // --- The list of a step, as in weightsharing/schedule.h ---
  virtual void clear(std::shared_ptr<Memory> out) = 0;
  virtual void project(std::shared_ptr<Engine> engine, std::shared_ptr<Memory> rates,
                       std::shared_ptr<Memory> history, int delay, std::shared_ptr<Memory> out, Index batch,
                       bool accumulate) = 0;
  virtual void combine(std::shared_ptr<Memory> values, std::shared_ptr<Memory> out, Operation operation,
                       double divisor) = 0;
  virtual void gather_history(std::shared_ptr<Memory> rates, std::shared_ptr<Memory> history,
                              const std::vector<std::int32_t>& delays, std::shared_ptr<Memory> out) = 0;
  virtual void statistic(std::shared_ptr<Memory> values, std::shared_ptr<Memory> out,
                         weightsharing::Statistic which) = 0;
  virtual void update(const weightsharing::Program& program, std::vector<OperandOnDevice> inputs,
                      std::vector<OperandOnDevice> outputs, Index batch, Index units, const Noise& noise) = 0;
  virtual void push(std::shared_ptr<Memory> rates, std::shared_ptr<Memory> history) = 0;
  virtual void fill_history(std::shared_ptr<Memory> rates, std::shared_ptr<Memory> history) = 0;
  virtual int input(std::shared_ptr<Memory> rates, Index batch, Index units) = 0;
  virtual int check_finite(std::shared_ptr<Memory> values) = 0;

  // --- What may change between runs: the captured step stays. Frames and rows lie in host memory ---
  virtual void set_frames(int input, const Frames& frames) = 0;
  virtual void set_records(std::vector<RecordOnDevice> records) = 0;

  // Steps first, ..., first + steps - 1; returns when they are done. About every 20 ms the host waits for the
  // device: then it asks `go_on` whether to, and looks for values that were not finite, which end the run
  // some steps after the one that left them.
  virtual std::optional<NotFiniteOnDevice> run(Index first, Index steps,
                                               const std::function<bool()>& go_on) = 0;
  virtual Index done() const = 0;  // steps that the last run completed, also one that threw
  // Names of the kernels that a step launches.
  virtual std::vector<std::string> launches(bool recording) = 0;
};

// On a stream of the caller, who keeps it alive, or on one of its own. Without `together` every piece of work
// has a launch of its own, and the same result.
std::unique_ptr<Schedule> make_schedule(DType dtype, double dt, int device, std::optional<Stream> stream,
                                        bool together);

}  // namespace weightsharing::cuda
