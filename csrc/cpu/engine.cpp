// Engines of the CPU: own the plan, the prepared weights and the scratch of every thread, and hand blocks to
// kernels.
#include "weightsharing/engine.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <mutex>
#include <new>
#include <stdexcept>

#include "cpu/isa.h"
#include "cpu/program_store.h"
#include "cpu/threads.h"
#include "plan/choose.h"
#include "plan/factorise.h"

namespace weightsharing::cpu {
namespace {

// Blocks of less work than this many multiply-adds or elements in all are run by the calling thread: waking
// another one costs several microseconds.
constexpr double serial_work = 200000;

// One aligned piece of scratch per thread.
template <class T>
class Scratch {
 public:
  T* of(int thread) { return pieces_[thread].data; }
  void reserve(int threads, Index elements) {
    if (elements > elements_) pieces_.clear();
    elements_ = std::max(elements, elements_);
    while (static_cast<int>(pieces_.size()) < threads) pieces_.emplace_back(elements_);
  }

 private:
  struct Piece {
    T* data;
    explicit Piece(Index n)
        : data(static_cast<T*>(
              ::operator new(sizeof(T) * static_cast<std::size_t>(n), std::align_val_t(64)))) {
      std::fill(data, data + n, T(0));
    }
    Piece(Piece&& other) noexcept : data(other.data) { other.data = nullptr; }
    Piece(const Piece&) = delete;
    Piece& operator=(const Piece&) = delete;
    ~Piece() { ::operator delete(data, std::align_val_t(64)); }
  };
  std::vector<Piece> pieces_;
  Index elements_ = 0;
};

template <class T>
class EngineOf : public Engine {
 public:
  EngineOf(Operation operation, const Psp& psp, const EngineOptions& options)
      : operation_(operation),
        options_(options),
        isa_(current_isa()),
        kernels_(kernels<T>(isa_)),
        f_(psp.weight),
        g_(psp.rate),
        general_(psp.general) {}

  void run(const void* pre, void* post, Index batch, bool accumulate) final {
    const std::lock_guard<std::mutex> turn(mutex_);
    const int threads =
        flops() * static_cast<double>(batch) < serial_work ? 1 : threads_for(options_.threads);
    scratch_.reserve(std::max(threads, 1), scratch_elements());
    run_batch(static_cast<const T*>(pre), static_cast<T*>(post), batch, accumulate, threads);
  }

  std::vector<std::pair<std::string, std::string>> describe() const override {
    return {{"instruction set", instruction_sets()[static_cast<std::size_t>(isa_)]},
            {"threads", std::to_string(threads_for(options_.threads))},
            {"contribution", general_   ? "through the expression program, tap by tap"
                             : f_ || g_ ? "split into f(w) * g(rate)"
                                        : "w * rate"}};
  }

 protected:
  virtual Index scratch_elements() const = 0;
  virtual void run_batch(const T* pre, T* post, Index batch, bool accumulate, int threads) = 0;

  Index program_elements() const {
    return (std::max(g_ ? g_.view()->slots : 0, general_ ? general_.view()->slots : 0) + 1) * program_block;
  }

  // f(w) of a split psp, in the engine's dtype.
  std::vector<T> apply_weight_function(std::vector<T> values) {
    if (!f_) return values;
    std::vector<T> scratch(static_cast<std::size_t>(f_.view()->slots + 1) * program_block);
    for (std::size_t i = 0; i < values.size(); i += program_block) {
      const ProgramInput<T> input{values.data() + i, 1};
      T* output = values.data() + i;
      const Index n = std::min<Index>(program_block, static_cast<Index>(values.size() - i));
      kernels_.program(*f_.view(), &input, &output, n, scratch.data(), nullptr);
    }
    return values;
  }

  int reduction() const { return static_cast<int>(operation_); }
  plan::CpuTarget target() const { return {kernels_.vector_elements, sizeof(T)}; }

