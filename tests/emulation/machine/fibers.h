// One fiber per thread that meets a barrier; whose turn it is.
#pragma once

#include <sys/mman.h>

#include "machine/state.h"

#pragma GCC visibility push(hidden)

namespace emulation {

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

}  // namespace emulation

#define __trap() emulation::fail("__trap at %s:%d", __FILE__, __LINE__)

#pragma GCC visibility pop
