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

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "emulation.h"

#define CUDART_VERSION 13000
#define CUDART_CB

#pragma GCC visibility push(hidden)

#define EMULATION_ERRORS(X)                                                                                 \
  X(cudaSuccess, 0, "no error")                                                                             \
  X(cudaErrorInvalidValue, 1, "invalid argument")                                                           \
  X(cudaErrorMemoryAllocation, 2, "out of memory")                                                          \
  X(cudaErrorInvalidConfiguration, 9, "invalid configuration argument")                                     \
  X(cudaErrorInsufficientDriver, 35, "CUDA driver version is insufficient for CUDA runtime version")        \
  X(cudaErrorInvalidDeviceFunction, 98, "invalid device function")                                          \
  X(cudaErrorNoDevice, 100, "no CUDA-capable device is detected")                                           \
  X(cudaErrorInvalidDevice, 101, "invalid device ordinal")                                                  \
  X(cudaErrorInvalidResourceHandle, 400, "invalid resource handle")                                         \
  X(cudaErrorIllegalState, 401, "the operation cannot be performed in the present state")                   \
  X(cudaErrorNotReady, 600, "device not ready")                                                             \
  X(cudaErrorLaunchFailure, 719, "unspecified launch failure")                                              \
  X(cudaErrorNotSupported, 801, "operation not supported")                                                  \
  X(cudaErrorStreamCaptureUnsupported, 900, "operation not permitted when stream is capturing")             \
  X(cudaErrorStreamCaptureInvalidated, 901, "operation failed due to a previous error during capture")      \
  X(cudaErrorStreamCaptureUnmatched, 903, "the capture was not initiated in this stream")                   \
  X(cudaErrorStreamCaptureUnjoined, 904, "capturing stream has unjoined work")                              \
  X(cudaErrorStreamCaptureIsolation, 905, "dependency created on uncaptured work in another stream")        \
  X(cudaErrorStreamCaptureImplicit, 906,                                                                    \
    "operation would make the legacy stream depend on a capturing blocking stream")                         \
  X(cudaErrorCapturedEvent, 907, "operation not permitted on an event last recorded in a capturing stream") \
  X(cudaErrorStreamCaptureWrongThread, 908,                                                                 \
    "attempt to terminate a thread-local capture sequence from another thread")                             \
  X(cudaErrorUnknown, 999, "unknown error")

enum cudaError {
#define EMULATION_ERROR(name, number, text) name = number,
  EMULATION_ERRORS(EMULATION_ERROR)
#undef EMULATION_ERROR
};
typedef cudaError cudaError_t;

enum cudaMemcpyKind {
  cudaMemcpyHostToHost,
  cudaMemcpyHostToDevice,
  cudaMemcpyDeviceToHost,
  cudaMemcpyDeviceToDevice,
  cudaMemcpyDefault
};
enum cudaStreamCaptureMode {
  cudaStreamCaptureModeGlobal,
  cudaStreamCaptureModeThreadLocal,
  cudaStreamCaptureModeRelaxed
};
enum cudaStreamCaptureStatus {
  cudaStreamCaptureStatusNone,
  cudaStreamCaptureStatusActive,
  cudaStreamCaptureStatusInvalidated
};
enum cudaFuncAttribute {
  cudaFuncAttributeMaxDynamicSharedMemorySize = 8,
  cudaFuncAttributePreferredSharedMemoryCarveout = 9
};
enum cudaMemoryType {
  cudaMemoryTypeUnregistered,
  cudaMemoryTypeHost,
  cudaMemoryTypeDevice,
  cudaMemoryTypeManaged
};
enum cudaDeviceAttr {
  cudaDevAttrMaxThreadsPerBlock = 1,
  cudaDevAttrMaxSharedMemoryPerBlock = 8,
  cudaDevAttrWarpSize = 10,
  cudaDevAttrMaxRegistersPerBlock = 12,
  cudaDevAttrMultiProcessorCount = 16,
  cudaDevAttrL2CacheSize = 38,
  cudaDevAttrMaxThreadsPerMultiProcessor = 39,
  cudaDevAttrComputeCapabilityMajor = 75,
  cudaDevAttrComputeCapabilityMinor = 76,
  cudaDevAttrMaxSharedMemoryPerMultiprocessor = 81,
  cudaDevAttrMaxSharedMemoryPerBlockOptin = 97
};
constexpr unsigned cudaStreamDefault = 0, cudaStreamNonBlocking = 1;
constexpr unsigned cudaEventDefault = 0, cudaEventBlockingSync = 1, cudaEventDisableTiming = 2;
constexpr unsigned cudaHostAllocDefault = 0;

