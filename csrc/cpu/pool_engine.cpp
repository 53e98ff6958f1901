// Pooling: boxes without weights.
#include <stdexcept>

#include "cpu/engine.h"
#include "plan/pool.h"

namespace weightsharing::cpu {
namespace {

template <class T>
class PoolEngine final : public Engine {
 public:
  PoolEngine(const PoolingGeometry& geometry, Operation operation, const Psp& psp,
             const EngineOptions& options)
      : resources_(operation, psp, options),
        pre_size_(volume(geometry.pre, "pre")),
        post_size_(volume(geometry.post, "post")),
        plan_(plan::plan_pool(geometry, {resources_.kernels.vector_elements, sizeof(T)})) {
    static_cast<PoolShape&>(parameters_) = plan_.pool;
    parameters_.reduction = resources_.reduction();
    parameters_.rate = resources_.g.view();
    if (options.algorithm == Algorithm::direct && plan_.flat)
      throw std::invalid_argument("algorithm='direct': pooling has one algorithm per geometry, leave it out");
  }

  void set_weights(const std::vector<const void*>&) override {
    throw std::logic_error("pooling has no weights");
  }

  void run(const void* pre, void* post, Index batch, bool accumulate) override {
    const Index scratch = (plan_.flat ? 3 : 11) * plan_.pool.buffer_elements + resources_.program_elements();
    const auto turn = resources_.begin(flops() * static_cast<double>(batch), scratch);
    const auto kernel = plan_.flat ? resources_.kernels.flat : resources_.kernels.pool;
    for_blocks(batch * plan_.blocks, turn.threads, [&](Index block, int thread) {
      const Index trial = block / plan_.blocks;
      kernel(parameters_,
             {static_cast<const T*>(pre) + trial * pre_size_, static_cast<T*>(post) + trial * post_size_,
              resources_.scratch.of(thread), nullptr, block % plan_.blocks, accumulate});
    });
  }

  std::vector<std::pair<std::string, std::string>> describe() const override {
    return resources_.describe(plan_.flat ? "flat" : "pool", plan_.flat ? "doubling" : "direct",
                               plan_.reason);
  }
  double flops() const override { return plan_.flops; }
  double bytes() const override { return sizeof(T) * static_cast<double>(pre_size_ + post_size_); }

 private:
  Resources<T> resources_;
  Index pre_size_, post_size_;
  plan::PoolPlan plan_;
  PoolParameters<T> parameters_{};
};

}  // namespace
}  // namespace weightsharing::cpu

namespace weightsharing {

std::unique_ptr<Engine> make_engine(const PoolingGeometry& geometry, Operation operation, const Psp& psp,
                                    const EngineOptions& options) {
  return cpu::engine_of<cpu::PoolEngine>(options.dtype, geometry, operation, psp, options);
}

}  // namespace weightsharing
