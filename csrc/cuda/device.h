// What a kernel may use besides plain CUDA C++; the same words for nvcc, NVRTC and the emulation on the CPU.
// A .cuh file includes this header, params.h and other .cuh files, nothing else.
//
//   WEIGHTSHARING_SHARED(float, tile, [8][33]);   static shared memory, at the top of a kernel
//   WEIGHTSHARING_DYNAMIC_SHARED(float, buffer);  float* to the dynamic shared memory; both 16-byte aligned
//   WEIGHTSHARING_UNROLL for (...)                `#pragma unroll`, and WEIGHTSHARING_NO_UNROLL the opposite
//   cp_async<16>(&tile[r][c], from);              4, 8 or 16 bytes, both sides aligned to as many
//   cp_async<16>(&tile[r][c], from, 8);           the first 8 bytes (a multiple of 4, also 0), then zeros
//   cp_async_commit(); cp_async_wait<pending>();  then a barrier: a wait is for the thread's own copies
//   maximum(a, b), minimum(a, b)                  NaN if one is NaN; CUDA's max, min, fmax, fmin drop NaN
//   round_to_tf32(x), mma_tf32(d, a, b)           tensor cores, d += a b of m16n8k8 (sm_80 and newer)
//
// CUDA's own names that the emulation knows: threadIdx and the others, __syncthreads (and _or, _and, _count),
// __syncwarp, __shfl_sync (and _up, _down, _xor), __ballot_sync, __any_sync, __all_sync, atomicAdd, Sub, Max,
// Min, And, Or, Xor, Exch, CAS, __ldg, __ldcs, __stcs and their kin, __threadfence, __trap, float4 and its
// kin, the mathematics of <math.h>, min, max, rsqrt, __expf, __fdividef, __fmaf_rn, __float_as_int, __popc,
// __clz and their kin.
//
// The emulation refuses what a GPU may forgive: a thread that ends before a barrier of its block, barriers
// and shuffles reached at different lines, a shuffle from a lane that its mask does not name, a mask with
// lanes beyond the block, a thread that ends with copies it did not wait for. Blocks run one after the other:
// none may wait for another.
#pragma once

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)

#define WEIGHTSHARING_SHARED(T, name, ...) __shared__ __align__(16) T name __VA_ARGS__
#define WEIGHTSHARING_DYNAMIC_SHARED(T, name)                                   \
  extern __shared__ __align__(16) unsigned char weightsharing_dynamic_shared[]; \
  T* const name = reinterpret_cast<T*>(weightsharing_dynamic_shared)
#define WEIGHTSHARING_UNROLL _Pragma("unroll")
#define WEIGHTSHARING_NO_UNROLL _Pragma("unroll 1")

namespace weightsharing::cuda {

template <int bytes>
__device__ __forceinline__ void cp_async(void* shared, const void* global, int source_bytes) {
  static_assert(bytes == 4 || bytes == 8 || bytes == 16, "cp.async copies 4, 8 or 16 bytes");
#if __CUDA_ARCH__ >= 800
  const unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  if constexpr (bytes == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(source_bytes)
                 : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(global), "n"(bytes),
                 "r"(source_bytes)
                 : "memory");
#else
  for (int i = 0; i < bytes / 4; ++i)
    static_cast<unsigned*>(shared)[i] = 4 * i < source_bytes ? static_cast<const unsigned*>(global)[i] : 0;
#endif
}

template <int bytes>
__device__ __forceinline__ void cp_async(void* shared, const void* global) {
  static_assert(bytes == 4 || bytes == 8 || bytes == 16, "cp.async copies 4, 8 or 16 bytes");
#if __CUDA_ARCH__ >= 800
  const unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  if constexpr (bytes == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(global) : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(to), "l"(global), "n"(bytes) : "memory");
#else
  if constexpr (bytes == 16)
    *static_cast<uint4*>(shared) = *static_cast<const uint4*>(global);
  else if constexpr (bytes == 8)
    *static_cast<uint2*>(shared) = *static_cast<const uint2*>(global);
  else
    *static_cast<unsigned*>(shared) = *static_cast<const unsigned*>(global);
#endif
}

__device__ __forceinline__ void cp_async_commit() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until at most `pending` of this thread's committed groups are under way.
template <int pending>
__device__ __forceinline__ void cp_async_wait() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
#endif
}

// Bits of x rounded to the 10-bit mantissa of TF32, ties away from zero.
__device__ __forceinline__ unsigned round_to_tf32(float x) {
  unsigned bits = 0;
#if __CUDA_ARCH__ >= 800
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
#endif
  return bits;
}

// Called by all 32 lanes together. With g = lane / 4 and t = lane % 4 a lane holds
//   of the 16x8 matrix a: (g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4),
//   of the 8x8 matrix b:  (t, g), (t + 4, g),
//   of the 16x8 matrix d: (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1).
__device__ __forceinline__ void mma_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

}  // namespace weightsharing::cuda

#else
#include "emulation.h"
#endif

namespace weightsharing::cuda {

template <class T>
__device__ __forceinline__ T maximum(T a, T b) {
  return a > b || a != a ? a : b;
}

template <class T>
__device__ __forceinline__ T minimum(T a, T b) {
  return a < b || a != a ? a : b;
}

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
// One instruction instead of three.
template <>
__device__ __forceinline__ float maximum(float a, float b) {
  float result;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(result) : "f"(a), "f"(b));
  return result;
}

template <>
__device__ __forceinline__ float minimum(float a, float b) {
  float result;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(result) : "f"(a), "f"(b));
  return result;
}
#endif

}  // namespace weightsharing::cuda