  Operation operation_;
  EngineOptions options_;
  Isa isa_;
  const Kernels<T>& kernels_;
  OptionalProgram<T> f_, g_, general_;
  Scratch<T> scratch_;
  std::mutex mutex_;
};

// The value that stands outside of pre as the kernels need it.
template <class T>
void set_strip(Strip<T>& strip, const StripAxis (&axis)[3], const StripRow& row, Index elements,
               Padding padding, double value, const ProgramView<T>* rate) {
  std::copy(axis, axis + 3, strip.axis);
  strip.row = row;
  strip.elements = elements;
  strip.outside = static_cast<int>(padding);
  strip.outside_value = static_cast<T>(value);
  strip.rate = rate;
}

template <class T>
struct WindowPart {
  plan::WindowPlan plan;
  WindowParameters<T> parameters;
  std::vector<T> inside[4];
  std::vector<T> weights, packed, transformed;
  std::vector<std::vector<T>> factor_values;
  std::vector<const T*> factors;
  std::vector<Index> column_offset;
  bool lowrank = false, winograd = false;
  std::string why_not_lowrank;
};

template <class T>
class SharedEngine final : public EngineOf<T> {
 public:
  SharedEngine(const SharedGeometry& geometry, Operation operation, double padding_value, const Psp& psp,
               const EngineOptions& options)
      : EngineOf<T>(operation, psp, options), geometry_(geometry) {
    const bool tapwise = this->general_ || (geometry.padding == Padding::ignore &&
                                            (operation == Operation::max || operation == Operation::min));
    for (const auto& [first, end] : plan::equal_runs(geometry)) {
      WindowPart<T>& part = parts_.emplace_back();
      part.plan = plan::plan_window(geometry, first, end - first, tapwise, this->target());
      flops_ += part.plan.flops;
      weights_ += part.plan.filters * part.plan.taps;
    }
    for (WindowPart<T>& part : parts_) fix(part, geometry.padding, padding_value);
  }

  void set_weights(const std::vector<const void*>& values) override {
    const std::lock_guard<std::mutex> turn(this->mutex_);
    for (WindowPart<T>& part : parts_) prepare(part, values);
  }

  std::vector<std::pair<std::string, std::string>> describe() const override {
    auto lines = EngineOf<T>::describe();
    std::string family, reason;
    for (const WindowPart<T>& part : parts_) {
      const std::string name = part.lowrank                             ? "lowrank"
                               : part.winograd                          ? "winograd"
                               : part.plan.family == plan::Family::bank ? "bank"
                                                                        : "window";
      const std::string why =
          part.winograd ? "3x3 filters over " + std::to_string(part.parameters.channels) +
                              " channels, tiles of 2x2 units"
          : part.lowrank
              ? "the filter is a sum of " + std::to_string(part.parameters.factors.terms) +
                    " products of 1-D filters"
              : part.plan.reason + (part.why_not_lowrank.empty() ? "" : "; " + part.why_not_lowrank);
      if (family.find(name) == std::string::npos) family += (family.empty() ? "" : ", ") + name;
      if (reason.find(why) == std::string::npos) reason += (reason.empty() ? "" : "; ") + why;
    }
    const auto any = [&](bool WindowPart<T>::* flag) {
      return std::any_of(parts_.begin(), parts_.end(), [&](const WindowPart<T>& part) { return part.*flag; });
    };
    const char* algorithm = any(&WindowPart<T>::lowrank)    ? "lowrank"
                            : any(&WindowPart<T>::winograd) ? "winograd"
                                                            : "direct";
    lines.insert(lines.begin(), {{"family", family}, {"algorithm", algorithm}, {"reason", reason}});
    lines.push_back({"blocks", std::to_string(parts_[0].plan.blocks)});
    return lines;
  }
  double flops() const override { return flops_; }
  double bytes() const override {
    return sizeof(T) *
           static_cast<double>(volume(geometry_.pre, "pre") + volume(geometry_.post, "post") + weights_);
  }

 protected:
  Index scratch_elements() const override {
    Index most = 0;
    for (const WindowPart<T>& part : parts_)
      most = std::max(most, part.parameters.strip.elements + part.parameters.scratch_tile);
    return most + this->program_elements();
  }

  void run_batch(const T* pre, T* post, Index batch, bool accumulate, int threads) override {
    const Index pre_size = volume(geometry_.pre, "pre"), post_size = volume(geometry_.post, "post");
    for (const WindowPart<T>& part : parts_) {
      const auto kernel = part.lowrank             ? this->kernels_.lowrank
                          : part.winograd          ? this->kernels_.winograd
                          : part.parameters.packed ? this->kernels_.bank
                                                   : this->kernels_.window;
      const Index blocks = part.plan.blocks;
      for_blocks(batch * blocks, threads, [&](Index block, int thread) {
        const Index trial = block / blocks;
        kernel(part.parameters, {pre + trial * pre_size, post + trial * post_size, this->scratch_.of(thread),
                                 nullptr, block % blocks, accumulate});
      });
    }
  }

