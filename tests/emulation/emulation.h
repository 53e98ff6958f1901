// The CUDA of csrc/cuda/device.h on the CPU: one block at a time, one fiber per thread that meets a barrier.
//
// Only for tests. Compile a .cuh or .cu with `g++ -std=c++17 -x c++ -Icsrc -Itests/emulation`, with or
// without -fsanitize=address,undefined or -fsanitize=thread. Name every kernel once, then launch it through
// the cudaLaunchKernel of cuda_runtime.h, or directly (throws emulation::Error):
//
//   emulation::add<&my_kernel<float, 3>>("my_kernel<float, 3>");
//   emulation::launch<&my_kernel<float, 3>>(dim3(2), dim3(256), parameters, shared_bytes);
//
// WEIGHTSHARING_EMULATION_ORDER=forward, reverse or shuffled:SEED: in which order threads and blocks take
// turns.
//
// How bugs are made to show: shared memory lies in heap blocks of exactly its size and is 0xFF (NaN, -1) when
// a block starts; the target of a cp.async is 0xFF until the wait; ThreadSanitizer sees fibers as threads
// that only barriers order, and blocks as not ordered at all (apart from what one fiber does in several of
// them).
#pragma once

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

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

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

// Each loaded module has a machine of its own.
#pragma GCC visibility push(hidden)

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
  constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
  constexpr operator uint3() const { return {x, y, z}; }
};

// Sizes and alignments of CUDA: a misaligned access shows under UndefinedBehaviorSanitizer.
#define EMULATION_VECTORS(T, name, alignment2, alignment4)   \
  struct alignas(alignment2) name##2 { T x, y; };            \
  struct alignas(alignment4) name##4 { T x, y, z, w; };      \
  inline name##2 make_##name##2(T x, T y) { return {x, y}; } \
  inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
EMULATION_VECTORS(float, float, 8, 16)
EMULATION_VECTORS(double, double, 16, 16)
EMULATION_VECTORS(int, int, 8, 16)
EMULATION_VECTORS(unsigned, uint, 8, 16)
EMULATION_VECTORS(long long, longlong, 16, 16)
#undef EMULATION_VECTORS

inline uint3 threadIdx{}, blockIdx{};
inline dim3 blockDim, gridDim;
constexpr int warpSize = 32;

namespace emulation {

__extension__ typedef unsigned __int128 Wide;

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

// ---- fibers ----

#if defined(EMULATION_ASSEMBLER)
// Saves what a called function must keep, on the stack that it leaves. Not C++, lest a compiler sees what it
// leaves alone.
extern "C" void weightsharing_emulation_switch(void** from, void* to);
asm(R"(.pushsection .text
.weak weightsharing_emulation_switch
.hidden weightsharing_emulation_switch
.type weightsharing_emulation_switch,@function
weightsharing_emulation_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size weightsharing_emulation_switch,.-weightsharing_emulation_switch
.popsection)");
#endif

EMULATION_QUIET inline void arrived_on([[maybe_unused]] Fiber* fiber) {
#if defined(EMULATION_ADDRESS_SANITIZER)
  const void* bottom;
  size_t bytes;
  __sanitizer_finish_switch_fiber(fiber->fake_stack, &bottom, &bytes);
  if (machine.previous_fiber == &machine.scheduler) {
    machine.scheduler_bottom = bottom;
    machine.scheduler_bytes = bytes;
  }
#endif
}

EMULATION_QUIET inline void switch_to(Fiber* to) {
  Fiber* const from = machine.current_fiber;
  machine.previous_fiber = from;
  machine.current_fiber = to;
#if defined(EMULATION_ADDRESS_SANITIZER)
  if (to == &machine.scheduler)
    __sanitizer_start_switch_fiber(&from->fake_stack, machine.scheduler_bottom, machine.scheduler_bytes);
  else
    __sanitizer_start_switch_fiber(&from->fake_stack, to->stack, stack_bytes);
#endif
#if defined(EMULATION_THREAD_SANITIZER)
  __tsan_switch_to_fiber(to->tsan, __tsan_switch_to_fiber_no_sync);
#endif
#if defined(EMULATION_ASSEMBLER)
  weightsharing_emulation_switch(&from->stack_pointer, to->stack_pointer);
#else
  swapcontext(&from->context, &to->context);
#endif
  arrived_on(from);
}

// Ends the launch: no thread of it runs again.
[[noreturn]] EMULATION_QUIET inline void give_up() {
  machine.failed = true;
  release(&machine.end);
  for (;;) switch_to(&machine.scheduler);
}

[[noreturn]] __attribute__((format(printf, 1, 2))) EMULATION_QUIET inline void fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(machine.message, sizeof machine.message, format, arguments);
  va_end(arguments);
  give_up();
}

