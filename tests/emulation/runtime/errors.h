// Names and texts of errors.
#pragma once

#include <utility>

#include "runtime/state.h"

#pragma GCC visibility push(hidden)

inline const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
#define EMULATION_ERROR(name, number, text) \
  case name:                                \
    return #name;
    EMULATION_ERRORS(EMULATION_ERROR)
#undef EMULATION_ERROR
  }
  return "unrecognized error code";
}

// All that is known about this thread's latest error; valid until its next one.
inline const char* cudaGetErrorString(cudaError_t error) {
  const emulation::HostThread& thread = emulation::host_thread();
  if (error != cudaSuccess && error == thread.error) return thread.text.c_str();
  switch (error) {
#define EMULATION_ERROR(name, number, text) \
  case name:                                \
    return text;
    EMULATION_ERRORS(EMULATION_ERROR)
#undef EMULATION_ERROR
  }
  return "unrecognized error code";
}

inline cudaError_t cudaPeekAtLastError() { return emulation::host_thread().last; }
inline cudaError_t cudaGetLastError() { return std::exchange(emulation::host_thread().last, cudaSuccess); }

#pragma GCC visibility pop
