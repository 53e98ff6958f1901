// Filters over a regular grid.
#include <algorithm>
#include <cmath>

#include "cpu/engine.h"
#include "cpu/weights.h"
#include "plan/filters.h"

namespace weightsharing::cpu {
namespace {

// Filters with equal extents, ready to run. What the parameters point to belongs to the part.
template <class T>
struct WindowPart {
  WindowPart() = default;
  WindowPart(WindowPart&&) = default;  // no copies
  WindowPart& operator=(WindowPart&&) = default;

  std::shared_ptr<const plan::WindowPlan> plan;
  std::vector<T> inside[4];
  std::vector<T> weights;  // [filter][tap]
  PreparedWeights<T> prepared;
  std::string why_not_lowrank;  // where it was tried
  WindowParameters<T> parameters{};

  WindowAlgorithm algorithm() const { return static_cast<WindowAlgorithm>(prepared.index()); }

  const char* family() const {
    constexpr const char* names[] = {"window", "bank", "lowrank", "winograd"};
    return names[prepared.index()];
  }

  std::vector<std::string> reasons() const {
    if (const auto* lowrank = std::get_if<LowRankWeights<T>>(&prepared))
      return {"the filter is a sum of " + std::to_string(lowrank->terms()) + " products of 1-D filters"};
    if (algorithm() == WindowAlgorithm::winograd)
      return {"3x3 filters over " + std::to_string(parameters.channels) + " channels, tiles of 2x2 units"};
    if (why_not_lowrank.empty()) return {plan->reason};
    return {plan->reason, why_not_lowrank};
  }
};

// Each once, in the order of their first appearance.
std::string joined(const std::vector<std::string>& words, const char* separator) {
  std::vector<std::string> known;
  std::string text;
  for (const std::string& word : words) {
    if (std::find(known.begin(), known.end(), word) != known.end()) continue;
    known.push_back(word);
    text += (text.empty() ? "" : separator) + word;
  }
  return text;
}

template <class T>
class SharedEngine final : public Engine {
 public:
  SharedEngine(const SharedGeometry& geometry, Operation operation, double padding_value, const Psp& psp,
               const EngineOptions& options)
      : resources_(operation, psp, options),
        geometry_(geometry),
        padding_value_(padding_value),
        pre_size_(volume(geometry.pre, "pre")),
        post_size_(volume(geometry.post, "post")) {
    const bool tapwise = resources_.general || (geometry.padding == Padding::ignore && !resources_.adds());
    for (const auto& [first, end] : plan::equal_runs(geometry))
      plans_.push_back(std::make_shared<plan::WindowPlan>(
          plan::plan_window(geometry, first, end - first, tapwise, target())));
    for (const auto& plan : plans_) parts_.push_back(unprepared(plan));
  }

  void set_weights(const std::vector<const void*>& values) override {
    const std::lock_guard<std::mutex> turn(resources_.mutex);
    for (std::size_t i = 0; i < plans_.size(); ++i) parts_[i] = prepare(plans_[i], values);
  }

  void run(const void* pre, void* post, Index batch, bool accumulate) override {
    const auto turn = resources_.begin(flops() * static_cast<double>(batch), scratch_elements());
    for (const WindowPart<T>& part : parts_) {
      const auto kernel = kernel_of(part.algorithm());
      const Index blocks = part.plan->blocks;
      for_blocks(batch * blocks, turn.threads, [&](Index block, int thread) {
        const Index trial = block / blocks;
        kernel(part.parameters,
               {static_cast<const T*>(pre) + trial * pre_size_, static_cast<T*>(post) + trial * post_size_,
                resources_.scratch.of(thread), nullptr, block % blocks, accumulate});
      });
    }
  }

  std::vector<std::pair<std::string, std::string>> describe() const override {
    std::vector<std::string> families, reasons;
    for (const WindowPart<T>& part : parts_) {
      families.push_back(part.family());
      for (std::string& reason : part.reasons()) reasons.push_back(std::move(reason));
    }
    const char* algorithm = any_is(WindowAlgorithm::lowrank)    ? "lowrank"
                            : any_is(WindowAlgorithm::winograd) ? "winograd"
                                                                : "direct";
    auto lines = resources_.describe(joined(families, ", "), algorithm, joined(reasons, "; "));
    lines.push_back({"blocks", std::to_string(parts_[0].plan->blocks)});
    return lines;
  }
  double flops() const override {
    double sum = 0;
    for (const auto& plan : plans_) sum += plan->flops;
    return sum;
  }
  double bytes() const override {
    Index weights = 0;
    for (const auto& plan : plans_) weights += plan->window.filters * plan->window.taps;
    return sizeof(T) * static_cast<double>(pre_size_ + post_size_ + weights);
  }

 private:
  plan::CpuTarget target() const { return {resources_.kernels.vector_elements, sizeof(T)}; }

  auto kernel_of(WindowAlgorithm algorithm) const {
    switch (algorithm) {
      case WindowAlgorithm::bank:
        return resources_.kernels.bank;
      case WindowAlgorithm::lowrank:
        return resources_.kernels.lowrank;
      case WindowAlgorithm::winograd:
        return resources_.kernels.winograd;
      default:
        return resources_.kernels.window;
    }
  }