EMULATION_QUIET inline void become(unsigned thread) {
  machine.current = thread;
  const unsigned row = thread / blockDim.x;
  threadIdx = {thread % blockDim.x, row % blockDim.y, row / blockDim.y};
}

void fiber_main();

EMULATION_QUIET inline Fiber* make_fiber() {
  Fiber* fiber = static_cast<Fiber*>(calloc(1, sizeof(Fiber)));
  void* memory = mmap(nullptr, stack_bytes + guard_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  // What is below the stack faults: a kernel that needs more stack than there is stops there.
  if (!fiber || memory == MAP_FAILED || mprotect(memory, guard_bytes, PROT_NONE))
    throw Error("no memory for another fiber");
  fiber->stack = static_cast<char*>(memory) + guard_bytes;
#if defined(EMULATION_THREAD_SANITIZER)
  fiber->tsan = __tsan_create_fiber(0);
#endif
#if defined(EMULATION_ASSEMBLER)
  void** top = reinterpret_cast<void**>(fiber->stack + stack_bytes - 16);
  *--top = nullptr;  // no caller; and keeps the alignment that a call has
  *--top = reinterpret_cast<void*>(&fiber_main);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  fiber->stack_pointer = top;
#else
  getcontext(&fiber->context);
  fiber->context.uc_stack.ss_sp = fiber->stack;
  fiber->context.uc_stack.ss_size = stack_bytes;
  makecontext(&fiber->context, fiber_main, 0);
#endif
  return fiber;
}

inline void destroy_fibers() {
  for (unsigned i = 0; i < machine.fiber_count; ++i) {
    Fiber* fiber = machine.fibers[i];
#if defined(EMULATION_ADDRESS_SANITIZER)
    __asan_unpoison_memory_region(fiber->stack, stack_bytes);  // of functions that never returned
#endif
#if defined(EMULATION_THREAD_SANITIZER)
    __tsan_destroy_fiber(fiber->tsan);
#endif
    munmap(fiber->stack - guard_bytes, stack_bytes + guard_bytes);
    free(fiber);
  }
  machine.fiber_count = machine.idle_first = machine.idle_end = 0;
}

constexpr unsigned idle_slots = max_threads + 2;

EMULATION_QUIET inline void put_idle(Fiber* fiber) {
  machine.idle[machine.idle_end] = fiber;
  machine.idle_end = (machine.idle_end + 1) % idle_slots;
}

// For ThreadSanitizer the one that rested longest, so that a thread of the next block is another fiber; else
// the warmest.
EMULATION_QUIET inline Fiber* take_idle() {
#if defined(EMULATION_THREAD_SANITIZER)
  Fiber* fiber = machine.idle[machine.idle_first];
  machine.idle_first = (machine.idle_first + 1) % idle_slots;
  return fiber;
#else
  machine.idle_end = (machine.idle_end + idle_slots - 1) % idle_slots;
  return machine.idle[machine.idle_end];
#endif
}

// Whose turn it is: threads that have not started, then those whose barrier has opened; the scheduler if none
// can go on.
EMULATION_QUIET inline Fiber* next_fiber() {
  if (machine.started < machine.threads) return take_idle();
  for (unsigned i = 0; i < machine.threads; ++i) {
    const unsigned position = machine.cursor;
    machine.cursor = position + 1 == machine.threads ? 0 : position + 1;
    const Thread& thread = machine.thread[machine.order[position]];
    if (thread.fiber && thread.waits_at->generation != thread.generation) return thread.fiber;
  }
  return &machine.scheduler;
}

EMULATION_QUIET inline void begin_thread() {
  const unsigned number = machine.order[machine.started++];
  become(number);
  Thread& thread = machine.thread[number];
  thread.fiber = machine.current_fiber;
  acquire(&machine.begin);
}

EMULATION_QUIET inline void end_thread() {
  Thread& thread = machine.thread[machine.current];
  if (thread.copies) fail("thread %u ends with cp.async copies that it never waited for", machine.current);
  thread.fiber = nullptr;
  --machine.live;
  release(&machine.end);
}

// A fiber runs one thread after the other as long as none waits: no barrier, no switch. ThreadSanitizer needs
// them apart.
inline EMULATION_QUIET void fiber_main() {
  arrived_on(machine.current_fiber);
  for (;;) {
    while (machine.started < machine.threads) {
      begin_thread();
      try {
        machine.call(machine.parameters);
      } catch (const std::exception& error) {
        fail("the kernel threw: %s", error.what());
      }
      end_thread();
#if defined(EMULATION_THREAD_SANITIZER)
      break;
#endif
    }
    put_idle(machine.current_fiber);
    switch_to(next_fiber());
  }
}

// ---- barriers ----

// Returns the votes of all when `expected` threads have arrived.
EMULATION_QUIET inline unsigned wait(Barrier& barrier, unsigned expected, Site site, unsigned vote = 0) {
  if (barrier.arrived == 0)
    barrier.site = site;
  else if (barrier.site.line != site.line || strcmp(barrier.site.what, site.what) ||
           strcmp(barrier.site.file, site.file))
    fail("threads that must meet wait at different places: %s at %s:%d and %s at %s:%d (thread %u)",
         barrier.site.what, barrier.site.file, barrier.site.line, site.what, site.file, site.line,
         machine.current);
  const unsigned parity = barrier.generation & 1;
  barrier.votes[parity] += vote;
  release(&barrier.order[parity]);
  if (++barrier.arrived == expected) {
    barrier.arrived = 0;
    barrier.votes[parity ^ 1] = 0;
    ++barrier.generation;
  } else {
    const unsigned me = machine.current;
    Thread& thread = machine.thread[me];
    thread.waits_at = &barrier;
    thread.generation = barrier.generation;
    switch_to(next_fiber());
    become(me);
  }
  acquire(&barrier.order[parity]);
  return barrier.votes[parity];
}

EMULATION_QUIET inline unsigned wait_block(Site site, unsigned vote = 0) {
  return wait(machine.block, machine.threads, site, vote);
}

EMULATION_QUIET inline unsigned lane() { return machine.current % warp_lanes; }

EMULATION_QUIET inline unsigned lanes_of_warp() {
  const unsigned lanes = std::min(warp_lanes, machine.threads - machine.current / warp_lanes * warp_lanes);
  return lanes == warp_lanes ? ~0u : (1u << lanes) - 1;
}

EMULATION_QUIET inline WarpBarrier& enter(unsigned mask, Site site) {
  if (!(mask >> lane() & 1))
    fail("%s at %s:%d: lane %u is not in its mask %08x", site.what, site.file, site.line, lane(), mask);
  if (mask & ~lanes_of_warp())
    fail("%s at %s:%d: mask %08x names lanes beyond the block", site.what, site.file, site.line, mask);
  WarpBarrier* const barriers = machine.warp[machine.current / warp_lanes];
  WarpBarrier* unused = nullptr;
  for (unsigned i = 0; i < masks_per_warp; ++i) {
    if (barriers[i].mask == mask) {
      ++barriers[i].inside;
      return barriers[i];
    }
    if (!barriers[i].inside) unused = &barriers[i];
  }
  if (!unused)
    fail("%s at %s:%d: more than %u masks at once", site.what, site.file, site.line, masks_per_warp);
  unused->mask = mask;
  unused->inside = 1;
  unused->barrier.votes[0] = unused->barrier.votes[1] = 0;
  return *unused;
}

EMULATION_QUIET inline unsigned wait_warp(Site site, unsigned mask, unsigned vote = 0) {
  WarpBarrier& warp = enter(mask, site);
  const unsigned votes = wait(warp.barrier, __builtin_popcount(mask), site, vote);
  --warp.inside;
  return votes;
}

struct SyncWarp {
  Site site;
  void operator()() const { wait_warp(site, lanes_of_warp()); }
  void operator()(unsigned mask) const { wait_warp(site, mask); }
};

template <class T>
EMULATION_QUIET T shuffle(Site site, unsigned mask, T value, unsigned source) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>, "shuffles move 4 or 8 bytes");
  WarpBarrier& warp = enter(mask, site);
  auto& values = warp.values[warp.barrier.generation & 1];
  __builtin_memcpy(values[lane()], &value, sizeof value);
  wait(warp.barrier, __builtin_popcount(mask), site);
  if (!(mask >> source & 1))
    fail("%s at %s:%d: lane %u reads lane %u, which its mask %08x does not name", site.what, site.file,
         site.line, lane(), source, mask);
  __builtin_memcpy(&value, values[source], sizeof value);
  --warp.inside;
  return value;
}
template <class T>
T shuffle_index(Site site, unsigned mask, T value, int source, int width = 32) {
  return shuffle(site, mask, value, (lane() & ~(width - 1)) + (source & (width - 1)));
}
template <class T>
T shuffle_up(Site site, unsigned mask, T value, unsigned delta, int width = 32) {
  const unsigned segment = lane() & ~(width - 1);
  return shuffle(site, mask, value, lane() >= segment + delta ? lane() - delta : lane());
}
template <class T>
T shuffle_down(Site site, unsigned mask, T value, unsigned delta, int width = 32) {
  const unsigned segment = lane() & ~(width - 1);
  return shuffle(site, mask, value, lane() + delta < segment + width ? lane() + delta : lane());
}
template <class T>
T shuffle_xor(Site site, unsigned mask, T value, int bits, int width = 32) {
  const unsigned segment = lane() & ~(width - 1), source = lane() ^ bits;
  return shuffle(site, mask, value, source < segment + width ? source : lane());
}

