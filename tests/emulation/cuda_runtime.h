// The part of the CUDA runtime that a launcher needs, on the CPU. Only for tests; see emulation.h.
//
// A launch, a copy or a memset on a stream is queued and runs when somebody waits: a forgotten wait reads
// what was there before. Copies from and to pageable memory behave as CUDA says: the source is read at once,
// and a copy to such memory returns when it is done. Device memory is tracked, and filled with 0xFF when it
// is new and when it is freed.
//
// During a capture of this thread (of any thread: cudaStreamCaptureModeGlobal) allocating, freeing, waiting,
// the legacy stream and copies of pageable memory are refused and spoil the capture.
//
// A failed kernel is reported by the next call that waits, with all about it in cudaGetErrorString; what was
// queued behind it on the stream is dropped, and the device goes on.
//
//   WEIGHTSHARING_EMULATION_DEVICES=1     number of devices; `driver`: as if the driver was too old
//   WEIGHTSHARING_EMULATION_MEMORY=bytes  what all allocations together may have, 8 GiB by default
#pragma once

#include "emulation.h"
#include "runtime/devices.h"
#include "runtime/errors.h"
#include "runtime/graphs.h"
#include "runtime/launches.h"
#include "runtime/memory.h"
#include "runtime/questions.h"
#include "runtime/queues.h"
#include "runtime/state.h"
#include "runtime/streams.h"
#include "runtime/types.h"
