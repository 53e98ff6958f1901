#include "cuda/engine.h"

#include <algorithm>
#include <limits>

#include "cuda/on_device.h"
#include "cuda/tiles.h"
#include "plan/lowrank.h"

namespace weightsharing::cuda {
namespace {

plan::GpuTarget target_of(int device) {
  return {device_functions().shared_bytes(device), device_functions().architecture(device)};
}

template <class T>
Source<T> source_of(const RatesOnDevice& r) {
  return {static_cast<const T*>(r.rates), static_cast<const T*>(r.history), r.step, r.row, r.depth, r.delay};
}

template <class T>
class EngineOf : public Engine {
 public:
  EngineOf(Operation operation, const Psp& psp, int device)
      : operation_(operation),
        device_(device),
        f_(psp.weight, device),
        g_(psp.rate, device),
        general_(psp.general, device) {}

  std::vector<std::pair<std::string, std::string>> describe() const override {
    std::vector<std::pair<std::string, std::string>> lines = {
        {"device", device_functions().name(device_)},
        {"contribution", general_   ? "through the expression program, tap by tap"
                         : f_ || g_ ? "split into f(w) * g(rate)"
                                    : "w * rate"}};
    for (const ProgramOnDevice<T>* program : {&general_, &g_, &f_})
      if (*program) {
        lines.push_back({"program", program->how()});
        break;
      }
    return lines;
  }

 protected:
  // g of a split psp, for all rates of the run: what follows reads the result.
  Source<T> apply_rate_function(std::vector<Launch>& list, const RatesOnDevice& rates, Index elements) {
    const Source<T> source = source_of<T>(rates);
    if (!g_) return source;
    std::shared_ptr<Memory>& changed = *rates.changed;
    if (!changed || changed->bytes() < elements * sizeof(T)) {
      if (!rates.may_allocate)
        throw DeviceError(
            "a stream is captured, and the projection needs memory for its psp: call it once with arrays of "
            "this shape before each capture");
      changed = std::make_shared<Memory>(elements * sizeof(T), device_);
    }
    list.push_back(apply(g_, source, static_cast<T*>(changed->data()), elements));
    return {static_cast<const T*>(changed->data()), nullptr, nullptr, 0, 1, 0};
  }

  Launch apply(const ProgramOnDevice<T>& program, const Source<T>& from, T* to, Index elements) {
    const ApplyParameters<T> p{from, to, elements, program.view()};
    return make_launch(plan::flat_launch(plan::instance<T>("apply"), elements), p, program);
  }

  // Weights on the device, f of a split psp applied.
  void upload_weights(std::shared_ptr<Memory>& memory, const std::vector<T>& values, Stream stream) {
    if (!memory) memory = std::make_shared<Memory>(values.size() * sizeof(T), device_);
    if (values.empty()) return;
    memory->upload(values.data(), stream);
    if (!f_) return;
    T* data = static_cast<T*>(memory->data());
    device_functions().launch(
        apply(f_, {data, nullptr, nullptr, 0, 1, 0}, data, static_cast<Index>(values.size())), stream);
    device_functions().synchronise(stream);
  }

  // g(padding value): what stands outside once g has been applied to all rates.
  T outside_value(double padding_value) {
    T value = static_cast<T>(padding_value);
    if (!g_) return value;
    Memory cell(sizeof(T), device_);
    cell.upload(&value);
    T* data = static_cast<T*>(cell.data());
    device_functions().launch(apply(g_, {data, nullptr, nullptr, 0, 1, 0}, data, 1), nullptr);
    cell.download(&value);
    return value;
  }

  std::int32_t reduction() const { return static_cast<std::int32_t>(operation_); }