 private:
  void fix(WindowPart<T>& part, Padding padding, double padding_value) {
    plan::WindowPlan& p = part.plan;
    WindowParameters<T>& w = part.parameters;
    w = {};
    p.row.plane_phase = p.plane_phase.data();
    p.row.plane_channel = p.plane_channel.data();
    set_strip(w.strip, p.axis, p.row, p.strip_elements, padding, padding_value, this->g_.view());
    w.taps = p.taps;
    w.tap_offset = p.tap_offset.data();
    w.tap_index = p.tap_index.data();
    w.reduction = this->reduction();
    w.psp = this->general_.view();
    w.filters = p.filters;
    w.post_offset = p.first_filter;
    w.post_unit = p.post_unit;
    w.row_units = p.row_units;
    w.flatten = p.flatten;
    for (int d = 0; d < 4; ++d) {
      part.inside[d].assign(p.inside[d].begin(), p.inside[d].end());
      w.inside[d] = part.inside[d].data();
    }
    w.filter_block = p.filter_block;
    w.unit_step = p.unit_step;
    const Index lowrank = may_be_lowrank(part) ? 4 * p.term_elements : 0;
    const Index winograd = may_be_winograd(part) ? 16 * winograd_tiles * (p.row.inner + p.filter_block) : 0;
    w.scratch_tile = std::max({p.scratch_tile, lowrank, winograd});
  }

  bool may_be_lowrank(const WindowPart<T>& part) const {
    const bool sum = this->operation_ == Operation::sum || this->operation_ == Operation::mean;
    int long_axes = 0;
    for (Index extent : part.plan.factor_extents) long_axes += extent > 2;
    return sum && !this->general_ && part.plan.family == plan::Family::window && part.plan.filters == 1 &&
           long_axes > 1 && this->options_.algorithm == Algorithm::automatic;
  }

  void prepare(WindowPart<T>& part, const std::vector<const void*>& values) {
    if (part.lowrank)
      take(part, plan_of(part, false, this->target()));  // what else it may be is not known yet
    plan::WindowPlan& p = part.plan;
    WindowParameters<T>& w = part.parameters;
    std::vector<T> weights;
    for (Index f = 0; f < p.filters; ++f) {
      const T* filter = static_cast<const T*>(values[p.first_filter + f]);
      weights.insert(weights.end(), filter, filter + p.taps);
      if (geometry_.flip) std::reverse(weights.end() - p.taps, weights.end());
    }
    part.weights = this->apply_weight_function(std::move(weights));
    w.weights = part.weights.data();
    w.weights_finite =
        std::all_of(part.weights.begin(), part.weights.end(), [](T v) { return std::isfinite(v); });

    // 'ignore' stands on a strip of zeros outside, which a weight that is not finite would turn into NaN.
    const bool tapwise = w.psp || (geometry_.padding == Padding::ignore && !w.weights_finite);
    if (p.family == plan::Family::bank && tapwise) take(part, plan_of(part, true, this->target()));
    if (p.family == plan::Family::bank) {
      part.packed = pack(part.weights, p.filters, p.taps, p.filter_block);
      w.packed = part.packed.data();
    }
    part.winograd = may_be_winograd(part) && w.weights_finite && transform(part);
    part.lowrank = may_be_lowrank(part) && factorise(part);
  }

  plan::WindowPlan plan_of(const WindowPart<T>& part, bool tapwise, const plan::CpuTarget& target) const {
    return plan::plan_window(geometry_, part.plan.first_filter, part.plan.filters, tapwise, target);
  }

  // Another plan for the same filters and weights.
  void take(WindowPart<T>& part, plan::WindowPlan plan) {
    const WindowParameters<T> before = part.parameters;
    part.plan = std::move(plan);
    fix(part, geometry_.padding, static_cast<double>(before.strip.outside_value));
    part.parameters.weights = before.weights;
    part.parameters.weights_finite = before.weights_finite;
  }