struct cudaDeviceProp {
  char name[256];
  size_t totalGlobalMem, sharedMemPerBlock, sharedMemPerBlockOptin, sharedMemPerMultiprocessor;
  int regsPerBlock, warpSize, maxThreadsPerBlock, maxThreadsPerMultiProcessor, maxThreadsDim[3],
      maxGridSize[3];
  int major, minor, multiProcessorCount, l2CacheSize;
};
struct cudaPointerAttributes {
  cudaMemoryType type;
  int device;
  void* devicePointer;
  void* hostPointer;
};

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

// ---- streams ----

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

// ---- memory ----

// The allocation that holds an address, or null.
inline const std::pair<const uintptr_t, Allocation>* find(const std::map<uintptr_t, Allocation>& memory,
                                                          const void* address) {
  auto next = memory.upper_bound(reinterpret_cast<uintptr_t>(address));
  if (next == memory.begin()) return nullptr;
  const auto& candidate = *std::prev(next);
  return reinterpret_cast<uintptr_t>(address) < candidate.first + candidate.second.bytes ? &candidate
                                                                                         : nullptr;
}
inline bool on_device(const void* address) { return find(runtime().device_memory, address); }
inline bool is_pinned(const void* address) { return find(runtime().pinned_memory, address); }

inline void require_inside(const void* address, size_t bytes, const char* what) {
  const auto* allocation = find(runtime().device_memory, address);
  if (allocation &&
      reinterpret_cast<uintptr_t>(address) + bytes <= allocation->first + allocation->second.bytes)
    return;
  throw Refusal(cudaErrorInvalidValue,
                std::string(what) + " of " + std::to_string(bytes) +
                    (allocation ? " bytes reaches beyond its allocation" : " bytes is not device memory"));
}

inline void* allocate(std::map<uintptr_t, Allocation>& memory, size_t bytes) {
  void* address = nullptr;
  if (posix_memalign(&address, 256, bytes)) throw Refusal(cudaErrorMemoryAllocation, "out of memory");
  memset(address, 0xFF, bytes);
  memory[reinterpret_cast<uintptr_t>(address)] = {bytes, host_thread().device};
  return address;
}

inline size_t release(std::map<uintptr_t, Allocation>& memory, void* address, const char* what) {
  const auto found = memory.find(reinterpret_cast<uintptr_t>(address));
  if (found == memory.end())
    throw Refusal(cudaErrorInvalidValue,
                  std::string(what) + ": freed before, or not from the function that it belongs to");
  finish_all();
  const size_t bytes = found->second.bytes;
  memset(address, 0xFF, bytes);
  memory.erase(found);
  free(address);
  return bytes;
}

inline void copy(CUstream_st& stream, void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                 bool wait) {
  if (!bytes) return;
  const bool to_device = on_device(to), from_device = on_device(from);
  const auto expect = [](bool is, bool expected, const char* what) {
    if (is != expected)
      throw Refusal(cudaErrorInvalidValue,
                    std::string("the ") + what + (expected ? " is not device memory" : " is device memory"));
  };
  if (kind != cudaMemcpyDefault) {
    expect(to_device, kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice,
           "target of the copy");
    expect(from_device, kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice,
           "source of the copy");
  }
  if (to_device) require_inside(to, bytes, "the target");
  if (from_device) require_inside(from, bytes, "the source");
  const bool pageable_source = !from_device && !is_pinned(from),
             pageable_target = !to_device && !is_pinned(to);
  if (stream.capture && (pageable_source || pageable_target)) {
    stream.capture->spoilt = true;
    throw Refusal(cudaErrorStreamCaptureUnsupported,
                  "a copy of pageable host memory during a stream capture");
  }
  if (pageable_source) {
    const char* first = static_cast<const char*>(from);
    submit(stream, [to, staged = std::vector<char>(first, first + bytes)] {
      memcpy(to, staged.data(), staged.size());
    });
  } else {
    submit(stream, [to, from, bytes] { memmove(to, from, bytes); });
  }
  if (wait || pageable_target) drain(stream);
}

