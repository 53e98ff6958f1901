// The items of a network's step, and the pieces of work that each becomes.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "cuda/program_store.h"
#include "cuda/schedule.h"
#include "cuda/small.h"
#include "cuda/step.h"
#include "primitives/random.h"

namespace weightsharing::cuda {

// One writing down of the list.
struct Listing {
  const std::int64_t* counter;  // of steps, on the device
  bool at_start;                // step 0
  std::vector<Piece> pieces;
};

class Item {
 public:
  virtual ~Item() = default;
  // Adds what this item does in a step.
  virtual void list(Listing& to) const = 0;
};

template <class T>
T* data_of(const std::shared_ptr<Memory>& memory) {
  return static_cast<T*>(memory->data());
}
template <class T>
Index elements_of(const std::shared_ptr<Memory>& memory) {
  return static_cast<Index>(memory->bytes() / sizeof(T));
}
template <class T>
int depth_of(const std::shared_ptr<Memory>& history, const std::shared_ptr<Memory>& rates) {
  return static_cast<int>(history->bytes() / rates->bytes());
}

// An array of which thread i touches element i alone, and one for which that is not so.
inline plan::Access own(const std::shared_ptr<Memory>& memory) { return {memory->data(), true}; }
inline plan::Access whole(const std::shared_ptr<Memory>& memory) { return {memory->data()}; }

// `amount`: products or values, which decide whether the launch may be shared.
inline void add_piece(Listing& to, const Launch& launch, plan::Work work, Index amount) {
  const bool is_small = amount <= plan::most_small_work;
  if (!is_small) {
    for (plan::Access& access : work.reads) access.own = false;
    for (plan::Access& access : work.writes) access.own = false;
  }
  to.pieces.push_back({{launch}, std::move(work), is_small});
}

// Elements of a copy on the device, from null: zeros. `depth`: rows of the target, see CopyParameters.
template <class T>
struct CopyOnDevice {
  const T* from;
  T* to;
  Index elements;
  int depth = 1;

  Launch launch(const std::int64_t* counter) const {
    const CopyParameters<T> p{from, to, counter, elements, depth};
    constexpr Index per_thread = 16 / static_cast<Index>(sizeof(T));
    return small_launch(small::copy, (elements + per_thread - 1) / per_thread, p);
  }
  // With one thread for each element where that may share a launch.
  Launch launch_each(const std::int64_t* counter) const {
    if (elements > plan::most_small_work) return launch(counter);
    return small_launch(small::copy_each, elements, CopyParameters<T>{from, to, counter, elements, depth});
  }
};

template <class T>
class Clear final : public Item {
 public:
  explicit Clear(std::shared_ptr<Memory> out) : out_(std::move(out)) {}
  void list(Listing& to) const override {
    const CopyOnDevice<T> copy{nullptr, data_of<T>(out_), elements_of<T>(out_)};
    add_piece(to, copy.launch_each(to.counter), {{}, {own(out_)}}, copy.elements);
  }

 private:
  std::shared_ptr<Memory> out_;
};

template <class T>
class Project final : public Item {
 public:
  Project(std::shared_ptr<Engine> engine, std::shared_ptr<Memory> rates, std::shared_ptr<Memory> history,
          int delay, std::shared_ptr<Memory> out, Index batch, bool accumulate)
      : engine_(std::move(engine)),
        rates_(std::move(rates)),
        history_(std::move(history)),
        out_(std::move(out)),
        changed_(std::make_unique<std::shared_ptr<Memory>>()) {
    call_.rates.rates = rates_->data();
    call_.rates.row = elements_of<T>(rates_);
    call_.rates.changed = changed_.get();
    call_.post = out_->data();
    call_.batch = batch;
    call_.accumulate = accumulate;
    if (!history_) return;
    call_.rates.history = history_->data();
    call_.rates.depth = depth_of<T>(history_, rates_);
    call_.rates.delay = delay;
    if (delay < 1 || delay > call_.rates.depth)
      throw std::invalid_argument("a delay needs a history at least as deep");
  }

  void list(Listing& to) const override {
    Call call = call_;
    if (history_) call.rates.step = to.counter;
    const bool is_small = engine_->is_small(call.batch);
    std::vector<Launch> launches;
    engine_->append(launches, call, is_small ? Form::small : Form::fast);
    const plan::Access source = whole(history_ ? history_ : rates_), scratch{changed_.get()};
    plan::Work work{{source}, {whole(out_)}};
    if (launches.size() > 1 && is_small && launches[0].level == LevelKind::apply) {
      // g(rates) lies in memory of its own.
      to.pieces.push_back({{launches[0]}, {{source}, {scratch}}, true});
      launches.erase(launches.begin());
      work.reads = {scratch};
    } else if (launches.size() > 1) {
      work.writes.push_back(scratch);
    }
    work.writes[0].own = is_small && launches.size() == 1 && engine_->is_one_to_one();
    if (call.accumulate) work.reads.push_back(work.writes[0]);
    to.pieces.push_back({std::move(launches), std::move(work), is_small});
  }

