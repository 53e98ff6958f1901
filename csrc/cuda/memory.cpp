#include "cuda/memory.h"

#include <unistd.h>

#include <atomic>

namespace weightsharing::cuda {
namespace {
std::atomic<int> process{0};
}

void check_process() {
  const int now = static_cast<int>(getpid());
  int before = 0;
  if (!process.compare_exchange_strong(before, now) && before != now)
    throw DeviceError(
        "CUDA was used before this process was forked and cannot be used after: start processes with "
        "multiprocessing's 'spawn' or 'forkserver'");
}

bool owns_device() { return process == static_cast<int>(getpid()); }

Using::Using(int device) : before_(device_functions().use(device)) {}

Using::~Using() { device_functions().restore(before_); }

Memory::Memory(std::size_t bytes, int device) : bytes_(bytes), device_(device) {
  check_process();
  const Using use(device);
  data_ = device_functions().allocate(bytes);
}

Memory::~Memory() {
  if (owns_device()) device_functions().release(data_);
}

void Memory::upload(const void* from, std::size_t bytes, Stream stream) {
  check_process();
  const Using use(device_);
  device_functions().to_device(data_, from, bytes, stream);
}

void Memory::download(void* to, std::size_t bytes, Stream stream) const {
  check_process();
  const Using use(device_);
  device_functions().to_host(to, data_, bytes, stream);
}

}  // namespace weightsharing::cuda