inline void fill(CUstream_st& stream, void* to, int value, size_t bytes) {
  if (!bytes) return;
  require_inside(to, bytes, "the target");
  submit(stream, [to, value, bytes] { memset(to, value, bytes); });
}

// ---- what tests ask ----

inline size_t allocated_bytes() {
  const std::lock_guard<std::recursive_mutex> lock(runtime().mutex);
  return runtime().allocated;
}

// Streams, events, graphs and executable graphs that were not destroyed.
inline size_t live_handles() {
  const std::lock_guard<std::recursive_mutex> lock(runtime().mutex);
  const Runtime& r = runtime();
  return r.streams.size() + r.events.size() + r.graphs.size() + r.executables.size();
}

}  // namespace emulation

// ---- errors ----

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

// ---- devices ----

inline cudaError_t cudaGetDeviceCount(int* count) {
  *count = 0;
  return emulation::call([=] { *count = emulation::device_count(); });
}

inline cudaError_t cudaSetDevice(int device) {
  const std::lock_guard<std::recursive_mutex> lock(emulation::runtime().mutex);
  try {
    emulation::require(device >= 0 && device < emulation::device_count(), cudaErrorInvalidDevice,
                       "invalid device ordinal");
    emulation::host_thread().device = device;
    return cudaSuccess;
  } catch (const emulation::Refusal& refusal) {
    return emulation::report(refusal.error, refusal.what());
  }
}

inline cudaError_t cudaGetDevice(int* device) {
  return emulation::call([=] { *device = emulation::host_thread().device; });
}

inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  return emulation::call([=] {
    emulation::require(device >= 0 && device < emulation::device_count(), cudaErrorInvalidDevice,
                       "invalid device ordinal");
    switch (attribute) {
      case cudaDevAttrMaxThreadsPerBlock:
        *value = emulation::max_threads;
        return;
      case cudaDevAttrMaxSharedMemoryPerBlock:
        *value = emulation::default_shared;
        return;
      case cudaDevAttrWarpSize:
        *value = warpSize;
        return;
      case cudaDevAttrMaxRegistersPerBlock:
        *value = 65536;
        return;
      case cudaDevAttrMultiProcessorCount:
        *value = 132;
        return;
      case cudaDevAttrL2CacheSize:
        *value = 50 << 20;
        return;
      case cudaDevAttrMaxThreadsPerMultiProcessor:
        *value = 2048;
        return;
      case cudaDevAttrComputeCapabilityMajor:
        *value = 9;
        return;
      case cudaDevAttrComputeCapabilityMinor:
        *value = 0;
        return;
      case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
        *value = 228 * 1024;
        return;
      case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = emulation::max_shared;
        return;
    }
    throw emulation::Refusal(cudaErrorInvalidValue, "the emulation does not know this device attribute");
  });
}

inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return emulation::call([=] {
    emulation::require(device >= 0 && device < emulation::device_count(), cudaErrorInvalidDevice,
                       "invalid device ordinal");
    *properties = {"emulation",
                   emulation::device_memory_bytes(),
                   emulation::default_shared,
                   emulation::max_shared,
                   228 * 1024,
                   65536,
                   warpSize,
                   static_cast<int>(emulation::max_threads),
                   2048,
                   {1024, 1024, 64},
                   {0x7FFFFFFF, 65535, 65535},
                   9,
                   0,
                   132,
                   50 << 20};
  });
}

inline cudaError_t cudaDriverGetVersion(int* version) {
  const char* devices = getenv("WEIGHTSHARING_EMULATION_DEVICES");
  *version = devices && !strcmp(devices, "driver") ? 0 : CUDART_VERSION;
  return cudaSuccess;
}
inline cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

inline cudaError_t cudaDeviceSynchronize() {
  return emulation::call([] {
    emulation::refuse_while_capturing(cudaErrorStreamCaptureUnsupported, "waiting for the device");
    emulation::finish_all();
    emulation::rethrow_failure();
  });
}

// ---- memory ----