 private:
  std::shared_ptr<Engine> engine_;
  std::shared_ptr<Memory> rates_, history_, out_;
  std::unique_ptr<std::shared_ptr<Memory>> changed_;  // see RatesOnDevice
  Call call_;
};

template <class T>
class Combine final : public Item {
 public:
  Combine(std::shared_ptr<Memory> values, std::shared_ptr<Memory> out, Operation operation, double divisor)
      : values_(std::move(values)), out_(std::move(out)), operation_(operation), divisor_(divisor) {}
  void list(Listing& to) const override {
    const CombineParameters<T> p{data_of<T>(values_), data_of<T>(out_), elements_of<T>(out_),
                                 static_cast<T>(divisor_), static_cast<std::int32_t>(operation_)};
    add_piece(to, small_launch(small::combine, p.elements, p), {{own(values_), own(out_)}, {own(out_)}},
              p.elements);
  }

 private:
  std::shared_ptr<Memory> values_, out_;
  Operation operation_;
  double divisor_;
};

template <class T>
class GatherHistory final : public Item {
 public:
  GatherHistory(std::shared_ptr<Memory> rates, std::shared_ptr<Memory> history,
                const std::vector<std::int32_t>& delays, std::shared_ptr<Memory> out)
      : rates_(std::move(rates)),
        history_(std::move(history)),
        out_(std::move(out)),
        delays_(upload(delays, rates_->device())),
        units_(static_cast<Index>(delays.size())) {}
  void list(Listing& to) const override {
    const GatherHistoryParameters<T> p{data_of<T>(rates_),
                                       data_of<T>(history_),
                                       data_of<const std::int32_t>(delays_),
                                       data_of<T>(out_),
                                       to.counter,
                                       elements_of<T>(rates_),
                                       units_,
                                       depth_of<T>(history_, rates_)};
    add_piece(to, small_launch(small::gather_history, p.elements, p),
              {{own(rates_), whole(history_)}, {own(out_)}}, p.elements);
  }

 private:
  std::shared_ptr<Memory> rates_, history_, out_, delays_;
  Index units_;
};

template <class T>
class StatisticOf final : public Item {
 public:
  StatisticOf(std::shared_ptr<Memory> values, std::shared_ptr<Memory> out, weightsharing::Statistic which)
      : values_(std::move(values)), out_(std::move(out)) {
    p_.values = data_of<T>(values_);
    p_.out = data_of<T>(out_);
    p_.batch = static_cast<std::int32_t>(elements_of<T>(out_));
    p_.units = elements_of<T>(values_) / p_.batch;
    p_.parts_per_trial = (p_.units + statistic_units - 1) / statistic_units;
    p_.which = static_cast<std::int32_t>(which);
    const Index parts = has_parts() ? p_.batch * p_.parts_per_trial : 0;
    parts_ = std::make_shared<Memory>(std::max<std::size_t>(1, parts) * sizeof(double), values_->device());
    p_.parts = data_of<double>(parts_);
  }
  void list(Listing& to) const override {
    // A warp reads what other threads have computed: no chain of own elements.
    const Index amount = elements_of<T>(values_);
    add_piece(to, small_launch(small::statistic_part, 32 * p_.batch * p_.parts_per_trial, p_),
              {{whole(values_)}, {whole(has_parts() ? parts_ : out_)}}, amount);
    if (has_parts())
      add_piece(to, small_launch(small::statistic_total, Index{32} * p_.batch, p_),
                {{whole(parts_)}, {whole(out_)}}, amount);
  }

 private:
  bool has_parts() const { return p_.parts_per_trial > 1; }

  std::shared_ptr<Memory> values_, out_, parts_;
  StatisticParameters<T> p_{};
};

// What all equations of a network are run with.
struct UpdateSettings {
  double dt;
  bool together;
  int device;
};

template <class T>
class UpdateOf final : public Item {
 public:
  UpdateOf(const weightsharing::Program& program, std::vector<OperandOnDevice> inputs,
           std::vector<OperandOnDevice> outputs, Index batch, Index units, const Noise& noise,
           const UpdateSettings& settings)
      : program_(std::optional<weightsharing::Program>(program), settings.device),
        inputs_(std::move(inputs)),
        outputs_(std::move(outputs)),
        batch_(batch) {
    std::vector<Operand<T>> from;
    for (const OperandOnDevice& o : inputs_) {
      from.push_back({o.memory ? data_of<T>(o.memory) : nullptr, o.period});
      if (o.memory) work_.reads.push_back({o.memory->data(), o.period == units});
    }
    single_ = std::make_shared<Memory>(std::max<std::size_t>(1, outputs_.size()) * batch * sizeof(T),
                                       settings.device);
    const std::vector<Operand<T>> to = targets(units);
    std::vector<std::uint32_t> keys;
    for (std::uint32_t trial = 0; program.draws && trial < batch; ++trial) {
      const NoiseKey key = noise_key(noise.seed, noise.population, noise.first_trial + trial);
      keys.insert(keys.end(), {key.word[0], key.word[1]});
    }
    from_ = upload(from, settings.device);
    to_ = upload(to, settings.device);
    keys_ = upload(keys, settings.device);
    p_.program = program_.view();
    p_.inputs = data_of<const Operand<T>>(from_);
    p_.outputs = data_of<const Operand<T>>(to_);
    p_.keys = keys.empty() ? nullptr : data_of<const std::uint32_t>(keys_);
    p_.dt = settings.dt;
    p_.units = units;
    p_.batch = static_cast<std::int32_t>(batch);
    // `level` interprets programs: small equations need no compiler.
    is_compiled_ = !settings.together || batch * units > plan::most_small_work;
  }

