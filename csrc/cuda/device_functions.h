// The few things that the launch loop needs of a device: allocate, copy, launch, capture. `_cuda` fills the
// table from the CUDA runtime, `_cupy` from the driver and CuPy's allocator.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace weightsharing::cuda {

// The device refused: no driver, no memory, a kernel that failed. The message says what was asked for.
struct DeviceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// Memory ran out; everything that existed before is still usable.
struct DeviceMemoryError : DeviceError {
  using DeviceError::DeviceError;
};

struct Kernel {
  const char* name;
  const void* function;
  std::size_t parameter_bytes;
  bool has_program = false;  // compiled with it, in place of the interpreter
};

// One entry of a launch list: complete, apart from the stream.
struct Launch {
  const Kernel* kernel;
  unsigned grid[3];
  unsigned block[3];
  unsigned shared_bytes;
  std::vector<std::byte> parameters;
};

using Stream = void*;
using Graph = void*;

// Shared memory that kernels may ask for beyond the 48 KB that every kernel may. A limit is only ever raised:
// other threads launch the same kernel, and graphs hold it.
class SharedLimits {
 public:
  // Calls raise(bytes) unless the function was allowed as much on this device before.
  template <class Raise>
  void allow(const void* function, int device, unsigned bytes, const Raise& raise) {
    if (bytes <= 48 * 1024) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    unsigned& limit = limits_[{function, device}];
    if (bytes <= limit) return;
    raise(bytes);
    limit = bytes;
  }

 private:
  std::mutex mutex_;
  std::map<std::pair<const void*, int>, unsigned> limits_;
};

struct DeviceFunctions {
  int (*count)();  // 0 with the reason in `why_not`
  std::string (*why_not)();
  // Makes a device the one in use of the calling thread; what it returns gives the thread its own back.
  void* (*use)(int device);
  void (*restore)(void* before);
  std::string (*name)(int device);
  int (*shared_bytes)(int device);  // that a block may ask for
  int (*architecture)(int device);  // 90 for compute capability 9.0
  void* (*allocate)(std::size_t bytes);
  void (*release)(void* memory);
  void (*to_device)(void* to, const void* from, std::size_t bytes, Stream stream);
  void (*to_host)(void* to, const void* from, std::size_t bytes,
                  Stream stream);  // returns when the bytes are there
  void (*launch)(const Launch& launch, Stream stream);
  void (*synchronise)(Stream stream);
  Stream (*create_stream)();
  void (*destroy_stream)(Stream stream);
  void (*begin_capture)(Stream stream);
  Graph (*end_capture)(Stream stream);
  void (*abandon_capture)(Stream stream);
  void (*replay)(Graph graph, Stream stream);
  void (*destroy_graph)(Graph graph);
  int (*current)();                      // the device in use; -1: none
  void (*synchronise_device)();          // waits for all streams of the device in use
  bool (*capturing)(Stream stream);      // whether launches on it become part of a graph
  int (*device_of)(const void* memory);  // -1: every device's, -2: the host's alone
  int (*driver_version)();               // of CUDA, 13000 for 13.0; 0 without a driver
  // Makes machine code callable on the device in use, until the process ends; null where this cannot be done.
  const void* (*load_kernel)(const std::string& code, const std::string& entry);
};

const DeviceFunctions& device_functions();

// A kernel of instances.def, on the device in use; std::invalid_argument for a name that is not among them.
const Kernel& kernel_named(const std::string& name);
std::vector<std::string> kernel_names();

// The device in use while this object lives. The calling thread gets its own back: its other libraries rely
// on it.
class Using {
 public:
  explicit Using(int device);
  ~Using();
  Using(const Using&) = delete;
  Using& operator=(const Using&) = delete;

 private:
  void* before_;
};

// Device memory with an owner.
class Memory {
 public:
  Memory(std::size_t bytes, int device);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  int device() const { return device_; }
  void upload(const void* from, Stream stream = nullptr);
  void download(void* to, Stream stream = nullptr) const;

 private:
  void* data_ = nullptr;
  std::size_t bytes_;
  int device_;
};

// Throws after a fork of a process that had used the device: its context does not survive.
void check_process();
// Whether this process may still use the device.
bool owns_device();

}  // namespace weightsharing::cuda