// ---- shared memory ----

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

// ---- cp.async ----

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

// ---- launches ----

struct Trampoline {
  const char* name;
  void (*call)(const void* parameters);
  size_t parameter_bytes;
  // A kernel of another library is run by the machine of that library.
  void (*run)(const void* parameters, dim3 grid, dim3 block, size_t shared) = nullptr;
};

inline std::map<const void*, Trampoline>& trampolines() {
  static std::map<const void*, Trampoline> map;
  return map;
}

template <auto kernel>
struct Call;
template <class Parameters, void (*kernel)(Parameters)>
struct Call<kernel> {
  static_assert(std::is_trivially_copyable_v<Parameters> && sizeof(Parameters) <= max_parameters);
  static constexpr size_t parameter_bytes = sizeof(Parameters);
  static void call(const void* parameters) { kernel(*static_cast<const Parameters*>(parameters)); }
};

// Makes a kernel of one parameter known to cudaLaunchKernel. `name` must last.
template <auto kernel>
void add(const char* name) {
  trampolines()[reinterpret_cast<const void*>(kernel)] = {name, Call<kernel>::call,
                                                          Call<kernel>::parameter_bytes};
}

struct Order {
  enum { forward, reverse, shuffled } kind = forward;
  unsigned seed = 0;
};

