// cp.async: the target is 0xFF until the wait.
#pragma once

#include "machine/fibers.h"

#pragma GCC visibility push(hidden)

namespace emulation {

EMULATION_QUIET inline void queue_copy(void* to, const void* from, unsigned bytes, unsigned source_bytes) {
  if (reinterpret_cast<uintptr_t>(to) % bytes)
    fail("cp.async<%u>: the shared address %p is not aligned to it", bytes, to);
  if (source_bytes && reinterpret_cast<uintptr_t>(from) % bytes)
    fail("cp.async<%u>: the global address %p is not aligned to it", bytes, from);
  if (source_bytes > bytes || source_bytes % 4) fail("cp.async<%u>: %u bytes of source", bytes, source_bytes);
  Thread& thread = machine.thread[machine.current];
  if (thread.first_copy + thread.copies == max_copies) {
    if (thread.copies == max_copies) fail("more than %u cp.async copies without a wait", max_copies);
    for (unsigned i = 0; i < thread.copies; ++i) thread.copy[i] = thread.copy[thread.first_copy + i];
    thread.first_copy = 0;
  }
  thread.copy[thread.first_copy + thread.copies++] = {to, from, bytes, source_bytes, thread.groups};
}

EMULATION_QUIET inline bool take_copy(unsigned pending, Copy* copy) {
  Thread& thread = machine.thread[machine.current];
  if (!thread.copies) return false;
  *copy = thread.copy[thread.first_copy];
  if (copy->group + pending >= thread.groups) return false;
  ++thread.first_copy;
  if (!--thread.copies) thread.first_copy = 0;
  return true;
}

EMULATION_QUIET inline void commit_copies() { ++machine.thread[machine.current].groups; }

}  // namespace emulation

namespace weightsharing::cuda {

// The target is written when the copy is asked for, by the thread that asks, and again when it waits: a read
// in between sees NaN, and ThreadSanitizer a race.
template <int bytes>
void cp_async(void* shared, const void* global, int source_bytes) {
  static_assert(bytes == 4 || bytes == 8 || bytes == 16, "cp.async copies 4, 8 or 16 bytes");
  emulation::queue_copy(shared, global, bytes, static_cast<unsigned>(source_bytes));
  memset(shared, 0xFF, bytes);
}

template <int bytes>
void cp_async(void* shared, const void* global) {
  cp_async<bytes>(shared, global, bytes);
}

inline void cp_async_commit() { emulation::commit_copies(); }

template <int pending>
void cp_async_wait() {
  for (emulation::Copy copy; emulation::take_copy(pending, &copy);) {
    memcpy(copy.to, copy.from, copy.source_bytes);
    memset(static_cast<char*>(copy.to) + copy.source_bytes, 0, copy.bytes - copy.source_bytes);
  }
}

}  // namespace weightsharing::cuda

#pragma GCC visibility pop
