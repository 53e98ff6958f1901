// A program's code and constants in device memory, for the interpreter, or the text that takes its place.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cuda/compiler.h"
#include "cuda/memory.h"
#include "cuda/params.h"
#include "expression/generate.h"
#include "weightsharing/program.h"

namespace weightsharing::cuda {

template <class T>
class ProgramOnDevice {
 public:
  ProgramOnDevice(const std::optional<weightsharing::Program>& program, int device) {
    if (!program) return;
    code_ = upload(program->code, device);
    constants_ = upload(std::vector<T>(program->constants.begin(), program->constants.end()), device);
    view_ = {static_cast<const std::int32_t*>(code_->data()), static_cast<const T*>(constants_->data()),
             program->length(), program->slots};
    if (compiles_programs()) text_ = generate(*program);
  }
  explicit operator bool() const { return code_ != nullptr; }
  const Program<T>& view() const { return view_; }
  bool is_compiled() const { return !text_.empty(); }
  const char* how() const { return is_compiled() ? "compiled by NVRTC" : "interpreted"; }

  // The kernel of that name that runs this program; the plain one where there is no program.
  const Kernel& kernel(const std::string& name) const {
    return is_compiled() ? compiled_kernel(name, text_) : kernel_named(name);
  }

 private:
  std::string text_;
  std::shared_ptr<Memory> code_, constants_;
  Program<T> view_{};
};

}  // namespace weightsharing::cuda
