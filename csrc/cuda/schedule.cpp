#include <algorithm>
#include <functional>
#include <stdexcept>

#include "cuda/engine.h"
#include "cuda/on_device.h"

namespace weightsharing::cuda {
namespace {

template <class T>
class ScheduleOf final : public Schedule {
 public:
  ScheduleOf(double dt, int device, std::optional<Stream> stream)
      : dt_(dt), device_(device), counter_(sizeof(std::int64_t), device) {
    const Using use(device);
    own_ = device_functions().create_stream();
    stream_ = stream.value_or(own_);
  }
  ~ScheduleOf() override {
    forget_graphs();
    device_functions().destroy_stream(own_);
  }

  void clear(std::shared_ptr<Memory> out) override {
    items_.push_back([this, out](std::vector<Launch>& list) {
      list.push_back(
          copy(nullptr, static_cast<T*>(out->data()), static_cast<Index>(out->bytes() / sizeof(T)), 1));
    });
  }

  void project(std::shared_ptr<Engine> engine, std::shared_ptr<Memory> rates, std::shared_ptr<Memory> history,
               int delay, std::shared_ptr<Memory> out, Index batch, bool accumulate) override {
    RatesOnDevice from;
    from.rates = rates->data();
    from.row = static_cast<Index>(rates->bytes() / sizeof(T));
    if (history) {
      from.history = history->data();
      from.step = static_cast<const std::int64_t*>(counter_.data());
      from.depth = static_cast<int>(history->bytes() / rates->bytes());
      from.delay = delay;
      if (delay < 1 || delay > from.depth)
        throw std::invalid_argument("a delay needs a history at least as deep");
    }
    engines_.push_back(engine);
    const auto changed = std::make_shared<std::shared_ptr<Memory>>();
    from.changed = changed.get();
    items_.push_back([=](std::vector<Launch>& list) {
      (void)rates, (void)history, (void)changed;  // kept alive with the list
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
    const Using use(device_);
    if (device.capturing(stream_))
      throw DeviceError(
          "the stream is captured: a network's steps cannot become part of another graph, calls of its "
          "projections can");
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

  // On the own stream: the caller's may be the legacy one, which cannot be captured.
  Graph captured(Index steps) {
    const DeviceFunctions& device = device_functions();
    device.begin_capture(own_);
    try {
      for (Index step = 0; step < steps; ++step) run_launches(list_, own_);
    } catch (...) {
      device.abandon_capture(own_);
      throw;
    }
    return device.end_capture(own_);
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
  Stream own_, stream_;
  std::vector<std::function<void(std::vector<Launch>&)>> items_;
  std::vector<std::shared_ptr<Engine>> engines_;
  std::vector<Launch> list_;
  Graph graph_[2] = {nullptr, nullptr};
  int version_ = -1;
};

}  // namespace

void run_launches(const std::vector<Launch>& list, Stream stream) {
  for (const Launch& launch : list) device_functions().launch(launch, stream);
}

Launch copy_launch(DType dtype, const void* from, void* to, Index elements) {
  const auto make = [&](auto one) {
    using T = decltype(one);
    const CopyParameters<T> p{static_cast<const T*>(from), static_cast<T*>(to), nullptr, elements, 1};
    return make_launch(plan::flat_launch(plan::instance<T>("copy"), elements), p);
  };
  return dtype == DType::float32 ? make(0.0f) : make(0.0);
}

std::unique_ptr<Schedule> make_schedule(DType dtype, double dt, int device, std::optional<Stream> stream) {
  if (dtype == DType::float32) return std::make_unique<ScheduleOf<float>>(dt, device, stream);
  return std::make_unique<ScheduleOf<double>>(dt, device, stream);
}

}  // namespace weightsharing::cuda
