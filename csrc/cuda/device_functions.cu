#include <cuda_runtime.h>

#include "cuda/device_functions.h"

namespace weightsharing::cuda {
namespace {

[[noreturn]] void refuse(const std::string& what, cudaError_t error) {
  throw DeviceError(what + ": " + cudaGetErrorString(error) + " (" + cudaGetErrorName(error) + ")");
}

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // errors that do not stick must not show up in the next call
  refuse(what, error);
}

int count() {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  return devices;
}

std::string why_not() {
  int devices = 0, driver = 0, runtime = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  cudaGetLastError();
  if (error == cudaSuccess) return devices ? "" : "no CUDA device";
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  const auto version = [](int number) {
    return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
  };
  if (error == cudaErrorInsufficientDriver)
    return driver ? "the NVIDIA driver is too old: it knows CUDA " + version(driver) + ", this build needs " +
                        version(runtime)
                  : "no NVIDIA driver";
  return std::string("no CUDA device: ") + cudaGetErrorString(error);
}

int current() {
  int device = 0;
  check(cudaGetDevice(&device), "asking for the device in use");
  return device;
}

void* use(int device) {
  const int before = current();
  if (device != before) check(cudaSetDevice(device), "choosing the device");
  return reinterpret_cast<void*>(static_cast<std::intptr_t>(before));
}

void restore(void* before) {
  const int device = static_cast<int>(reinterpret_cast<std::intptr_t>(before));
  int now = -1;
  if (cudaGetDevice(&now) != cudaSuccess || now != device) cudaSetDevice(device);
}

std::string name(int device) {
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, device), "asking for the device's name");
  return properties.name;
}

int attribute(cudaDeviceAttr which, int device) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, device), "asking for a device attribute");
  return value;
}

int shared_bytes(int device) { return attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device); }

int architecture(int device) {
  return 10 * attribute(cudaDevAttrComputeCapabilityMajor, device) +
         attribute(cudaDevAttrComputeCapabilityMinor, device);
}

int driver_version() {
  int version = 0;
  cudaDriverGetVersion(&version);
  return version;
}

#if CUDART_VERSION >= 12080  // the first one that loads machine code
const void* load_kernel(const std::string& code, const std::string& entry) {
  cudaLibrary_t library = nullptr;
  check(cudaLibraryLoadData(&library, code.data(), nullptr, nullptr, 0, nullptr, nullptr, 0),
        "loading a compiled program");
  cudaKernel_t kernel = nullptr;
  check(cudaLibraryGetKernel(&kernel, library, entry.c_str()), "loading a compiled program");
  return kernel;
}
#else
constexpr const void* (*load_kernel)(const std::string&, const std::string&) = nullptr;
#endif

void* allocate(std::size_t bytes) {
  void* memory = nullptr;
  const cudaError_t error = cudaMalloc(&memory, bytes ? bytes : 1);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    std::size_t available = 0, total = 0;
    cudaMemGetInfo(&available, &total);
    throw DeviceMemoryError("device memory exhausted: " + std::to_string(bytes) + " bytes asked for, " +
                            std::to_string(available) + " of " + std::to_string(total) + " bytes free");
  }
  check(error, "allocating device memory");
  return memory;
}

// From destructors: an error here has no one to go to. Somebody else may be capturing a graph in a mode in
// which nobody is to free memory; this memory is not part of it.
void release(void* memory) {
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  cudaThreadExchangeStreamCaptureMode(&mode);
  cudaFree(memory);
  cudaThreadExchangeStreamCaptureMode(&mode);
}

void to_device(void* to, const void* from, std::size_t bytes, Stream stream) {
  const auto s = static_cast<cudaStream_t>(stream);
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, s), "copying to the device");
  check(cudaStreamSynchronize(s), "copying to the device");  // the host array may change after the call
}

void to_host(void* to, const void* from, std::size_t bytes, Stream stream) {
  const auto s = static_cast<cudaStream_t>(stream);
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, s), "copying from the device");
  check(cudaStreamSynchronize(s), "copying from the device");
}

void launch(const Launch& l, Stream stream) {
  static SharedLimits* const limits = new SharedLimits;  // never destroyed
  limits->allow(l.kernel->function, current(), l.shared_bytes, [&](unsigned bytes) {
    check(cudaFuncSetAttribute(l.kernel->function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(bytes)),
          l.kernel->name);
  });
  void* arguments[] = {const_cast<std::byte*>(l.parameters.data())};
  check(cudaLaunchKernel(l.kernel->function, dim3(l.grid[0], l.grid[1], l.grid[2]),
                         dim3(l.block[0], l.block[1], l.block[2]), arguments, l.shared_bytes,
                         static_cast<cudaStream_t>(stream)),
        l.kernel->name);
}

void synchronise(Stream stream) {
  check(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)), "waiting for the device");
}

Stream create_stream() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "creating a stream");
  return stream;
}
void destroy_stream(Stream stream) { cudaStreamDestroy(static_cast<cudaStream_t>(stream)); }

void begin_capture(Stream stream) {
  check(cudaStreamBeginCapture(static_cast<cudaStream_t>(stream), cudaStreamCaptureModeThreadLocal),
        "capturing a step");
}

Graph end_capture(Stream stream) {
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(static_cast<cudaStream_t>(stream), &graph), "capturing a step");
  cudaGraphExec_t executable = nullptr;
  const cudaError_t error = cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphDestroy(graph);
  check(error, "making a graph of a step");
  return executable;
}

void abandon_capture(Stream stream) {
  cudaGraph_t graph = nullptr;
  cudaStreamEndCapture(static_cast<cudaStream_t>(stream), &graph);
  if (graph) cudaGraphDestroy(graph);
  cudaGetLastError();
}

void replay(Graph graph, Stream stream) {
  check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), static_cast<cudaStream_t>(stream)),
        "running a step");
}

void destroy_graph(Graph graph) { cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)); }

void synchronise_device() { check(cudaDeviceSynchronize(), "waiting for the device"); }

bool capturing(Stream stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  const cudaError_t error = cudaStreamIsCapturing(static_cast<cudaStream_t>(stream), &status);
  if (error == cudaErrorStreamCaptureImplicit) {  // the legacy stream, while another one is captured
    cudaGetLastError();
    return true;
  }
  check(error, "asking whether the stream is captured");
  return status != cudaStreamCaptureStatusNone;
}

int device_of(const void* memory) {
  cudaPointerAttributes attributes;
  check(cudaPointerGetAttributes(&attributes, memory), "asking where memory lies");
  if (attributes.type == cudaMemoryTypeUnregistered) return -2;
  return attributes.type == cudaMemoryTypeDevice ? attributes.device : -1;
}

}  // namespace

const DeviceFunctions& device_functions() {
  static const DeviceFunctions table = {count,
                                        why_not,
                                        use,
                                        restore,
                                        name,
                                        shared_bytes,
                                        architecture,
                                        allocate,
                                        release,
                                        to_device,
                                        to_host,
                                        launch,
                                        synchronise,
                                        create_stream,
                                        destroy_stream,
                                        begin_capture,
                                        end_capture,
                                        abandon_capture,
                                        replay,
                                        destroy_graph,
                                        current,
                                        synchronise_device,
                                        capturing,
                                        device_of,
                                        driver_version,
                                        load_kernel};
  return table;
}

}  // namespace weightsharing::cuda