  // [filter][tap] -> [filter block][tap][lanes], whole blocks.
  static std::vector<T> pack(const std::vector<T>& weights, Index filters, Index taps, Index lanes) {
    const Index blocks = (filters + lanes - 1) / lanes;
    std::vector<T> packed(static_cast<std::size_t>(blocks * lanes * taps), T(0));
    for (Index f = 0; f < filters; ++f)
      for (Index t = 0; t < taps; ++t)
        packed[(f / lanes * taps + t) * lanes + f % lanes] = weights[f * taps + t];
    return packed;
  }

  // 3x3 over the last two axes of the grid with enough channels and filters that products, not transforms,
  // count. The numbers do not depend on the instruction set: neither does the choice.
  bool may_be_winograd(const WindowPart<T>& part) const {
    const plan::WindowPlan& p = part.plan;
    const bool sum = this->operation_ == Operation::sum || this->operation_ == Operation::mean;
    const bool square = p.axis[0].taps == 1 && p.axis[1].taps == 1 && p.axis[2].taps == 3 &&
                        p.taps == 9 * p.row.inner && p.column_taps == 3 * p.row.inner;
    const bool regular =
        p.axis[2].stride == 1 && p.axis[2].dilation == 1 && p.row.stride == 1 && p.row_dilation == 1;
    return sum && p.family == plan::Family::bank && square && regular && p.row.inner >= 32 &&
           p.filters >= 32 && geometry_.padding != Padding::ignore &&
           this->options_.algorithm == Algorithm::automatic;
  }

  static constexpr Index winograd_tiles = 24;

