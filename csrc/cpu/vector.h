// Vectors of the instruction set this file is compiled for, by GCC's vector extension (GCC and Clang, any
// processor).
#pragma once

#include "cpu/kernels.h"

namespace weightsharing::cpu::WEIGHTSHARING_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
constexpr int vector_registers = 32;
#elif defined(__AVX__)
constexpr int vector_bytes = 32;
constexpr int vector_registers = 16;
#else
constexpr int vector_bytes = 16;
constexpr int vector_registers = 16;
#endif

template <class T>
struct VectorOf;
template <>
struct VectorOf<float> {
  typedef float Type __attribute__((vector_size(vector_bytes)));
  typedef float Unaligned __attribute__((vector_size(vector_bytes), aligned(4), may_alias));
};
template <>
struct VectorOf<double> {
  typedef double Type __attribute__((vector_size(vector_bytes)));
  typedef double Unaligned __attribute__((vector_size(vector_bytes), aligned(8), may_alias));
};
template <class T>
using Vector = typename VectorOf<T>::Type;
template <class T>
constexpr int lanes = vector_bytes / sizeof(T);

template <class T>
inline Vector<T> load(const T* p) {
  return *reinterpret_cast<const typename VectorOf<T>::Unaligned*>(p);
}
template <class T>
inline void store(T* p, Vector<T> v) {
  *reinterpret_cast<typename VectorOf<T>::Unaligned*>(p) = v;
}
template <class T>
inline Vector<T> broadcast(T value) {
  return value - Vector<T>{};
}
template <class T>
inline void copy(T* to, const T* from, Index n) {
  if (n > 0) __builtin_memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
}
template <class T>
inline void fill(T* to, T value, Index n) {
  for (Index i = 0; i < n; ++i) to[i] = value;
}

inline Index smaller(Index a, Index b) { return a < b ? a : b; }
inline Index larger(Index a, Index b) { return a > b ? a : b; }

// Reductions. `keep_nan` is the form whose result is NaN when any element is; the other one may be used only
// where no element can be NaN, and is one instruction (maxps keeps its second operand when they are
// unordered).
template <class T>
constexpr T infinity = static_cast<T>(__builtin_inf());

template <int reduction, class T>
constexpr T identity = reduction == reduce_max   ? -infinity<T>
                       : reduction == reduce_min ? infinity<T>
                                                 : T(0);

template <int reduction, bool keep_nan, class V>
inline V combine(V acc, V value) {
  if constexpr (reduction == reduce_max) {
    V larger = value > acc ? value : acc;
    if constexpr (keep_nan)
      larger = value != value ? value : larger;  // acc NaN: the comparison is false and keeps it
    return larger;
  } else if constexpr (reduction == reduce_min) {
    V smaller = value < acc ? value : acc;
    if constexpr (keep_nan) smaller = value != value ? value : smaller;
    return smaller;
  } else {
    return acc + value;
  }
}

// Adds the taps of one weight: a fused multiply-add for sums where the instruction set has it.
template <int reduction, bool keep_nan, class V, class W>
inline V contribute(V acc, W weight, V value) {
  if constexpr (reduction == reduce_sum) {
    return acc + weight * value;
  } else {
    return combine<reduction, keep_nan>(acc, weight * value);
  }
}

// Long sums: partial sums of chunk_taps terms, added up in a tower of levels of eight, so that the rounding
// error grows with the logarithm of the number of terms. The shape depends on the number of terms alone.
// `Value` needs += and zeros from {}.
template <class Value>
struct Tower {
  static constexpr int depth = 6, fan_in = 8;  // 8^6 chunks before the last level adds in sequence
  Value level[depth];
  int count[depth] = {};

  inline void add(const Value& value) {
    const Value* carry = &value;
    for (int d = 0;; ++d) {
      if (count[d] == 0)
        level[d] = *carry;
      else
        level[d] += *carry;
      if (++count[d] < fan_in || d == depth - 1) return;
      count[d] = 0;
      carry = &level[d];
    }
  }
  // At least one value was added.
  inline Value total() const {
    Value sum{};
    bool empty = true;
    for (int d = 0; d < depth; ++d) {
      if (count[d] == 0) continue;
      if (empty)
        sum = level[d];
      else
        sum += level[d];
      empty = false;
    }
    return sum;
  }
};

// Several numbers or vectors that are added together.
template <class V, int n>
struct Several {
  V v[n];
  inline Several& operator+=(const Several& other) {
    for (int i = 0; i < n; ++i) v[i] += other.v[i];
    return *this;
  }
};

}  // namespace
}  // namespace weightsharing::cpu::WEIGHTSHARING_ISA