inline Order order_from_environment() {
  const char* text = getenv("WEIGHTSHARING_EMULATION_ORDER");
  const std::string word = text ? text : "forward";
  if (word == "forward") return {};
  if (word == "reverse") return {Order::reverse};
  if (word.rfind("shuffled:", 0) == 0) {
    const std::string digits = word.substr(9);
    if (!digits.empty() && digits.size() < 10 && digits.find_first_not_of("0123456789") == std::string::npos)
      return {Order::shuffled, static_cast<unsigned>(std::stoul(digits))};
  }
  throw InvalidLaunch("WEIGHTSHARING_EMULATION_ORDER is '" + word +
                      "': set forward, reverse or shuffled:SEED");
}

inline void check_launch(dim3 grid, dim3 block, size_t shared) {
  const auto text = [](dim3 d) {
    return "(" + std::to_string(d.x) + ", " + std::to_string(d.y) + ", " + std::to_string(d.z) + ")";
  };
  if (!block.x || !block.y || !block.z || block.x > 1024 || block.y > 1024 || block.z > 64 ||
      static_cast<uint64_t>(block.x) * block.y * block.z > max_threads)
    throw InvalidLaunch("a block of " + text(block) + " threads");
  if (!grid.x || !grid.y || !grid.z || grid.x > 0x7FFFFFFF || grid.y > 65535 || grid.z > 65535)
    throw InvalidLaunch("a grid of " + text(grid) + " blocks");
  if (shared > max_shared)
    throw InvalidLaunch(std::to_string(shared) + " bytes of dynamic shared memory, " +
                        std::to_string(max_shared) + " are there");
}

