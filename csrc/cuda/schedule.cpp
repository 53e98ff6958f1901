#include <algorithm>
#include <chrono>
#include <limits>
#include <stdexcept>

#include "cuda/engine.h"
#include "cuda/on_device.h"
#include "cuda/step.h"
#include "primitives/random.h"

namespace weightsharing::cuda {
namespace {

Index divide_up(Index a, Index b) { return (a + b - 1) / b; }

// Host memory that a run takes or leaves in one piece, at most, while the device has so much.
constexpr Index most_staged_bytes = Index{256} << 20;

// Device memory of at least so many bytes; the old content may be lost.
void reserve(std::shared_ptr<Memory>& memory, Index bytes, int device) {
  if (memory && static_cast<Index>(memory->bytes()) >= bytes) return;
  memory.reset();
  memory = std::make_shared<Memory>(static_cast<std::size_t>(bytes), device);
}

// Frames [low, high) are all that the steps before `end` show.
struct FramesPart {
  Index end, low, high;
};

FramesPart part_of(const Frames& f, Index at, Index end, Index most) {
  if (!f.data || end <= f.origin) return {end, 0, 0};
  const Index begin = std::max(at, f.origin);
  if (f.period && end - begin >= f.period && f.count <= most) return {end, 0, f.count};
  Index place = begin - f.origin;
  if (f.period) {
    place %= f.period;
    end = std::min(end, begin + f.period - place);
  }
  const std::int64_t* last = f.starts + f.count;
  const Index low = std::lower_bound(f.starts, last, place) - f.starts;
  const Index high = std::lower_bound(f.starts, last, place + end - begin) - f.starts;
  if (high - low <= most) return {end, low, high};
  return {begin + f.starts[low + most] - place, low, low + most};
}

// Rows of a record from the first that step `at` or a later one fills to the last before step `end`.
struct RowsPart {
  Index first, count;
};

RowsPart rows_of(const RecordOnDevice& r, Index at, Index end) {
  const auto rows_before = [&](Index step) {
    return step <= r.first ? 0 : std::min(divide_up(step - r.first, r.period), r.row_count);
  };
  return {rows_before(at), rows_before(end) - rows_before(at)};
}

template <class T>
class ScheduleOf final : public Schedule {
 public:
  ScheduleOf(double dt, int device, std::optional<Stream> stream, bool together)
      : dt_(dt),
        device_(device),
        together_(together),
        counter_(2 * sizeof(std::int64_t), device),
        found_(sizeof(NotFinite), device),
        kept_(sizeof(const Kept<T>*), device),
        kept_count_(sizeof(std::int32_t), device) {
    const Using use(device);
    own_ = device_functions().create_stream();
    stream_ = stream.value_or(own_);
  }
  ~ScheduleOf() override {
    if (!owns_device()) return;  // a forked process: its parent's graphs and stream are not here
    try {
      const Using use(device_);
      forget_graphs();
      device_functions().destroy_stream(own_);
    } catch (const DeviceError&) {  // from a destructor an error has no one to go to
    }
  }

  void clear(std::shared_ptr<Memory> out) override {
    wrote(out);
    items_.push_back([this, out](Listing& l) {
      add(l, copy_small(l, nullptr, data(out), elements(out), 1), {{}, {own(out)}}, elements(out));
    });
  }

  void project(std::shared_ptr<Engine> engine, std::shared_ptr<Memory> rates, std::shared_ptr<Memory> history,
               int delay, std::shared_ptr<Memory> out, Index batch, bool accumulate) override {
    RatesOnDevice from;
    from.rates = rates->data();
    from.row = elements(rates);
    if (history) {
      from.history = history->data();
      from.depth = static_cast<int>(history->bytes() / rates->bytes());
      from.delay = delay;
      if (delay < 1 || delay > from.depth)
        throw std::invalid_argument("a delay needs a history at least as deep");
    }
    wrote(out);
    engines_.push_back(engine);
    const auto changed = std::make_shared<std::shared_ptr<Memory>>();
    from.changed = changed.get();
    items_.push_back([=](Listing& l) {
      RatesOnDevice now = from;
      if (history) now.step = l.counter;
      std::vector<Launch> launches;
      engine->append(launches, now, out->data(), batch, accumulate);
      const bool is_small = make_small(launches, static_cast<Index>(engine->flops() / 2) * batch);
      const plan::Access source{history ? history->data() : rates->data()}, scratch{changed.get()};
      plan::Work work{{source}, {plan::Access{out->data()}}};
      // g(rates) lies in memory of its own.
      if (launches.size() > 1 && is_small && family_of(*launches[0].kernel) == "apply") {
        l.pieces.push_back({{launches[0]}, {{source}, {scratch}}, true});
        launches.erase(launches.begin());
        work.reads = {scratch};
      } else if (launches.size() > 1) {
        work.writes.push_back(scratch);
      }
      work.writes[0].own = is_small && launches.size() == 1 && is_one_to_one(launches[0]);
      if (accumulate) work.reads.push_back(work.writes[0]);
      l.pieces.push_back({std::move(launches), std::move(work), is_small});
    });
  }

