// The state of the runtime: streams with their queues, memory, captures; and how every function of it
// is called.
#pragma once

#include <stdlib.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "machine/launch.h"
#include "runtime/types.h"

#pragma GCC visibility push(hidden)

struct CUstream_st;

namespace emulation {

using Operation = std::function<void()>;

// A point in a stream's work.
struct Mark {
  CUstream_st* stream;
  bool passed = false;
  std::chrono::steady_clock::time_point time;
};

struct Capture {
  cudaStreamCaptureMode mode;
  std::thread::id thread;
  CUstream_st* origin;
  bool spoilt = false;
  std::vector<Operation> operations;
  std::map<CUstream_st*, bool> joined;  // streams that took part: whether what they did last was waited for
};

}  // namespace emulation

struct CUstream_st {
  unsigned flags;
  int device;
  std::deque<emulation::Operation> queue;
  std::shared_ptr<emulation::Capture> capture;
};
struct CUevent_st {
  unsigned flags;
  std::shared_ptr<emulation::Mark> mark;
  std::shared_ptr<emulation::Capture> capture;  // recorded last in a capture
  CUstream_st* captured_in;
};
struct CUgraph_st {
  std::vector<emulation::Operation> operations;
};
struct CUgraphExec_st {
  std::shared_ptr<const std::vector<emulation::Operation>> operations;
};
typedef CUstream_st* cudaStream_t;
typedef CUevent_st* cudaEvent_t;
typedef CUgraph_st* cudaGraph_t;
typedef CUgraphExec_st* cudaGraphExec_t;
typedef struct CUgraphNode_st* cudaGraphNode_t;
typedef void (*cudaHostFn_t)(void*);

#define cudaStreamLegacy (reinterpret_cast<cudaStream_t>(1))
#define cudaStreamPerThread (reinterpret_cast<cudaStream_t>(2))

namespace emulation {

struct Refusal : Error {
  cudaError_t error;
  Refusal(cudaError_t error, const std::string& text) : Error(text), error(error) {}
};

struct Allocation {
  size_t bytes;
  int device;
};

constexpr size_t default_shared = 48 * 1024;

struct Runtime {
  std::recursive_mutex mutex;
  std::map<uintptr_t, Allocation> device_memory, pinned_memory;
  size_t allocated = 0;
  CUstream_st legacy{cudaStreamDefault, 0, {}, {}};
  CUstream_st per_thread{cudaStreamDefault, 0, {}, {}};
  std::set<cudaStream_t> streams;
  std::set<cudaEvent_t> events;
  std::set<cudaGraph_t> graphs;
  std::set<cudaGraphExec_t> executables;
  std::set<std::shared_ptr<Capture>> captures;
  std::map<const void*, size_t> dynamic_shared;  // of kernels that may have more than the default
  std::exception_ptr failure;                    // of a kernel, met by a call that nobody asks for its errors
  int planted_failures = 0;                      // how many of the next kernels to run fail
};

// Never destroyed: what is destroyed at exit may still free device memory.
inline Runtime& runtime() {
  static Runtime* const instance = new Runtime;
  return *instance;
}

struct HostThread {
  int device = 0;
  cudaError_t last = cudaSuccess;
  cudaError_t error = cudaSuccess;  // what `text` is about
  std::string text;
};
inline HostThread& host_thread() {
  static thread_local HostThread thread;
  return thread;
}

inline int device_count() {
  const char* text = getenv("WEIGHTSHARING_EMULATION_DEVICES");
  const std::string word = text ? text : "1";
  if (word == "driver")
    throw Refusal(cudaErrorInsufficientDriver,
                  "CUDA driver version is insufficient for CUDA runtime version");
  if (word == "0") throw Refusal(cudaErrorNoDevice, "no CUDA-capable device is detected");
  if (word.size() != 1 || word[0] < '1' || word[0] > '8')
    throw Refusal(cudaErrorUnknown,
                  "WEIGHTSHARING_EMULATION_DEVICES is '" + word + "': set 0 to 8, or driver");
  return word[0] - '0';
}

inline size_t device_memory_bytes() {
  const char* text = getenv("WEIGHTSHARING_EMULATION_MEMORY");
  if (!text) return size_t{8} << 30;
  char* end;
  const unsigned long long bytes = strtoull(text, &end, 10);
  if (*end || end == text)
    throw Refusal(cudaErrorUnknown,
                  std::string("WEIGHTSHARING_EMULATION_MEMORY is '") + text + "': set a number of bytes");
  return bytes;
}

inline cudaError_t report(cudaError_t error, const char* text) {
  HostThread& thread = host_thread();
  thread.error = error;
  thread.text = text;
  if (error != cudaErrorNotReady) thread.last = error;
  return error;
}

// Every function of the runtime: one at a time, errors as numbers.
template <class Body>
cudaError_t call(Body body) {
  const std::lock_guard<std::recursive_mutex> lock(runtime().mutex);
  try {
    const int devices = device_count();
    if (host_thread().device >= devices)
      throw Refusal(cudaErrorInvalidDevice, "the chosen device is not there any more");
    body();
    return cudaSuccess;
  } catch (const Refusal& refusal) {
    return report(refusal.error, refusal.what());
  } catch (const InvalidLaunch& error) {
    return report(cudaErrorInvalidConfiguration, error.what());
  } catch (const Error& error) {
    return report(cudaErrorLaunchFailure, error.what());
  } catch (const std::bad_alloc&) {
    return report(cudaErrorMemoryAllocation, "out of memory");
  }
}

inline void require(bool condition, cudaError_t error, const char* text) {
  if (!condition) throw Refusal(error, text);
}

}  // namespace emulation

#pragma GCC visibility pop
