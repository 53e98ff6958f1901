// What the planted bugs and the kernels without share: expectations, numbers, a launch that is compared.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/device.h"

namespace planted {

using namespace weightsharing::cuda;

struct WrongResult : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void expect(bool right, const char* what) {
  if (!right) throw WrongResult(what);
}
#define EXPECT(condition) expect(condition, #condition)

inline void expect_error(cudaError_t error, cudaError_t expected, const std::string& words = "") {
  if (error != expected)
    throw WrongResult(std::string("got ") + cudaGetErrorName(error) + " (" + cudaGetErrorString(error) +
                      "), expected " + cudaGetErrorName(expected));
  if (std::string(cudaGetErrorString(error)).find(words) == std::string::npos)
    throw WrongResult(std::string("the message '") + cudaGetErrorString(error) + "' does not say '" + words +
                      "'");
  cudaGetLastError();
}

// Fails as the emulation does, with its words.
inline void require_success(cudaError_t error) {
  if (error) throw emulation::Error(std::string(cudaGetErrorName(error)) + ": " + cudaGetErrorString(error));
}

inline std::vector<float> numbers(int n) {
  std::vector<float> values(n);
  for (int i = 0; i < n; ++i) values[i] = static_cast<float>((i * 37 + 11) % 101 - 50);
  return values;
}

struct Arrays {
  const float* from;
  float* to;
  int n;
};

constexpr int block_size = 96;
constexpr int units = 5 * block_size + 17;

// Runs a kernel on `units` numbers and compares; what lies beyond the arrays is out of bounds for
// AddressSanitizer.
template <auto kernel>
inline void compare(const std::function<float(const std::vector<float>&, int)>& expected, size_t shared = 0,
                    int n = units) {
  const std::vector<float> from = numbers(n);
  std::vector<float> to(n, -1);
  emulation::launch<kernel>(dim3((n + block_size - 1) / block_size), dim3(block_size),
                            Arrays{from.data(), to.data(), n}, shared);
  for (int i = 0; i < n; ++i) expect(to[i] == expected(from, i), "a unit has another value");
}

inline int block_start(int i) { return i / block_size * block_size; }
inline int block_end(const std::vector<float>& v, int i) {
  return std::min(block_start(i) + block_size, static_cast<int>(v.size())) - 1;
}

enum Bug { none, no_barrier, one_off, no_guard, early_return, other_line };

}  // namespace planted
