// Launching kernels: those that were built in and those that were compiled at run time.
#pragma once

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/queues.h"

#pragma GCC visibility push(hidden)

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

#pragma GCC visibility pop