  void combine(std::shared_ptr<Memory> values, std::shared_ptr<Memory> out, Operation operation,
               double divisor) override {
    wrote(out);
    items_.push_back([=](Listing& l) {
      const CombineParameters<T> p{data(values), data(out), elements(out), static_cast<T>(divisor),
                                   static_cast<std::int32_t>(operation)};
      add(l, flat("combine_arrays", p.elements, p), {{own(values), own(out)}, {own(out)}}, p.elements);
    });
  }

  void gather_history(std::shared_ptr<Memory> rates, std::shared_ptr<Memory> history,
                      const std::vector<std::int32_t>& delays, std::shared_ptr<Memory> out) override {
    const auto table = upload(delays, device_);
    const Index units = static_cast<Index>(delays.size());
    wrote(out);
    items_.push_back([=](Listing& l) {
      const GatherHistoryParameters<T> p{data(rates),
                                         data(history),
                                         static_cast<const std::int32_t*>(table->data()),
                                         data(out),
                                         l.counter,
                                         elements(rates),
                                         units,
                                         static_cast<std::int32_t>(history->bytes() / rates->bytes())};
      add(l, flat("gather_history", p.elements, p), {{own(rates), {history->data()}}, {own(out)}},
          p.elements);
    });
  }

  void statistic(std::shared_ptr<Memory> values, std::shared_ptr<Memory> out,
                 weightsharing::Statistic which) override {
    StatisticParameters<T> p{};
    p.values = data(values);
    p.out = data(out);
    p.batch = static_cast<std::int32_t>(elements(out));
    p.units = elements(values) / p.batch;
    p.parts_per_trial = divide_up(p.units, statistic_units);
    p.which = static_cast<std::int32_t>(which);
    const Index parts = p.parts_per_trial > 1 ? p.batch * p.parts_per_trial : 0;
    const auto memory = std::make_shared<Memory>(std::max<std::size_t>(1, parts) * sizeof(double), device_);
    p.parts = static_cast<double*>(memory->data());
    wrote(out);
    // A warp reads what other threads have computed: no chain of own elements.
    const plan::Access from{values->data()}, between{memory->data()}, to{out->data()};
    items_.push_back([=](Listing& l) {
      (void)out, (void)memory;  // kept alive with the list
      add(l, flat("statistic_part", 32 * p.batch * p.parts_per_trial, p), {{from}, {parts ? between : to}},
          elements(values));
      if (parts) add(l, flat("statistic_total", Index{32} * p.batch, p), {{between}, {to}}, elements(values));
    });
  }

