#include "cuda/schedule.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "cuda/items.h"
#include "cuda/staging.h"

namespace weightsharing::cuda {
namespace {

template <class T>
class ScheduleOf final : public Schedule {
 public:
  ScheduleOf(const UpdateSettings& settings, std::optional<Stream> stream)
      : settings_(settings),
        counter_(2 * sizeof(std::int64_t), settings.device),
        found_(std::make_shared<Memory>(sizeof(NotFinite), settings.device)),
        staging_(settings.device) {
    const Using use(settings.device);
    own_ = device_functions().create_stream();
    stream_ = stream.value_or(own_);
  }
  ~ScheduleOf() override {
    if (!owns_device()) return;  // a forked process: its parent's graphs and stream are not here
    try {
      const Using use(settings_.device);
      forget_graphs();
      device_functions().destroy_stream(own_);
    } catch (const DeviceError&) {  // from a destructor an error has no one to go to
    }
  }

  void clear(std::shared_ptr<Memory> out) override {
    wrote(out);
    add<Clear<T>>(std::move(out));
  }

  void project(std::shared_ptr<Engine> engine, std::shared_ptr<Memory> rates, std::shared_ptr<Memory> history,
               int delay, std::shared_ptr<Memory> out, Index batch, bool accumulate) override {
    add<Project<T>>(engine, std::move(rates), std::move(history), delay, out, batch, accumulate);
    wrote(out);
    engines_.push_back(std::move(engine));
  }

  void combine(std::shared_ptr<Memory> values, std::shared_ptr<Memory> out, Operation operation,
               double divisor) override {
    wrote(out);
    add<Combine<T>>(std::move(values), std::move(out), operation, divisor);
  }

  void gather_history(std::shared_ptr<Memory> rates, std::shared_ptr<Memory> history,
                      const std::vector<std::int32_t>& delays, std::shared_ptr<Memory> out) override {
    wrote(out);
    add<GatherHistory<T>>(std::move(rates), std::move(history), delays, std::move(out));
  }

  void statistic(std::shared_ptr<Memory> values, std::shared_ptr<Memory> out,
                 weightsharing::Statistic which) override {
    wrote(out);
    add<StatisticOf<T>>(std::move(values), std::move(out), which);
  }

  void update(const weightsharing::Program& program, std::vector<OperandOnDevice> inputs,
              std::vector<OperandOnDevice> outputs, Index batch, Index units, const Noise& noise) override {
    for (const OperandOnDevice& output : outputs) wrote(output.memory);
    add<UpdateOf<T>>(program, std::move(inputs), std::move(outputs), batch, units, noise, settings_);
  }

  void push(std::shared_ptr<Memory> rates, std::shared_ptr<Memory> history) override {
    wrote(history);
    add<Push<T>>(std::move(rates), std::move(history));
  }

  void fill_history(std::shared_ptr<Memory> rates, std::shared_ptr<Memory> history) override {
    wrote(history);
    fills_ = true;
    add<FillHistory<T>>(std::move(rates), std::move(history));
  }

  int input(std::shared_ptr<Memory> rates, Index batch, Index units) override {
    wrote(rates);
    const int number = staging_.add_input(batch, units);
    add<Input<T>>(std::move(rates), batch, units, staging_.shown(number));
    return number;
  }

  int check_finite(std::shared_ptr<Memory> values) override {
    add<CheckFinite<T>>(std::move(values), found_, checks_);
    return checks_++;
  }

  void set_frames(int input, const Frames& frames) override { staging_.set_frames(input, frames); }
  void set_records(std::vector<RecordOnDevice> records) override { staging_.set_records(std::move(records)); }

  std::optional<NotFiniteOnDevice> run(Index first, Index steps,
                                       const std::function<bool()>& go_on) override {
    check_process();
    done_ = 0;
    if (steps < 1) return std::nullopt;
    const Using use(settings_.device);
    if (device_functions().capturing(stream_))
      throw DeviceError(
          "the stream is captured: a network's steps cannot become part of another graph, calls of its "
          "projections can");
    forget_outdated();
    constexpr NotFinite none{~0ull, ~0ull};
    if (checks_) found_->upload(&none, stream_);
    asked_ = Clock::now();
    const Index end = first + steps;
    bool goes_on = true;
    for (Index at = first; at < end && goes_on;) {
      const Index upto = staging_.stage(at, end, stream_);
      goes_on = repeat(at, upto, first, go_on);
      staging_.fetch(at, first + done_, stream_);
      at = upto;
    }
    return first_not_finite();
  }

  Index done() const override { return done_; }

  std::vector<std::string> launches(bool recording) override {
    const Using use(settings_.device);
    std::vector<std::string> names;
    for (const Launch& launch : step_of(false, recording).step->launches)
      names.push_back(launch.kernel->name);
    return names;
  }

 private:
  using Clock = std::chrono::steady_clock;

  // A step with its graphs: [1] of many steps, [0] of one.
  struct Captured {
    std::optional<Step> step;
    Graph graph[2] = {nullptr, nullptr};
    bool ran = false;
  };

  // Steps in the longer graph: launching a graph costs a few microseconds on the host.
  static constexpr Index steps_per_graph = 32;

  // --- The list ---

  template <class I, class... Arguments>
  void add(Arguments&&... arguments) {
    items_.push_back(std::make_unique<I>(std::forward<Arguments>(arguments)...));
  }

  void wrote(const std::shared_ptr<Memory>& memory) {
    written_.push_back(whole(memory));
    largest_ = std::max(largest_, elements_of<T>(memory));
  }

