// What the modules of a device hand to each other: arrays, engines, numbers of devices, streams of callers.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "bindings/bindings.h"
#include "cuda/engine.h"

namespace weightsharing::bindings {

using cuda::Memory;

// Types of its own in each module: several may be loaded, and the arrays of one are nothing to another.
inline namespace WEIGHTSHARING_CUDA_MODULE {

// A C-contiguous array in device memory. Shape and dtype are for people and for the array interfaces.
struct DeviceArray {
  std::shared_ptr<Memory> memory;
  std::vector<Index> shape;
  DType dtype;

  Index size() const { return static_cast<Index>(memory->bytes() / element_bytes(dtype)); }
};

struct BoundDeviceEngine {
  std::shared_ptr<cuda::Engine> engine;
  DType dtype;
  Index pre, post;
  std::vector<Index> weights;  // elements per array
  int device;
  std::mutex mutex;  // for what follows and for the engine: the interpreter's lock is released
  std::map<cuda::Stream, std::shared_ptr<Memory>> changed;  // g(rates) of calls on each stream
  std::vector<std::shared_ptr<Memory>> in_graphs;           // the same, named by graphs of the caller
  std::shared_ptr<Memory> nothing;
  std::vector<cuda::Launch> list;  // of one call: its memory is kept for the next

  // Trials of rates, if they and out fit.
  Index batch_of(const DeviceArray& rates, const DeviceArray& out) const;
  void set_weights(const std::vector<py::array>& arrays);
  void run(const void* rates, void* out, Index batch, bool accumulate, cuda::Stream stream);

 private:
  std::shared_ptr<Memory>* changed_in_graph();
};

}  // namespace WEIGHTSHARING_CUDA_MODULE

inline cuda::Stream stream_at(std::uintptr_t address) { return reinterpret_cast<cuda::Stream>(address); }

// The number of a device that is there.
int checked_device(int device);

}  // namespace weightsharing::bindings