  void update(const weightsharing::Program& program, std::vector<OperandOnDevice> inputs,
              std::vector<OperandOnDevice> outputs, Index batch, Index units, const Noise& noise) override {
    auto code = std::make_shared<ProgramOnDevice<T>>(std::optional<weightsharing::Program>(program), device_);
    std::vector<Operand<T>> from, to;
    plan::Work work;
    for (const OperandOnDevice& o : inputs) {
      from.push_back({o.memory ? data(o.memory) : nullptr, o.period});
      if (o.memory) work.reads.push_back({o.memory->data(), o.period == units});
    }
    // One value for all units is read by every thread: the new one waits in `single` until they are done.
    auto single =
        std::make_shared<Memory>(std::max<std::size_t>(1, outputs.size()) * batch * sizeof(T), device_);
    std::vector<std::pair<const T*, T*>> commits;
    plan::Work committed{{plan::Access{single->data()}}, {}};
    for (std::size_t k = 0; k < outputs.size(); ++k) {
      wrote(outputs[k].memory);
      T* target = data(outputs[k].memory);
      if (outputs[k].period != units) {
        T* waiting = data(single) + static_cast<Index>(k) * batch;
        commits.push_back({waiting, target});
        committed.writes.push_back({target});
        target = waiting;
      }
      if (outputs[k].period == units)
        work.writes.push_back({target, true});
      else
        work.writes.push_back({single->data()});
      to.push_back({target, outputs[k].period});
    }
    std::vector<std::uint32_t> keys;
    for (std::uint32_t trial = 0; program.draws && trial < batch; ++trial) {
      const NoiseKey key = noise_key(noise.seed, noise.population, noise.first_trial + trial);
      keys.insert(keys.end(), {key.word[0], key.word[1]});
    }
    auto inputs_table = upload(from, device_), outputs_table = upload(to, device_),
         keys_table = upload(keys, device_);
    items_.push_back([=](Listing& l) {
      (void)inputs, (void)outputs, (void)single;  // kept alive with the list
      UpdateParameters<T> p{};
      p.program = code->view();
      p.inputs = static_cast<const Operand<T>*>(inputs_table->data());
      p.outputs = static_cast<const Operand<T>*>(outputs_table->data());
      p.step = l.counter;
      p.keys = keys.empty() ? nullptr : static_cast<const std::uint32_t*>(keys_table->data());
      p.dt = dt_;
      p.units = units;
      p.batch = static_cast<std::int32_t>(batch);
      // `level` interprets programs: small equations need no compiler.
      const bool is_compiled = !together_ || batch * units > plan::most_small_work;
      const plan::LaunchShape shape = plan::flat_launch(plan::instance<T>("update"), batch * units);
      add(l, is_compiled ? make_launch(shape, p, *code) : make_launch(shape, p), work, batch * units);
      if (commits.empty()) return;
      Piece last{{}, committed, batch <= plan::most_small_work};
      for (const auto& [waiting, target] : commits)
        last.launches.push_back(copy(l, waiting, target, batch, 1));
      l.pieces.push_back(std::move(last));
    });
  }

  void push(std::shared_ptr<Memory> rates, std::shared_ptr<Memory> history) override {
    wrote(history);
    items_.push_back([=](Listing& l) {
      const int depth = static_cast<int>(history->bytes() / rates->bytes());
      add(l, copy_small(l, data(rates), data(history), elements(rates), depth),
          {{own(rates)}, {plan::Access{history->data()}}}, elements(rates));
    });
  }

  void fill_history(std::shared_ptr<Memory> rates, std::shared_ptr<Memory> history) override {
    wrote(history);
    fills_ = true;
    items_.push_back([=](Listing& l) {
      if (!l.at_start) return;
      Piece piece{{},
                  {{plan::Access{rates->data()}}, {plan::Access{history->data()}}},
                  elements(history) <= plan::most_small_work};
      for (Index first = 0; first < elements(history); first += elements(rates))
        piece.launches.push_back(copy(l, data(rates), data(history) + first, elements(rates), 1));
      l.pieces.push_back(std::move(piece));
    });
  }

  int input(std::shared_ptr<Memory> rates, Index batch, Index units) override {
    wrote(rates);
    const auto table = upload(std::vector<Shown<T>>{{}}, device_);
    inputs_.push_back({batch, units, {}, table, nullptr, nullptr, false});
    items_.push_back([=](Listing& l) {
      const ShowParameters<T> p{data(rates), static_cast<const Shown<T>*>(table->data()), l.counter, units,
                                static_cast<std::int32_t>(batch)};
      add(l, flat("show", batch * units, p), {{}, {own(rates)}}, batch * units);
    });
    return static_cast<int>(inputs_.size()) - 1;
  }

  int check_finite(std::shared_ptr<Memory> values) override {
    const int number = checks_++;
    items_.push_back([=](Listing& l) {
      const CheckParameters<T> p{data(values), static_cast<NotFinite*>(found_.data()), l.counter,
                                 elements(values), number};
      add(l, flat("check", p.elements, p), {{own(values)}, {}}, p.elements);
    });
    return number;
  }

  void set_frames(int input, const Frames& frames) override { inputs_.at(input).frames = frames; }
  void set_records(std::vector<RecordOnDevice> records) override {
    records_ = std::move(records);
    ranks_.clear();
    for (const RecordOnDevice& record : records_) ranks_.push_back(upload(record.ranks, device_));
  }