// The k-th number of a permutation of 0..count-1 that needs no table.
struct BlockOrder {
  uint64_t count, first = 0, step = 1;

  BlockOrder(uint64_t count, Order order, std::mt19937& random) : count(count) {
    if (order.kind == Order::reverse) {
      first = count - 1;
      step = count - 1;
    } else if (order.kind == Order::shuffled) {
      first = random() % count;
      do step = random() % count + 1;
      while (std::gcd(step, count) != 1);
    }
  }
  uint64_t operator()(uint64_t k) const {
    return static_cast<uint64_t>((first + static_cast<emulation::Wide>(k) * step) % count);
  }
};

EMULATION_QUIET inline void run_block(uint3 index, Order order, std::mt19937& random, size_t shared) {
  blockIdx = index;
  ++machine.block_number;
  machine.started = machine.cursor = 0;
  machine.live = machine.threads;
  machine.block = {};
  for (unsigned w = 0; w * warp_lanes < machine.threads; ++w)
    for (WarpBarrier& warp : machine.warp[w]) warp.mask = warp.inside = warp.barrier.arrived = 0;
  for (unsigned i = 0; i < machine.threads; ++i) {
    Thread& thread = machine.thread[i];
    thread.fiber = nullptr;
    thread.groups = thread.first_copy = thread.copies = 0;
  }
  if (order.kind == Order::shuffled)
    for (unsigned i = machine.threads; i > 1; --i)
      std::swap(machine.order[i - 1], machine.order[random() % i]);
#if defined(EMULATION_THREAD_SANITIZER)
  if (machine.arena_used + max_shared + 64 * 1024 > arena_bytes) {
    acquire(&machine.end);
    machine.arena_used = 0;
    release(&machine.begin);
  }
  if (shared) machine.dynamic_shared = from_arena(shared);
#endif
  if (shared) fill_quietly(machine.dynamic_shared, shared);
  switch_to(next_fiber());
  if (!machine.failed && machine.live) {
    unsigned waiting = 0, first = 0;
    for (unsigned i = machine.threads; i--;)
      if (machine.thread[i].fiber) {
        ++waiting;
        first = i;
      }
    const Site site = machine.thread[first].waits_at->site;
    snprintf(machine.message, sizeof machine.message,
             "deadlock: %u of %u threads wait for others that never come, thread %u at %s of %s:%d", waiting,
             machine.threads, first, site.what, site.file, site.line);
    machine.failed = true;
  }
}

// What the threads that wait for ever did comes before what the host does next.
inline void acquire_waiting() {
  for (char& order : machine.block.order) acquire(&order);
  for (auto& barriers : machine.warp)
    for (WarpBarrier& warp : barriers)
      for (char& order : warp.barrier.order) acquire(&order);
}

