// The device functions over the CUDA driver, which is found when it is first asked for: nothing of
// CUDA is needed to build this. Device memory comes from elsewhere, kernels from a compiler.
#include "cuda/driver_functions.h"

#include <dlfcn.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <vector>

#include "cuda/compiler.h"
#include "cuda/launch.h"
#include "cuda/memory.h"

namespace weightsharing::cuda {
namespace {

using Result = int;  // CUresult and the other enumerations of cuda.h are as wide as int
using Address = unsigned long long;
using Context = struct CUctx_st*;
using Module = struct CUmod_st*;
using Function = struct CUfunc_st*;
using CapturedGraph = struct CUgraph_st*;

constexpr Result success = 0, error_invalid_value = 1, error_no_device = 100, error_capture_implicit = 906;
constexpr int attribute_major = 75, attribute_minor = 76, attribute_shared_bytes_optin = 97;
constexpr int function_attribute_shared_bytes = 8;
constexpr int pointer_attribute_memory_type = 2, pointer_attribute_is_managed = 8,
              pointer_attribute_device = 9;
constexpr unsigned memory_type_device = 2;
constexpr unsigned stream_non_blocking = 1;
constexpr int capture_thread_local = 1;

// Names and parameters as in cuda.h of CUDA 12 and 13; what ends in _v2 there is named so here.
#define WEIGHTSHARING_DRIVER_FUNCTIONS(X)                                                                    \
  X(cuInit, (unsigned flags))                                                                                \
  X(cuDriverGetVersion, (int* version))                                                                      \
  X(cuGetErrorName, (Result error, const char** name))                                                       \
  X(cuGetErrorString, (Result error, const char** text))                                                     \
  X(cuDeviceGetCount, (int* count))                                                                          \
  X(cuDeviceGet, (int* device, int ordinal))                                                                 \
  X(cuDeviceGetName, (char* name, int length, int device))                                                   \
  X(cuDeviceGetAttribute, (int* value, int attribute, int device))                                           \
  X(cuDevicePrimaryCtxRetain, (Context * context, int device))                                               \
  X(cuCtxGetCurrent, (Context * context))                                                                    \
  X(cuCtxSetCurrent, (Context context))                                                                      \
  X(cuCtxGetDevice, (int* device))                                                                           \
  X(cuCtxSynchronize, ())                                                                                    \
  X(cuPointerGetAttribute, (void* value, int attribute, Address memory))                                     \
  X(cuMemGetInfo_v2, (std::size_t* available, std::size_t* total))                                           \
  X(cuMemcpyHtoDAsync_v2, (Address to, const void* from, std::size_t bytes, Stream stream))                  \
  X(cuMemcpyDtoHAsync_v2, (void* to, Address from, std::size_t bytes, Stream stream))                        \
  X(cuModuleLoadData, (Module * module, const void* image))                                                  \
  X(cuModuleGetFunction, (Function * function, Module module, const char* name))                             \
  X(cuFuncSetAttribute, (Function function, int attribute, int value))                                       \
  X(cuLaunchKernel, (Function function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, \
                     unsigned block_y, unsigned block_z, unsigned shared_bytes, Stream stream,               \
                     void** parameters, void** extra))                                                       \
  X(cuStreamCreate, (Stream * stream, unsigned flags))                                                       \
  X(cuStreamDestroy_v2, (Stream stream))                                                                     \
  X(cuStreamSynchronize, (Stream stream))                                                                    \
  X(cuStreamIsCapturing, (Stream stream, int* status))                                                       \
  X(cuStreamBeginCapture_v2, (Stream stream, int mode))                                                      \
  X(cuStreamEndCapture, (Stream stream, CapturedGraph * graph))                                              \
  X(cuGraphInstantiateWithFlags, (Graph * executable, CapturedGraph graph, unsigned long long flags))        \
  X(cuGraphLaunch, (Graph executable, Stream stream))                                                        \
  X(cuGraphExecDestroy, (Graph executable))                                                                  \
  X(cuGraphDestroy, (CapturedGraph graph))

struct Driver {
#define X(name, parameters) Result(*name) parameters = nullptr;
  WEIGHTSHARING_DRIVER_FUNCTIONS(X)
#undef X
  std::string missing;  // why it cannot be used
  int version = 0, devices = 0;
};

std::string& library_name() {
  static std::string name = "libcuda.so.1";
  return name;
}

Driver find_driver() {
  Driver driver;
  // Stays open: CuPy works with the same one.
  void* const library = dlopen(library_name().c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char* reason = dlerror();
    driver.missing = std::string("no NVIDIA driver (") + (reason ? reason : "not found") + ")";
    return driver;
  }
#define X(name, parameters)                                                              \
  driver.name = reinterpret_cast<Result(*) parameters>(dlsym(library, #name));           \
  if (!driver.name) {                                                                    \
    driver.missing = "the NVIDIA driver is too old: its library has no function " #name; \
    return driver;                                                                       \
  }
  WEIGHTSHARING_DRIVER_FUNCTIONS(X)
#undef X
  driver.cuDriverGetVersion(&driver.version);
  Result error = driver.cuInit(0);
  if (error == success) error = driver.cuDeviceGetCount(&driver.devices);
  if (error == success && driver.devices) return driver;
  driver.missing = "no CUDA device";
  const char* text = nullptr;
  if (error != success && error != error_no_device && driver.cuGetErrorString(error, &text) == success &&
      text)
    driver.missing += std::string(": ") + text;
  driver.devices = 0;
  return driver;
}

const Driver& driver() {
  static const Driver one = find_driver();
  return one;
}

[[noreturn]] void refuse(const std::string& what, Result error) {
  const char *text = nullptr, *name = nullptr;
  driver().cuGetErrorString(error, &text);
  driver().cuGetErrorName(error, &name);
  throw DeviceError(what + ": " + (text ? text : "unknown error") + " (" +
                    (name ? name : std::to_string(error)) + ")");
}

void check(Result error, const char* what) {
  if (error != success) refuse(what, error);
}

struct State {
  std::mutex mutex;
  Allocator allocator;
  std::map<void*, std::pair<int, std::shared_ptr<void>>> memory;  // device and owner
  std::vector<std::pair<int, std::shared_ptr<void>>> let_go;      // nobody's, but perhaps still in use
  std::map<int, Context> contexts;
};

// Never destroyed: memory may be released while the process ends.
State& state() {
  static State* const one = new State;
  return *one;
}

int handle(int device) {
  int handle = 0;
  check(driver().cuDeviceGet(&handle, device), "choosing the device");
  return handle;
}

int attribute(int which, int device) {
  int value = 0;
  check(driver().cuDeviceGetAttribute(&value, which, handle(device)), "asking for a device attribute");
  return value;
}

// Gives back what was let go of on the device in use, when nothing is under way on it any more: the allocator
// may hand it out again at once.
void give_back(int device) {
  std::vector<std::pair<int, std::shared_ptr<void>>> ours, others;
  const auto is_ours = [&](const auto& one) { return one.first == device; };
  {
    const std::lock_guard<std::mutex> lock(state().mutex);
    for (auto& one : state().let_go) (is_ours(one) ? ours : others).push_back(std::move(one));
    state().let_go = std::move(others);
  }
  if (!ours.empty()) check(driver().cuCtxSynchronize(), "waiting for the device");
}

Address address_of(const void* memory) { return reinterpret_cast<Address>(memory); }

class DriverFunctions final : public DeviceFunctions {
 public:
  int count() const override { return driver().devices; }

  std::string why_not() const override { return driver().missing; }

  // The primary context, which CuPy uses as well. A thread may have none, or one that somebody else made.
  DeviceBefore use(int device) const override {
    Context before = nullptr;
    check(driver().cuCtxGetCurrent(&before), "choosing the device");
    const std::lock_guard<std::mutex> lock(state().mutex);
    Context& context = state().contexts[device];
    if (!context) check(driver().cuDevicePrimaryCtxRetain(&context, handle(device)), "choosing the device");
    if (context != before) check(driver().cuCtxSetCurrent(context), "choosing the device");
    return {before};
  }

  void restore(DeviceBefore before) const override {
    Context now = nullptr;
    if (driver().cuCtxGetCurrent(&now) != success || now != before.handle)
      driver().cuCtxSetCurrent(static_cast<Context>(before.handle));
  }

  int current() const override {
    Context context = nullptr;
    check(driver().cuCtxGetCurrent(&context), "asking for the device in use");
    if (!context) return -1;
    int in_use = 0;
    check(driver().cuCtxGetDevice(&in_use), "asking for the device in use");
    int device = 0;
    while (handle(device) != in_use) ++device;
    return device;
  }

  std::string name(int device) const override {
    char text[256] = {};
    check(driver().cuDeviceGetName(text, sizeof(text), handle(device)), "asking for the device's name");
    return text;
  }

  int shared_bytes(int device) const override { return attribute(attribute_shared_bytes_optin, device); }

  int architecture(int device) const override {
    return 10 * attribute(attribute_major, device) + attribute(attribute_minor, device);
  }

  DevicePointer allocate(std::size_t bytes) const override {
    Allocator allocator;
    {
      const std::lock_guard<std::mutex> lock(state().mutex);
      allocator = state().allocator;
    }
    const int device = current();
    give_back(device);
    Allocation made;
    try {
      made = allocator(bytes ? bytes : 1, device);
    } catch (const std::bad_alloc&) {
      std::size_t available = 0, total = 0;
      driver().cuMemGetInfo_v2(&available, &total);
      throw DeviceMemoryError("device memory exhausted: " + std::to_string(bytes) + " bytes asked for, " +
                              std::to_string(available) + " of " + std::to_string(total) + " bytes free");
    }
    const std::lock_guard<std::mutex> lock(state().mutex);
    state().memory[made.address] = {device, std::move(made.owner)};
    return {made.address};
  }

  // From destructors, in whatever thread, perhaps while somebody captures a graph: the driver must not be
  // asked. The memory goes back with the next allocation or synchronisation.
  void release(DevicePointer memory) const override {
    const std::lock_guard<std::mutex> lock(state().mutex);
    const auto found = state().memory.find(memory.address);
    if (found == state().memory.end()) return;
    state().let_go.push_back(std::move(found->second));
    state().memory.erase(found);
  }

  int driver_version() const override { return driver().version; }

  void to_device(DevicePointer to, const void* from, std::size_t bytes, Stream stream) const override {
    if (!bytes) return;
    check(driver().cuMemcpyHtoDAsync_v2(address_of(to.address), from, bytes, stream),
          "copying to the device");
    // The host array may change after the call.
    check(driver().cuStreamSynchronize(stream), "copying to the device");
  }

  void to_host(void* to, DevicePointer from, std::size_t bytes, Stream stream) const override {
    if (!bytes) return;
    check(driver().cuMemcpyDtoHAsync_v2(to, address_of(from.address), bytes, stream),
          "copying from the device");
    check(driver().cuStreamSynchronize(stream), "copying from the device");
  }

  void launch(const Launch& l, Stream stream) const override {
    const auto function = static_cast<Function>(const_cast<void*>(l.kernel->function));
    // A function belongs to one context, and so to one device.
    static SharedLimits* const limits = new SharedLimits;  // never destroyed
    limits->allow(function, 0, l.shape.shared_bytes, [&](unsigned bytes) {
      check(driver().cuFuncSetAttribute(function, function_attribute_shared_bytes, static_cast<int>(bytes)),
            l.kernel->name);
    });
    void* arguments[] = {const_cast<std::byte*>(l.parameters.data())};
    check(driver().cuLaunchKernel(function, l.shape.grid[0], l.shape.grid[1], l.shape.grid[2],
                                  l.shape.block[0], l.shape.block[1], l.shape.block[2], l.shape.shared_bytes,
                                  stream, arguments, nullptr),
          l.kernel->name);
  }

  void synchronise(Stream stream) const override {
    check(driver().cuStreamSynchronize(stream), "waiting for the device");
  }

  Stream create_stream() const override {
    Stream stream = nullptr;
    check(driver().cuStreamCreate(&stream, stream_non_blocking), "creating a stream");
    return stream;
  }

  void destroy_stream(Stream stream) const override { driver().cuStreamDestroy_v2(stream); }

  void begin_capture(Stream stream) const override {
    check(driver().cuStreamBeginCapture_v2(stream, capture_thread_local), "capturing a step");
  }

  Graph end_capture(Stream stream) const override {
    CapturedGraph graph = nullptr;
    check(driver().cuStreamEndCapture(stream, &graph), "capturing a step");
    Graph executable = nullptr;
    const Result error = driver().cuGraphInstantiateWithFlags(&executable, graph, 0);
    driver().cuGraphDestroy(graph);
    check(error, "making a graph of a step");
    return executable;
  }

  void abandon_capture(Stream stream) const override {
    CapturedGraph graph = nullptr;
    driver().cuStreamEndCapture(stream, &graph);
    if (graph) driver().cuGraphDestroy(graph);
  }

  void replay(Graph graph, Stream stream) const override {
    check(driver().cuGraphLaunch(graph, stream), "running a step");
  }

  void destroy_graph(Graph graph) const override { driver().cuGraphExecDestroy(graph); }

  void synchronise_device() const override {
    check(driver().cuCtxSynchronize(), "waiting for the device");
    give_back(current());
  }

  bool capturing(Stream stream) const override {
    int status = 0;
    const Result error = driver().cuStreamIsCapturing(stream, &status);
    if (error == error_capture_implicit) return true;  // the legacy stream, while another one is captured
    check(error, "asking whether the stream is captured");
    return status != 0;
  }

  int device_of(const void* memory) const override {
    const Using in_use(std::max(0, current()));
    const auto ask = [&](void* value, int attribute) {
      return driver().cuPointerGetAttribute(value, attribute, address_of(memory));
    };
    unsigned type = 0, managed = 0;
    const Result error = ask(&type, pointer_attribute_memory_type);
    if (error == error_invalid_value) return -2;
    check(error, "asking where memory lies");
    check(ask(&managed, pointer_attribute_is_managed), "asking where memory lies");
    if (type != memory_type_device || managed) return -1;
    int device = 0;
    check(ask(&device, pointer_attribute_device), "asking where memory lies");
    return device;
  }

  bool loads_kernels() const override { return true; }

  const void* load_kernel(const std::string& code, const std::string& entry) const override {
    Module module = nullptr;
    check(driver().cuModuleLoadData(&module, code.data()), "loading a kernel");
    Function function = nullptr;
    check(driver().cuModuleGetFunction(&function, module, entry.c_str()), "loading a kernel");
    return function;
  }
};

}  // namespace

const DeviceFunctions& device_functions() {
  static const DeviceFunctions* const one =
      new DriverFunctions;  // never destroyed: memory may be released later
  return *one;
}

const Kernel& kernel_named(const std::string& name) { return compiled_kernel(name, ""); }

std::vector<std::string> kernel_names() {
  std::vector<std::string> names;
  for (const auto& [name, expression] : kernel_expressions()) names.push_back(name);
  return names;
}

void set_allocator(Allocator allocator) {
  const std::lock_guard<std::mutex> lock(state().mutex);
  state().allocator = std::move(allocator);
}

void set_driver(const std::string& library) { library_name() = library; }

}  // namespace weightsharing::cuda
