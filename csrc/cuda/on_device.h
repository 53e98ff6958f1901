// What engines and schedules share: a launch with its parameters, and programs in device memory.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "cuda/compiler.h"
#include "cuda/device_functions.h"
#include "cuda/params.h"
#include "expression/generate.h"
#include "plan/launches.h"
#include "weightsharing/program.h"

namespace weightsharing::cuda {

template <class P>
Launch make_launch(const plan::LaunchShape& shape, const P& parameters, const Kernel& kernel) {
  static_assert(std::is_trivially_copyable_v<P> && sizeof(P) <= 4096);
  Launch launch{&kernel, {}, {}, shape.shared_bytes, std::vector<std::byte>(sizeof(P))};
  std::copy(shape.grid, shape.grid + 3, launch.grid);
  std::copy(shape.block, shape.block + 3, launch.block);
  if (launch.kernel->parameter_bytes != sizeof(P))
    throw std::logic_error("launch: wrong parameters for " + shape.kernel);
  std::memcpy(launch.parameters.data(), &parameters, sizeof(P));
  return launch;
}

template <class P>
Launch make_launch(const plan::LaunchShape& shape, const P& parameters) {
  return make_launch(shape, parameters, kernel_named(shape.kernel));
}

// Name of a kernel without what stands in its brackets.
inline std::string family_of(const Kernel& kernel) {
  const std::string name = kernel.name;
  return name.substr(0, name.find('<'));
}

template <class V>
std::shared_ptr<Memory> upload(const std::vector<V>& values, int device) {
  auto memory = std::make_shared<Memory>(values.size() * sizeof(V), device);
  if (!values.empty()) memory->upload(values.data());
  return memory;
}

template <class To, class From>
std::vector<To> narrow(const std::vector<From>& values) {
  return std::vector<To>(values.begin(), values.end());
}

// A program's code and constants in device memory, for the interpreter, or the text that takes its place.
template <class T>
class ProgramOnDevice {
 public:
  ProgramOnDevice(const std::optional<weightsharing::Program>& program, int device) {
    if (!program) return;
    code_ = upload(program->code, device);
    constants_ = upload(narrow<T>(program->constants), device);
    view_ = {static_cast<const std::int32_t*>(code_->data()), static_cast<const T*>(constants_->data()),
             program->length(), program->slots};
    if (compiles_programs()) text_ = generate(*program);
  }
  explicit operator bool() const { return code_ != nullptr; }
  const Program<T>& view() const { return view_; }
  const char* how() const { return text_.empty() ? "interpreted" : "compiled by NVRTC"; }

  // The kernel of that name that runs this program; the plain one where there is no program.
  const Kernel& kernel(const std::string& name) const {
    return text_.empty() ? kernel_named(name) : compiled_kernel(name, text_);
  }

 private:
  std::string text_;
  std::shared_ptr<Memory> code_, constants_;
  Program<T> view_{};
};

template <class P, class T>
Launch make_launch(const plan::LaunchShape& shape, const P& parameters, const ProgramOnDevice<T>& program) {
  return make_launch(shape, parameters, program.kernel(shape.kernel));
}

}  // namespace weightsharing::cuda
