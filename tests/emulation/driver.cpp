// The functions of the CUDA driver that csrc/cuda/driver_functions.cpp looks up, over the imitated runtime of
// cuda_runtime.h: a library that `_cupy` opens instead of libcuda.so.1. cuMemAlloc_v2 and cuMemFree_v2 serve
// the imitated CuPy.
#include "cuda/compiler.h"
#include "cuda_runtime.h"

namespace {

int code(cudaError_t error) {
  cudaGetLastError();
  // Where the two number the same thing differently.
  return error == cudaErrorInsufficientDriver ? 803 : static_cast<int>(error);
}
// As in CUDA a thread has no context before it sets one; what needs one says so here.
thread_local void* context = nullptr;
constexpr int invalid_context = 201;

cudaStream_t stream_of(void* stream) { return static_cast<cudaStream_t>(stream); }

// By the text under which NVRTC is asked for it.
const void* instance(const std::string& expression) {
#define WEIGHTSHARING_TEXT(...) #__VA_ARGS__
#define WEIGHTSHARING_INSTANCE(name, kernel, Parameters) \
  if (expression == WEIGHTSHARING_TEXT kernel) return weightsharing::cuda::kernel_named(name).function;
#include "cuda/instances.def"
#undef WEIGHTSHARING_INSTANCE
  return nullptr;
}

}  // namespace

#define DRIVER extern "C" __attribute__((visibility("default"))) int