inline cudaError_t cudaMalloc(void** memory, size_t bytes) {
  *memory = nullptr;
  return emulation::call([=] {
    emulation::refuse_memory_while_capturing("cudaMalloc");
    if (!bytes) return;
    emulation::Runtime& r = emulation::runtime();
    const size_t total = emulation::device_memory_bytes();
    emulation::require(r.allocated <= total && bytes <= total - r.allocated, cudaErrorMemoryAllocation,
                       "out of memory");
    *memory = emulation::allocate(r.device_memory, bytes);
    r.allocated += bytes;
  });
}
template <class T>
cudaError_t cudaMalloc(T** memory, size_t bytes) {
  return cudaMalloc(reinterpret_cast<void**>(memory), bytes);
}

inline cudaError_t cudaFree(void* memory) {
  return emulation::call([=] {
    emulation::refuse_memory_while_capturing("cudaFree");
    if (!memory) return;
    emulation::Runtime& r = emulation::runtime();
    r.allocated -= emulation::release(r.device_memory, memory, "cudaFree");
  });
}

inline cudaError_t cudaHostAlloc(void** memory, size_t bytes, unsigned) {
  *memory = nullptr;
  return emulation::call([=] {
    emulation::refuse_memory_while_capturing("cudaHostAlloc");
    if (bytes) *memory = emulation::allocate(emulation::runtime().pinned_memory, bytes);
  });
}
template <class T>
cudaError_t cudaHostAlloc(T** memory, size_t bytes, unsigned flags) {
  return cudaHostAlloc(reinterpret_cast<void**>(memory), bytes, flags);
}
template <class T>
cudaError_t cudaMallocHost(T** memory, size_t bytes) {
  return cudaHostAlloc(reinterpret_cast<void**>(memory), bytes, cudaHostAllocDefault);
}
inline cudaError_t cudaFreeHost(void* memory) {
  return emulation::call([=] {
    emulation::refuse_memory_while_capturing("cudaFreeHost");
    if (memory) emulation::release(emulation::runtime().pinned_memory, memory, "cudaFreeHost");
  });
}

inline cudaError_t cudaMemGetInfo(size_t* available, size_t* total) {
  return emulation::call([=] {
    *total = emulation::device_memory_bytes();
    *available = *total - std::min(*total, emulation::runtime().allocated);
  });
}

inline cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  return emulation::call([=] {
    const emulation::Runtime& r = emulation::runtime();
    void* address = const_cast<void*>(pointer);
    if (const auto* allocation = emulation::find(r.device_memory, pointer))
      *attributes = {cudaMemoryTypeDevice, allocation->second.device, address, nullptr};
    else if (const auto* pinned = emulation::find(r.pinned_memory, pointer))
      *attributes = {cudaMemoryTypeHost, pinned->second.device, address, address};
    else
      *attributes = {cudaMemoryTypeUnregistered, -2, nullptr, address};
  });
}

inline cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return emulation::call([=] {
    emulation::refuse_while_capturing(cudaErrorStreamCaptureImplicit, "cudaMemcpy");
    emulation::copy(emulation::runtime().legacy, to, from, bytes, kind, true);
  });
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                                   cudaStream_t stream = nullptr) {
  return emulation::call(
      [=] { emulation::copy(emulation::stream_of(stream), to, from, bytes, kind, false); });
}
inline cudaError_t cudaMemset(void* memory, int value, size_t bytes) {
  return emulation::call([=] { emulation::fill(emulation::runtime().legacy, memory, value, bytes); });
}
inline cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t stream = nullptr) {
  return emulation::call([=] { emulation::fill(emulation::stream_of(stream), memory, value, bytes); });
}

// ---- streams ----

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

// ---- launches ----

namespace emulation {
inline const Trampoline& trampoline_of(const void* function) {
  const auto found = trampolines().find(function);
  require(found != trampolines().end(), cudaErrorInvalidDeviceFunction,
          "the kernel is not known to the emulation: emulation::add was not called for it");
  return found->second;
}
}  // namespace emulation

inline cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  return emulation::call([=] {
    emulation::trampoline_of(function);
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return;
    emulation::require(value >= 0 && static_cast<size_t>(value) <= emulation::max_shared,
                       cudaErrorInvalidValue, "more dynamic shared memory than a block can have");
    emulation::runtime().dynamic_shared[function] = static_cast<size_t>(value);
  });
}
template <class... Parameters>
cudaError_t cudaFuncSetAttribute(void (*function)(Parameters...), cudaFuncAttribute attribute, int value) {
  return cudaFuncSetAttribute(reinterpret_cast<const void*>(function), attribute, value);
}

