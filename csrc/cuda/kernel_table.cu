// The instances of the kernels by name.
#include <stdexcept>

#include "cuda/bank.cuh"
#include "cuda/bank_tf32.cuh"
#include "cuda/exchange.cuh"
#include "cuda/gather.cuh"
#include "cuda/history.cuh"
#include "cuda/launch.h"
#include "cuda/level.cuh"
#include "cuda/lowrank.cuh"
#include "cuda/pool.cuh"
#include "cuda/statistic.cuh"
#include "cuda/synapses.cuh"
#include "cuda/update.cuh"
#include "cuda/window.cuh"

namespace weightsharing::cuda {
namespace {

#define WEIGHTSHARING_KERNEL(...) __VA_ARGS__
#define WEIGHTSHARING_INSTANCE(name, kernel, Parameters) \
  {name, reinterpret_cast<const void*>(&WEIGHTSHARING_KERNEL kernel), sizeof(Parameters)},
const Kernel table[] = {
#include "cuda/instances.def"
};
#undef WEIGHTSHARING_INSTANCE

#if defined(WEIGHTSHARING_EMULATED)
// The emulation has no linker that knows kernels: it is told how to call each one.
const bool told = [] {
#define WEIGHTSHARING_INSTANCE(name, kernel, Parameters) emulation::add<&WEIGHTSHARING_KERNEL kernel>(name);
#include "cuda/instances.def"
#undef WEIGHTSHARING_INSTANCE
  return true;
}();
#endif

}  // namespace

const Kernel& kernel_named(const std::string& name) {
  for (const Kernel& kernel : table)
    if (name == kernel.name) return kernel;
  throw std::invalid_argument("no kernel named " + name + " was built");
}

std::vector<std::string> kernel_names() {
  std::vector<std::string> names;
  for (const Kernel& kernel : table) names.push_back(kernel.name);
  return names;
}

}  // namespace weightsharing::cuda