DRIVER cuInit(unsigned) {
  int count = 0;
  return code(cudaGetDeviceCount(&count));
}
DRIVER cuDriverGetVersion(int* version) { return code(cudaDriverGetVersion(version)); }
DRIVER cuGetErrorName(int error, const char** name) {
  *name = cudaGetErrorName(static_cast<cudaError_t>(error));
  return 0;
}
DRIVER cuGetErrorString(int error, const char** text) {
  *text = error == 803 ? "system has unsupported display driver / cuda driver combination"
                       : cudaGetErrorString(static_cast<cudaError_t>(error));
  return 0;
}
DRIVER cuDeviceGetCount(int* count) { return code(cudaGetDeviceCount(count)); }
DRIVER cuDeviceGet(int* device, int ordinal) {
  *device = ordinal;
  return 0;
}
DRIVER cuDeviceGetName(char* name, int length, int device) {
  cudaDeviceProp properties;
  const int error = code(cudaGetDeviceProperties(&properties, device));
  if (!error) snprintf(name, static_cast<size_t>(length), "%s", properties.name);
  return error;
}
DRIVER cuDeviceGetAttribute(int* value, int attribute, int device) {
  return code(cudaDeviceGetAttribute(value, static_cast<cudaDeviceAttr>(attribute), device));
}
// A context is the number of its device, plus one because null is none.
DRIVER cuDevicePrimaryCtxRetain(void** context, int device) {
  *context = reinterpret_cast<void*>(static_cast<uintptr_t>(device) + 1);
  return code(cudaSetDevice(device));
}
DRIVER cuCtxGetCurrent(void** current) {
  *current = context;
  return 0;
}
DRIVER cuCtxSetCurrent(void* wanted) {
  context = wanted;
  return wanted ? code(cudaSetDevice(static_cast<int>(reinterpret_cast<uintptr_t>(wanted)) - 1)) : 0;
}
DRIVER cuCtxGetDevice(int* device) {
  if (!context) return invalid_context;
  *device = static_cast<int>(reinterpret_cast<uintptr_t>(context)) - 1;
  return 0;
}
DRIVER cuCtxSynchronize() { return context ? code(cudaDeviceSynchronize()) : invalid_context; }
DRIVER cuPointerGetAttribute(void* value, int attribute, unsigned long long memory) {
  constexpr int memory_type = 2, is_managed = 8, device_ordinal = 9, invalid_value = 1;
  if (!context) return invalid_context;
  cudaPointerAttributes attributes{};
  const int error = code(cudaPointerGetAttributes(&attributes, reinterpret_cast<const void*>(memory)));
  if (error || attributes.type == cudaMemoryTypeUnregistered) return error ? error : invalid_value;
  if (attribute == memory_type)
    *static_cast<unsigned*>(value) = attributes.type == cudaMemoryTypeHost ? 1 : 2;
  else if (attribute == is_managed)
    *static_cast<unsigned*>(value) = 0;
  else if (attribute == device_ordinal)
    *static_cast<int*>(value) = attributes.device;
  else
    return invalid_value;
  return 0;
}
DRIVER cuMemGetInfo_v2(size_t* available, size_t* total) { return code(cudaMemGetInfo(available, total)); }
DRIVER cuMemAlloc_v2(unsigned long long* address, size_t bytes) {
  void* memory = nullptr;
  const int error = code(cudaMalloc(&memory, bytes));
  *address = reinterpret_cast<uintptr_t>(memory);
  return error;
}
DRIVER cuMemFree_v2(unsigned long long address) { return code(cudaFree(reinterpret_cast<void*>(address))); }
DRIVER cuMemcpyHtoDAsync_v2(unsigned long long to, const void* from, size_t bytes, void* stream) {
  if (!context) return invalid_context;
  return code(
      cudaMemcpyAsync(reinterpret_cast<void*>(to), from, bytes, cudaMemcpyHostToDevice, stream_of(stream)));
}
DRIVER cuMemcpyDtoHAsync_v2(void* to, unsigned long long from, size_t bytes, void* stream) {
  if (!context) return invalid_context;
  return code(cudaMemcpyAsync(to, reinterpret_cast<const void*>(from), bytes, cudaMemcpyDeviceToHost,
                              stream_of(stream)));
}
DRIVER cuModuleLoadData(void** module, const void* image) {
  if (!context) return invalid_context;
  return code(cudaLibraryLoadData(reinterpret_cast<cudaLibrary_t*>(module), image, nullptr, nullptr, 0,
                                  nullptr, nullptr, 0));
}
DRIVER cuModuleGetFunction(const void** function, void* module, const char* name) {
  *function = instance(name);  // a compiled program comes under another name
  if (*function) return 0;
  return code(cudaLibraryGetKernel(reinterpret_cast<cudaKernel_t*>(const_cast<void**>(function)),
                                   static_cast<cudaLibrary_t>(module), name));
}
DRIVER cuFuncSetAttribute(const void* function, int attribute, int value) {
  return code(cudaFuncSetAttribute(function, static_cast<cudaFuncAttribute>(attribute), value));
}
DRIVER cuLaunchKernel(const void* function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                      unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                      void* stream, void** parameters, void**) {
  if (!context) return invalid_context;
  return code(cudaLaunchKernel(function, dim3(grid_x, grid_y, grid_z), dim3(block_x, block_y, block_z),
                               parameters, shared_bytes, stream_of(stream)));
}
DRIVER cuStreamCreate(void** stream, unsigned flags) {
  if (!context) return invalid_context;
  return code(cudaStreamCreateWithFlags(reinterpret_cast<cudaStream_t*>(stream), flags));
}
DRIVER cuStreamDestroy_v2(void* stream) { return code(cudaStreamDestroy(stream_of(stream))); }
DRIVER cuStreamSynchronize(void* stream) {
  if (!context) return invalid_context;
  return code(cudaStreamSynchronize(stream_of(stream)));
}
DRIVER cuStreamIsCapturing(void* stream, int* status) {
  cudaStreamCaptureStatus found;
  const int error = code(cudaStreamIsCapturing(stream_of(stream), &found));
  *status = static_cast<int>(found);
  return error;
}
DRIVER cuStreamBeginCapture_v2(void* stream, int mode) {
  if (!context) return invalid_context;
  return code(cudaStreamBeginCapture(stream_of(stream), static_cast<cudaStreamCaptureMode>(mode)));
}
DRIVER cuStreamEndCapture(void* stream, void** graph) {
  return code(cudaStreamEndCapture(stream_of(stream), reinterpret_cast<cudaGraph_t*>(graph)));
}
DRIVER cuGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long flags) {
  return code(cudaGraphInstantiate(reinterpret_cast<cudaGraphExec_t*>(executable),
                                   static_cast<cudaGraph_t>(graph), flags));
}
DRIVER cuGraphLaunch(void* executable, void* stream) {
  if (!context) return invalid_context;
  return code(cudaGraphLaunch(static_cast<cudaGraphExec_t>(executable), stream_of(stream)));
}
DRIVER cuGraphExecDestroy(void* executable) {
  return code(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(executable)));
}
DRIVER cuGraphDestroy(void* graph) { return code(cudaGraphDestroy(static_cast<cudaGraph_t>(graph))); }
