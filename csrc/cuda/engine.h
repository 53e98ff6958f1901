// A connected projection on a device: owns what lies there, and lists the launches of one run.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cuda/launch.h"
#include "cuda/memory.h"
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

// One run of a projection.
struct Call {
  RatesOnDevice rates;
  void* post = nullptr;
  Index batch = 1;
  bool accumulate = false;
};

// The fastest kernels, or their twins that may share a launch with other work of a step.
enum class Form { fast, small };

class Engine {
 public:
  virtual ~Engine() = default;
  // One array per filter (shared) or one array (synapses), in host memory, C order, of the engine's dtype.
  virtual void set_weights(const std::vector<const void*>& values, Stream stream) = 0;
  // Whether all of a run of so many trials can be had in the small form, and is little work.
  virtual bool is_small(Index batch) const = 0;
  // Whether, in the small form, one launch reads the rates, and its thread i computes element i of post.
  virtual bool is_one_to_one() const = 0;
  // Adds the launches of one run. They stay valid when weights are set again, unless `version` has changed.
  // Launches of one run may run side by side, after a first one that computes g(rates).
  virtual void append(std::vector<Launch>& list, const Call& call, Form form) = 0;
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

// Makes an engine of a dtype on a device.
template <template <class> class E, class... Arguments>
std::unique_ptr<Engine> make_engine_of(DType dtype, int device, const Arguments&... arguments) {
  const Using use(device);
  if (dtype == DType::float32) return std::make_unique<E<float>>(arguments..., device);
  return std::make_unique<E<double>>(arguments..., device);
}

inline plan::GpuTarget target_of(int device) {
  return {device_functions().shared_bytes(device), device_functions().architecture(device)};
}

}  // namespace weightsharing::cuda