  bool transform(WindowPart<T>& part) {
    plan::WindowPlan& p = part.plan;
    WindowParameters<T>& w = part.parameters;
    constexpr double g[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
    const Index channels = p.row.inner;
    const Index planes = (p.filters + p.filter_block - 1) / p.filter_block * p.filter_block * channels;
    part.transformed.assign(static_cast<std::size_t>(16 * planes), T(0));
    double largest = 0;
    for (int xi = 0; xi < 16; ++xi) {
      std::vector<T> u(static_cast<std::size_t>(p.filters * channels));
      for (Index f = 0; f < p.filters; ++f)
        for (Index c = 0; c < channels; ++c) {
          double sum = 0;
          for (int i = 0; i < 3; ++i)
            for (int j = 0; j < 3; ++j)
              sum += g[xi / 4][i] * g[xi % 4][j] *
                     static_cast<double>(part.weights[f * p.taps + (3 * i + j) * channels + c]);
          u[f * channels + c] = static_cast<T>(sum);
          largest = std::max(largest, std::abs(sum));
        }
      const std::vector<T> packed = pack(u, p.filters, channels, p.filter_block);
      std::copy(packed.begin(), packed.end(), part.transformed.begin() + xi * planes);
    }
    w.transformed = part.transformed.data();
    w.channels = channels;
    w.tiles = winograd_tiles;
    // Each unit adds 9 products of at most 4 rates per channel.
    const double size = std::max(1.0, largest) * 36 * static_cast<double>(channels);
    w.rate_bound = static_cast<T>(0.25 * static_cast<double>(std::numeric_limits<T>::max()) / size);
    return std::isfinite(largest) && size < 1e30;
  }

  bool factorise(WindowPart<T>& part) {
    // Passes of one-dimensional filters are soon through with a block: it may be larger, and the blocks
    // fewer.
    plan::CpuTarget target = this->target();
    target.cache_bytes *= 4;
    // Each block copies its border, almost the filter's rows: it has some rows of units for them.
    const cpu::StripAxis& down = part.plan.axis[2];
    target.most_blocks = std::clamp<Index>(down.post / std::max<Index>(8, down.taps / 8), 4, 32);
    plan::WindowPlan p = plan_of(part, false, target);
    // Low rank must save a third of the direct work, borders included, to pay for its passes through memory.
    std::size_t most_terms = 0;
    while (most_terms < 16 && plan::lowrank_cost(p, most_terms + 1) < 0.67 * static_cast<double>(p.taps))
      ++most_terms;
    if (!most_terms) {
      part.why_not_lowrank = "too small to gain from products of 1-D filters";
      return false;
    }
    const std::vector<double> values(part.weights.begin(), part.weights.end());
    const double epsilon = std::numeric_limits<T>::epsilon();
    const std::vector<plan::Term> terms = plan::factorise(values, p.factor_extents, 4 * epsilon, most_terms);
    if (terms.empty()) {
      part.why_not_lowrank =
          "not a sum of at most " + std::to_string(most_terms) + " products of 1-D filters";
      return false;
    }
    part.factor_values.clear();
    for (const plan::Term& term : terms)
      for (const std::vector<double>& factor : term.factor)
        part.factor_values.emplace_back(factor.begin(), factor.end());
    part.factors.clear();
    for (const std::vector<T>& factor : part.factor_values) part.factors.push_back(factor.data());
    part.column_offset.assign(p.tap_offset.begin(), p.tap_offset.begin() + p.column_taps);
    take(part, std::move(p));
    WindowParameters<T>& w = part.parameters;
    w.factors = {static_cast<Index>(terms.size()), part.factors.data()};
    w.column_offset = part.column_offset.data();
    w.column_taps = part.plan.column_taps;
    w.term_elements = part.plan.term_elements;
    w.rate_bound =
        static_cast<T>(plan::rate_bound(terms, static_cast<double>(std::numeric_limits<T>::max())));
    return true;
  }

  SharedGeometry geometry_;
  std::vector<WindowPart<T>> parts_;
  double flops_ = 0;
  Index weights_ = 0;
};

template <class T>
class GatherEngine final : public EngineOf<T> {
 public:
  GatherEngine(const SharedGeometry& geometry, Operation operation, double padding_value, const Psp& psp,
               const EngineOptions& options)
      : EngineOf<T>(operation, psp, options), geometry_(geometry) {
    for (const auto& [first, end] : plan::equal_runs(geometry)) {
      Part& part = parts_.emplace_back();
      part.plan = plan::plan_gather(geometry, first, end - first);
      flops_ += part.plan.flops;
      copy_elements_ = std::max(copy_elements_, part.plan.strip_elements);
    }
    copy_.reserve(1, copy_elements_);
    for (Part& part : parts_) {
      plan::GatherPlan& p = part.plan;
      GatherParameters<T>& g = part.parameters;
      g = {};
      p.row.plane_phase = p.row.plane_channel = &zero_;
      set_strip(g.strip, p.axis, p.row, p.strip_elements, geometry.padding, padding_value, this->g_.view());
      g.base = p.base.data();
      g.coordinate = p.coordinate.data();
      g.units = p.units;
      g.block = p.block;
      g.taps = p.taps;
      g.tap_offset = p.tap_offset.data();
      g.tap_index = p.tap_index.data();
      g.reduction = this->reduction();
      g.psp = this->general_.view();
      g.filters = p.filters;
      g.post_offset = p.first_filter;
      g.post_unit = geometry.filters;
    }
  }

  void set_weights(const std::vector<const void*>& values) override {
    const std::lock_guard<std::mutex> turn(this->mutex_);
    for (Part& part : parts_) {
      std::vector<T> weights;
      for (Index f = 0; f < part.plan.filters; ++f) {
        const T* filter = static_cast<const T*>(values[part.plan.first_filter + f]);
        weights.insert(weights.end(), filter, filter + part.plan.taps);
        if (geometry_.flip) std::reverse(weights.end() - part.plan.taps, weights.end());
      }
      part.weights = this->apply_weight_function(std::move(weights));
      part.parameters.weights = part.weights.data();
    }
  }

  std::vector<std::pair<std::string, std::string>> describe() const override {
    auto lines = EngineOf<T>::describe();
    lines.insert(lines.begin(),
                 {{"family", "gather"}, {"algorithm", "direct"}, {"reason", "the centres are listed"}});
    return lines;
  }
  double flops() const override { return flops_; }
  double bytes() const override {
    Index weights = 0;
    for (const Part& part : parts_) weights += part.plan.filters * part.plan.taps;
    return sizeof(T) *
               static_cast<double>(volume(geometry_.pre, "pre") + volume(geometry_.post, "post") + weights) +
           sizeof(Index) * static_cast<double>(geometry_.units);
  }

 protected:
  Index scratch_elements() const override { return this->program_elements(); }

