// The few things that the launch loop needs of a device: allocate, copy, launch, capture. `_cuda` has them
// from the CUDA runtime, `_cupy` from the driver and CuPy's allocator; the tests put an imitation under
// either.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>

namespace weightsharing::cuda {

// The device refused: no driver, no memory, a kernel that failed. The message says what was asked for.
struct DeviceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// Memory ran out; everything that existed before is still usable.
struct DeviceMemoryError : DeviceError {
  using DeviceError::DeviceError;
};

struct Launch;

// What the driver hands out has types of its own, so that one cannot be given for another.
using Stream = struct StreamHandle*;
using Graph = struct GraphHandle*;
struct DevicePointer {
  void* address;
};
// What the calling thread used before `use`: a number of a device, or a context.
struct DeviceBefore {
  void* handle;
};

class DeviceFunctions {
 public:
  virtual ~DeviceFunctions() = default;

  // --- Devices ---
  virtual int count() const = 0;  // 0 with the reason in `why_not`
  virtual std::string why_not() const = 0;
  virtual int driver_version() const = 0;  // of CUDA, 13000 for 13.0; 0 without a driver
  virtual std::string name(int device) const = 0;
  virtual int shared_bytes(int device) const = 0;  // that a block may ask for
  virtual int architecture(int device) const = 0;  // 90 for compute capability 9.0
  virtual int current() const = 0;                 // the device in use; -1: none
  // Makes a device the one in use of the calling thread; what it returns gives the thread its own back.
  virtual DeviceBefore use(int device) const = 0;
  virtual void restore(DeviceBefore before) const = 0;

  // --- Memory of the device in use ---
  virtual DevicePointer allocate(std::size_t bytes) const = 0;
  virtual void release(DevicePointer memory) const = 0;
  // Both return when the bytes are there.
  virtual void to_device(DevicePointer to, const void* from, std::size_t bytes, Stream stream) const = 0;
  virtual void to_host(void* to, DevicePointer from, std::size_t bytes, Stream stream) const = 0;
  virtual int device_of(const void* memory) const = 0;  // -1: every device's, -2: the host's alone

  // --- Kernels ---
  // Whether machine code can be made callable.
  virtual bool loads_kernels() const = 0;
  // On the device in use, until the process ends.
  virtual const void* load_kernel(const std::string& code, const std::string& entry) const = 0;
  virtual void launch(const Launch& launch, Stream stream) const = 0;

  // --- Streams and graphs ---
  virtual Stream create_stream() const = 0;
  virtual void destroy_stream(Stream stream) const = 0;
  virtual void synchronise(Stream stream) const = 0;
  virtual void synchronise_device() const = 0;      // waits for all streams of the device in use
  virtual bool capturing(Stream stream) const = 0;  // whether launches on it become part of a graph
  virtual void begin_capture(Stream stream) const = 0;
  virtual Graph end_capture(Stream stream) const = 0;
  virtual void abandon_capture(Stream stream) const = 0;
  virtual void replay(Graph graph, Stream stream) const = 0;
  virtual void destroy_graph(Graph graph) const = 0;
};

const DeviceFunctions& device_functions();

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

}  // namespace weightsharing::cuda
