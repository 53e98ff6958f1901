// The few things that the launch loop needs of a device: allocate, copy, launch, capture. `_cuda` fills the
// table from the CUDA runtime; anything else that can load the kernels can fill another one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
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

struct DeviceFunctions {
  int (*count)();  // 0 with the reason in `why_not`
  std::string (*why_not)();
  void (*use)(int device);
  std::string (*name)(int device);
  int (*shared_bytes)(int device);  // that a block may ask for
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
  int (*current)();                      // device of the calling thread
  void (*synchronise_device)();          // waits for all streams of the device in use
  bool (*capturing)(Stream stream);      // whether launches on it become part of a graph
  int (*device_of)(const void* memory);  // -1: every device's, -2: the host's alone
};

const DeviceFunctions& device_functions();

// The kernels this module was built with; std::invalid_argument for a name that is not among them.
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
  int device_, before_;
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

}  // namespace weightsharing::cuda
