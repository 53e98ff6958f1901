// Captures of streams, and the graphs that they leave.
#pragma once

#include "runtime/queues.h"

#pragma GCC visibility push(hidden)

inline cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  return emulation::call([=] {
    CUstream_st& stream = emulation::stream_of(handle);
    emulation::require(!emulation::is_legacy(stream), cudaErrorStreamCaptureUnsupported,
                       "the legacy stream cannot be captured");
    emulation::require(!stream.capture, cudaErrorIllegalState, "the stream is capturing already");
    stream.capture = std::make_shared<emulation::Capture>();
    stream.capture->mode = mode;
    stream.capture->thread = std::this_thread::get_id();
    stream.capture->origin = &stream;
    emulation::runtime().captures.insert(stream.capture);
  });
}

// Freeing and allocating are allowed in relaxed mode; waiting for what is captured never is.
inline cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  return emulation::call([=] { std::swap(*mode, emulation::mode_of_thread()); });
}

inline cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  return emulation::call([=] {
    const CUstream_st& stream = emulation::stream_of(handle);
    *status = !stream.capture          ? cudaStreamCaptureStatusNone
              : stream.capture->spoilt ? cudaStreamCaptureStatusInvalidated
                                       : cudaStreamCaptureStatusActive;
  });
}

inline cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  *graph = nullptr;
  return emulation::call([=] {
    emulation::Runtime& r = emulation::runtime();
    CUstream_st& stream = emulation::stream_of(handle);
    const auto capture = stream.capture;
    emulation::require(capture != nullptr, cudaErrorIllegalState, "the stream is not capturing");
    emulation::require(capture->origin == &stream, cudaErrorStreamCaptureUnmatched,
                       "the capture began in another stream");
    emulation::require(
        capture->mode == cudaStreamCaptureModeRelaxed || capture->thread == std::this_thread::get_id(),
        cudaErrorStreamCaptureWrongThread, "the capture began in another thread");
    r.captures.erase(capture);
    stream.capture = nullptr;
    for (cudaStream_t other : r.streams)
      if (other->capture == capture) other->capture = nullptr;
    if (r.per_thread.capture == capture) r.per_thread.capture = nullptr;
    emulation::require_sound(*capture);
    for (const auto& [other, joined] : capture->joined)
      emulation::require(other == &stream || joined, cudaErrorStreamCaptureUnjoined,
                         "capturing stream has unjoined work");
    *graph = new CUgraph_st{std::move(capture->operations)};
    r.graphs.insert(*graph);
  });
}

inline cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
  return emulation::call([=] {
    emulation::require(emulation::runtime().graphs.count(graph), cudaErrorInvalidResourceHandle,
                       "no such graph");
    emulation::require(!nodes, cudaErrorNotSupported, "the emulation only counts nodes");
    *count = graph->operations.size();
  });
}

inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                        unsigned long long = 0) {
  return emulation::call([=] {
    emulation::require(emulation::runtime().graphs.count(graph), cudaErrorInvalidResourceHandle,
                       "no such graph");
    *executable = new CUgraphExec_st{std::make_shared<std::vector<emulation::Operation>>(graph->operations)};
    emulation::runtime().executables.insert(*executable);
  });
}

inline cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  return emulation::call([=] {
    emulation::require(emulation::runtime().executables.count(executable), cudaErrorInvalidResourceHandle,
                       "no such graph");
    emulation::submit(emulation::stream_of(stream), [operations = executable->operations] {
      for (const emulation::Operation& operation : *operations) operation();
    });
  });
}

inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  return emulation::call([=] {
    emulation::require(emulation::runtime().executables.erase(executable), cudaErrorInvalidResourceHandle,
                       "no such graph");
    delete executable;
  });
}

inline cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return emulation::call([=] {
    emulation::require(emulation::runtime().graphs.erase(graph), cudaErrorInvalidResourceHandle,
                       "no such graph");
    delete graph;
  });
}

#pragma GCC visibility pop