  Operation operation_;
  int device_;
  ProgramOnDevice<T> f_, g_, general_;
};

template <class T>
class SharedEngine final : public EngineOf<T> {
 public:
  SharedEngine(const SharedGeometry& geometry, Operation operation, double padding_value, const Psp& psp,
               const EngineOptions& options, int device)
      : EngineOf<T>(operation, psp, device), geometry_(geometry), options_(options) {
    const T outside = this->outside_value(padding_value);
    for (const plan::WindowLaunchPlan& planned : plan::plan_window_launches(
             geometry, operation, sizeof(T), bool(this->general_), options.algorithm, target_of(device))) {
      Part& part = parts_.emplace_back();
      part.plan = planned;
      WindowParameters<T>& w = part.parameters;
      w = {};
      std::copy(planned.axis, planned.axis + 4, w.axis);
      std::copy(planned.pre_step, planned.pre_step + 4, w.pre_step);
      std::copy(planned.post_step, planned.post_step + 4, w.post_step);
      w.pre_size = planned.pre_size;
      w.post_size = planned.post_size;
      w.units = planned.units;
      w.taps = planned.taps;
      w.filters = planned.filters;
      w.first_filter = planned.first_filter;
      w.post_unit = planned.post_unit;
      w.reduction = this->reduction();
      w.outside = static_cast<std::int32_t>(geometry.padding);
      w.outside_value = outside;
      w.inner = planned.inner;
      w.psp = this->general_.view();
      w.has_psp = bool(this->general_);
      if (!planned.listed.empty()) {
        part.listed = upload(planned.listed, device);
        w.listed = static_cast<const std::int32_t*>(part.listed->data());
      }
    }
  }

  void set_weights(const std::vector<const void*>& values, Stream stream) override {
    for (Part& part : parts_) {
      std::vector<T> weights;
      for (int f = 0; f < part.plan.filters; ++f) {
        const T* filter = static_cast<const T*>(values[part.plan.first_filter + f]);
        weights.insert(weights.end(), filter, filter + part.plan.taps);
        if (geometry_.flip) std::reverse(weights.end() - part.plan.taps, weights.end());
      }
      this->upload_weights(part.weights, weights, stream);
      part.parameters.weights = static_cast<const T*>(part.weights->data());
      if (part.plan.kernel == plan::WindowKernel::bank || part.plan.kernel == plan::WindowKernel::bank_tf32) {
        const int block = part.plan.filter_block,
                  packed_filters = (part.plan.filters + block - 1) / block * block;
        std::vector<T> packed(static_cast<std::size_t>(part.plan.taps) * packed_filters, T(0));
        for (int f = 0; f < part.plan.filters; ++f)
          for (int t = 0; t < part.plan.taps; ++t)
            packed[static_cast<std::size_t>(t) * packed_filters + f] =
                weights[static_cast<std::size_t>(f) * part.plan.taps + t];
        this->upload_weights(part.packed, packed, stream);
        part.parameters.packed = static_cast<const T*>(part.packed->data());
        part.parameters.packed_filters = packed_filters;
      }
      if (part.plan.may_be_separable && !this->f_ && options_.algorithm == Algorithm::automatic)
        separate(part, weights, stream);
    }
  }

  void append(std::vector<Launch>& list, const RatesOnDevice& rates, void* post, Index batch,
              bool accumulate) override {
    const Source<T> source = this->apply_rate_function(list, rates, batch * parts_[0].parameters.pre_size);
    for (Part& part : parts_) {
      WindowParameters<T> w = part.parameters;
      w.source = source;
      w.post = static_cast<T*>(post);
      w.batch = static_cast<std::int32_t>(batch);
      w.accumulate = accumulate;
      if (part.terms == 0) {
        list.push_back(make_launch(plan::window_launch<T>(part.plan, w), w, this->general_));
        continue;
      }
      const SeparableParameters<T> s{w, static_cast<const T*>(part.rows->data()),
                                     static_cast<const T*>(part.columns->data()), part.rate_bound,
                                     part.terms};
      list.push_back(make_launch(
          plan::any_tile_launch(plan::instance<T>("separable_tile"), w, separable_shared_bytes(w)), s));
    }
  }

