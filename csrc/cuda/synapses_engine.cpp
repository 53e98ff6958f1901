// Synapses with weights of their own, in compressed rows.
#include <limits>

#include "cuda/psp.h"
#include "plan/synapses_launches.h"

namespace weightsharing::cuda {
namespace {

template <class T>
class SynapsesEngine final : public Engine {
 public:
  SynapsesEngine(const SynapsesGeometry& geometry, Operation operation, const Psp& psp, int device)
      : device_(device),
        pre_(geometry.pre),
        psp_(psp, device),
        plan_(plan::plan_synapses_launch(geometry.post, geometry.row_start.back())) {
    if (pre_ > std::numeric_limits<std::int32_t>::max())
      throw std::invalid_argument("synapses on CUDA: pre may have at most 2^31 - 1 units");
    row_start_ =
        upload(std::vector<std::int64_t>(geometry.row_start.begin(), geometry.row_start.end()), device);
    column_ = upload(std::vector<std::int32_t>(geometry.column.begin(), geometry.column.end()), device);
    parameters_.row_start = static_cast<const std::int64_t*>(row_start_->data());
    parameters_.column = static_cast<const std::int32_t*>(column_->data());
    parameters_.psp = psp_.general().view();
    parameters_.has_psp = bool(psp_.general());
    parameters_.pre_size = pre_;
    parameters_.post_size = plan_.post;
    parameters_.reduction = static_cast<std::int32_t>(operation);
  }

  void set_weights(const std::vector<const void*>& values, Stream stream) override {
    const T* from = static_cast<const T*>(values.at(0));
    psp_.upload_weights(weights_, std::vector<T>(from, from + plan_.synapses), stream);
  }

  bool is_small(Index batch) const override {
    return plan::is_small(plan_, batch) && psp_.is_small(batch * pre_);
  }
  bool is_one_to_one() const override { return plan_.kernel == plan::SynapsesKernel::naive; }

  void append(std::vector<Launch>& list, const Call& call, Form form) override {
    SynapsesParameters<T> p = parameters_;
    p.source = psp_.source(list, call.rates, call.batch * pre_);
    p.post = static_cast<T*>(call.post);
    p.weights = static_cast<const T*>(weights_->data());
    p.batch = static_cast<std::int32_t>(call.batch);
    p.accumulate = call.accumulate;
    const Kernel& kernel = kernels_.at(plan_.kernel, [&]() -> const Kernel& {
      return psp_.general().kernel(plan::synapses_kernel<T>(plan_.kernel));
    });
    const LevelKind kind = plan::level_kind(plan_.kernel);
    list.push_back(make_launch(kernel, plan::synapses_launch(plan_, call.batch), p,
                               form == Form::small ? std::optional<LevelKind>(kind) : std::nullopt));
  }

  std::vector<std::pair<std::string, std::string>> describe() const override {
    std::vector<std::pair<std::string, std::string>> lines = {{"family", "synapses"},
                                                              {"algorithm", "direct"},
                                                              {"reason", "every synapse has its own weight"},
                                                              {"device", device_functions().name(device_)}};
    psp_.describe(lines);
    return lines;
  }
  double flops() const override { return 2.0 * static_cast<double>(plan_.synapses); }
  double bytes() const override {
    const double synapses = static_cast<double>(plan_.synapses);
    return sizeof(T) * static_cast<double>(pre_ + plan_.post + plan_.synapses) + 4.0 * synapses;
  }

 private:
  int device_;
  Index pre_;
  PspOnDevice<T> psp_;
  plan::SynapsesLaunchPlan plan_;
  SynapsesParameters<T> parameters_{};
  KernelsByNumber<plan::SynapsesKernel, plan::synapses_kernels> kernels_;
  std::shared_ptr<Memory> row_start_, column_, weights_;
};

}  // namespace

std::unique_ptr<Engine> make_engine(const SynapsesGeometry& geometry, Operation operation, const Psp& psp,
                                    const EngineOptions& options, int device) {
  return make_engine_of<SynapsesEngine>(options.dtype, device, geometry, operation, psp);
}

}  // namespace weightsharing::cuda
