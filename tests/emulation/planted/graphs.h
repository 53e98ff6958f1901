// Captures and graphs.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "planted/runtime.h"

namespace planted {

inline void graphs() {
  Device device;
  const size_t bytes = device.n() * sizeof(float), handles = emulation::live_handles();
  cudaStream_t side;
  cudaEvent_t forked, joined;
  require_success(cudaStreamCreateWithFlags(&side, cudaStreamNonBlocking));
  require_success(cudaEventCreateWithFlags(&forked, cudaEventDisableTiming));
  require_success(cudaEventCreateWithFlags(&joined, cudaEventDisableTiming));
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  cudaStreamCaptureStatus status;

  require_success(cudaMemset(device.to, 0, bytes));
  require_success(cudaStreamBeginCapture(device.stream, cudaStreamCaptureModeThreadLocal));
  require_success(cudaStreamIsCapturing(device.stream, &status));
  EXPECT(status == cudaStreamCaptureStatusActive);
  require_success(device.launch_twice(device.stream));
  require_success(cudaEventRecord(forked, device.stream));
  require_success(cudaStreamWaitEvent(side, forked));
  require_success(cudaMemcpyAsync(device.from, device.to, bytes, cudaMemcpyDeviceToDevice, side));
  require_success(cudaEventRecord(joined, side));
  require_success(cudaStreamWaitEvent(device.stream, joined));
  require_success(cudaStreamEndCapture(device.stream, &graph));
  size_t nodes = 0;
  require_success(cudaGraphGetNodes(graph, nullptr, &nodes));
  EXPECT(nodes == 2);
  EXPECT(device.result()[0] == 0);  // recorded, not run
  require_success(cudaGraphInstantiate(&executable, graph, 0));
  require_success(cudaGraphDestroy(graph));
  for (int replay = 0; replay < 3; ++replay) require_success(cudaGraphLaunch(executable, device.stream));
  require_success(cudaStreamSynchronize(device.stream));
  for (int i = 0; i < device.n(); ++i) EXPECT(device.result()[i] == 8 * device.host[i]);
  require_success(cudaGraphExecDestroy(executable));
  expect_error(cudaGraphLaunch(executable, device.stream), cudaErrorInvalidResourceHandle);

  // A side stream that is not joined.
  require_success(cudaStreamBeginCapture(device.stream, cudaStreamCaptureModeGlobal));
  require_success(cudaEventRecord(forked, device.stream));
  require_success(cudaStreamWaitEvent(side, forked));
  require_success(device.launch_twice(side));
  expect_error(cudaStreamEndCapture(device.stream, &graph), cudaErrorStreamCaptureUnjoined);
  EXPECT(!graph);
  require_success(cudaStreamIsCapturing(side, &status));
  EXPECT(status == cudaStreamCaptureStatusNone);

  expect_error(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal),
               cudaErrorStreamCaptureUnsupported);
  expect_error(cudaStreamEndCapture(device.stream, &graph), cudaErrorIllegalState);
  require_success(cudaStreamDestroy(side));
  require_success(cudaEventDestroy(forked));
  require_success(cudaEventDestroy(joined));
  EXPECT(emulation::live_handles() == handles);
}

// Each of these is refused during a capture and spoils it; afterwards the stream can be captured again.
inline void capture_rules() {
  Device device;
  void* memory = nullptr;
  cudaEvent_t event;
  float value = 0;
  require_success(cudaEventCreate(&event));
  const std::vector<std::pair<cudaError_t, std::function<cudaError_t()>>> forbidden = {
      {cudaErrorStreamCaptureUnsupported, [&] { return cudaMalloc(&memory, 4); }},
      {cudaErrorStreamCaptureUnsupported, [&] { return cudaFree(device.to); }},
      {cudaErrorStreamCaptureUnsupported, [&] { return cudaStreamSynchronize(device.stream); }},
      {cudaErrorStreamCaptureUnsupported, [&] { return cudaDeviceSynchronize(); }},
      {cudaErrorStreamCaptureUnsupported, [&] { return cudaStreamQuery(device.stream); }},
      {cudaErrorStreamCaptureUnsupported,
       [&] { return cudaMemcpyAsync(device.to, &value, 4, cudaMemcpyHostToDevice, device.stream); }},
      {cudaErrorStreamCaptureImplicit,
       [&] { return cudaMemcpy(&value, device.to, 4, cudaMemcpyDeviceToHost); }},
      {cudaErrorStreamCaptureImplicit, [&] { return device.launch_twice(nullptr); }},
      {cudaErrorCapturedEvent,
       [&] {
         require_success(cudaEventRecord(event, device.stream));
         return cudaEventSynchronize(event);
       }},
  };
  for (const auto& [error, call] : forbidden) {
    cudaGraph_t graph = nullptr;
    require_success(cudaStreamBeginCapture(device.stream, cudaStreamCaptureModeThreadLocal));
    require_success(device.launch_twice(device.stream));
    expect_error(call(), error);
    expect_error(device.launch_twice(device.stream), cudaErrorStreamCaptureInvalidated);
    expect_error(cudaStreamEndCapture(device.stream, &graph), cudaErrorStreamCaptureInvalidated);
    EXPECT(!graph);
  }
  require_success(cudaEventDestroy(event));
  require_success(device.launch_twice(device.stream));
  require_success(cudaStreamSynchronize(device.stream));
  EXPECT(device.doubled());

  // Whoever says so may take and give memory, and still must not wait.
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  cudaGraph_t graph = nullptr;
  require_success(cudaStreamBeginCapture(device.stream, cudaStreamCaptureModeGlobal));
  require_success(cudaThreadExchangeStreamCaptureMode(&mode));
  require_success(cudaMalloc(&memory, 4));
  require_success(cudaFree(memory));
  require_success(device.launch_twice(device.stream));
  require_success(cudaStreamEndCapture(device.stream, &graph));
  require_success(cudaGraphDestroy(graph));
  require_success(cudaStreamBeginCapture(device.stream, cudaStreamCaptureModeGlobal));
  expect_error(cudaDeviceSynchronize(), cudaErrorStreamCaptureUnsupported);
  expect_error(cudaStreamEndCapture(device.stream, &graph), cudaErrorStreamCaptureInvalidated);
  require_success(cudaThreadExchangeStreamCaptureMode(&mode));
  EXPECT(mode == cudaStreamCaptureModeRelaxed);
}

inline void unsafe_capture() {
  Device device;
  cudaGraph_t graph;
  void* memory = nullptr;
  require_success(cudaStreamBeginCapture(device.stream, cudaStreamCaptureModeThreadLocal));
  require_success(device.launch_twice(device.stream));
  cudaMalloc(&memory, 4);
  require_success(cudaStreamEndCapture(device.stream, &graph));
}

}  // namespace planted
