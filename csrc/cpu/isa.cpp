#include "cpu/isa.h"

#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include <type_traits>

#include "weightsharing/engine.h"

namespace weightsharing {
namespace cpu {
namespace {

constexpr const char* names[] = {"baseline", "x86-64-v3", "x86-64-v4"};

Isa highest() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    return Isa::v4;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
    return Isa::v3;
#endif
  return Isa::baseline;
}

Isa parse(const std::string& name) {
  for (int level = 0; level <= static_cast<int>(highest()); ++level)
    if (name == names[level]) return static_cast<Isa>(level);
  std::string known;
  for (const std::string& level : instruction_sets()) known += (known.empty() ? "'" : ", '") + level + "'";
  throw std::invalid_argument("instruction set '" + name + "': this processor has " + known);
}

std::atomic<Isa>& level() {
  static std::atomic<Isa> current = [] {
    const char* asked = std::getenv("WEIGHTSHARING_ISA");
    return asked && *asked ? parse(asked) : highest();
  }();
  return current;
}

}  // namespace

Isa current_isa() { return level(); }

template <class T>
const Kernels<T>& kernels(Isa isa) {
#if defined(__x86_64__)
  if constexpr (std::is_same_v<T, float>) {
    return isa == Isa::v4 ? v4::kernels_float : isa == Isa::v3 ? v3::kernels_float : baseline::kernels_float;
  } else {
    return isa == Isa::v4   ? v4::kernels_double
           : isa == Isa::v3 ? v3::kernels_double
                            : baseline::kernels_double;
  }
#else
  (void)isa;
  if constexpr (std::is_same_v<T, float>) {
    return baseline::kernels_float;
  } else {
    return baseline::kernels_double;
  }
#endif
}
template const Kernels<float>& kernels<float>(Isa);
template const Kernels<double>& kernels<double>(Isa);

}  // namespace cpu

std::vector<std::string> instruction_sets() {
  return {cpu::names, cpu::names + static_cast<int>(cpu::highest()) + 1};
}
std::string instruction_set() { return cpu::names[static_cast<int>(cpu::current_isa())]; }
void set_instruction_set(const std::string& name) { cpu::level() = cpu::parse(name); }

}  // namespace weightsharing