  std::vector<std::pair<std::string, std::string>> describe() const override {
    auto lines = EngineOf<T>::describe();
    const Part& part = parts_[0];
    const std::string reason =
        part.terms ? "the filter is a sum of " + std::to_string(part.terms) + " products of 1-D filters"
                   : part.plan.reason;
    lines.insert(lines.begin(), {{"family", part.terms ? "lowrank" : part.plan.family},
                                 {"algorithm", part.terms                                ? "lowrank"
                                               : options_.algorithm == Algorithm::tf32x3 ? "3xtf32"
                                                                                         : "direct"},
                                 {"reason", reason}});
    return lines;
  }
  double flops() const override {
    double sum = 0;
    for (const Part& part : parts_)
      sum += 2.0 * static_cast<double>(part.plan.units) * part.plan.filters * part.plan.taps;
    return sum;
  }
  double bytes() const override {
    double elements = static_cast<double>(parts_[0].parameters.pre_size + parts_[0].parameters.post_size);
    for (const Part& part : parts_) elements += static_cast<double>(part.plan.filters) * part.plan.taps;
    return sizeof(T) * elements;
  }

 private:
  struct Part {
    plan::WindowLaunchPlan plan;
    WindowParameters<T> parameters;
    std::shared_ptr<Memory> weights, listed, packed, rows, columns;
    std::int32_t terms = 0;  // of a sum of products; 0: the filter as it is
    T rate_bound = 0;
  };

  // A sum of few products of a row and a column, where it costs less than half of the window's taps.
  void separate(Part& part, const std::vector<T>& weights, Stream stream) {
    const Index height = part.plan.axis[2].taps, width = part.plan.axis[3].taps;
    const std::size_t most_terms = static_cast<std::size_t>(height * width / (2 * (height + width)));
    const std::vector<double> values(weights.begin(), weights.end());
    const double tolerance = 4 * static_cast<double>(std::numeric_limits<T>::epsilon());
    const std::vector<plan::Term> terms =
        most_terms ? plan::factorise(values, {height, width}, tolerance, most_terms)
                   : std::vector<plan::Term>{};
    std::vector<T> rows, columns;
    for (const plan::Term& term : terms) {
      rows.insert(rows.end(), term.factor[0].begin(), term.factor[0].end());
      columns.insert(columns.end(), term.factor[1].begin(), term.factor[1].end());
    }
    // Launches that exist name the kernel and the buffers: another kernel or longer buffers are another list.
    const std::int32_t count = static_cast<std::int32_t>(terms.size());
    if (count != part.terms) ++this->version_;
    part.terms = count;
    if (!count) return;
    const T bound =
        static_cast<T>(plan::rate_bound(terms, static_cast<double>(std::numeric_limits<T>::max())));
    if (bound != part.rate_bound || !part.rows || part.rows->bytes() != rows.size() * sizeof(T)) {
      ++this->version_;
      part.rows = std::make_shared<Memory>(rows.size() * sizeof(T), this->device_);
      part.columns = std::make_shared<Memory>(columns.size() * sizeof(T), this->device_);
    }
    part.rate_bound = bound;
    part.rows->upload(rows.data(), stream);
    part.columns->upload(columns.data(), stream);
  }

  SharedGeometry geometry_;
  EngineOptions options_;
  std::vector<Part> parts_;
};

template <class T>
class PoolEngine final : public EngineOf<T> {
 public:
  PoolEngine(const PoolingGeometry& geometry, Operation operation, const Psp& psp, const EngineOptions&,
             int device)
      : EngineOf<T>(operation, psp, device),
        plan_(plan::plan_pool_launch(geometry, operation, sizeof(T), target_of(device))) {}

  void set_weights(const std::vector<const void*>&, Stream) override {
    throw std::logic_error("pooling has no weights");
  }

  void append(std::vector<Launch>& list, const RatesOnDevice& rates, void* post, Index batch,
              bool accumulate) override {
    PoolParameters<T> p{};
    p.source = this->apply_rate_function(list, rates, batch * plan_.pre_size);
    p.post = static_cast<T*>(post);
    p.pre_size = plan_.pre_size;
    p.post_size = plan_.post_size;
    std::copy(plan_.pre_step, plan_.pre_step + 4, p.pre_step);
    std::copy(plan_.post_step, plan_.post_step + 4, p.post_step);
    std::copy(plan_.axis, plan_.axis + 4, p.axis);
    p.batch = static_cast<std::int32_t>(batch);
    p.reduction = this->reduction();
    p.accumulate = accumulate;
    p.inner = plan_.inner;
    p.units = plan_.units;
    list.push_back(make_launch(plan::pool_launch(plan_, p), p));
  }

