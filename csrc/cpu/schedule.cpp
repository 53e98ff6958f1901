// A step as a list of items, run in order, again and again.
#include "weightsharing/schedule.h"

#include <chrono>
#include <stdexcept>
#include <string>

#include "cpu/items.h"

namespace weightsharing::cpu {
namespace {

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
  void combine(const void* values, void* out, Index elements, Operation operation, double divisor) override {
    add<Combine<T>>(static_cast<const T*>(values), static_cast<T*>(out), elements, operation,
                    static_cast<T>(divisor));
  }
  void gather_history(const void* rates, const void* history, Index depth, const std::int32_t* delays,
                      void* out, Index batch, Index units) override {
    add<GatherHistory<T>>(static_cast<const T*>(rates), static_cast<const T*>(history), depth, delays,
                          static_cast<T*>(out), batch, units);
  }
  void statistic(const void* values, void* out, Index batch, Index units,
                 weightsharing::Statistic which) override {
    add<StatisticOf<T>>(static_cast<const T*>(values), static_cast<T*>(out), batch, units, which, threads_);
  }
  void update(const Program& program, std::vector<Operand> inputs, std::vector<Operand> outputs, Index batch,
              Index units, const Noise& noise) override {
    add<Update<T>>(program, std::move(inputs), std::move(outputs), batch, units, noise, threads_);
  }
  void push(const void* rates, void* history, Index depth, Index elements) override {
    add<Push<T>>(static_cast<const T*>(rates), static_cast<T*>(history), depth, elements);
  }
  void fill_history(const void* rates, void* history, Index depth, Index elements) override {
    add<FillHistory<T>>(static_cast<const T*>(rates), static_cast<T*>(history), depth, elements);
  }
  int input(void* rates, Index batch, Index units) override {
    inputs_.push_back(add<Input<T>>(static_cast<T*>(rates), batch, units));
    return static_cast<int>(inputs_.size()) - 1;
  }
  int check_finite(const void* values, Index elements) override {
    checked_.push_back({static_cast<const T*>(values), elements});
    return static_cast<int>(checked_.size()) - 1;
  }
  void set_frames(int input, const Frames& frames) override { inputs_.at(input)->set(frames); }
  void set_records(std::vector<Record> records) override { records_ = std::move(records); }

  RunResult run(Index first, Index steps, const std::function<bool()>& go_on) override {
    using Clock = std::chrono::steady_clock;
    constexpr auto patience = std::chrono::milliseconds(20);
    // Asking the clock costs as much as a small step: it is asked every so many steps, more often when they
    // turn out to be long.
    Index between_looks = 1, until_look = 1;
    Clock::time_point asked = Clock::now(), looked = asked;
    for (Index step = first; step < first + steps; ++step) {
      const T time = static_cast<T>(static_cast<double>(step) * dt_);
      for (const auto& item : items_) item->run(step, time);
      for (const Record& record : records_) keep<T>(record, step);
      for (std::size_t k = 0; k < checked_.size(); ++k) {
        const Index element = first_not_finite(checked_[k].first, checked_[k].second);
        if (element >= 0) return {step + 1 - first, static_cast<int>(k), element};
      }
      if (--until_look > 0) continue;
      const Clock::time_point now = Clock::now();
      if (now - looked < std::chrono::milliseconds(1))
        between_looks *= 2;
      else if (now - looked > std::chrono::milliseconds(4))
        between_looks = std::max<Index>(1, between_looks / 4);
      looked = now;
      until_look = between_looks;
      if (now - asked < patience) continue;
      asked = now;
      if (!go_on()) return {step + 1 - first, -1, 0};
    }
    return {steps, -1, 0};
  }

 private:
  template <class I, class... Arguments>
  I* add(Arguments&&... arguments) {
    auto item = std::make_unique<I>(std::forward<Arguments>(arguments)...);
    I* raw = item.get();
    items_.push_back(std::move(item));
    return raw;
  }

  double dt_;
  int threads_;
  std::vector<std::unique_ptr<Item<T>>> items_;
  std::vector<Input<T>*> inputs_;
  std::vector<std::pair<const T*, Index>> checked_;
  std::vector<Record> records_;
};

}  // namespace
}  // namespace weightsharing::cpu

namespace weightsharing {

Statistic statistic_from(const std::string& name) {
  constexpr const char* names[] = {"mean", "max", "min", "norm1", "norm2"};
  for (int which = 0; which < 5; ++which)
    if (name == names[which]) return static_cast<Statistic>(which);
  throw std::invalid_argument("unknown statistic '" + name + "'");
}

std::unique_ptr<Schedule> make_schedule(DType dtype, double dt, int threads) {
  if (dtype == DType::float32) return std::make_unique<cpu::ScheduleOf<float>>(dt, threads);
  return std::make_unique<cpu::ScheduleOf<double>>(dt, threads);
}

}  // namespace weightsharing
