// Kernels that are compiled while the program runs: all of them in `_cupy`, and everywhere those that a psp
// or an equation was compiled into.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "cuda/launch.h"

namespace weightsharing::cuda {

struct MachineCode {
  std::string code, entry;  // entry: the kernel's name in the code
};

// Compiles one kernel of instances.def, written as in C++, for an architecture (90: sm_90). `program` is the
// text of expression/generate.h or empty.
using Compiler =
    std::function<MachineCode(const std::string& kernel, const std::string& program, int architecture)>;

// `programs`: whether programs are compiled too, else the interpreter runs them.
void set_compiler(Compiler compiler, bool programs);
bool compiles_programs();

// A kernel of instances.def on the device in use, compiled at the first call. It is there until the process
// ends.
const Kernel& compiled_kernel(const std::string& name, const std::string& program);

// How each kernel of instances.def is written in C++, by name.
std::map<std::string, std::string> kernel_expressions();

// The headers that kernels consist of, by the names under which they include each other: as they were when
// this module was built, so that the parameters' layouts are the same.
const std::map<std::string, std::string>& kernel_sources();

}  // namespace weightsharing::cuda