  std::vector<std::pair<std::string, std::string>> describe() const override {
    auto lines = EngineOf<T>::describe();
    lines.insert(lines.begin(), {{"family", "pool"}, {"algorithm", "direct"}, {"reason", plan_.reason}});
    return lines;
  }
  double flops() const override { return static_cast<double>(plan_.pre_size); }
  double bytes() const override { return sizeof(T) * static_cast<double>(plan_.pre_size + plan_.post_size); }

 private:
  plan::PoolLaunchPlan plan_;
};

template <class T>
class SynapsesEngine final : public EngineOf<T> {
 public:
  SynapsesEngine(const SynapsesGeometry& geometry, Operation operation, const Psp& psp, const EngineOptions&,
                 int device)
      : EngineOf<T>(operation, psp, device),
        pre_(geometry.pre),
        post_(geometry.post),
        synapses_(geometry.row_start.back()) {
    if (pre_ > std::numeric_limits<std::int32_t>::max())
      throw std::invalid_argument("synapses on CUDA: pre may have at most 2^31 - 1 units");
    row_start_ = upload(narrow<std::int64_t>(geometry.row_start), device);
    column_ = upload(narrow<std::int32_t>(geometry.column), device);
  }

  void set_weights(const std::vector<const void*>& values, Stream stream) override {
    const T* from = static_cast<const T*>(values.at(0));
    this->upload_weights(weights_, std::vector<T>(from, from + synapses_), stream);
  }

  void append(std::vector<Launch>& list, const RatesOnDevice& rates, void* post, Index batch,
              bool accumulate) override {
    SynapsesParameters<T> p{};
    p.source = this->apply_rate_function(list, rates, batch * pre_);
    p.post = static_cast<T*>(post);
    p.row_start = static_cast<const std::int64_t*>(row_start_->data());
    p.column = static_cast<const std::int32_t*>(column_->data());
    p.weights = static_cast<const T*>(weights_->data());
    p.psp = this->general_.view();
    p.has_psp = bool(this->general_);
    p.pre_size = pre_;
    p.post_size = post_;
    p.batch = static_cast<std::int32_t>(batch);
    p.reduction = this->reduction();
    p.accumulate = accumulate;
    list.push_back(make_launch(plan::synapses_launch<T>(post_, batch, synapses_), p, this->general_));
  }

  std::vector<std::pair<std::string, std::string>> describe() const override {
    auto lines = EngineOf<T>::describe();
    lines.insert(
        lines.begin(),
        {{"family", "synapses"}, {"algorithm", "direct"}, {"reason", "every synapse has its own weight"}});
    return lines;
  }
  double flops() const override { return 2.0 * static_cast<double>(synapses_); }
  double bytes() const override {
    return sizeof(T) * static_cast<double>(pre_ + post_ + synapses_) + 4.0 * static_cast<double>(synapses_);
  }

 private:
  Index pre_, post_, synapses_;
  std::shared_ptr<Memory> row_start_, column_, weights_;
};

template <template <class> class E, class... Arguments>
std::unique_ptr<Engine> make(DType dtype, int device, const Arguments&... arguments) {
  const Using use(device);
  if (dtype == DType::float32) return std::make_unique<E<float>>(arguments..., device);
  return std::make_unique<E<double>>(arguments..., device);
}

}  // namespace

std::unique_ptr<Engine> make_engine(const SharedGeometry& geometry, Operation operation, double padding_value,
                                    const Psp& psp, const EngineOptions& options, int device) {
  return make<SharedEngine>(options.dtype, device, geometry, operation, padding_value, psp, options);
}

std::unique_ptr<Engine> make_engine(const PoolingGeometry& geometry, Operation operation, const Psp& psp,
                                    const EngineOptions& options, int device) {
  return make<PoolEngine>(options.dtype, device, geometry, operation, psp, options);
}

std::unique_ptr<Engine> make_engine(const SynapsesGeometry& geometry, Operation operation, const Psp& psp,
                                    const EngineOptions& options, int device) {
  return make<SynapsesEngine>(options.dtype, device, geometry, operation, psp, options);
}

}  // namespace weightsharing::cuda
