// The pieces of a step: what each kind of step does when its turn comes. Arrays belong to the caller.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "cpu/isa.h"
#include "cpu/program_store.h"
#include "cpu/threads.h"
#include "weightsharing/schedule.h"

namespace weightsharing::cpu {

// Units per block of an update; with fewer in all, the calling thread does them.
inline constexpr Index update_block = 16 * program_block;

// Steps before the start have rows too: counted modulo the depth, from below as well.
inline Index row_of(Index step, Index depth) { return (step % depth + depth) % depth; }

template <class T>
class Item {
 public:
  virtual ~Item() = default;
  virtual void run(Index step, T time) = 0;
};

template <class T>
class Clear final : public Item<T> {
 public:
  Clear(T* out, Index elements) : out_(out), elements_(elements) {}
  void run(Index, T) override { std::fill(out_, out_ + elements_, T(0)); }

 private:
  T* out_;
  Index elements_;
};

template <class T>
class Project final : public Item<T> {
 public:
  Project(std::shared_ptr<Engine> engine, const T* rates, const T* history, Index depth, Index delay,
          Index pre_elements, T* out, Index batch, bool accumulate)
      : engine_(std::move(engine)),
        rates_(rates),
        history_(history),
        depth_(depth),
        delay_(delay),
        row_(batch * pre_elements),
        out_(out),
        batch_(batch),
        accumulate_(accumulate) {}
  void run(Index step, T) override {
    const T* rates = history_ ? history_ + row_of(step - delay_, depth_) * row_ : rates_;
    engine_->run(rates, out_, batch_, accumulate_);
  }

 private:
  std::shared_ptr<Engine> engine_;
  const T *rates_, *history_;
  Index depth_, delay_, row_;
  T* out_;
  Index batch_;
  bool accumulate_;
};

template <class T>
class Update final : public Item<T> {
 public:
  Update(const Program& program, std::vector<Operand> inputs, std::vector<Operand> outputs, Index batch,
         Index units, const Noise& noise, int threads)
      : program_(std::optional<Program>(program)),
        kernels_(kernels<T>(current_isa())),
        inputs_(std::move(inputs)),
        outputs_(std::move(outputs)),
        batch_(batch),
        units_(units),
        wanted_threads_(threads) {
    if (static_cast<int>(inputs_.size()) != program.inputs ||
        static_cast<int>(outputs_.size()) != program.outputs)
      throw std::invalid_argument("update: the program needs " + std::to_string(program.inputs) +
                                  " inputs and " + std::to_string(program.outputs) + " outputs");
    if (inputs_.size() > most_operands || outputs_.size() > most_operands)
      throw std::invalid_argument("update: equations may name at most " + std::to_string(most_operands) +
                                  " arrays");
    for (std::uint32_t trial = 0; program.draws && trial < batch; ++trial)
      keys_.push_back(noise_key(noise.seed, noise.population, noise.first_trial + trial));
    scratch_elements_ =
        (program.slots + 1 + static_cast<Index>(inputs_.size() + outputs_.size())) * program_block;
    single_.assign(outputs_.size(), T(0));
    grow(units_ > update_block || batch_ > 1 ? threads_for(threads) : 1);
  }

  void run(Index step, T time) override {
    const int threads = units_ > update_block ? threads_for(wanted_threads_) : 1;
    grow(threads);
    const Index blocks = (units_ + update_block - 1) / update_block;
    for (Index trial = 0; trial < batch_; ++trial) {
      for_blocks(blocks, threads,
                 [&](Index block, int thread) { run_block(trial, block, step, time, thread); });
      // One value for all units: every block read the old one, so it is replaced when all are done.
      for (std::size_t k = 0; k < outputs_.size(); ++k)
        if (outputs_[k].period == 1) static_cast<T*>(outputs_[k].data)[trial] = single_[k];
    }
  }

 private:
  static constexpr std::size_t most_operands = 256;

  void grow(int threads) {
    const std::size_t wanted = static_cast<std::size_t>(scratch_elements_ * std::max(threads, 1));
    if (scratch_.size() < wanted) scratch_.resize(wanted);
  }

