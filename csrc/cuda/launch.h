// One entry of a launch list: a kernel, how many threads, what they are told, and what work it is.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "cuda/device_functions.h"
#include "cuda/params.h"
#include "plan/launches.h"

namespace weightsharing::cuda {

struct Kernel {
  const char* name;
  const void* function;
  std::size_t parameter_bytes;
};

// A kernel of instances.def, on the device in use; std::invalid_argument for a name that is not among them.
const Kernel& kernel_named(const std::string& name);
std::vector<std::string> kernel_names();

// A struct of params.h as bytes. They lie in the launch itself: making one allocates nothing.
class Parameters {
 public:
  template <class P>
  explicit Parameters(const P& parameters) : size_(sizeof(P)) {
    static_assert(std::is_trivially_copyable_v<P> && sizeof(P) <= sizeof(bytes_));
    std::memcpy(bytes_, &parameters, sizeof(P));
  }
  const std::byte* data() const { return bytes_; }
  std::size_t size() const { return size_; }

 private:
  alignas(16) std::byte bytes_[512];
  std::size_t size_;
};

// Complete, apart from the stream.
struct Launch {
  const Kernel* kernel;
  plan::LaunchShape shape;
  Parameters parameters;
  std::optional<LevelKind> level;  // how the kernel `level` does the same work; none: it cannot
};

template <class P>
Launch make_launch(const Kernel& kernel, const plan::LaunchShape& shape, const P& parameters,
                   std::optional<LevelKind> level = std::nullopt) {
  if (kernel.parameter_bytes != sizeof(P))
    throw std::logic_error(std::string("launch: wrong parameters for ") + kernel.name);
  return {&kernel, shape, Parameters(parameters), level};
}

inline void run_launches(const std::vector<Launch>& list, Stream stream) {
  for (const Launch& launch : list) device_functions().launch(launch, stream);
}

// The kernels that one engine launches, numbered by an enumeration of the plan: each is looked up by name (in
// `_cupy`: compiled) at its first launch, and kept.
template <class Number, std::size_t count>
class KernelsByNumber {
 public:
  template <class Find>
  const Kernel& at(Number number, const Find& find) {
    std::atomic<const Kernel*>& kept = kernels_[static_cast<std::size_t>(number)];
    const Kernel* kernel = kept.load(std::memory_order_acquire);
    if (!kernel) {
      kernel = &find();
      kept.store(kernel, std::memory_order_release);
    }
    return *kernel;
  }

 private:
  std::array<std::atomic<const Kernel*>, count> kernels_{};
};

}  // namespace weightsharing::cuda
