// A projection's psp on a device: f of the weights, g of the rates, or one program of both.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cuda/engine.h"
#include "cuda/program_store.h"
#include "cuda/small.h"

namespace weightsharing::cuda {

template <class T>
class PspOnDevice {
 public:
  PspOnDevice(const Psp& psp, int device)
      : device_(device), f_(psp.weight, device), g_(psp.rate, device), general_(psp.general, device) {}

  const ProgramOnDevice<T>& general() const { return general_; }
  bool changes_weights() const { return bool(f_); }

  // Whether a projection with so many rates may share launches, as far as its psp goes. `level` interprets
  // programs: with the same bits, but for a psp that runs tap by tap it takes too long.
  bool is_small(Index rates) const {
    return !general_.is_compiled() && (!g_ || rates <= plan::most_small_work);
  }

  // What the kernels of a call read: g of all its rates where the psp has one, else the rates themselves.
  Source<T> source(std::vector<Launch>& list, const RatesOnDevice& rates, Index elements) {
    const Source<T> source{static_cast<const T*>(rates.rates),
                           static_cast<const T*>(rates.history),
                           rates.step,
                           rates.row,
                           rates.depth,
                           rates.delay};
    if (!g_) return source;
    std::shared_ptr<Memory>& changed = *rates.changed;
    if (!changed || changed->bytes() < elements * sizeof(T)) {
      if (!rates.may_allocate)
        throw DeviceError(
            "a stream is captured, and the projection needs memory for its psp: call it once with arrays of "
            "this shape before each capture");
      changed = std::make_shared<Memory>(elements * sizeof(T), device_);
    }
    T* const to = static_cast<T*>(changed->data());
    const Kernel& kernel = kernels_.at(Function::g, [&]() -> const Kernel& { return kernel_of(g_); });
    list.push_back(apply(kernel, g_, source, {to, elements}));
    return now(to);
  }

  // Weights on the device, f of a split psp applied.
  void upload_weights(std::shared_ptr<Memory>& memory, const std::vector<T>& values, Stream stream) {
    if (!memory) memory = std::make_shared<Memory>(values.size() * sizeof(T), device_);
    if (values.empty()) return;
    memory->upload(values.data(), stream);
    if (!f_) return;
    T* const data = static_cast<T*>(memory->data());
    device_functions().launch(apply(kernel_of(f_), f_, now(data), {data, static_cast<Index>(values.size())}),
                              stream);
    device_functions().synchronise(stream);
  }

  // g(padding value): what stands outside once g has been applied to all rates.
  T outside_value(double padding_value) {
    T value = static_cast<T>(padding_value);
    if (!g_) return value;
    Memory cell(sizeof(T), device_);
    cell.upload(&value);
    T* const data = static_cast<T*>(cell.data());
    device_functions().launch(apply(kernel_of(g_), g_, now(data), {data, 1}), nullptr);
    cell.download(&value);
    return value;
  }

  // Lines of `describe`.
  void describe(std::vector<std::pair<std::string, std::string>>& lines) const {
    lines.push_back({"contribution", general_   ? "through the expression program, tap by tap"
                                     : f_ || g_ ? "split into f(w) * g(rate)"
                                                : "w * rate"});
    for (const ProgramOnDevice<T>* program : {&general_, &g_, &f_})
      if (*program) {
        lines.push_back({"program", program->how()});
        break;
      }
  }

 private:
  enum class Function { g };
  struct Target {
    T* data;
    Index elements;
  };

  static Source<T> now(const T* rates) { return {rates, nullptr, nullptr, 0, 1, 0}; }
  static const Kernel& kernel_of(const ProgramOnDevice<T>& program) {
    return program.kernel(plan::instance<T>(small::apply.name));
  }
  static Launch apply(const Kernel& kernel, const ProgramOnDevice<T>& program, const Source<T>& from,
                      const Target& to) {
    const ApplyParameters<T> p{from, to.data, to.elements, program.view()};
    return make_launch(kernel, plan::flat_launch(to.elements), p, small::apply.kind);
  }

  int device_;
  ProgramOnDevice<T> f_, g_, general_;
  KernelsByNumber<Function, 1> kernels_;
};

}  // namespace weightsharing::cuda
