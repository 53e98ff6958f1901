// Filters at listed centres.
#include "cpu/engine.h"
#include "plan/filters.h"
#include "plan/gather.h"

namespace weightsharing::cpu {
namespace {

// Filters with equal extents.
template <class T>
struct GatherPart {
  plan::GatherPlan plan;
  std::vector<T> weights;
  GatherParameters<T> parameters{};  // of the plan and the weights
};

template <class T>
class GatherEngine final : public Engine {
 public:
  GatherEngine(const SharedGeometry& geometry, Operation operation, double padding_value, const Psp& psp,
               const EngineOptions& options)
      : resources_(operation, psp, options),
        flip_(geometry.flip),
        pre_size_(volume(geometry.pre, "pre")),
        post_size_(volume(geometry.post, "post")),
        units_(geometry.units) {
    for (const auto& [first, end] : plan::equal_runs(geometry)) {
      GatherPart<T>& part = parts_.emplace_back();
      part.plan = plan::plan_gather(geometry, first, end - first);
      GatherParameters<T>& g = part.parameters;
      static_cast<GatherShape&>(g) = part.plan.gather;
      g.strip = strip_of(part.plan.strip, geometry.padding, padding_value, resources_.g.view());
      g.reduction = resources_.reduction();
      g.psp = resources_.general.view();
      copy_.reserve(1, g.strip.elements);
    }
  }

  void set_weights(const std::vector<const void*>& values) override {
    const std::lock_guard<std::mutex> turn(resources_.mutex);
    for (GatherPart<T>& part : parts_) {
      const GatherShape& shape = part.plan.gather;
      part.weights = resources_.apply_weight_function(
          plan::filters_in_order<T>(values, part.plan.first_filter, shape.filters, shape.taps, flip_));
      part.parameters.weights = part.weights.data();
    }
  }

  void run(const void* pre, void* post, Index batch, bool accumulate) override {
    const auto turn = resources_.begin(flops() * static_cast<double>(batch), resources_.program_elements());
    for (Index trial = 0; trial < batch; ++trial) {
      const auto task = [&](Index block, int thread) {
        return Task<T>{static_cast<const T*>(pre) + trial * pre_size_,
                       static_cast<T*>(post) + trial * post_size_,
                       resources_.scratch.of(thread),
                       copy_.of(0),
                       block,
                       accumulate};
      };
      for (const GatherPart<T>& part : parts_) {
        for_blocks(part.plan.prepare_blocks, turn.threads, [&](Index block, int thread) {
          resources_.kernels.gather_prepare(part.parameters, task(block, thread));
        });
        for_blocks(part.plan.blocks, turn.threads, [&](Index block, int thread) {
          resources_.kernels.gather(part.parameters, task(block, thread));
        });
      }
    }
  }

  std::vector<std::pair<std::string, std::string>> describe() const override {
    return resources_.describe("gather", "direct", "the centres are listed");
  }
  double flops() const override {
    double sum = 0;
    for (const GatherPart<T>& part : parts_) sum += part.plan.flops;
    return sum;
  }
  double bytes() const override {
    Index weights = 0;
    for (const GatherPart<T>& part : parts_) weights += part.plan.gather.filters * part.plan.gather.taps;
    return sizeof(T) * static_cast<double>(pre_size_ + post_size_ + weights) +
           sizeof(Index) * static_cast<double>(units_);
  }

 private:
  Resources<T> resources_;
  bool flip_;
  Index pre_size_, post_size_, units_;
  std::vector<GatherPart<T>> parts_;
  Scratch<T> copy_;  // the padded copy of pre
};

}  // namespace

std::unique_ptr<Engine> make_gather_engine(const SharedGeometry& geometry, Operation operation,
                                           double padding_value, const Psp& psp,
                                           const EngineOptions& options) {
  return engine_of<GatherEngine>(options.dtype, geometry, operation, padding_value, psp, options);
}

}  // namespace weightsharing::cpu
