// A program as the text of a C++ function, for compilation together with a kernel of csrc/cuda.
#pragma once

#include <string>

#include "weightsharing/program.h"

namespace weightsharing {

// Defines `compiled_program<T>(load, store)` of cuda/program.cuh: one line per row of the program. Consists
// of names of operations and of numbers only. Throws std::invalid_argument if a slot is read before it is
// written.
std::string generate(const Program& program);

}  // namespace weightsharing
