// What the tests of all kernels share: random numbers, arrays that end where they end, results in long
// double.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "cuda/device.h"
#include "cuda/program.cuh"
#include "cuda/reduction.cuh"
#include "cuda/tiles.h"

namespace weightsharing::cuda {

inline std::mt19937 random_bits(1);
inline long comparisons = 0;

inline int pick(int from, int to) {
  return from + static_cast<int>(random_bits() % static_cast<unsigned>(to - from + 1));
}
inline bool one_in(int n) { return pick(1, n) == 1; }
inline bool one_sign = false;  // rounding errors of a sum add up
template <class T>
T number() {
  return static_cast<T>(pick(one_sign ? 1 : -1000, 1000)) / T(510);
}

// A vector of exactly the elements asked for, at an address that is 16-byte aligned or, with `off` = 1, one
// element past.
template <class T>
struct Array {
  std::vector<T> memory;
  T* data;
  std::size_t size;

  explicit Array(std::size_t n, int off = 0) : memory(n + off), data(memory.data() + off), size(n) {
    for (std::size_t i = 0; i < n; ++i) data[i] = number<T>();
  }
};

[[noreturn]] inline void differ(const std::string& what) {
  std::printf("DIFFERS %s\n", what.c_str());
  std::exit(1);
}

template <class T>
void compare(const std::string& what, T got, T wanted, double tolerance) {
  ++comparisons;
  if (got != got && wanted != wanted) return;
  if (got == wanted) return;
  if (std::abs(static_cast<double>(got) - static_cast<double>(wanted)) <= tolerance) return;
  char text[200];
  std::snprintf(text, sizeof text, ": got %.9g, expected %.9g within %.3g", static_cast<double>(got),
                static_cast<double>(wanted), tolerance);
  differ(what + text);
}

template <class T>
struct Plain {
  int reduction;
  long double sum = 0, magnitude = 0;
  T extreme = 0;
  bool nan = false;
  long count = 0;

  void add(T a, T b) {
    const T product = a * b;
    nan = nan || product != product;
    if (!count || (reduction == reduce_max ? product > extreme : product < extreme)) extreme = product;
    sum += static_cast<long double>(a) * static_cast<long double>(b);
    const long double size = static_cast<long double>(a) * static_cast<long double>(b);
    magnitude += size < 0 ? -size : size;
    ++count;
  }
  T result(long divisor) const {
    if (nan) return std::numeric_limits<T>::quiet_NaN();
    if (!count) return T(0);
    if (reduction == reduce_max || reduction == reduce_min) return extreme;
    return static_cast<T>(reduction == reduce_mean ? sum / divisor : sum);
  }
  // Of the result and of adding it to `before`; exact for max and min that stand alone.
  double tolerance(long divisor, T before) const {
    const double epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());
    if (reduction == reduce_max || reduction == reduce_min)
      return before == T(0)
                 ? 0
                 : epsilon * (std::abs(static_cast<double>(before)) + std::abs(static_cast<double>(extreme)));
    const double size =
        static_cast<double>(reduction == reduce_mean && divisor ? magnitude / divisor : magnitude);
    // Measured of the numbers that are drawn here; section 2 of docs/spec.md says what is proved.
    return epsilon * (4 * size + std::abs(static_cast<double>(before)));
  }
};

struct Code {
  std::vector<int32_t> rows;
  Code& operator()(Opcode op, int destination, int a = 0, int b = 0, int c = 0) {
    for (int value : {static_cast<int>(op), destination, a, b, c}) rows.push_back(value);
    return *this;
  }
  template <class T>
  Program<T> program(const T* constants) const {
    return {rows.data(), constants, static_cast<int32_t>(rows.size() / 5), most_slots};
  }
};

// min(w, r) - 0.25: a psp that does not split.
inline Code example_program() {
  Code psp;
  psp(Opcode::load, 0, 0)(Opcode::load, 1, 1)(Opcode::minimum, 0, 0, 1)(Opcode::constant, 1, 0);
  psp(Opcode::subtract, 0, 0, 1)(Opcode::store, 0, 0);
  return psp;
}
template <class T>
T example_psp(T w, T r) {
  return (r != r || w != w ? r + w : w < r ? w : r) - T(0.25);
}

// The families of kernels, a file each. `cases` of each kernel and dtype.
template <class T>
void programs();
template <class T>
void time_keepers();
template <class T>
void exchanges();
template <class T>
void draws();
template <class T>
void synapses(int cases);
template <class T>
void statistics(int cases);
template <class T>
void pools(int cases);
template <class T>
void windows(int cases);
void tf32_on_hard_data();

}  // namespace weightsharing::cuda
