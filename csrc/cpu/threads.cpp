#include "cpu/threads.h"

#include <pthread.h>

#include <atomic>
#include <stdexcept>

namespace weightsharing {
namespace cpu {
namespace {

std::atomic<int> setting{0};
std::atomic<bool> used{false};
std::atomic<bool> forked{false};

const int registered = pthread_atfork(nullptr, nullptr, [] { forked = used.load(); });

}  // namespace

void note_parallel_region() { used = true; }

int threads_for(int wanted) {
  if (forked) return 1;
  return wanted > 0 ? wanted : thread_count();
}

}  // namespace cpu

int thread_count() {
  const int set = cpu::setting;
  return set > 0 ? set : omp_get_max_threads();
}

void set_thread_count(int threads) {
  if (threads < 1) throw std::invalid_argument("threads must be at least 1, got " + std::to_string(threads));
  cpu::setting = threads;
}

}  // namespace weightsharing