  bool any_is(WindowAlgorithm algorithm) const {
    return std::any_of(parts_.begin(), parts_.end(),
                       [&](const WindowPart<T>& part) { return part.algorithm() == algorithm; });
  }

  Index scratch_elements() const {
    Index most = 0;
    for (const WindowPart<T>& part : parts_)
      most = std::max(most, part.parameters.strip.elements + part.parameters.scratch_tile);
    return most + resources_.program_elements();
  }

  // Before weights are set, for those who ask what the plan is.
  WindowPart<T> unprepared(const std::shared_ptr<const plan::WindowPlan>& plan) const {
    if (plan->family == plan::Family::bank) return part_of(plan, {}, BankWeights<T>{});
    return part_of(plan, {}, DirectWeights<T>{});
  }

  WindowPart<T> prepare(std::shared_ptr<const plan::WindowPlan> plan,
                        const std::vector<const void*>& values) const {
    std::vector<T> weights = resources_.apply_weight_function(plan::filters_in_order<T>(
        values, plan->first_filter, plan->window.filters, plan->window.taps, geometry_.flip));
    const bool automatic = resources_.options.algorithm == Algorithm::automatic;
    const bool ignore = geometry_.padding == Padding::ignore;
    if (plan->family == plan::Family::bank) {
      const bool finite = all_finite(weights);
      // 'ignore' stands on a strip of zeros outside, which a weight that is not finite would turn into NaN.
      if (ignore && !finite) {
        plan = std::make_shared<plan::WindowPlan>(
            plan::plan_window(geometry_, plan->first_filter, plan->window.filters, true, target()));
        return part_of(std::move(plan), std::move(weights), DirectWeights<T>{});
      }
      if (automatic && finite && !ignore && resources_.adds() && plan::suits_winograd(*plan))
        if (auto winograd = winograd_weights(*plan, weights))
          return part_of(std::move(plan), std::move(weights), std::move(*winograd));
      BankWeights<T> bank = bank_weights(*plan, weights);
      return part_of(std::move(plan), std::move(weights), std::move(bank));
    }
    if (!automatic || !may_be_lowrank(*plan))
      return part_of(std::move(plan), std::move(weights), DirectWeights<T>{});
    auto blocks = std::make_shared<plan::WindowPlan>(plan::plan_lowrank(geometry_, *plan, target()));
    auto attempt = lowrank_weights(*blocks, weights);
    if (auto* lowrank = std::get_if<LowRankWeights<T>>(&attempt))
      return part_of(std::move(blocks), std::move(weights), std::move(*lowrank));
    WindowPart<T> part = part_of(std::move(plan), std::move(weights), DirectWeights<T>{});
    part.why_not_lowrank = std::get<std::string>(attempt);
    return part;
  }

  static bool all_finite(const std::vector<T>& weights) {
    return std::all_of(weights.begin(), weights.end(), [](T v) { return std::isfinite(v); });
  }

  bool may_be_lowrank(const plan::WindowPlan& plan) const {
    const auto long_axes = std::count_if(plan.factor_extents.begin(), plan.factor_extents.end(),
                                         [](Index extent) { return extent > 2; });
    return resources_.adds() && !resources_.general && plan.window.filters == 1 && long_axes > 1;
  }

  WindowPart<T> part_of(std::shared_ptr<const plan::WindowPlan> plan, std::vector<T> weights,
                        PreparedWeights<T> prepared) const {
    WindowPart<T> part;
    part.plan = std::move(plan);
    part.weights = std::move(weights);
    part.prepared = std::move(prepared);
    WindowParameters<T>& w = part.parameters;
    static_cast<WindowShape&>(w) = part.plan->window;
    w.strip = strip_of(part.plan->strip, geometry_.padding, padding_value_, resources_.g.view());
    w.weights = part.weights.data();
    w.weights_finite = all_finite(part.weights);
    w.reduction = resources_.reduction();
    w.psp = resources_.general.view();
    for (int d = 0; d < 4; ++d) {
      part.inside[d].assign(part.plan->inside[d].begin(), part.plan->inside[d].end());
      w.inside[d] = part.inside[d].data();
    }
    std::visit([&](const auto& weights_of_algorithm) { weights_of_algorithm.tell(w); }, part.prepared);
    return part;
  }

  Resources<T> resources_;
  SharedGeometry geometry_;
  double padding_value_;
  Index pre_size_, post_size_;
  std::vector<std::shared_ptr<const plan::WindowPlan>> plans_;  // before the values of weights are known
  std::vector<WindowPart<T>> parts_;
};

}  // namespace
}  // namespace weightsharing::cpu

namespace weightsharing {

std::unique_ptr<Engine> make_engine(const SharedGeometry& geometry, Operation operation, double padding_value,
                                    const Psp& psp, const EngineOptions& options) {
  if (geometry.listed) return cpu::make_gather_engine(geometry, operation, padding_value, psp, options);
  return cpu::engine_of<cpu::SharedEngine>(options.dtype, geometry, operation, padding_value, psp, options);
}

}  // namespace weightsharing
