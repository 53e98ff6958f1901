// What the engines of all families have: the kernels of one instruction set, the programs of a psp, and
// scratch of every thread.
#pragma once

#include <algorithm>
#include <mutex>
#include <new>

#include "cpu/isa.h"
#include "cpu/program_store.h"
#include "cpu/threads.h"
#include "weightsharing/engine.h"

namespace weightsharing::cpu {

// Calls of less work than this many multiply-adds or elements in all are run by the calling thread: waking
// another one costs several microseconds.
inline constexpr double serial_work = 200000;

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

// What an engine of any family works with.
template <class T>
struct Resources {
  Resources(Operation operation, const Psp& psp, const EngineOptions& options)
      : operation(operation),
        options(options),
        isa(current_isa()),
        kernels(cpu::kernels<T>(isa)),
        f(psp.weight),
        g(psp.rate),
        general(psp.general) {}

  // Calls of one engine take turns, because they share its scratch.
  struct Turn {
    std::unique_lock<std::mutex> lock;
    int threads;
  };
  // For a call of so many multiply-adds or elements, each thread with so much scratch.
  Turn begin(double work, Index scratch_elements) {
    std::unique_lock<std::mutex> lock(mutex);
    const int threads = work < serial_work ? 1 : threads_for(options.threads);
    scratch.reserve(std::max(threads, 1), scratch_elements);
    return {std::move(lock), threads};
  }

  std::vector<std::pair<std::string, std::string>> describe(const std::string& family,
                                                            const std::string& algorithm,
                                                            const std::string& reason) const {
    return {{"family", family},
            {"algorithm", algorithm},
            {"reason", reason},
            {"instruction set", instruction_sets()[static_cast<std::size_t>(isa)]},
            {"threads", std::to_string(threads_for(options.threads))},
            {"contribution", general  ? "through the expression program, tap by tap"
                             : f || g ? "split into f(w) * g(rate)"
                                      : "w * rate"}};
  }

  // Of scratch, for the programs.
  Index program_elements() const {
    return (std::max(g ? g.view()->slots : 0, general ? general.view()->slots : 0) + 1) * program_block;
  }

  // f(w) of a split psp, in the engine's dtype.
  std::vector<T> apply_weight_function(std::vector<T> values) const {
    if (!f) return values;
    std::vector<T> slots(static_cast<std::size_t>(f.view()->slots + 1) * program_block);
    for (std::size_t i = 0; i < values.size(); i += program_block) {
      const ProgramInput<T> input{values.data() + i, 1};
      T* output = values.data() + i;
      const Index n = std::min<Index>(program_block, static_cast<Index>(values.size() - i));
      kernels.program(*f.view(), &input, &output, n, slots.data(), nullptr);
    }
    return values;
  }

  int reduction() const { return static_cast<int>(operation); }
  bool adds() const { return operation == Operation::sum || operation == Operation::mean; }

  Operation operation;
  EngineOptions options;
  Isa isa;
  const Kernels<T>& kernels;
  OptionalProgram<T> f, g, general;
  Scratch<T> scratch;
  std::mutex mutex;
};

// A padded copy of the rates that lie around a projection's units.
template <class T>
Strip<T> strip_of(const StripShape& shape, Padding padding, double outside_value,
                  const ProgramView<T>* rate) {
  return {shape, static_cast<int>(padding), static_cast<T>(outside_value), rate};
}

template <template <class> class E, class... Arguments>
std::unique_ptr<Engine> engine_of(DType dtype, const Arguments&... arguments) {
  if (dtype == DType::float32) return std::make_unique<E<float>>(arguments...);
  return std::make_unique<E<double>>(arguments...);
}

// For listed centres; the engines of all other projections are made by make_engine of weightsharing/engine.h.
std::unique_ptr<Engine> make_gather_engine(const SharedGeometry& geometry, Operation operation,
                                           double padding_value, const Psp& psp,
                                           const EngineOptions& options);

}  // namespace weightsharing::cpu