  std::vector<Piece> pieces(const std::int64_t* counter, bool at_start, bool recording) const {
    Listing to{counter, at_start, {}};
    for (const auto& item : items_) item->list(to);
    if (recording) {
      const Index threads = std::min((std::max<Index>(largest_, 1) + 255) / 256 * 256, plan::most_small_work);
      add_piece(to, small_launch(small::keep, threads, staging_.keep(counter, threads)), {written_, {}},
                threads);
    }
    return std::move(to.pieces);
  }

  // --- The graph ---

  Captured& step_of(bool at_start, bool recording) {
    Captured& c = captured_[at_start][recording];
    if (!c.step) {
      std::int64_t* const counter = static_cast<std::int64_t*>(counter_.data());
      constexpr DType dtype = sizeof(T) == 4 ? DType::float32 : DType::float64;
      c.step = make_step([&](const std::int64_t* from) { return pieces(from, at_start, recording); },
                         {counter, counter + 1}, {settings_.together, dtype, settings_.device});
    }
    return c;
  }

  // On the own stream: the caller's may be the legacy one, which cannot be captured.
  Graph capture(const Step& step, Index steps) {
    const DeviceFunctions& device = device_functions();
    device.begin_capture(own_);
    try {
      for (Index k = 0; k < steps; ++k) run_launches(step.launches, own_);
    } catch (...) {
      device.abandon_capture(own_);
      throw;
    }
    return device.end_capture(own_);
  }

  void forget_outdated() {
    int version = 0;
    for (const auto& engine : engines_) version += engine->version();
    if (version == version_) return;
    version_ = version;
    forget_graphs();
    for (auto& of_start : captured_)
      for (Captured& c : of_start) c = {};
  }

  void forget_graphs() {
    for (auto& of_start : captured_)
      for (Captured& c : of_start)
        for (Graph& graph : c.graph) {
          if (graph) device_functions().destroy_graph(graph);
          graph = nullptr;
        }
  }

  // --- The loop ---

  // Steps at, ..., upto - 1; false if the run is to end. `first` is that of the run.
  bool repeat(Index at, Index upto, Index first, const std::function<bool()>& go_on) {
    const DeviceFunctions& device = device_functions();
    const bool recording = staging_.recording();
    const std::int64_t counters[2] = {at, at};
    counter_.upload(counters, stream_);
    if (at == 0 && fills_) {
      run_launches(step_of(true, recording).step->launches, stream_);
      ++at;
    }
    Captured& c = step_of(false, recording);
    bool goes_on = true;
    do {
      const Clock::time_point start = Clock::now();
      const Index begin = at, until = std::min(upto, at + between_looks_);
      // The first step runs as it is: what a kernel loads at its first launch must not happen while
      // capturing.
      if (!c.ran && at < until) {
        run_launches(c.step->launches, stream_);
        c.ran = true;
        ++at;
      }
      for (const auto& [index, length] : {std::pair{1, steps_per_graph}, std::pair{0, Index{1}}})
        for (; until - at >= length; at += length) {
          if (!c.graph[index]) c.graph[index] = capture(*c.step, length);
          device.replay(c.graph[index], stream_);
        }
      device.synchronise(stream_);
      done_ = at - first;
      goes_on = look(start, at - begin, go_on);
    } while (at < upto && goes_on);
    return goes_on;
  }

  // Whether to go on; chooses how many steps to run before the next look, 5 to 20 ms of work.
  bool look(Clock::time_point start, Index steps, const std::function<bool()>& go_on) {
    constexpr auto patience = std::chrono::milliseconds(20);
    const Clock::time_point now = Clock::now();
    if (steps == between_looks_ && now - start < std::chrono::milliseconds(5))
      between_looks_ = std::min<Index>(2 * between_looks_, Index{1} << 20);
    else if (now - start > patience)
      between_looks_ = std::max<Index>(1, between_looks_ / 4);
    if (checks_ && first_not_finite()) return false;
    if (now - asked_ < patience) return true;
    asked_ = now;
    return go_on();
  }

  std::optional<NotFiniteOnDevice> first_not_finite() {
    if (!checks_) return std::nullopt;
    NotFinite found;
    found_->download(&found, stream_);
    if (found.step == ~0ull) return std::nullopt;
    const double values[] = {std::numeric_limits<double>::quiet_NaN(),
                             std::numeric_limits<double>::infinity(),
                             -std::numeric_limits<double>::infinity()};
    return NotFiniteOnDevice{static_cast<int>(found.place >> 48),
                             static_cast<Index>(found.place >> 2 & ((1ull << 46) - 1)),
                             static_cast<Index>(found.step), values[found.place & 3]};
  }

  UpdateSettings settings_;
  Memory counter_;  // of the steps, and its spare copy
  std::shared_ptr<Memory> found_;
  Staging<T> staging_;
  Stream own_, stream_;
  std::vector<std::unique_ptr<Item>> items_;
  std::vector<std::shared_ptr<Engine>> engines_;
  std::vector<plan::Access> written_;
  Index largest_ = 0;  // elements of an array that a step writes
  bool fills_ = false;
  int checks_ = 0;
  Captured captured_[2][2];  // [step 0][recording]
  int version_ = -1;
  Index between_looks_ = steps_per_graph, done_ = 0;
  Clock::time_point asked_;
};

}  // namespace

std::unique_ptr<Schedule> make_schedule(DType dtype, double dt, int device, std::optional<Stream> stream,
                                        bool together) {
  const UpdateSettings settings{dt, together, device};
  if (dtype == DType::float32) return std::make_unique<ScheduleOf<float>>(settings, stream);
  return std::make_unique<ScheduleOf<double>>(settings, stream);
}

}  // namespace weightsharing::cuda
