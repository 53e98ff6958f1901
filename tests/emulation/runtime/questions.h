// What tests ask the runtime.
#pragma once

#include "runtime/state.h"

#pragma GCC visibility push(hidden)

namespace emulation {

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

#pragma GCC visibility pop
