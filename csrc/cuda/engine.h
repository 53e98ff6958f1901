// A connected projection on a device: owns what lies there, and lists the launches of one run.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "cuda/device_functions.h"
#include "weightsharing/engine.h"

namespace weightsharing::cuda {

// Rates of now, or a row of a history that the step counter on the device selects.
struct RatesOnDevice {
  const void* rates = nullptr;
  const void* history = nullptr;
  const std::int64_t* step = nullptr;
  Index row = 0;
  int depth = 1, delay = 0;
  // Where whoever runs the projection keeps g(rates) of a psp that splits: two streams may run at once.
  std::shared_ptr<Memory>* changed = nullptr;
  bool may_allocate = true;  // not while a stream is captured
};

class Engine {
 public:
  virtual ~Engine() = default;
  // One array per filter (shared) or one array (synapses), in host memory, C order, of the engine's dtype.
  virtual void set_weights(const std::vector<const void*>& values, Stream stream) = 0;
  // Adds the launches of one run. They stay valid when weights are set again, unless `version` has changed.
  virtual void append(std::vector<Launch>& list, const RatesOnDevice& rates, void* post, Index batch,
                      bool accumulate) = 0;
  virtual std::vector<std::pair<std::string, std::string>> describe() const = 0;
  virtual double flops() const = 0;
  virtual double bytes() const = 0;
  int version() const { return version_; }

 protected:
  int version_ = 0;
};

std::unique_ptr<Engine> make_engine(const SharedGeometry& geometry, Operation operation, double padding_value,
                                    const Psp& psp, const EngineOptions& options, int device);
std::unique_ptr<Engine> make_engine(const PoolingGeometry& geometry, Operation operation, const Psp& psp,
                                    const EngineOptions& options, int device);
std::unique_ptr<Engine> make_engine(const SynapsesGeometry& geometry, Operation operation, const Psp& psp,
                                    const EngineOptions& options, int device);

// An array that equations read or write: (trials, units), or one value per trial.
struct OperandOnDevice {
  std::shared_ptr<Memory> memory;  // null: the time t
  bool per_unit;
};

// One step of a network as a flat list of launches, captured once and replayed.
class Schedule {
 public:
  virtual ~Schedule() = default;
  virtual void clear(std::shared_ptr<Memory> out) = 0;
  virtual void project(std::shared_ptr<Engine> engine, std::shared_ptr<Memory> rates,
                       std::shared_ptr<Memory> history, int delay, std::shared_ptr<Memory> out, Index batch,
                       bool accumulate) = 0;
  virtual void update(const Program& program, std::vector<OperandOnDevice> inputs,
                      std::vector<OperandOnDevice> outputs, Index batch, Index units) = 0;
  virtual void push(std::shared_ptr<Memory> rates, std::shared_ptr<Memory> history) = 0;
  virtual void run(Index first, Index steps) = 0;  // returns when the steps are done
};

// On a stream of the caller, who keeps it alive, or on one of its own.
std::unique_ptr<Schedule> make_schedule(DType dtype, double dt, int device, std::optional<Stream> stream);

void run_launches(const std::vector<Launch>& list, Stream stream);

// One array's elements into another one, both on the device.
Launch copy_launch(DType dtype, const void* from, void* to, Index elements);

}  // namespace weightsharing::cuda
