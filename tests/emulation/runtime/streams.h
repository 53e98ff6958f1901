// Streams and events.
#pragma once

#include "runtime/queues.h"

#pragma GCC visibility push(hidden)

inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return emulation::call([=] {
    emulation::require(flags <= cudaStreamNonBlocking, cudaErrorInvalidValue, "unknown stream flags");
    *stream = new CUstream_st{flags, emulation::host_thread().device, {}, {}};
    emulation::runtime().streams.insert(*stream);
  });
}
inline cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

inline cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return emulation::call([=] {
    emulation::Runtime& r = emulation::runtime();
    emulation::require(r.streams.count(stream), cudaErrorInvalidResourceHandle, "no such stream");
    emulation::require(!stream->capture, cudaErrorIllegalState, "the stream is capturing");
    emulation::finish(*stream);
    r.streams.erase(stream);
    delete stream;
  });
}

inline cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return emulation::call([=] {
    CUstream_st& stream = emulation::stream_of(handle);
    if (stream.capture) {
      stream.capture->spoilt = true;
      throw emulation::Refusal(cudaErrorStreamCaptureUnsupported, "waiting for a stream that is capturing");
    }
    emulation::refuse_while_capturing(cudaErrorStreamCaptureUnsupported, "waiting for a stream");
    emulation::drain(stream);
  });
}

// Every question brings the work one operation further.
inline cudaError_t cudaStreamQuery(cudaStream_t handle) {
  return emulation::call([=] {
    emulation::refuse_while_capturing(cudaErrorStreamCaptureUnsupported, "asking whether a stream is done");
    CUstream_st& stream = emulation::stream_of(handle);
    if (stream.queue.empty()) return;
    emulation::run_next(stream);
    throw emulation::Refusal(cudaErrorNotReady, "device not ready");
  });
}

inline cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  return emulation::call([=] { emulation::submit(emulation::stream_of(stream), [=] { function(data); }); });
}

// ---- events ----

inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return emulation::call([=] {
    *event = new CUevent_st{flags, nullptr, nullptr, nullptr};
    emulation::runtime().events.insert(*event);
  });
}
inline cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

namespace emulation {
inline void require_event(cudaEvent_t event) {
  require(runtime().events.count(event), cudaErrorInvalidResourceHandle, "no such event");
}
}  // namespace emulation

inline cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return emulation::call([=] {
    emulation::require_event(event);
    emulation::runtime().events.erase(event);
    delete event;
  });
}

inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle = nullptr) {
  return emulation::call([=] {
    emulation::require_event(event);
    CUstream_st& stream = emulation::stream_of(handle);
    if (stream.capture) {
      emulation::require_sound(*stream.capture);
      event->capture = stream.capture;
      event->captured_in = &stream;
      return;
    }
    emulation::submit(stream, [] {});  // brings the order between the legacy and the blocking streams with it
    event->capture = nullptr;
    event->mark = emulation::mark_end(stream);
  });
}

inline cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned = 0) {
  return emulation::call([=] {
    emulation::require_event(event);
    CUstream_st& stream = emulation::stream_of(handle);
    if (event->capture) {
      emulation::require_sound(*event->capture);
      emulation::require(!emulation::is_legacy(stream), cudaErrorStreamCaptureImplicit,
                         "the legacy stream waits for a capture");
      emulation::require(!stream.capture || stream.capture == event->capture, cudaErrorStreamCaptureIsolation,
                         "a capture waits for another capture");
      stream.capture = event->capture;  // the stream takes part from here on
      stream.capture->joined[&stream] = false;
      if (event->captured_in != &stream) stream.capture->joined[event->captured_in] = true;
      return;
    }
    if (!event->mark) return;
    if (stream.capture) {
      stream.capture->spoilt = true;
      throw emulation::Refusal(cudaErrorStreamCaptureIsolation, "a capture waits for work outside");
    }
    emulation::submit(stream, [mark = event->mark] { emulation::run_until(*mark); });
  });
}

namespace emulation {
inline void require_outside_capture(cudaEvent_t event) {
  require_event(event);
  if (!event->capture) return;
  event->capture->spoilt = true;
  throw Refusal(cudaErrorCapturedEvent, "the event was last recorded in a capture");
}
}  // namespace emulation

inline cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return emulation::call([=] {
    emulation::require_outside_capture(event);
    emulation::refuse_while_capturing(cudaErrorStreamCaptureUnsupported, "waiting for an event");
    if (event->mark) emulation::run_until(*event->mark);
    emulation::rethrow_failure();
  });
}

inline cudaError_t cudaEventQuery(cudaEvent_t event) {
  return emulation::call([=] {
    emulation::require_outside_capture(event);
    emulation::refuse_while_capturing(cudaErrorStreamCaptureUnsupported, "asking whether an event has come");
    if (!event->mark || !emulation::is_ahead(*event->mark)) return;
    emulation::run_next(*event->mark->stream);
    throw emulation::Refusal(cudaErrorNotReady, "device not ready");
  });
}

inline cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t first, cudaEvent_t second) {
  return emulation::call([=] {
    for (cudaEvent_t event : {first, second}) {
      emulation::require_event(event);
      emulation::require(
          !event->capture && event->mark && !(event->flags & cudaEventDisableTiming),
          cudaErrorInvalidResourceHandle,
          "the event has no time: never recorded, recorded in a capture, or made without timing");
      emulation::require(event->mark->passed, cudaErrorNotReady, "device not ready");
    }
    *milliseconds = std::chrono::duration<float, std::milli>(second->mark->time - first->mark->time).count();
  });
}

#pragma GCC visibility pop
