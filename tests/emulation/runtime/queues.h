// The work of streams: queued, and run when somebody waits. What a capture of it refuses.
#pragma once

#include <utility>

#include "runtime/state.h"

#pragma GCC visibility push(hidden)

namespace emulation {

inline CUstream_st& stream_of(cudaStream_t handle) {
  Runtime& r = runtime();
  if (!handle || handle == cudaStreamLegacy) return r.legacy;
  if (handle == cudaStreamPerThread) return r.per_thread;
  require(r.streams.count(handle), cudaErrorInvalidResourceHandle,
          "no such stream: it was destroyed or never created");
  require(handle->device == host_thread().device, cudaErrorInvalidResourceHandle,
          "the stream belongs to another device");
  return *handle;
}

inline bool is_legacy(const CUstream_st& stream) { return &stream == &runtime().legacy; }
inline bool is_blocking(const CUstream_st& stream) { return !(stream.flags & cudaStreamNonBlocking); }

// What this thread says of its own calls: relaxed ones spoil no capture.
inline cudaStreamCaptureMode& mode_of_thread() {
  static thread_local cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  return mode;
}

inline void refuse_while_capturing(cudaError_t error, const char* what) {
  for (const auto& capture : runtime().captures) {
    if (capture->mode == cudaStreamCaptureModeRelaxed) continue;
    if (capture->mode == cudaStreamCaptureModeThreadLocal && capture->thread != std::this_thread::get_id())
      continue;
    capture->spoilt = true;
    throw Refusal(error, std::string(what) + " during a stream capture");
  }
}

inline void refuse_memory_while_capturing(const char* what) {
  if (mode_of_thread() != cudaStreamCaptureModeRelaxed)
    refuse_while_capturing(cudaErrorStreamCaptureUnsupported, what);
}

// Runs the next operation of a stream; a failure drops what is queued behind it.
inline void run_next(CUstream_st& stream) {
  const Operation operation = std::move(stream.queue.front());
  stream.queue.pop_front();
  try {
    operation();
  } catch (...) {
    stream.queue.clear();
    throw;
  }
}

inline void rethrow_failure() {
  if (std::exception_ptr failure = std::exchange(runtime().failure, nullptr)) std::rethrow_exception(failure);
}

inline void drain(CUstream_st& stream) {
  while (!stream.queue.empty()) run_next(stream);
  rethrow_failure();
}

// Leaves failures to the next call that waits.
inline void finish(CUstream_st& stream) {
  while (!stream.queue.empty()) try {
      run_next(stream);
    } catch (...) {
      if (!runtime().failure) runtime().failure = std::current_exception();
    }
}

inline void finish_all() {
  Runtime& r = runtime();
  finish(r.legacy);
  finish(r.per_thread);
  for (cudaStream_t stream : r.streams) finish(*stream);
}

inline std::shared_ptr<Mark> mark_end(CUstream_st& stream) {
  auto mark = std::make_shared<Mark>();
  mark->stream = &stream;
  stream.queue.push_back([mark] {
    mark->passed = true;
    mark->time = std::chrono::steady_clock::now();
  });
  return mark;
}

// Not so for a mark that was dropped behind a failed kernel, and one of a destroyed stream, whose work was
// finished.
inline bool is_ahead(const Mark& mark) {
  const Runtime& r = runtime();
  const bool stream_lives =
      mark.stream == &r.legacy || mark.stream == &r.per_thread || r.streams.count(mark.stream);
  return !mark.passed && stream_lives && !mark.stream->queue.empty();
}

inline void run_until(const Mark& mark) {
  while (is_ahead(mark)) run_next(*mark.stream);
}

inline void require_sound(const Capture& capture) {
  require(!capture.spoilt, cudaErrorStreamCaptureInvalidated, "an earlier call spoilt the capture");
}

// Work of the legacy stream comes after the work that blocking streams have, and before what they get later.
inline void submit(CUstream_st& stream, Operation operation) {
  Runtime& r = runtime();
  if (stream.capture) {
    require_sound(*stream.capture);
    stream.capture->operations.push_back(std::move(operation));
    stream.capture->joined[&stream] = false;
    return;
  }
  std::vector<std::shared_ptr<Mark>> before;
  const auto after = [&before](CUstream_st& other) {
    if (!other.queue.empty()) before.push_back(mark_end(other));
  };
  if (is_legacy(stream)) {
    refuse_while_capturing(cudaErrorStreamCaptureImplicit, "work for the legacy default stream");
    after(r.per_thread);
    for (cudaStream_t other : r.streams)
      if (is_blocking(*other)) after(*other);
  } else if (is_blocking(stream)) {
    after(r.legacy);
  }
  for (const auto& mark : before) stream.queue.push_back([mark] { run_until(*mark); });
  stream.queue.push_back(std::move(operation));
}

}  // namespace emulation

#pragma GCC visibility pop