  void run_block(Index trial, Index block, Index step, T time, int thread) {
    const Index first = block * update_block, end = std::min(first + update_block, units_);
    T* slots = scratch_.data() + thread * scratch_elements_;
    T* spare_outputs = slots + (program_.view()->slots + 1) * program_block;
    T* spare_inputs = spare_outputs + static_cast<Index>(outputs_.size()) * program_block;
    ProgramInput<T> inputs[most_operands];
    T* outputs[most_operands];
    NoiseBlock noise{keys_.empty() ? NoiseKey{} : keys_[trial], step, 0};
    for (Index i = first; i < end; i += program_block) {
      const Index n = std::min<Index>(program_block, end - i);
      for (std::size_t k = 0; k < inputs_.size(); ++k)
        inputs[k] = input(inputs_[k], trial, i, n, time, spare_inputs + k * program_block);
      for (std::size_t k = 0; k < outputs_.size(); ++k)
        outputs[k] = outputs_[k].period == 1 ? spare_outputs + k * program_block
                                             : static_cast<T*>(outputs_[k].data) + trial * units_ + i;
      noise.unit = i;
      kernels_.program(*program_.view(), inputs, outputs, n, slots, &noise);
      if (i == 0)
        for (std::size_t k = 0; k < outputs_.size(); ++k)
          if (outputs_[k].period == 1) single_[k] = outputs[k][0];
    }
  }

  ProgramInput<T> input(const Operand& operand, Index trial, Index i, Index n, const T& time, T* spare) {
    if (!operand.data) return {&time, 0};
    const T* data = static_cast<const T*>(operand.data) + trial * operand.period;
    if (operand.period == units_) return {data + i, 1};
    if (operand.period == 1) return {data, 0};
    for (Index k = 0; k < n; ++k) spare[k] = data[(i + k) % operand.period];
    return {spare, 1};
  }

  OptionalProgram<T> program_;
  const Kernels<T>& kernels_;
  std::vector<Operand> inputs_, outputs_;
  Index batch_, units_;
  int wanted_threads_;
  Index scratch_elements_;
  std::vector<T> scratch_, single_;
  std::vector<NoiseKey> keys_;  // of each trial, if the program draws
};

template <class T>
class Push final : public Item<T> {
 public:
  Push(const T* rates, T* history, Index depth, Index elements)
      : rates_(rates), history_(history), depth_(depth), elements_(elements) {}
  void run(Index step, T) override {
    std::copy(rates_, rates_ + elements_, history_ + step % depth_ * elements_);
  }

 private:
  const T* rates_;
  T* history_;
  Index depth_, elements_;
};

template <class T>
class FillHistory final : public Item<T> {
 public:
  FillHistory(const T* rates, T* history, Index depth, Index elements)
      : rates_(rates), history_(history), depth_(depth), elements_(elements) {}
  void run(Index step, T) override {
    if (step != 0) return;
    for (Index row = 0; row < depth_; ++row)
      std::copy(rates_, rates_ + elements_, history_ + row * elements_);
  }

 private:
  const T* rates_;
  T* history_;
  Index depth_, elements_;
};

template <class T>
class Combine final : public Item<T> {
 public:
  Combine(const T* values, T* out, Index elements, Operation operation, T divisor)
      : values_(values), out_(out), elements_(elements), operation_(operation), divisor_(divisor) {}
  void run(Index, T) override {
    // NaN in either operand stays.
    if (operation_ == Operation::max)
      each([](T a, T b) { return a != a || a > b ? a : b; });
    else if (operation_ == Operation::min)
      each([](T a, T b) { return a != a || a < b ? a : b; });
    else
      each([d = divisor_](T a, T b) { return a + b / d; });
  }

 private:
  template <class F>
  void each(F f) {
    for (Index i = 0; i < elements_; ++i) out_[i] = f(out_[i], values_[i]);
  }

  const T* values_;
  T* out_;
  Index elements_;
  Operation operation_;
  T divisor_;
};

template <class T>
class GatherHistory final : public Item<T> {
 public:
  GatherHistory(const T* rates, const T* history, Index depth, const std::int32_t* delays, T* out,
                Index batch, Index units)
      : rates_(rates),
        history_(history),
        depth_(depth),
        delays_(delays),
        out_(out),
        batch_(batch),
        units_(units) {}
  void run(Index step, T) override {
    const Index elements = batch_ * units_, now = step % depth_;
    for (Index trial = 0; trial < batch_; ++trial)
      for (Index u = 0, i = trial * units_; u < units_; ++u, ++i) {
        const Index delay = delays_[u], row = now - delay;  // a delay is at most the depth
        out_[i] = delay ? history_[(row < 0 ? row + depth_ : row) * elements + i] : rates_[i];
      }
  }

