#include "cuda/compiler.h"

#include <mutex>
#include <tuple>

#include "cuda/params.h"

namespace weightsharing::cuda {
namespace {

struct Instance {
  const char* name;
  const char* kernel;
  std::size_t parameter_bytes;
};

#define WEIGHTSHARING_TEXT(...) #__VA_ARGS__
#define WEIGHTSHARING_INSTANCE(name, kernel, Parameters) \
  {name, WEIGHTSHARING_TEXT kernel, sizeof(Parameters)},
const Instance instances[] = {
#include "cuda/instances.def"
};
#undef WEIGHTSHARING_INSTANCE

const Instance& instance_named(const std::string& name) {
  for (const Instance& instance : instances)
    if (name == instance.name) return instance;
  throw std::invalid_argument("there is no kernel named " + name);
}

struct State {
  std::mutex mutex;
  Compiler compiler;
  bool programs = false;
  std::map<std::tuple<int, const Instance*, std::string>, Kernel> kernels;
};

// Never destroyed: the compiler may belong to an interpreter that is gone by then.
State& state() {
  static State* const one = new State;
  return *one;
}

}  // namespace

void set_compiler(Compiler compiler, bool programs) {
  const std::lock_guard<std::mutex> lock(state().mutex);
  state().compiler = std::move(compiler);
  state().programs = programs;
}

bool compiles_programs() {
  const std::lock_guard<std::mutex> lock(state().mutex);
  return state().compiler && state().programs && device_functions().loads_kernels();
}

const Kernel& compiled_kernel(const std::string& name, const std::string& program) {
  const DeviceFunctions& device = device_functions();
  const int number = device.current();
  const Instance& instance = instance_named(name);
  const auto key = std::make_tuple(number, &instance, program);
  Compiler compiler;
  {
    const std::lock_guard<std::mutex> lock(state().mutex);
    const auto found = state().kernels.find(key);
    if (found != state().kernels.end()) return found->second;
    compiler = state().compiler;
  }
  if (!compiler) throw std::logic_error("no compiler was set for " + name);
  // Without the lock: the compiler may wait for the interpreter, whose thread may wait here.
  const MachineCode code = compiler(instance.kernel, program, device.architecture(number));
  const std::lock_guard<std::mutex> lock(state().mutex);
  const auto found = state().kernels.find(key);
  if (found != state().kernels.end()) return found->second;
  const Kernel kernel{instance.name, device.load_kernel(code.code, code.entry), instance.parameter_bytes};
  return state().kernels.emplace(key, kernel).first->second;
}

std::map<std::string, std::string> kernel_expressions() {
  std::map<std::string, std::string> expressions;
  for (const Instance& instance : instances) expressions[instance.name] = instance.kernel;
  return expressions;
}

}  // namespace weightsharing::cuda
