// A program with its constants in the dtype of the engine, as the kernels read it.
#pragma once

#include <optional>
#include <vector>

#include "cpu/kernels.h"
#include "primitives/opcodes.h"
#include "weightsharing/program.h"

namespace weightsharing::cpu {

template <class T>
class OptionalProgram {
 public:
  OptionalProgram() = default;
  explicit OptionalProgram(const std::optional<Program>& program) {
    if (!program) return;
    code_ = program->code;
    constants_.assign(program->constants.begin(), program->constants.end());
    // Inputs may be read where they lie only if nothing is computed after the first store.
    bool stored = false, late = false;
    for (int i = 0; i < program->length(); ++i) {
      const bool store = code_[Program::row * i] == static_cast<int>(Opcode::store);
      late = late || stored;
      stored = stored || store;
    }
    view_ = {code_.data(), program->length(), program->slots, constants_.data(), late};
    present_ = true;
  }
  OptionalProgram(const OptionalProgram&) = delete;
  OptionalProgram& operator=(const OptionalProgram&) = delete;

  explicit operator bool() const { return present_; }
  const ProgramView<T>* view() const { return present_ ? &view_ : nullptr; }

 private:
  std::vector<std::int32_t> code_;
  std::vector<T> constants_;
  ProgramView<T> view_{};
  bool present_ = false;
};

}  // namespace weightsharing::cpu
