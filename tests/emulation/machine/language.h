// What CUDA adds to C++: the words before functions, types of vectors, where a thread is.
#pragma once

#include <math.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
  constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
  constexpr operator uint3() const { return {x, y, z}; }
};

// Sizes and alignments of CUDA: a misaligned access shows under UndefinedBehaviorSanitizer.
#define EMULATION_VECTORS(T, name, alignment2, alignment4)   \
  struct alignas(alignment2) name##2 { T x, y; };            \
  struct alignas(alignment4) name##4 { T x, y, z, w; };      \
  inline name##2 make_##name##2(T x, T y) { return {x, y}; } \
  inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
EMULATION_VECTORS(float, float, 8, 16)
EMULATION_VECTORS(double, double, 16, 16)
EMULATION_VECTORS(int, int, 8, 16)
EMULATION_VECTORS(unsigned, uint, 8, 16)
EMULATION_VECTORS(long long, longlong, 16, 16)
#undef EMULATION_VECTORS

inline uint3 threadIdx{}, blockIdx{};
inline dim3 blockDim, gridDim;
constexpr int warpSize = 32;

namespace emulation {

__extension__ typedef unsigned __int128 Wide;

}  // namespace emulation

#pragma GCC visibility pop