 private:
  const T *rates_, *history_;
  Index depth_;
  const std::int32_t* delays_;
  T* out_;
  Index batch_, units_;
};

template <class T>
class StatisticOf final : public Item<T> {
 public:
  StatisticOf(const T* values, T* out, Index batch, Index units, weightsharing::Statistic which, int threads)
      : kernels_(kernels<T>(current_isa())),
        values_(values),
        out_(out),
        batch_(batch),
        units_(units),
        which_(which),
        wanted_threads_(threads),
        parts_((units + block - 1) / block) {}

  void run(Index, T) override {
    const Index blocks = static_cast<Index>(parts_.size());
    const int threads = units_ > update_block ? threads_for(wanted_threads_) : 1;
    for (Index trial = 0; trial < batch_; ++trial) {
      const T* values = values_ + trial * units_;
      for_blocks(blocks, threads, [&](Index b, int) {
        parts_[b] = kernels_.statistic(static_cast<int>(which_), values + b * block,
                                       std::min<Index>(block, units_ - b * block));
      });
      out_[trial] = static_cast<T>(finished(total()));
    }
  }

 private:
  static constexpr Index block = statistic_block;

  // Neighbours first, then neighbours of those: the error of a sum grows with the logarithm of their number.
  double total() {
    const Index blocks = static_cast<Index>(parts_.size());
    for (Index width = 1; width < blocks; width *= 2)
      for (Index b = 0; b + width < blocks; b += 2 * width) parts_[b] = joined(parts_[b], parts_[b + width]);
    return parts_[0];
  }
  double joined(double a, double b) const {
    if (which_ == weightsharing::Statistic::max) return a != a || a > b ? a : b;
    if (which_ == weightsharing::Statistic::min) return a != a || a < b ? a : b;
    return a + b;
  }
  double finished(double total) const {
    if (which_ == weightsharing::Statistic::mean) return total / static_cast<double>(units_);
    return which_ == weightsharing::Statistic::norm2 ? std::sqrt(total) : total;
  }

  const Kernels<T>& kernels_;
  const T* values_;
  T* out_;
  Index batch_, units_;
  weightsharing::Statistic which_;
  int wanted_threads_;
  std::vector<double> parts_;
};

template <class T>
class Input final : public Item<T> {
 public:
  Input(T* rates, Index batch, Index units) : rates_(rates), batch_(batch), units_(units) {}
  void set(const Frames& frames) { frames_ = frames; }
  void run(Index step, T) override {
    if (!frames_.data || step < frames_.origin) return;
    Index place = step - frames_.origin;
    if (frames_.period) place %= frames_.period;
    const std::int64_t* end = frames_.starts + frames_.count;
    const std::int64_t* found = std::lower_bound(frames_.starts, end, place);
    if (found == end || *found != place) return;
    const Index row = frames_.each_trial ? batch_ * units_ : units_;
    const T* frame = static_cast<const T*>(frames_.data) + (found - frames_.starts) * row;
    for (Index trial = 0; trial < batch_; ++trial)
      std::copy_n(frame + (frames_.each_trial ? trial * units_ : 0), units_, rates_ + trial * units_);
  }

 private:
  T* rates_;
  Index batch_, units_;
  Frames frames_;
};

template <class T>
void keep(const Record& record, Index step) {
  if (step < record.first || (step - record.first) % record.period) return;
  const Index row = (step - record.first) / record.period;
  if (row >= record.row_count) return;
  const T* values = static_cast<const T*>(record.values);
  T* to = static_cast<T*>(record.rows) + row * record.batch * record.kept;
  if (!record.ranks) {
    std::copy_n(values, record.batch * record.kept, to);
    return;
  }
  for (Index trial = 0; trial < record.batch; ++trial)
    for (Index k = 0; k < record.kept; ++k)
      to[trial * record.kept + k] = values[trial * record.units + record.ranks[k]];
}

template <class T>
Index first_not_finite(const T* values, Index elements) {
  // x - x is NaN for NaN and infinity, 0 otherwise: a loop without branches first.
  T sum = 0;
  for (Index i = 0; i < elements; ++i) sum += values[i] - values[i];
  if (sum == 0) return -1;
  return std::find_if(values, values + elements, [](T x) { return !std::isfinite(x); }) - values;
}

}  // namespace weightsharing::cpu
