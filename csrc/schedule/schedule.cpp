#include "weightsharing/schedule.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "cpu/isa.h"
#include "cpu/program_store.h"
#include "cpu/threads.h"

namespace weightsharing {
namespace {

using cpu::program_block;

// Units per block of an update; with fewer in all, the calling thread does them.
constexpr Index update_block = 16 * program_block;

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
    // step - delay may lie before the start: rows are counted modulo the depth, from below as well.
    const T* rates = history_ ? history_ + ((step - delay_) % depth_ + depth_) % depth_ * row_ : rates_;
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
         Index units, int threads)
      : program_(std::optional<Program>(program)),
        kernels_(cpu::kernels<T>(cpu::current_isa())),
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
    scratch_elements_ = (program.slots + 1 + static_cast<Index>(outputs_.size())) * program_block;
    single_.assign(outputs_.size(), T(0));
    grow(units_ > update_block || batch_ > 1 ? cpu::threads_for(threads) : 1);
  }

  void run(Index, T time) override {
    const int threads = units_ > update_block ? cpu::threads_for(wanted_threads_) : 1;
    grow(threads);
    const Index blocks = (units_ + update_block - 1) / update_block;
    for (Index trial = 0; trial < batch_; ++trial) {
      cpu::for_blocks(blocks, threads,
                      [&](Index block, int thread) { run_block(trial, block, time, thread); });
      // One value for all units: every block read the old one, so it is replaced when all are done.
      for (std::size_t k = 0; k < outputs_.size(); ++k)
        if (!outputs_[k].per_unit) static_cast<T*>(outputs_[k].data)[trial] = single_[k];
    }
  }

 private:
  static constexpr std::size_t most_operands = 256;

  void grow(int threads) {
    const std::size_t wanted = static_cast<std::size_t>(scratch_elements_ * std::max(threads, 1));
    if (scratch_.size() < wanted) scratch_.resize(wanted);
  }

  void run_block(Index trial, Index block, T time, int thread) {
    const Index first = block * update_block, end = std::min(first + update_block, units_);
    T* slots = scratch_.data() + thread * scratch_elements_;
    T* spare = slots + (program_.view()->slots + 1) * program_block;
    cpu::ProgramInput<T> inputs[most_operands];
    T* outputs[most_operands];
    for (Index i = first; i < end; i += program_block) {
      const Index n = std::min<Index>(program_block, end - i);
      for (std::size_t k = 0; k < inputs_.size(); ++k) {
        const Operand& operand = inputs_[k];
        const T* data = static_cast<const T*>(operand.data);
        inputs[k] = !data              ? cpu::ProgramInput<T>{&time, 0}
                    : operand.per_unit ? cpu::ProgramInput<T>{data + trial * units_ + i, 1}
                                       : cpu::ProgramInput<T>{data + trial, 0};
      }
      for (std::size_t k = 0; k < outputs_.size(); ++k)
        outputs[k] = outputs_[k].per_unit ? static_cast<T*>(outputs_[k].data) + trial * units_ + i
                                          : spare + k * program_block;
      kernels_.program(*program_.view(), inputs, outputs, n, slots);
      if (i == 0)
        for (std::size_t k = 0; k < outputs_.size(); ++k)
          if (!outputs_[k].per_unit) single_[k] = outputs[k][0];
    }
  }

  cpu::OptionalProgram<T> program_;
  const cpu::Kernels<T>& kernels_;
  std::vector<Operand> inputs_, outputs_;
  Index batch_, units_;
  int wanted_threads_;
  Index scratch_elements_;
  std::vector<T> scratch_, single_;
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
class ScheduleOf final : public Schedule {
 public:
  ScheduleOf(double dt, int threads) : dt_(dt), threads_(threads) {}

  void clear(void* out, Index elements) override { add<Clear<T>>(static_cast<T*>(out), elements); }
  void project(std::shared_ptr<Engine> engine, const void* rates, const void* history, Index depth,
               Index delay, Index pre_elements, void* out, Index batch, bool accumulate) override {
    if (history && (depth < 1 || delay < 1 || delay > depth))
      throw std::invalid_argument("a delay of " + std::to_string(delay) +
                                  " steps needs a history at least as deep, got " + std::to_string(depth));
    add<Project<T>>(std::move(engine), static_cast<const T*>(rates), static_cast<const T*>(history), depth,
                    delay, pre_elements, static_cast<T*>(out), batch, accumulate);
  }
  void update(const Program& program, std::vector<Operand> inputs, std::vector<Operand> outputs, Index batch,
              Index units) override {
    add<Update<T>>(program, std::move(inputs), std::move(outputs), batch, units, threads_);
  }
  void push(const void* rates, void* history, Index depth, Index elements) override {
    add<Push<T>>(static_cast<const T*>(rates), static_cast<T*>(history), depth, elements);
  }

  void run(Index first, Index steps) override {
    for (Index step = first; step < first + steps; ++step) {
      const T time = static_cast<T>(static_cast<double>(step) * dt_);
      for (const auto& item : items_) item->run(step, time);
    }
  }

 private:
  template <class I, class... Arguments>
  void add(Arguments&&... arguments) {
    items_.push_back(std::make_unique<I>(std::forward<Arguments>(arguments)...));
  }

  double dt_;
  int threads_;
  std::vector<std::unique_ptr<Item<T>>> items_;
};

}  // namespace

std::unique_ptr<Schedule> make_schedule(DType dtype, double dt, int threads) {
  if (dtype == DType::float32) return std::make_unique<ScheduleOf<float>>(dt, threads);
  return std::make_unique<ScheduleOf<double>>(dt, threads);
}

}  // namespace weightsharing