  std::optional<NotFiniteOnDevice> run(Index first, Index steps,
                                       const std::function<bool()>& go_on) override {
    check_process();
    done_ = 0;
    if (steps < 1) return std::nullopt;
    const Using use(device_);
    if (device_functions().capturing(stream_))
      throw DeviceError(
          "the stream is captured: a network's steps cannot become part of another graph, calls of its "
          "projections can");
    forget_outdated();
    constexpr NotFinite none{~0ull, ~0ull};
    if (checks_) found_.upload(&none, stream_);
    asked_ = Clock::now();
    const Index end = first + steps;
    bool goes_on = true;
    for (Index at = first; at < end && goes_on;) {
      const Index upto = stage(at, end);
      goes_on = repeat(at, upto, first, go_on);
      fetch_rows(at, first + done_);
      at = upto;
    }
    return first_not_finite();
  }

  Index done() const override { return done_; }

  std::vector<std::string> launches(bool recording) override {
    const Using use(device_);
    std::vector<std::string> names;
    for (const Launch& launch : step_of(false, recording).step->launches)
      names.push_back(launch.kernel->name);
    return names;
  }

 private:
  using Clock = std::chrono::steady_clock;

  // One writing down of the list.
  struct Listing {
    const std::int64_t* counter;
    bool at_start;  // step 0
    std::vector<Piece> pieces;
  };

  struct Input {
    Index batch, units;
    Frames frames;
    std::shared_ptr<Memory> table, rows, starts;
    bool showing = false;  // what the table says
    Index row() const { return frames.each_trial ? batch * units : units; }
  };

  // A step with its graphs: [1] of many steps, [0] of one.
  struct Captured {
    std::optional<Step> step;
    Graph graph[2] = {nullptr, nullptr};
    bool ran = false;
  };

  // Steps in the longer graph: launching a graph costs a few microseconds on the host.
  static constexpr Index steps_per_graph = 32;

  static T* data(const std::shared_ptr<Memory>& memory) { return static_cast<T*>(memory->data()); }
  static Index elements(const std::shared_ptr<Memory>& memory) {
    return static_cast<Index>(memory->bytes() / sizeof(T));
  }

  // --- The list ---

  template <class P>
  static Launch flat(const char* kernel, Index threads, const P& p) {
    return make_launch(plan::flat_launch(plan::instance<T>(kernel), threads), p);
  }

  static void add(Listing& l, Launch launch, plan::Work work, Index amount) {
    const bool is_small = amount <= plan::most_small_work;
    if (!is_small) disown(work);
    l.pieces.push_back({{std::move(launch)}, std::move(work), is_small});
  }
  static void disown(plan::Work& work) {
    for (plan::Access& access : work.reads) access.own = false;
    for (plan::Access& access : work.writes) access.own = false;
  }

  static Launch copy(const Listing& l, const T* from, T* to, Index elements, int depth) {
    const CopyParameters<T> p{from, to, l.counter, elements, depth};
    return flat("copy", divide_up(elements, 16 / static_cast<Index>(sizeof(T))), p);
  }

  // With one thread for each element where that may share a launch.
  static Launch copy_small(const Listing& l, const T* from, T* to, Index elements, int depth) {
    if (elements > plan::most_small_work) return copy(l, from, to, elements, depth);
    return flat("copy_each", elements, CopyParameters<T>{from, to, l.counter, elements, depth});
  }

  static plan::Access own(const std::shared_ptr<Memory>& memory) { return {memory->data(), true}; }

  // Whether thread i of a projection's launch computes element i of post.
  static bool is_one_to_one(const Launch& launch) {
    const std::string family = family_of(*launch.kernel);
    if (family == "pool_naive" || family == "synapses_naive") return true;
    if (family != "window_naive" && family != "gather_naive") return false;
    WindowParameters<T> w;
    std::memcpy(&w, launch.parameters.data(), sizeof w);
    return w.filters == w.post_unit;
  }