// Runs all blocks of a kernel; throws Error if the launch or the kernel is at fault.
inline void run(const char* name, void (*call)(const void*), const void* parameters, dim3 grid, dim3 block,
                size_t shared) {
  check_launch(grid, block, shared);
  const Order order = order_from_environment();
  const std::lock_guard<std::mutex> lock(machine.mutex);
  machine.kernel = name;
  machine.call = call;
  machine.parameters = parameters;
  machine.threads = block.x * block.y * block.z;
  machine.failed = false;
  machine.current_fiber = &machine.scheduler;
  gridDim = grid;
  blockDim = block;
  for (unsigned i = 0; i < machine.threads; ++i)
    machine.order[i] = order.kind == Order::reverse ? machine.threads - 1 - i : i;
#if defined(EMULATION_THREAD_SANITIZER)
  machine.scheduler.tsan = __tsan_get_current_fiber();
  if (!machine.arena) {
    void* arena = mmap(nullptr, arena_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (arena == MAP_FAILED) throw Error("no memory for shared memory");
    machine.arena = static_cast<char*>(arena);
  }
  const unsigned fibers = machine.threads + 1;
#else
  const unsigned fibers = machine.threads;
  if (shared && posix_memalign(&machine.dynamic_shared, 16, shared))
    throw Error("no memory for shared memory");
#endif
  while (machine.fiber_count < fibers) {
    machine.fibers[machine.fiber_count] = make_fiber();
    put_idle(machine.fibers[machine.fiber_count++]);
  }
  std::mt19937 random(order.seed);
  const BlockOrder blocks(static_cast<uint64_t>(grid.x) * grid.y * grid.z, order, random);
  release(&machine.begin);
  for (uint64_t k = 0; k < blocks.count && !machine.failed; ++k) {
    const uint64_t number = blocks(k), row = number / grid.x;
    run_block({static_cast<unsigned>(number % grid.x), static_cast<unsigned>(row % grid.y),
               static_cast<unsigned>(row / grid.y)},
              order, random, shared);
  }
  acquire(&machine.end);
#if !defined(EMULATION_THREAD_SANITIZER)
  free(machine.dynamic_shared);
#endif
  machine.dynamic_shared = nullptr;
  if (!machine.failed) return;
  acquire_waiting();
  destroy_fibers();
  throw Error(std::string(name) + ": " + machine.message + " (block " + std::to_string(blockIdx.x) + ", " +
              std::to_string(blockIdx.y) + ", " + std::to_string(blockIdx.z) + ")");
}

template <auto kernel, class Parameters>
void launch(dim3 grid, dim3 block, const Parameters& parameters, size_t shared = 0,
            const char* name = "kernel") {
  run(name, Call<kernel>::call, &parameters, grid, block, shared);
}

template <class T>
struct Same {
  using type = T;
};
template <class T>
using same = typename Same<T>::type;  // not deduced from

}  // namespace emulation

