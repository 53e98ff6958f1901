// The device functions over the CUDA runtime, or over the imitation of it in tests/emulation.
#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/device_functions.h"
#include "cuda/launch.h"

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

int attribute(cudaDeviceAttr which, int device) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, device), "asking for a device attribute");
  return value;
}

cudaStream_t stream_of(Stream stream) { return reinterpret_cast<cudaStream_t>(stream); }
cudaGraphExec_t graph_of(Graph graph) { return reinterpret_cast<cudaGraphExec_t>(graph); }

class RuntimeFunctions final : public DeviceFunctions {
 public:
  int count() const override {
    int devices = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess) {
      cudaGetLastError();
      return 0;
    }
    return devices;
  }

  std::string why_not() const override {
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
      return driver ? "the NVIDIA driver is too old: it knows CUDA " + version(driver) +
                          ", this build needs " + version(runtime)
                    : "no NVIDIA driver";
    return std::string("no CUDA device: ") + cudaGetErrorString(error);
  }

  int current() const override {
    int device = 0;
    check(cudaGetDevice(&device), "asking for the device in use");
    return device;
  }

  DeviceBefore use(int device) const override {
    const int before = current();
    if (device != before) check(cudaSetDevice(device), "choosing the device");
    return {reinterpret_cast<void*>(static_cast<std::intptr_t>(before))};
  }

  void restore(DeviceBefore before) const override {
    const int device = static_cast<int>(reinterpret_cast<std::intptr_t>(before.handle));
    int now = -1;
    if (cudaGetDevice(&now) != cudaSuccess || now != device) cudaSetDevice(device);
  }

  std::string name(int device) const override {
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, device), "asking for the device's name");
    return properties.name;
  }

  int shared_bytes(int device) const override {
    return attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  }

  int architecture(int device) const override {
    return 10 * attribute(cudaDevAttrComputeCapabilityMajor, device) +
           attribute(cudaDevAttrComputeCapabilityMinor, device);
  }

  int driver_version() const override {
    int version = 0;
    cudaDriverGetVersion(&version);
    return version;
  }

  DevicePointer allocate(std::size_t bytes) const override {
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
    return {memory};
  }

  // From destructors: an error here has no one to go to. Somebody else may be capturing a graph in a mode in
  // which nobody is to free memory; this memory is not part of it.
  void release(DevicePointer memory) const override {
    cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
    cudaThreadExchangeStreamCaptureMode(&mode);
    cudaFree(memory.address);
    cudaThreadExchangeStreamCaptureMode(&mode);
  }

  void to_device(DevicePointer to, const void* from, std::size_t bytes, Stream stream) const override {
    const auto s = stream_of(stream);
    check(cudaMemcpyAsync(to.address, from, bytes, cudaMemcpyHostToDevice, s), "copying to the device");
    check(cudaStreamSynchronize(s), "copying to the device");  // the host array may change after the call
  }

  void to_host(void* to, DevicePointer from, std::size_t bytes, Stream stream) const override {
    const auto s = stream_of(stream);
    check(cudaMemcpyAsync(to, from.address, bytes, cudaMemcpyDeviceToHost, s), "copying from the device");
    check(cudaStreamSynchronize(s), "copying from the device");
  }

  void launch(const Launch& l, Stream stream) const override {
    static SharedLimits* const limits = new SharedLimits;  // never destroyed
    limits->allow(l.kernel->function, current(), l.shape.shared_bytes, [&](unsigned bytes) {
      check(cudaFuncSetAttribute(l.kernel->function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 static_cast<int>(bytes)),
            l.kernel->name);
    });
    void* arguments[] = {const_cast<std::byte*>(l.parameters.data())};
    check(cudaLaunchKernel(l.kernel->function, dim3(l.shape.grid[0], l.shape.grid[1], l.shape.grid[2]),
                           dim3(l.shape.block[0], l.shape.block[1], l.shape.block[2]), arguments,
                           l.shape.shared_bytes, stream_of(stream)),
          l.kernel->name);
  }

  void synchronise(Stream stream) const override {
    check(cudaStreamSynchronize(stream_of(stream)), "waiting for the device");
  }

  Stream create_stream() const override {
    cudaStream_t stream = nullptr;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "creating a stream");
    return reinterpret_cast<Stream>(stream);
  }

  void destroy_stream(Stream stream) const override { cudaStreamDestroy(stream_of(stream)); }

  void begin_capture(Stream stream) const override {
    check(cudaStreamBeginCapture(stream_of(stream), cudaStreamCaptureModeThreadLocal), "capturing a step");
  }

  Graph end_capture(Stream stream) const override {
    cudaGraph_t graph = nullptr;
    check(cudaStreamEndCapture(stream_of(stream), &graph), "capturing a step");
    cudaGraphExec_t executable = nullptr;
    const cudaError_t error = cudaGraphInstantiate(&executable, graph, 0);
    cudaGraphDestroy(graph);
    check(error, "making a graph of a step");
    return reinterpret_cast<Graph>(executable);
  }

  void abandon_capture(Stream stream) const override {
    cudaGraph_t graph = nullptr;
    cudaStreamEndCapture(stream_of(stream), &graph);
    if (graph) cudaGraphDestroy(graph);
    cudaGetLastError();
  }

  void replay(Graph graph, Stream stream) const override {
    check(cudaGraphLaunch(graph_of(graph), stream_of(stream)), "running a step");
  }

  void destroy_graph(Graph graph) const override { cudaGraphExecDestroy(graph_of(graph)); }

  void synchronise_device() const override { check(cudaDeviceSynchronize(), "waiting for the device"); }

  bool capturing(Stream stream) const override {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    const cudaError_t error = cudaStreamIsCapturing(stream_of(stream), &status);
    if (error == cudaErrorStreamCaptureImplicit) {  // the legacy stream, while another one is captured
      cudaGetLastError();
      return true;
    }
    check(error, "asking whether the stream is captured");
    return status != cudaStreamCaptureStatusNone;
  }

  int device_of(const void* memory) const override {
    cudaPointerAttributes attributes;
    check(cudaPointerGetAttributes(&attributes, memory), "asking where memory lies");
    if (attributes.type == cudaMemoryTypeUnregistered) return -2;
    return attributes.type == cudaMemoryTypeDevice ? attributes.device : -1;
  }

#if CUDART_VERSION >= 12080  // the first one that loads machine code
  bool loads_kernels() const override { return true; }

  const void* load_kernel(const std::string& code, const std::string& entry) const override {
    cudaLibrary_t library = nullptr;
    check(cudaLibraryLoadData(&library, code.data(), nullptr, nullptr, 0, nullptr, nullptr, 0),
          "loading a compiled program");
    cudaKernel_t kernel = nullptr;
    check(cudaLibraryGetKernel(&kernel, library, entry.c_str()), "loading a compiled program");
    return kernel;
  }
#else
  bool loads_kernels() const override { return false; }

  const void* load_kernel(const std::string&, const std::string&) const override {
    throw std::logic_error("this build loads no machine code");
  }
#endif
};

}  // namespace

const DeviceFunctions& device_functions() {
  static const DeviceFunctions* const one =
      new RuntimeFunctions;  // never destroyed: memory may be released later
  return *one;
}

}  // namespace weightsharing::cuda