inline cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments,
                                    size_t shared, cudaStream_t stream) {
  return emulation::call([=] {
    const emulation::Trampoline trampoline = emulation::trampoline_of(function);
    emulation::check_launch(grid, block, shared);
    emulation::order_from_environment();
    const auto allowed = emulation::runtime().dynamic_shared.find(function);
    if (shared >
        (allowed == emulation::runtime().dynamic_shared.end() ? emulation::default_shared : allowed->second))
      throw emulation::Refusal(cudaErrorInvalidValue,
                               std::string(trampoline.name) + " is launched with " + std::to_string(shared) +
                                   " bytes of dynamic shared memory, more than cudaFuncSetAttribute set");
    // operator new aligns as any parameter needs
    std::shared_ptr<void> parameters(operator new(trampoline.parameter_bytes),
                                     [](void* memory) { operator delete(memory); });
    memcpy(parameters.get(), arguments[0], trampoline.parameter_bytes);
    emulation::submit(emulation::stream_of(stream), [=] {
      if (int& failures = emulation::runtime().planted_failures) {
        --failures;
        throw emulation::Error(std::string(trampoline.name) + ": planted failure");
      }
      if (trampoline.run)
        trampoline.run(parameters.get(), grid, block, shared);
      else
        emulation::run(trampoline.name, trampoline.call, parameters.get(), grid, block, shared);
    });
  });
}
template <class... Parameters>
cudaError_t cudaLaunchKernel(void (*function)(Parameters...), dim3 grid, dim3 block, void** arguments,
                             size_t shared = 0, cudaStream_t stream = nullptr) {
  return cudaLaunchKernel(reinterpret_cast<const void*>(function), grid, block, arguments, shared, stream);
}

// ---- code that was compiled at run time ----

// Machine code is what nvrtc_emulated.py makes: "weightsharing <bytes>\n" and so many bytes of a shared
// library with one kernel, or none: then the kernel is one of those that were built in.
typedef struct CUlib_st* cudaLibrary_t;
typedef struct CUkern_st* cudaKernel_t;
enum cudaJitOption : int {};
enum cudaLibraryOption : int {};

inline cudaError_t cudaLibraryLoadData(cudaLibrary_t* library, const void* code, cudaJitOption*, void**,
                                       unsigned, cudaLibraryOption*, void**, unsigned) {
  return emulation::call([=] {
    size_t bytes = 0;
    int start = 0;
    emulation::require(sscanf(static_cast<const char*>(code), "weightsharing %zu%n", &bytes, &start) == 1,
                       cudaErrorInvalidValue, "this is not the machine code of the imitated NVRTC");
    *library = nullptr;
    if (!bytes) return;
    const int file = memfd_create("kernel", 0);
    const bool written =
        write(file, static_cast<const char*>(code) + start + 1, bytes) == static_cast<ssize_t>(bytes);
    // The file stays open: another one under its number would be taken for the same library.
    void* const opened = dlopen(("/proc/self/fd/" + std::to_string(file)).c_str(), RTLD_NOW | RTLD_LOCAL);
    emulation::require(written && opened, cudaErrorInvalidValue, "the shared library cannot be opened");
    *library = static_cast<cudaLibrary_t>(opened);
  });
}

inline cudaError_t cudaLibraryGetKernel(cudaKernel_t* kernel, cudaLibrary_t library, const char* name) {
  return emulation::call([=] {
    emulation::require(library != nullptr, cudaErrorInvalidDeviceFunction, "no such kernel");
    void* const run = dlsym(library, "weightsharing_run");
    void* const bytes = dlsym(library, "weightsharing_parameter_bytes");
    emulation::require(run && bytes, cudaErrorInvalidDeviceFunction, "no such kernel");
    emulation::trampolines()[run] = {
        strdup(name), nullptr, *static_cast<const size_t*>(bytes),
        reinterpret_cast<void (*)(const void*, dim3, dim3, size_t)>(run)};  // the name as long as the library
    *kernel = static_cast<cudaKernel_t>(run);
  });
}

// ---- capture and graphs ----

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