#define WEIGHTSHARING_SHARED(T, name, ...)                                                                   \
  typedef T name##_type __VA_ARGS__;                                                                         \
  static_assert(std::is_trivially_default_constructible_v<name##_type>, "shared memory is not initialised"); \
  static emulation::SharedArray name##_array;                                                                \
  name##_type& name = *static_cast<name##_type*>(name##_array.get(sizeof(name##_type)))
#define WEIGHTSHARING_DYNAMIC_SHARED(T, name) \
  T* const name = static_cast<T*>(emulation::machine.dynamic_shared)
#define WEIGHTSHARING_UNROLL
#define WEIGHTSHARING_NO_UNROLL

#define __syncthreads() ((void)emulation::wait_block(EMULATION_SITE("__syncthreads")))
#define __syncthreads_or(vote) \
  ((int)(emulation::wait_block(EMULATION_SITE("__syncthreads_or"), (vote) ? 1 : 0) != 0))
#define __syncthreads_and(vote) \
  ((int)(emulation::wait_block(EMULATION_SITE("__syncthreads_and"), (vote) ? 0 : 1) == 0))
#define __syncthreads_count(vote) \
  ((int)emulation::wait_block(EMULATION_SITE("__syncthreads_count"), (vote) ? 1 : 0))
#define __syncwarp(...) (emulation::SyncWarp{EMULATION_SITE("__syncwarp")}(__VA_ARGS__))
#define __ballot_sync(mask, vote) \
  emulation::wait_warp(EMULATION_SITE("__ballot_sync"), mask, (vote) ? 1u << emulation::lane() : 0u)
#define __any_sync(mask, vote) ((int)(__ballot_sync(mask, vote) != 0))
#define __all_sync(mask, vote) ((int)(__ballot_sync(mask, !(vote)) == 0))
#define __shfl_sync(...) emulation::shuffle_index(EMULATION_SITE("__shfl_sync"), __VA_ARGS__)
#define __shfl_up_sync(...) emulation::shuffle_up(EMULATION_SITE("__shfl_up_sync"), __VA_ARGS__)
#define __shfl_down_sync(...) emulation::shuffle_down(EMULATION_SITE("__shfl_down_sync"), __VA_ARGS__)
#define __shfl_xor_sync(...) emulation::shuffle_xor(EMULATION_SITE("__shfl_xor_sync"), __VA_ARGS__)
#define __trap() emulation::fail("__trap at %s:%d", __FILE__, __LINE__)

inline void __threadfence() {}
inline void __threadfence_block() {}

#define EMULATION_LOAD(name) \
  template <class T>         \
  T name(const T* from) {    \
    return *from;            \
  }
#define EMULATION_STORE(name)                  \
  template <class T>                           \
  void name(T* to, emulation::same<T> value) { \
    *to = value;                               \
  }
EMULATION_LOAD(__ldg)
EMULATION_LOAD(__ldca)
EMULATION_LOAD(__ldcg)
EMULATION_LOAD(__ldcs)
EMULATION_LOAD(__ldlu)
EMULATION_LOAD(__ldcv)
EMULATION_STORE(__stwb)
EMULATION_STORE(__stcg)
EMULATION_STORE(__stcs)
EMULATION_STORE(__stwt)
#undef EMULATION_LOAD
#undef EMULATION_STORE

// Atomic for ThreadSanitizer too: a plain access beside an atomic one is a race.
#define EMULATION_ATOMIC(name, allowed, changed)                                                    \
  template <class T>                                                                                \
  T name(T* at, emulation::same<T> value) {                                                         \
    static_assert(allowed, #name " has no such type in CUDA");                                      \
    T old, next;                                                                                    \
    __atomic_load(at, &old, __ATOMIC_RELAXED);                                                      \
    do next = changed;                                                                              \
    while (!__atomic_compare_exchange(at, &old, &next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)); \
    return old;                                                                                     \
  }
namespace emulation {
template <class T, class... Ts>
constexpr bool is_one_of = (std::is_same_v<T, Ts> || ...);
template <class T>
constexpr bool is_word = is_one_of<T, int, unsigned, unsigned long long>;
}  // namespace emulation
EMULATION_ATOMIC(atomicAdd, (emulation::is_word<T> || emulation::is_one_of<T, float, double>), T(old + value))
EMULATION_ATOMIC(atomicSub, (emulation::is_one_of<T, int, unsigned>), T(old - value))
EMULATION_ATOMIC(atomicMax, (emulation::is_word<T> || emulation::is_one_of<T, long long>),
                 (old > value ? old : value))
EMULATION_ATOMIC(atomicMin, (emulation::is_word<T> || emulation::is_one_of<T, long long>),
                 (old < value ? old : value))
EMULATION_ATOMIC(atomicAnd, emulation::is_word<T>, T(old& value))
EMULATION_ATOMIC(atomicOr, emulation::is_word<T>, T(old | value))
EMULATION_ATOMIC(atomicXor, emulation::is_word<T>, T(old ^ value))
EMULATION_ATOMIC(atomicExch, (emulation::is_word<T> || emulation::is_one_of<T, float>), value)
#undef EMULATION_ATOMIC
template <class T>
T atomicCAS(T* at, emulation::same<T> compare, emulation::same<T> value) {
  static_assert(emulation::is_word<T>, "atomicCAS has no such type in CUDA");
  __atomic_compare_exchange(at, &compare, &value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return compare;
}

// CUDA's: the other number if one is NaN.
inline float max(float a, float b) { return fmaxf(a, b); }
inline float min(float a, float b) { return fminf(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
#define EMULATION_EXTREMES(T)                      \
  inline T max(T a, T b) { return a > b ? a : b; } \
  inline T min(T a, T b) { return a < b ? a : b; }
EMULATION_EXTREMES(int)
EMULATION_EXTREMES(unsigned)
EMULATION_EXTREMES(long)
EMULATION_EXTREMES(unsigned long)
EMULATION_EXTREMES(long long)
EMULATION_EXTREMES(unsigned long long)
#undef EMULATION_EXTREMES

inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline float rsqrt(float x) { return rsqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }

namespace emulation {
template <class To, class From>
To bits(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  __builtin_memcpy(&to, &from, sizeof to);
  return to;
}
}  // namespace emulation
inline int __float_as_int(float x) { return emulation::bits<int>(x); }
inline unsigned __float_as_uint(float x) { return emulation::bits<unsigned>(x); }
inline float __int_as_float(int x) { return emulation::bits<float>(x); }
inline float __uint_as_float(unsigned x) { return emulation::bits<float>(x); }
inline long long __double_as_longlong(double x) { return emulation::bits<long long>(x); }
inline double __longlong_as_double(long long x) { return emulation::bits<double>(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(static_cast<unsigned long long>(x)) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((static_cast<unsigned long long>(a) * b) >> 32);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>((static_cast<emulation::Wide>(a) * b) >> 64);
}

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

inline unsigned round_to_tf32(float x) {
  const unsigned bits = __float_as_uint(x);
  return isfinite(x) ? (bits + 0x1000u) & ~0x1FFFu : bits;
}

// Nine numbers as tensor cores add them, in the least favourable reading of what is known: none keeps more
// than 24 bits below the leading bit of the largest, and nothing is rounded, all is cut off.
EMULATION_QUIET inline float cut_sum(const double (&term)[9]) {
  double largest = 0, sum = 0;
  for (double value : term) {
    if (!(__builtin_fabs(value) <= 3.4e38)) largest = value;  // not finite
    if (__builtin_fabs(largest) <= 3.4e38 && __builtin_fabs(value) > largest) largest = __builtin_fabs(value);
  }
  if (!(__builtin_fabs(largest) <= 3.4e38)) {
    for (double value : term) sum += value;
    return static_cast<float>(sum);
  }
  if (largest == 0) return 0.0f;
  int exponent;
  __builtin_frexp(largest, &exponent);
  const double unit = __builtin_ldexp(1.0, exponent - 24);
  for (double value : term) sum += __builtin_trunc(value / unit) * unit;
  const float rounded = static_cast<float>(sum);
  return __builtin_fabs(rounded) > __builtin_fabs(sum) ? __builtin_nextafterf(rounded, 0.0f) : rounded;
}

EMULATION_QUIET inline void mma_tf32_at(emulation::Site site, float* d, const unsigned* a,
                                        const unsigned* b) {
  emulation::WarpBarrier& warp = emulation::enter(~0u, site);
  auto& values = warp.values[warp.barrier.generation & 1];
  const unsigned me = emulation::lane();
  __builtin_memcpy(values[me], a, 16);
  __builtin_memcpy(values[me] + 16, b, 8);
  emulation::wait(warp.barrier, emulation::warp_lanes, site);
  const auto held = [&values](unsigned lane, unsigned index) {
    unsigned word;
    __builtin_memcpy(&word, values[lane] + 4 * index, 4);
    return __uint_as_float(word & ~0x1FFFu);  // tensor cores do not look at the low bits
  };
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned row = me / 4, column = me % 4 * 2 + i % 2;
    double term[9] = {d[i]};
    for (unsigned k = 0; k < 8; ++k)  // exact
      term[k + 1] =
          static_cast<double>(held(row * 4 + k % 4, i / 2 + k / 4 * 2)) * held(column * 4 + k % 4, 4 + k / 4);
    d[i] = cut_sum(term);
  }
  --warp.inside;
}
#define mma_tf32(d, a, b) mma_tf32_at(EMULATION_SITE("mma_tf32"), d, a, b)

}  // namespace weightsharing::cuda

#pragma GCC visibility pop
