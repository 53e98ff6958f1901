// Filters and banks: windows on regular centres, and gathers of listed ones.
#include <deque>

#include "cuda/psp.h"
#include "cuda/weights.h"
#include "plan/filters.h"

namespace weightsharing::cuda {
namespace {

template <class T>
class SharedEngine final : public Engine {
 public:
  SharedEngine(const SharedGeometry& geometry, Operation operation, double padding_value, const Psp& psp,
               const EngineOptions& options, int device)
      : device_(device),
        flip_(geometry.flip),
        algorithm_(options.algorithm),
        psp_(psp, device),
        plans_(plan::plan_window_launches(
            geometry, {operation, sizeof(T), bool(psp_.general()), options.algorithm}, target_of(device))) {
    const T outside = psp_.outside_value(padding_value);
    for (const plan::WindowLaunchPlan& plan : plans_) {
      Part& part = parts_.emplace_back(plan);
      WindowParameters<T>& w = part.parameters;
      w.reduction = static_cast<std::int32_t>(operation);
      w.outside = static_cast<std::int32_t>(geometry.padding);
      w.outside_value = outside;
      w.psp = psp_.general().view();
      w.has_psp = bool(psp_.general());
      if (plan.listed.empty()) continue;
      part.listed = upload(plan.listed, device);
      w.listed = static_cast<const std::int32_t*>(part.listed->data());
    }
  }

  void set_weights(const std::vector<const void*>& values, Stream stream) override {
    for (Part& part : parts_) {
      const std::vector<T> filters =
          plan::filters_in_order<T>(values, part.plan.first_filter, part.plan.filters, part.plan.taps, flip_);
      psp_.upload_weights(part.weights, filters, stream);
      part.parameters.weights = static_cast<const T*>(part.weights->data());
      if (part.plan.kernel == plan::WindowKernel::bank || part.plan.kernel == plan::WindowKernel::bank_tf32) {
        psp_.upload_weights(part.packed, pack(part.plan, filters), stream);
        part.parameters.packed = static_cast<const T*>(part.packed->data());
        part.parameters.packed_filters = part.plan.packed_filters();
      }
      if (part.plan.may_be_separable && !psp_.changes_weights() && algorithm_ == Algorithm::automatic)
        set_products(part, separate(part.plan, filters), stream);
    }
  }

  bool is_small(Index batch) const override {
    return plan::is_small(plans_, batch) && psp_.is_small(batch * plans_[0].pre_size);
  }
  bool is_one_to_one() const override { return parts_.size() == 1; }

  void append(std::vector<Launch>& list, const Call& call, Form form) override {
    const Source<T> source = psp_.source(list, call.rates, call.batch * plans_[0].pre_size);
    for (Part& part : parts_) {
      WindowParameters<T> w = part.parameters;
      w.source = source;
      w.post = static_cast<T*>(call.post);
      w.batch = static_cast<std::int32_t>(call.batch);
      w.accumulate = call.accumulate;
      list.push_back(launch_of(part, w, form));
    }
  }

  std::vector<std::pair<std::string, std::string>> describe() const override {
    const Part& part = parts_[0];
    std::vector<std::pair<std::string, std::string>> lines = {
        {"family", part.terms ? "lowrank" : part.plan.family},
        {"algorithm", part.terms                        ? "lowrank"
                      : algorithm_ == Algorithm::tf32x3 ? "3xtf32"
                                                        : "direct"},
        {"reason", part.terms
                       ? "the filter is a sum of " + std::to_string(part.terms) + " products of 1-D filters"
                       : part.plan.reason},
        {"device", device_functions().name(device_)}};
    psp_.describe(lines);
    return lines;
  }
  double flops() const override {
    double sum = 0;
    for (const plan::WindowLaunchPlan& p : plans_)
      sum += 2.0 * static_cast<double>(p.units) * p.filters * p.taps;
    return sum;
  }
  double bytes() const override {
    double elements = static_cast<double>(plans_[0].pre_size + plans_[0].post_size);
    for (const plan::WindowLaunchPlan& p : plans_) elements += static_cast<double>(p.filters) * p.taps;
    return sizeof(T) * elements;
  }

 private:
  struct Part {
    explicit Part(const plan::WindowLaunchPlan& planned)
        : plan(planned), parameters(plan::window_parameters<T>(planned)) {}

    const plan::WindowLaunchPlan& plan;
    WindowParameters<T> parameters;
    KernelsByNumber<plan::WindowKernel, plan::window_kernels> kernels;
    std::shared_ptr<Memory> weights, listed, packed, rows, columns;
    std::int32_t terms = 0;  // of a sum of products; 0: the filter as it is
    T rate_bound = 0;
  };

  Launch launch_of(Part& part, const WindowParameters<T>& w, Form form) {
    const bool is_small = form == Form::small;
    const plan::WindowKernel number = is_small     ? part.plan.small.value()
                                      : part.terms ? plan::WindowKernel::separable
                                                   : part.plan.kernel;
    const Kernel& kernel = part.kernels.at(number, [&]() -> const Kernel& {
      return psp_.general().kernel(plan::window_kernel<T>(number, part.plan, w.reduction));
    });
    const plan::LaunchShape shape = plan::window_launch(number, part.plan, w);
    if (is_small) return make_launch(kernel, shape, w, plan::level_kind(number));
    if (number != plan::WindowKernel::separable) return make_launch(kernel, shape, w);
    const SeparableParameters<T> s{w, static_cast<const T*>(part.rows->data()),
                                   static_cast<const T*>(part.columns->data()), part.rate_bound, part.terms};
    return make_launch(kernel, shape, s);
  }

  // Launches that exist name the kernel and the buffers: another kernel or longer buffers are another list.
  void set_products(Part& part, const std::optional<Products<T>>& products, Stream stream) {
    const std::int32_t terms = products ? products->terms : 0;
    if (terms != part.terms) ++version_;
    part.terms = terms;
    if (!products) return;
    const std::size_t bytes = products->rows.size() * sizeof(T);
    if (products->rate_bound != part.rate_bound || !part.rows || part.rows->bytes() != bytes) {
      ++version_;
      part.rows = std::make_shared<Memory>(bytes, device_);
      part.columns = std::make_shared<Memory>(products->columns.size() * sizeof(T), device_);
    }
    part.rate_bound = products->rate_bound;
    part.rows->upload(products->rows.data(), stream);
    part.columns->upload(products->columns.data(), stream);
  }

  int device_;
  bool flip_;
  Algorithm algorithm_;
  PspOnDevice<T> psp_;
  const std::vector<plan::WindowLaunchPlan> plans_;
  std::deque<Part> parts_;  // one for each plan; they cannot be moved
};

}  // namespace

std::unique_ptr<Engine> make_engine(const SharedGeometry& geometry, Operation operation, double padding_value,
                                    const Psp& psp, const EngineOptions& options, int device) {
  return make_engine_of<SharedEngine>(options.dtype, device, geometry, operation, padding_value, psp,
                                      options);
}

}  // namespace weightsharing::cuda
