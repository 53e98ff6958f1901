// How a function is declared that both devices instantiate.
#pragma once

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define WEIGHTSHARING_PRIMITIVE static __host__ __device__ __forceinline__
#else
// Internal linkage: every instruction set has its own.
#define WEIGHTSHARING_PRIMITIVE static inline __attribute__((always_inline))
#endif