  void run_batch(const T* pre, T* post, Index batch, bool accumulate, int threads) override {
    const Index pre_size = volume(geometry_.pre, "pre"), post_size = volume(geometry_.post, "post");
    for (Index trial = 0; trial < batch; ++trial)
      for (const Part& part : parts_) {
        Task<T> task{pre + trial * pre_size, post + trial * post_size, nullptr, copy_.of(0), 0, accumulate};
        const auto with = [&](Index block, int thread) {
          Task<T> own = task;
          own.block = block;
          own.scratch = this->scratch_.of(thread);
          return own;
        };
        for_blocks(part.plan.prepare_blocks, threads, [&](Index block, int thread) {
          this->kernels_.gather_prepare(part.parameters, with(block, thread));
        });
        for_blocks(part.plan.blocks, threads, [&](Index block, int thread) {
          this->kernels_.gather(part.parameters, with(block, thread));
        });
      }
  }

 private:
  struct Part {
    plan::GatherPlan plan;
    GatherParameters<T> parameters;
    std::vector<T> weights;
  };
  SharedGeometry geometry_;
  std::vector<Part> parts_;
  Scratch<T> copy_;
  Index copy_elements_ = 0;
  Index zero_ = 0;
  double flops_ = 0;
};

template <class T>
class PoolEngine final : public EngineOf<T> {
 public:
  PoolEngine(const PoolingGeometry& geometry, Operation operation, const Psp& psp,
             const EngineOptions& options)
      : EngineOf<T>(operation, psp, options),
        geometry_(geometry),
        plan_(plan::plan_pool(geometry, {this->kernels_.vector_elements, sizeof(T)})) {
    std::copy(plan_.axis, plan_.axis + 4, parameters_.axis);
    parameters_.inner = plan_.inner;
    parameters_.reduction = this->reduction();
    parameters_.rate = this->g_.view();
    parameters_.buffer_elements = plan_.buffer_elements;
    if (options.algorithm == Algorithm::direct && plan_.flat)
      throw std::invalid_argument("algorithm='direct': pooling has one algorithm per geometry, leave it out");
  }

  void set_weights(const std::vector<const void*>&) override {
    throw std::logic_error("pooling has no weights");
  }

  std::vector<std::pair<std::string, std::string>> describe() const override {
    auto lines = EngineOf<T>::describe();
    const std::string family = plan_.flat ? "flat" : "pool";
    lines.insert(
        lines.begin(),
        {{"family", family}, {"algorithm", plan_.flat ? "doubling" : "direct"}, {"reason", plan_.reason}});
    return lines;
  }
  double flops() const override { return plan_.flops; }
  double bytes() const override {
    return sizeof(T) * static_cast<double>(volume(geometry_.pre, "pre") + volume(geometry_.post, "post"));
  }

 protected:
  Index scratch_elements() const override {
    return (plan_.flat ? 3 : 11) * plan_.buffer_elements + this->program_elements();
  }

  void run_batch(const T* pre, T* post, Index batch, bool accumulate, int threads) override {
    const Index pre_size = volume(geometry_.pre, "pre"), post_size = volume(geometry_.post, "post");
    const auto kernel = plan_.flat ? this->kernels_.flat : this->kernels_.pool;
    for_blocks(batch * plan_.blocks, threads, [&](Index block, int thread) {
      const Index trial = block / plan_.blocks;
      kernel(parameters_, {pre + trial * pre_size, post + trial * post_size, this->scratch_.of(thread),
                           nullptr, block % plan_.blocks, accumulate});
    });
  }

