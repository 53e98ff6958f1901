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

#include "machine/arithmetic.h"
#include "machine/async_copies.h"
#include "machine/barriers.h"
#include "machine/language.h"
#include "machine/launch.h"
#include "machine/memory_access.h"
#include "machine/shared_memory.h"
#include "machine/shuffles.h"
#include "machine/tensor_cores.h"

#define WEIGHTSHARING_UNROLL
#define WEIGHTSHARING_NO_UNROLL
