#include "cuda/engine.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>
#include <type_traits>

#include "cuda/params.h"
#include "cuda/tiles.h"
#include "plan/factorise.h"
#include "plan/launches.h"

namespace weightsharing::cuda {
namespace {

template <class P>
Launch make_launch(const plan::LaunchShape& shape, const P& parameters) {
  static_assert(std::is_trivially_copyable_v<P> && sizeof(P) <= 4096);
  Launch launch{&kernel_named(shape.kernel), {}, {}, shape.shared_bytes, std::vector<std::byte>(sizeof(P))};
  std::copy(shape.grid, shape.grid + 3, launch.grid);
  std::copy(shape.block, shape.block + 3, launch.block);
  if (launch.kernel->parameter_bytes != sizeof(P))
    throw std::logic_error("launch: wrong parameters for " + shape.kernel);
  std::memcpy(launch.parameters.data(), &parameters, sizeof(P));
  return launch;
}

plan::GpuTarget target_of(int device) { return {device_functions().shared_bytes(device)}; }

template <class V>
std::shared_ptr<Memory> upload(const std::vector<V>& values, int device) {
  auto memory = std::make_shared<Memory>(values.size() * sizeof(V), device);
  if (!values.empty()) memory->upload(values.data());
  return memory;
}

template <class To, class From>
std::vector<To> narrow(const std::vector<From>& values) {
  return std::vector<To>(values.begin(), values.end());
}

// A program's code and constants in device memory.
template <class T>
class ProgramOnDevice {
 public:
  ProgramOnDevice(const std::optional<weightsharing::Program>& program, int device) {
    if (!program) return;
    code_ = upload(program->code, device);
    constants_ = upload(narrow<T>(program->constants), device);
    view_ = {static_cast<const std::int32_t*>(code_->data()), static_cast<const T*>(constants_->data()),
             program->length(), program->slots};
  }
  explicit operator bool() const { return code_ != nullptr; }
  const Program<T>& view() const { return view_; }

 private:
  std::shared_ptr<Memory> code_, constants_;
  Program<T> view_{};
};

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
    return {{"device", device_functions().name(device_)},
            {"contribution", general_   ? "through the expression program, tap by tap"
                             : f_ || g_ ? "split into f(w) * g(rate)"
                                        : "w * rate"}};
  }

 protected:
  // g of a split psp, for all rates of the run: what follows reads the result.
  Source<T> apply_rate_function(std::vector<Launch>& list, const RatesOnDevice& rates, Index elements) {
    const Source<T> source = source_of<T>(rates);
    if (!g_) return source;
    if (!changed_rates_ || changed_rates_->bytes() < elements * sizeof(T))
      changed_rates_ = std::make_shared<Memory>(elements * sizeof(T), device_);
    list.push_back(apply(g_, source, static_cast<T*>(changed_rates_->data()), elements));
    return {static_cast<const T*>(changed_rates_->data()), nullptr, nullptr, 0, 1, 0};
  }

