// Device memory with an owner, and the device that a thread uses.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "cuda/device_functions.h"

namespace weightsharing::cuda {

// The device in use while this object lives. The calling thread gets its own back: its other libraries rely
// on it.
class Using {
 public:
  explicit Using(int device);
  ~Using();
  Using(const Using&) = delete;
  Using& operator=(const Using&) = delete;

 private:
  DeviceBefore before_;
};

class Memory {
 public:
  Memory(std::size_t bytes, int device);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  void* data() const { return data_.address; }
  std::size_t bytes() const { return bytes_; }
  int device() const { return device_; }
  void upload(const void* from, Stream stream = nullptr) { upload(from, bytes_, stream); }
  void download(void* to, Stream stream = nullptr) const { download(to, bytes_, stream); }
  // The first bytes alone.
  void upload(const void* from, std::size_t bytes, Stream stream);
  void download(void* to, std::size_t bytes, Stream stream) const;

 private:
  std::size_t bytes_;
  int device_;
  DevicePointer data_{};
};

template <class V>
std::shared_ptr<Memory> upload(const std::vector<V>& values, int device) {
  auto memory = std::make_shared<Memory>(values.size() * sizeof(V), device);
  if (!values.empty()) memory->upload(values.data());
  return memory;
}

// Throws after a fork of a process that had used the device: its context does not survive.
void check_process();
// Whether this process may still use the device.
bool owns_device();

}  // namespace weightsharing::cuda