  // Gives all launches of a projection the form that may share a launch, or none of them. `products` of the
  // whole projection.
  static bool make_small(std::vector<Launch>& launches, Index products) {
    std::vector<Launch> small;
    for (const Launch& launch : launches) {
      const std::string family = family_of(*launch.kernel);
      small.push_back(launch);
      if (family == "window_tile" || family == "window_tile_any" || family == "bank_gemm" ||
          family == "separable_tile") {
        WindowParameters<T> w;  // separable_tile's begin with them
        std::memcpy(&w, launch.parameters.data(), sizeof w);
        if (w.inner != 1) return false;
        small.back() = flat("window_naive", w.units * w.filters * w.batch, w);
      } else if (family.rfind("gather_tile", 0) == 0) {
        WindowParameters<T> w;
        std::memcpy(&w, launch.parameters.data(), sizeof w);
        small.back() = flat("gather_naive", w.units * w.filters * w.batch, w);
      } else if (family == "pool_rows" || family == "pool_2x2") {
        PoolParameters<T> p;
        std::memcpy(&p, launch.parameters.data(), sizeof p);
        if (p.inner != 1) return false;
        small.back() = flat("pool_naive", p.post_size * p.batch, p);
      }
      if (!may_share(small.back()) || amount(small.back(), products) > plan::most_small_work) return false;
    }
    launches = std::move(small);
    return true;
  }

  static Index amount(const Launch& launch, Index products) {
    if (family_of(*launch.kernel) == "pool_naive") {
      PoolParameters<T> p;
      std::memcpy(&p, launch.parameters.data(), sizeof p);
      Index box = 1;
      for (const PoolAxis& axis : p.axis) box *= axis.extent;
      return box * p.post_size * p.batch;
    }
    return std::max<Index>(products, static_cast<Index>(launch.grid[0]) * launch.block[0]);
  }

  void wrote(const std::shared_ptr<Memory>& memory) {
    written_.push_back({memory->data()});
    largest_ = std::max(largest_, elements(memory));
  }

  std::vector<Piece> pieces(const std::int64_t* counter, bool at_start, bool recording) {
    Listing l{counter, at_start, {}};
    for (const auto& item : items_) item(l);
    if (recording) {
      const Index threads =
          std::min(divide_up(std::max<Index>(largest_, 1), 256) * 256, plan::most_small_work);
      const KeepParameters<T> p{static_cast<const Kept<T>* const*>(kept_.data()),
                                static_cast<const std::int32_t*>(kept_count_.data()), counter, threads};
      add(l, flat("keep", threads, p), {written_, {}}, threads);
    }
    return std::move(l.pieces);
  }

