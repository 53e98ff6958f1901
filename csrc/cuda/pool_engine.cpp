// Pooling: boxes without weights.
#include "cuda/psp.h"
#include "plan/pool_launches.h"

namespace weightsharing::cuda {
namespace {

template <class T>
class PoolEngine final : public Engine {
 public:
  PoolEngine(const PoolingGeometry& geometry, Operation operation, const Psp& psp, int device)
      : device_(device),
        psp_(psp, device),
        plan_(plan::plan_pool_launch(geometry, operation, sizeof(T), target_of(device))),
        parameters_(plan::pool_parameters<T>(plan_)) {
    parameters_.reduction = static_cast<std::int32_t>(operation);
  }

  void set_weights(const std::vector<const void*>&, Stream) override {
    throw std::logic_error("pooling has no weights");
  }

  bool is_small(Index batch) const override {
    return plan::is_small(plan_, batch) && psp_.is_small(batch * plan_.pre_size);
  }
  bool is_one_to_one() const override { return true; }

  void append(std::vector<Launch>& list, const Call& call, Form form) override {
    PoolParameters<T> p = parameters_;
    p.source = psp_.source(list, call.rates, call.batch * plan_.pre_size);
    p.post = static_cast<T*>(call.post);
    p.batch = static_cast<std::int32_t>(call.batch);
    p.accumulate = call.accumulate;
    const plan::PoolKernel number = form == Form::small ? plan_.small.value() : plan::kernel_for(plan_, p);
    const Kernel& kernel = kernels_.at(
        number, [&]() -> const Kernel& { return kernel_named(plan::pool_kernel<T>(number, p.reduction)); });
    list.push_back(
        make_launch(kernel, plan::pool_launch(number, p), p,
                    form == Form::small ? std::optional<LevelKind>(LevelKind::pool) : std::nullopt));
  }

  std::vector<std::pair<std::string, std::string>> describe() const override {
    std::vector<std::pair<std::string, std::string>> lines = {{"family", "pool"},
                                                              {"algorithm", "direct"},
                                                              {"reason", plan_.reason},
                                                              {"device", device_functions().name(device_)}};
    psp_.describe(lines);
    return lines;
  }
  double flops() const override { return static_cast<double>(plan_.pre_size); }
  double bytes() const override { return sizeof(T) * static_cast<double>(plan_.pre_size + plan_.post_size); }

 private:
  int device_;
  PspOnDevice<T> psp_;
  plan::PoolLaunchPlan plan_;
  PoolParameters<T> parameters_;
  KernelsByNumber<plan::PoolKernel, plan::pool_kernels> kernels_;
};

}  // namespace

std::unique_ptr<Engine> make_engine(const PoolingGeometry& geometry, Operation operation, const Psp& psp,
                                    const EngineOptions& options, int device) {
  return make_engine_of<PoolEngine>(options.dtype, device, geometry, operation, psp);
}

}  // namespace weightsharing::cuda
