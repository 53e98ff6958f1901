// A connected projection, planned for this processor and ready to run.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "weightsharing/program.h"
#include "weightsharing/projection.h"

namespace weightsharing {

enum class DType { float32, float64 };

// What one tap contributes. A psp that splits into f(weight) * g(rate) runs on the ordinary kernels.
struct Psp {
  std::optional<Program> weight;   // f, absent for the weight itself
  std::optional<Program> rate;     // g, absent for the rate itself
  std::optional<Program> general;  // of (weight, rate), when it does not split
};

// 'direct' forces the plain algorithm; 'auto' lets the plan choose by geometry and weights; '3xtf32' asks for
// the tensor cores of a CUDA device.
enum class Algorithm { automatic, direct, tf32x3 };

Algorithm algorithm_from(const std::string& name);

struct EngineOptions {
  DType dtype = DType::float32;
  Algorithm algorithm = Algorithm::automatic;
  int threads = 0;  // 0: the number set for the process
};

class Engine {
 public:
  virtual ~Engine() = default;
  // One array per filter (shared) or one array (synapses), C order, of the engine's dtype; copied.
  virtual void set_weights(const std::vector<const void*>& values) = 0;
  // pre: batch x pre units, post: batch x post units. Nothing is allocated; calls of one engine take turns.
  virtual void run(const void* pre, void* post, Index batch, bool accumulate) = 0;
  // Names and values that say which algorithm runs and why.
  virtual std::vector<std::pair<std::string, std::string>> describe() const = 0;
  virtual double flops() const = 0;  // of one run of one trial
  virtual double bytes() const = 0;  // pre + weights + post, once
};

std::unique_ptr<Engine> make_engine(const SharedGeometry& geometry, Operation operation, double padding_value,
                                    const Psp& psp, const EngineOptions& options);
std::unique_ptr<Engine> make_engine(const PoolingGeometry& geometry, Operation operation, const Psp& psp,
                                    const EngineOptions& options);
std::unique_ptr<Engine> make_engine(const SynapsesGeometry& geometry, Operation operation, const Psp& psp,
                                    const EngineOptions& options);

// Instruction sets of this processor, lowest first: "baseline", "x86-64-v3", "x86-64-v4".
std::vector<std::string> instruction_sets();
std::string instruction_set();
// Lowers (or restores) the level for engines made from now on; std::invalid_argument for one that is not
// there.
void set_instruction_set(const std::string& name);

int thread_count();
void set_thread_count(int threads);

}  // namespace weightsharing