  Captured& step_of(bool at_start, bool recording) {
    Captured& c = captured_[at_start][recording];
    if (!c.step) {
      std::int64_t* counter = static_cast<std::int64_t*>(counter_.data());
      c.step = make_step([&](const std::int64_t* from) { return pieces(from, at_start, recording); }, counter,
                         counter + 1, together_, plan::instance<T>("level"), device_);
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

  // --- What goes there before steps and comes back after ---

  // Prepares as many steps as fit, and returns the step before which they end.
  Index stage(Index at, Index end) {
    for (;;) {
      try {
        return stage_within(at, end, most_staged_);
      } catch (const DeviceMemoryError&) {
        if (most_staged_ < 4096) throw;
        most_staged_ /= 2;
        rows_.clear();
        for (Input& input : inputs_) input.rows.reset();
      }
    }
  }

  Index stage_within(Index at, Index end, Index bytes) {
    const Index share = bytes / std::max<Index>(1, static_cast<Index>(inputs_.size() + records_.size()));
    const auto rows_in = [&](Index row) {
      return std::max<Index>(1, share / std::max<Index>(1, row * static_cast<Index>(sizeof(T))));
    };
    for (const Input& input : inputs_)
      end = std::min(end, part_of(input.frames, at, end, rows_in(input.row())).end);
    for (const RecordOnDevice& r : records_) {
      const RowsPart part = rows_of(r, at, end);
      const Index most = rows_in(r.batch * r.kept);
      if (part.count > most) end = r.first + (part.first + most) * r.period;
    }
    for (Input& input : inputs_) stage_frames(input, part_of(input.frames, at, end, rows_in(input.row())));
    stage_records(at, end);
    return end;
  }

  void stage_frames(Input& input, const FramesPart& part) {
    const Frames& f = input.frames;
    const Index count = part.high - part.low, row_bytes = input.row() * static_cast<Index>(sizeof(T));
    Shown<T> shown{};
    if (!count && !input.showing) return;
    input.showing = count > 0;
    if (count) {
      reserve(input.rows, count * row_bytes, device_);
      reserve(input.starts, count * static_cast<Index>(sizeof(std::int64_t)), device_);
      const DeviceFunctions& device = device_functions();
      device.to_device(input.rows->data(), static_cast<const std::byte*>(f.data) + part.low * row_bytes,
                       static_cast<std::size_t>(count * row_bytes), stream_);
      device.to_device(input.starts->data(), f.starts + part.low,
                       static_cast<std::size_t>(count) * sizeof(std::int64_t), stream_);
      shown = {
          data(input.rows), static_cast<const std::int64_t*>(input.starts->data()), count, f.period, f.origin,
          f.each_trial};
    }
    input.table->upload(&shown, stream_);
  }

  void stage_records(Index at, Index end) {
    if (records_.empty()) return;
    rows_.resize(std::max(rows_.size(), records_.size()));
    std::vector<Kept<T>> table;
    for (std::size_t k = 0; k < records_.size(); ++k) {
      const RecordOnDevice& r = records_[k];
      const RowsPart part = rows_of(r, at, end);
      if (!part.count) continue;
      reserve(rows_[k], part.count * r.batch * r.kept * static_cast<Index>(sizeof(T)), device_);
      const std::int64_t* ranks =
          r.ranks.empty() ? nullptr : static_cast<const std::int64_t*>(ranks_[k]->data());
      table.push_back({data(r.values), ranks, data(rows_[k]), r.units, r.kept, r.batch, r.first, r.period,
                       part.first, part.count});
    }
    const auto count = static_cast<std::int32_t>(table.size());
    if (count) {
      reserve(kept_table_, count * static_cast<Index>(sizeof(Kept<T>)), device_);
      device_functions().to_device(kept_table_->data(), table.data(), table.size() * sizeof(Kept<T>),
                                   stream_);
    }
    const void* address = count ? kept_table_->data() : nullptr;
    kept_.upload(&address, stream_);
    kept_count_.upload(&count, stream_);
  }

  void fetch_rows(Index at, Index end) {
    for (std::size_t k = 0; k < records_.size(); ++k) {
      const RecordOnDevice& r = records_[k];
      const RowsPart part = rows_of(r, at, end);
      const Index row_bytes = r.batch * r.kept * static_cast<Index>(sizeof(T));
      if (part.count && row_bytes)
        device_functions().to_host(static_cast<std::byte*>(r.rows) + part.first * row_bytes, rows_[k]->data(),
                                   static_cast<std::size_t>(part.count * row_bytes), stream_);
    }
  }

  // --- The loop ---

  // Steps at, ..., upto - 1; false if the run is to end. `first` is that of the run.
  bool repeat(Index at, Index upto, Index first, const std::function<bool()>& go_on) {
    const DeviceFunctions& device = device_functions();
    const bool recording = !records_.empty();
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
    found_.download(&found, stream_);
    if (found.step == ~0ull) return std::nullopt;
    const double values[] = {std::numeric_limits<double>::quiet_NaN(),
                             std::numeric_limits<double>::infinity(),
                             -std::numeric_limits<double>::infinity()};
    return NotFiniteOnDevice{static_cast<int>(found.place >> 48),
                             static_cast<Index>(found.place >> 2 & ((1ull << 46) - 1)),
                             static_cast<Index>(found.step), values[found.place & 3]};
  }

  double dt_;
  int device_;
  bool together_;
  Memory counter_;  // of the steps, and its spare copy
  Memory found_, kept_, kept_count_;
  Stream own_, stream_;
  std::vector<std::function<void(Listing&)>> items_;
  std::vector<std::shared_ptr<Engine>> engines_;
  std::vector<plan::Access> written_;
  Index largest_ = 0;  // elements of an array that a step writes
  bool fills_ = false;
  int checks_ = 0;
  std::vector<Input> inputs_;
  std::vector<RecordOnDevice> records_;
  std::vector<std::shared_ptr<Memory>> ranks_, rows_;
  std::shared_ptr<Memory> kept_table_;
  Index most_staged_ = most_staged_bytes;
  Captured captured_[2][2];  // [step 0][recording]
  int version_ = -1;
  Index between_looks_ = steps_per_graph, done_ = 0;
  Clock::time_point asked_;
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

std::unique_ptr<Schedule> make_schedule(DType dtype, double dt, int device, std::optional<Stream> stream,
                                        bool together) {
  if (dtype == DType::float32) return std::make_unique<ScheduleOf<float>>(dt, device, stream, together);
  return std::make_unique<ScheduleOf<double>>(dt, device, stream, together);
}

}  // namespace weightsharing::cuda
