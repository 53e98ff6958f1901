// The state of the machine: one block at a time, its threads, what they wait at.
// Each loaded module has a machine of its own.
#pragma once

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mutex>
#include <stdexcept>

#include "machine/language.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EMULATION_ADDRESS_SANITIZER
#endif
#if __has_feature(thread_sanitizer)
#define EMULATION_THREAD_SANITIZER
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define EMULATION_ADDRESS_SANITIZER
#endif
#if defined(__SANITIZE_THREAD__)
#define EMULATION_THREAD_SANITIZER
#endif

#if defined(EMULATION_ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(EMULATION_THREAD_SANITIZER)
#include <sanitizer/tsan_interface.h>
#endif

#if defined(__x86_64__) && !defined(EMULATION_UCONTEXT)
#define EMULATION_ASSEMBLER
#else
#include <ucontext.h>
#endif

// The machine's own state is ordered by the machine, which ThreadSanitizer cannot see.
#define EMULATION_QUIET __attribute__((no_sanitize("thread"), noinline))

#pragma GCC visibility push(hidden)

namespace emulation {

// A launch that CUDA would refuse, or a kernel that did what it must not do.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct InvalidLaunch : Error {
  using Error::Error;
};

constexpr unsigned max_threads = 1024, warp_lanes = 32, max_copies = 256, masks_per_warp = 8,
                   exchange_bytes = 32;
constexpr size_t max_shared = 227 * 1024, max_parameters = 4096;
#if defined(EMULATION_ADDRESS_SANITIZER) || defined(EMULATION_THREAD_SANITIZER)
constexpr size_t stack_bytes = 256 << 10;
#else
constexpr size_t stack_bytes = 64 << 10;
#endif
// Pages of any machine, and more than a frame is likely to jump over.
constexpr size_t guard_bytes = 64 << 10;

// The line of a kernel where threads meet.
struct Site {
  const char* file;
  int line;
  const char* what;
};
#define EMULATION_SITE(what) (emulation::Site{__FILE__, __LINE__, what})

struct Barrier {
  Site site;
  unsigned arrived, generation;
  unsigned votes[2];  // by parity of the generation, as a fast thread may be one barrier ahead of a slow one
  char order[2];      // what ThreadSanitizer orders the threads by, likewise
};

// A barrier for the lanes of a mask, with what they exchange.
struct WarpBarrier {
  unsigned mask, inside;
  Barrier barrier;
  alignas(8) unsigned char values[2][warp_lanes][exchange_bytes];
};

struct Copy {
  void* to;
  const void* from;
  unsigned bytes, source_bytes, group;
};

struct Fiber {
  void* stack_pointer;
  char* stack;
  void* fake_stack;
  void* tsan;
#if !defined(EMULATION_ASSEMBLER)
  ucontext_t context;
#endif
};

struct Thread {
  Fiber* fiber;  // null: not started or ended
  const Barrier* waits_at;
  unsigned generation, groups, first_copy, copies;
  Copy copy[max_copies];
};

struct Machine {
  std::mutex mutex;
  Fiber scheduler;
  Fiber* fibers[max_threads + 1];
  Fiber* idle[max_threads + 2];  // a ring
  unsigned fiber_count, idle_first, idle_end;
  Fiber* current_fiber;
  Fiber* previous_fiber;
  const void* scheduler_bottom;
  size_t scheduler_bytes;

  void (*call)(const void*);
  const void* parameters;
  const char* kernel;
  unsigned threads, started, live, cursor, current;
  unsigned order[max_threads];
  Thread thread[max_threads];
  Barrier block;
  WarpBarrier warp[max_threads / warp_lanes][masks_per_warp];
  uint64_t block_number;  // of all launches, from 1
  void* dynamic_shared;
  char* arena;
  size_t arena_used;
  bool failed;
  char message[1024];
  char begin, end;  // what ThreadSanitizer orders a launch by
};
inline Machine machine;

inline void release([[maybe_unused]] void* order) {
#if defined(EMULATION_THREAD_SANITIZER)
  __tsan_release(order);
#endif
}
inline void acquire([[maybe_unused]] void* order) {
#if defined(EMULATION_THREAD_SANITIZER)
  __tsan_acquire(order);
#endif
}

// memset that ThreadSanitizer does not see.
EMULATION_QUIET inline void fill_quietly(void* to, size_t bytes) {
#if !defined(EMULATION_THREAD_SANITIZER)
  memset(to, 0xFF, bytes);
#elif defined(__x86_64__)
  asm volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(0xFF) : "memory");
#else
  for (size_t i = 0; i < bytes; ++i) static_cast<volatile unsigned char*>(to)[i] = 0xFF;
#endif
}

}  // namespace emulation

#pragma GCC visibility pop
