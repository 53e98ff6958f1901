// Running all blocks of a kernel, in the order that WEIGHTSHARING_EMULATION_ORDER names.
#pragma once

#include <sys/mman.h>

#include <map>
#include <numeric>
#include <random>
#include <string>
#include <type_traits>

#include "machine/shared_memory.h"

#pragma GCC visibility push(hidden)

namespace emulation {

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

}  // namespace emulation

#pragma GCC visibility pop
