// The memory of a block: in heap blocks of exactly its size, 0xFF when the block starts.
#pragma once

#include <type_traits>

#include "machine/fibers.h"

#pragma GCC visibility push(hidden)

namespace emulation {

// Under ThreadSanitizer blocks are not ordered, so each gets memory of its own until the arena is used up.
constexpr size_t arena_bytes = 16 << 20;

EMULATION_QUIET inline void* from_arena(size_t bytes) {
  void* memory = machine.arena + machine.arena_used;
  machine.arena_used += (bytes + 63) / 64 * 64;
  return memory;
}

struct SharedArray {
  void* memory;
  uint64_t block;

  EMULATION_QUIET void* get(size_t bytes) {
    if (block == machine.block_number) return memory;
    block = machine.block_number;
#if defined(EMULATION_THREAD_SANITIZER)
    if (machine.arena_used + bytes + 64 > arena_bytes)
      fail("more shared memory in one block than the emulation has");
    memory = from_arena(bytes);
#else
    if (!memory && posix_memalign(&memory, 16, bytes))
      fail("no memory for %zu bytes of shared memory", bytes);
#endif
    fill_quietly(memory, bytes);
    return memory;
  }
};

}  // namespace emulation

#define WEIGHTSHARING_SHARED(T, name, ...)                                                                   \
  typedef T name##_type __VA_ARGS__;                                                                         \
  static_assert(std::is_trivially_default_constructible_v<name##_type>, "shared memory is not initialised"); \
  static emulation::SharedArray name##_array;                                                                \
  name##_type& name = *static_cast<name##_type*>(name##_array.get(sizeof(name##_type)))
#define WEIGHTSHARING_DYNAMIC_SHARED(T, name) \
  T* const name = static_cast<T*>(emulation::machine.dynamic_shared)

#pragma GCC visibility pop