  Launch apply(const ProgramOnDevice<T>& program, const Source<T>& from, T* to, Index elements) {
    const ApplyParameters<T> p{from, to, elements, program.view()};
    return make_launch(plan::flat_launch(plan::instance<T>("apply"), elements), p);
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
  std::shared_ptr<Memory> changed_rates_;
};

template <class T>
class SharedEngine final : public EngineOf<T> {
 public:
  SharedEngine(const SharedGeometry& geometry, Operation operation, double padding_value, const Psp& psp,
               const EngineOptions& options, int device)
      : EngineOf<T>(operation, psp, device), geometry_(geometry), options_(options) {
    const T outside = this->outside_value(padding_value);
    for (const plan::WindowLaunchPlan& planned : plan::plan_window_launches(
             geometry, operation, sizeof(T), bool(this->general_), target_of(device))) {
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
      if (part.plan.kernel == plan::WindowKernel::bank) {
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
        list.push_back(make_launch(plan::window_launch<T>(part.plan, w), w));
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
                                 {"algorithm", part.terms ? "lowrank" : "direct"},
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
    list.push_back(make_launch(plan::synapses_launch<T>(post_, batch, synapses_), p));
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

template <class T>
class ScheduleOf final : public Schedule {
 public:
  ScheduleOf(double dt, int device)
      : dt_(dt),
        device_(device),
        counter_(sizeof(std::int64_t), device),
        stream_(device_functions().create_stream()) {}
  ~ScheduleOf() override {
    forget_graphs();
    device_functions().destroy_stream(stream_);
  }

  void clear(std::shared_ptr<Memory> out) override {
    items_.push_back([this, out](std::vector<Launch>& list) {
      list.push_back(
          copy(nullptr, static_cast<T*>(out->data()), static_cast<Index>(out->bytes() / sizeof(T)), 1));
    });
  }

  void project(std::shared_ptr<Engine> engine, std::shared_ptr<Memory> rates, std::shared_ptr<Memory> history,
               int delay, std::shared_ptr<Memory> out, Index batch, bool accumulate) override {
    RatesOnDevice from{rates->data(), nullptr, nullptr, static_cast<Index>(rates->bytes() / sizeof(T)), 1, 0};
    if (history) {
      from.history = history->data();
      from.step = static_cast<const std::int64_t*>(counter_.data());
      from.depth = static_cast<int>(history->bytes() / rates->bytes());
      from.delay = delay;
      if (delay < 1 || delay > from.depth)
        throw std::invalid_argument("a delay needs a history at least as deep");
    }
    engines_.push_back(engine);
    items_.push_back([=](std::vector<Launch>& list) {
      (void)rates, (void)history;  // kept alive with the list
      engine->append(list, from, out->data(), batch, accumulate);
    });
  }

  void update(const weightsharing::Program& program, std::vector<OperandOnDevice> inputs,
              std::vector<OperandOnDevice> outputs, Index batch, Index units) override {
    auto code = std::make_shared<ProgramOnDevice<T>>(std::optional<weightsharing::Program>(program), device_);
    std::vector<Operand<T>> from, to;
    for (const OperandOnDevice& o : inputs)
      from.push_back({o.memory ? static_cast<T*>(o.memory->data()) : nullptr, o.per_unit});
    // One value for all units is read by every thread: the new one waits in `single` until they are done.
    auto single =
        std::make_shared<Memory>(std::max<std::size_t>(1, outputs.size()) * batch * sizeof(T), device_);
    std::vector<std::pair<const T*, T*>> commits;
    for (std::size_t k = 0; k < outputs.size(); ++k) {
      T* target = static_cast<T*>(outputs[k].memory->data());
      if (!outputs[k].per_unit) {
        T* waiting = static_cast<T*>(single->data()) + static_cast<Index>(k) * batch;
        commits.push_back({waiting, target});
        target = waiting;
      }
      to.push_back({target, outputs[k].per_unit});
    }
    auto inputs_table = upload(from, device_), outputs_table = upload(to, device_);
    items_.push_back([=](std::vector<Launch>& list) {
      (void)inputs, (void)outputs, (void)single;
      UpdateParameters<T> p{};
      p.program = code->view();
      p.inputs = static_cast<const Operand<T>*>(inputs_table->data());
      p.outputs = static_cast<const Operand<T>*>(outputs_table->data());
      p.step = static_cast<const std::int64_t*>(counter_.data());
      p.dt = dt_;
      p.units = units;
      p.batch = static_cast<std::int32_t>(batch);
      list.push_back(make_launch(plan::flat_launch(plan::instance<T>("update"), batch * units), p));
      for (const auto& [waiting, target] : commits) list.push_back(copy(waiting, target, batch, 1));
    });
  }

  void push(std::shared_ptr<Memory> rates, std::shared_ptr<Memory> history) override {
    items_.push_back([=](std::vector<Launch>& list) {
      list.push_back(copy(static_cast<const T*>(rates->data()), static_cast<T*>(history->data()),
                          static_cast<Index>(rates->bytes() / sizeof(T)),
                          static_cast<int>(history->bytes() / rates->bytes())));
    });
  }

  void run(Index first, Index steps) override {
    check_process();
    if (steps < 1) return;
    const DeviceFunctions& device = device_functions();
    device.use(device_);
    if (list_.empty() || version() != version_) {
      forget_graphs();
      list_.clear();
      for (const auto& item : items_) item(list_);
      const AdvanceParameters advance{static_cast<std::int64_t*>(counter_.data())};
      list_.push_back(make_launch(plan::single_launch("advance"), advance));
      version_ = version();
    }
    const std::int64_t counter = first;
    counter_.upload(&counter, stream_);
    // The first step runs as it is: what a kernel loads at its first launch must not happen while capturing.
    Index done = 0;
    if (!graph_[0]) {
      run_launches(list_, stream_);
      ++done;
    }
    for (const auto& [index, length] : {std::pair{1, steps_per_graph}, std::pair{0, Index{1}}})
      for (; steps - done >= length; done += length) {
        if (!graph_[index]) graph_[index] = captured(length);
        device.replay(graph_[index], stream_);
      }
    device.synchronise(stream_);
  }

 private:
  // Steps in the longer graph: launching a graph costs a few microseconds on the host.
  static constexpr Index steps_per_graph = 32;

  Launch copy(const T* from, T* to, Index elements, int depth) {
    const CopyParameters<T> p{from, to, static_cast<const std::int64_t*>(counter_.data()), elements, depth};
    return make_launch(plan::flat_launch(plan::instance<T>("copy"), elements), p);
  }

  int version() const {
    int sum = 0;
    for (const auto& engine : engines_) sum += engine->version();
    return sum;
  }

  Graph captured(Index steps) {
    const DeviceFunctions& device = device_functions();
    device.begin_capture(stream_);
    try {
      for (Index step = 0; step < steps; ++step) run_launches(list_, stream_);
    } catch (...) {
      device.abandon_capture(stream_);
      throw;
    }
    return device.end_capture(stream_);
  }

  void forget_graphs() {
    for (Graph& graph : graph_) {
      if (graph) device_functions().destroy_graph(graph);
      graph = nullptr;
    }
  }

  double dt_;
  int device_;
  Memory counter_;
  Stream stream_;
  std::vector<std::function<void(std::vector<Launch>&)>> items_;
  std::vector<std::shared_ptr<Engine>> engines_;
  std::vector<Launch> list_;
  Graph graph_[2] = {nullptr, nullptr};
  int version_ = -1;
};

template <template <class> class E, class... Arguments>
std::unique_ptr<Engine> make(DType dtype, const Arguments&... arguments) {
  if (dtype == DType::float32) return std::make_unique<E<float>>(arguments...);
  return std::make_unique<E<double>>(arguments...);
}

}  // namespace

void run_launches(const std::vector<Launch>& list, Stream stream) {
  for (const Launch& launch : list) device_functions().launch(launch, stream);
}

std::unique_ptr<Engine> make_engine(const SharedGeometry& geometry, Operation operation, double padding_value,
                                    const Psp& psp, const EngineOptions& options, int device) {
  return make<SharedEngine>(options.dtype, geometry, operation, padding_value, psp, options, device);
}

std::unique_ptr<Engine> make_engine(const PoolingGeometry& geometry, Operation operation, const Psp& psp,
                                    const EngineOptions& options, int device) {
  return make<PoolEngine>(options.dtype, geometry, operation, psp, options, device);
}

std::unique_ptr<Engine> make_engine(const SynapsesGeometry& geometry, Operation operation, const Psp& psp,
                                    const EngineOptions& options, int device) {
  return make<SynapsesEngine>(options.dtype, geometry, operation, psp, options, device);
}

std::unique_ptr<Schedule> make_schedule(DType dtype, double dt, int device) {
  if (dtype == DType::float32) return std::make_unique<ScheduleOf<float>>(dt, device);
  return std::make_unique<ScheduleOf<double>>(dt, device);
}

}  // namespace weightsharing::cuda