  void list(Listing& to) const override {
    UpdateParameters<T> p = p_;
    p.step = to.counter;
    const std::string name = plan::instance<T>(small::update.name);
    const Kernel& kernel = is_compiled_ ? program_.kernel(name) : kernel_named(name);
    const Index threads = batch_ * p.units;
    add_piece(to, make_launch(kernel, plan::flat_launch(threads), p, small::update.kind), work_, threads);
    if (commits_.empty()) return;
    Piece last{{}, committed_, batch_ <= plan::most_small_work};
    for (const CopyOnDevice<T>& commit : commits_) last.launches.push_back(commit.launch(to.counter));
    to.pieces.push_back(std::move(last));
  }

 private:
  // Where the program writes. One value for all units is read by every thread: the new one waits in `single_`
  // until they are done.
  std::vector<Operand<T>> targets(Index units) {
    std::vector<Operand<T>> to;
    committed_.reads = {whole(single_)};
    for (std::size_t k = 0; k < outputs_.size(); ++k) {
      T* target = data_of<T>(outputs_[k].memory);
      if (outputs_[k].period == units) {
        work_.writes.push_back({target, true});
      } else {
        T* const waiting = data_of<T>(single_) + static_cast<Index>(k) * batch_;
        commits_.push_back({waiting, target, batch_});
        committed_.writes.push_back({target});
        work_.writes.push_back(whole(single_));
        target = waiting;
      }
      to.push_back({target, outputs_[k].period});
    }
    return to;
  }

  ProgramOnDevice<T> program_;
  std::vector<OperandOnDevice> inputs_, outputs_;
  Index batch_;
  std::shared_ptr<Memory> single_, from_, to_, keys_;
  UpdateParameters<T> p_{};
  plan::Work work_, committed_;
  std::vector<CopyOnDevice<T>> commits_;
  bool is_compiled_;
};

template <class T>
class Push final : public Item {
 public:
  Push(std::shared_ptr<Memory> rates, std::shared_ptr<Memory> history)
      : rates_(std::move(rates)), history_(std::move(history)) {}
  void list(Listing& to) const override {
    const CopyOnDevice<T> copy{data_of<T>(rates_), data_of<T>(history_), elements_of<T>(rates_),
                               depth_of<T>(history_, rates_)};
    add_piece(to, copy.launch_each(to.counter), {{own(rates_)}, {whole(history_)}}, copy.elements);
  }

 private:
  std::shared_ptr<Memory> rates_, history_;
};

template <class T>
class FillHistory final : public Item {
 public:
  FillHistory(std::shared_ptr<Memory> rates, std::shared_ptr<Memory> history)
      : rates_(std::move(rates)), history_(std::move(history)) {}
  void list(Listing& to) const override {
    if (!to.at_start) return;
    const Index row = elements_of<T>(rates_), all = elements_of<T>(history_);
    Piece piece{{}, {{whole(rates_)}, {whole(history_)}}, all <= plan::most_small_work};
    for (Index first = 0; first < all; first += row)
      piece.launches.push_back(
          CopyOnDevice<T>{data_of<T>(rates_), data_of<T>(history_) + first, row}.launch(to.counter));
    to.pieces.push_back(std::move(piece));
  }

 private:
  std::shared_ptr<Memory> rates_, history_;
};

template <class T>
class Input final : public Item {
 public:
  Input(std::shared_ptr<Memory> rates, Index batch, Index units, std::shared_ptr<Memory> shown)
      : rates_(std::move(rates)), shown_(std::move(shown)), batch_(batch), units_(units) {}
  void list(Listing& to) const override {
    const ShowParameters<T> p{data_of<T>(rates_), data_of<const Shown<T>>(shown_), to.counter, units_,
                              static_cast<std::int32_t>(batch_)};
    add_piece(to, small_launch(small::show, batch_ * units_, p), {{}, {own(rates_)}}, batch_ * units_);
  }

 private:
  std::shared_ptr<Memory> rates_, shown_;
  Index batch_, units_;
};

template <class T>
class CheckFinite final : public Item {
 public:
  CheckFinite(std::shared_ptr<Memory> values, std::shared_ptr<Memory> found, int number)
      : values_(std::move(values)), found_(std::move(found)), number_(number) {}
  void list(Listing& to) const override {
    const CheckParameters<T> p{data_of<T>(values_), data_of<NotFinite>(found_), to.counter,
                               elements_of<T>(values_), number_};
    add_piece(to, small_launch(small::check, p.elements, p), {{own(values_)}, {}}, p.elements);
  }

 private:
  std::shared_ptr<Memory> values_, found_;
  int number_;
};

}  // namespace weightsharing::cuda
