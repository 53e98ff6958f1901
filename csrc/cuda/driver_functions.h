// What `_cupy` must be given: the driver's library, and who allocates.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <string>

namespace weightsharing::cuda {

struct Allocation {
  void* address;
  std::shared_ptr<void> owner;  // gives the memory back
};

// Throws std::bad_alloc when there is not enough memory.
using Allocator = std::function<Allocation(std::size_t bytes, int device)>;

void set_allocator(Allocator allocator);
// Before the first use of a device; libcuda.so.1 otherwise.
void set_driver(const std::string& library);

}  // namespace weightsharing::cuda