 private:
  PoolingGeometry geometry_;
  plan::PoolPlan plan_;
  PoolParameters<T> parameters_{};
};

template <class T>
class SynapsesEngine final : public EngineOf<T> {
 public:
  SynapsesEngine(const SynapsesGeometry& geometry, Operation operation, const Psp& psp,
                 const EngineOptions& options)
      : EngineOf<T>(operation, psp, options), geometry_(geometry) {
    for (Index q = 0; q < geometry_.post; ++q) {
      bool neighbours = true;
      for (Index j = geometry_.row_start[q] + 1; j < geometry_.row_start[q + 1]; ++j)
        neighbours = neighbours && geometry_.column[j] == geometry_.column[j - 1] + 1;
      consecutive_.push_back(neighbours);
    }
    rates_.reserve(1, geometry_.pre);
    SynapsesParameters<T>& s = parameters_;
    s.pre = geometry_.pre;
    s.post = geometry_.post;
    const double per_unit =
        static_cast<double>(geometry_.column.size()) / static_cast<double>(geometry_.post) + 1;
    s.block = std::clamp<Index>(static_cast<Index>(65536 / per_unit), 1, 1024);
    s.row_start = geometry_.row_start.data();
    s.column = geometry_.column.data();
    s.consecutive = consecutive_.data();
    s.pointwise = geometry_.pre == geometry_.post;
    for (Index q = 0; s.pointwise && q < geometry_.post; ++q)
      s.pointwise = geometry_.row_start[q + 1] == q + 1 && geometry_.column[q] == q;
    s.reduction = this->reduction();
    s.psp = this->general_.view();
    s.rate = this->g_.view();
  }

  void set_weights(const std::vector<const void*>& values) override {
    const std::lock_guard<std::mutex> turn(this->mutex_);
    const T* from = static_cast<const T*>(values.at(0));
    weights_ = this->apply_weight_function(std::vector<T>(from, from + geometry_.column.size()));
    parameters_.weights = weights_.data();
  }

  std::vector<std::pair<std::string, std::string>> describe() const override {
    auto lines = EngineOf<T>::describe();
    lines.insert(
        lines.begin(),
        {{"family", "synapses"}, {"algorithm", "direct"}, {"reason", "every synapse has its own weight"}});
    return lines;
  }
  double flops() const override { return 2.0 * static_cast<double>(geometry_.column.size()); }
  double bytes() const override {
    return sizeof(T) * static_cast<double>(geometry_.pre + geometry_.post +
                                           static_cast<Index>(geometry_.column.size())) +
           sizeof(Index) * static_cast<double>(geometry_.column.size());
  }

 protected:
  Index scratch_elements() const override { return this->program_elements(); }

  void run_batch(const T* pre, T* post, Index batch, bool accumulate, int threads) override {
    const SynapsesParameters<T>& s = parameters_;
    for (Index trial = 0; trial < batch; ++trial) {
      const auto task = [&](Index block, int thread) {
        return Task<T>{
            pre + trial * s.pre, post + trial * s.post, this->scratch_.of(thread), rates_.of(0), block,
            accumulate};
      };
      if (s.rate)
        for_blocks((s.pre + s.block - 1) / s.block, threads,
                   [&](Index block, int thread) { this->kernels_.synapses_prepare(s, task(block, thread)); });
      for_blocks((s.post + s.block - 1) / s.block, threads,
                 [&](Index block, int thread) { this->kernels_.synapses(s, task(block, thread)); });
    }
  }

 private:
  SynapsesGeometry geometry_;
  SynapsesParameters<T> parameters_{};
  std::vector<std::uint8_t> consecutive_;
  std::vector<T> weights_;
  Scratch<T> rates_;
};

template <template <class> class E, class... Arguments>
std::unique_ptr<Engine> make(DType dtype, const Arguments&... arguments) {
  if (dtype == DType::float32) return std::make_unique<E<float>>(arguments...);
  return std::make_unique<E<double>>(arguments...);
}

}  // namespace
}  // namespace weightsharing::cpu

namespace weightsharing {

std::unique_ptr<Engine> make_engine(const SharedGeometry& geometry, Operation operation, double padding_value,
                                    const Psp& psp, const EngineOptions& options) {
  if (geometry.listed)
    return cpu::make<cpu::GatherEngine>(options.dtype, geometry, operation, padding_value, psp, options);
  return cpu::make<cpu::SharedEngine>(options.dtype, geometry, operation, padding_value, psp, options);
}

std::unique_ptr<Engine> make_engine(const PoolingGeometry& geometry, Operation operation, const Psp& psp,
                                    const EngineOptions& options) {
  return cpu::make<cpu::PoolEngine>(options.dtype, geometry, operation, psp, options);
}

std::unique_ptr<Engine> make_engine(const SynapsesGeometry& geometry, Operation operation, const Psp& psp,
                                    const EngineOptions& options) {
  return cpu::make<cpu::SynapsesEngine>(options.dtype, geometry, operation, psp, options);
}

}  // namespace weightsharing
