// Loads and stores with a cache hint, and atomic operations.
#pragma once

#include <type_traits>

#include "machine/language.h"

#pragma GCC visibility push(hidden)

namespace emulation {

template <class T>
struct Same {
  using type = T;
};
template <class T>
using same = typename Same<T>::type;  // not deduced from

}  // namespace emulation

#define EMULATION_LOAD(name) \
  template <class T>         \
  T name(const T* from) {    \
    return *from;            \
  }
#define EMULATION_STORE(name)                  \
  template <class T>                           \
  void name(T* to, emulation::same<T> value) { \
    *to = value;                               \
  }
EMULATION_LOAD(__ldg)
EMULATION_LOAD(__ldca)
EMULATION_LOAD(__ldcg)
EMULATION_LOAD(__ldcs)
EMULATION_LOAD(__ldlu)
EMULATION_LOAD(__ldcv)
EMULATION_STORE(__stwb)
EMULATION_STORE(__stcg)
EMULATION_STORE(__stcs)
EMULATION_STORE(__stwt)
#undef EMULATION_LOAD
#undef EMULATION_STORE

// Atomic for ThreadSanitizer too: a plain access beside an atomic one is a race.
#define EMULATION_ATOMIC(name, allowed, changed)                                                    \
  template <class T>                                                                                \
  T name(T* at, emulation::same<T> value) {                                                         \
    static_assert(allowed, #name " has no such type in CUDA");                                      \
    T old, next;                                                                                    \
    __atomic_load(at, &old, __ATOMIC_RELAXED);                                                      \
    do next = changed;                                                                              \
    while (!__atomic_compare_exchange(at, &old, &next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)); \
    return old;                                                                                     \
  }
namespace emulation {
template <class T, class... Ts>
constexpr bool is_one_of = (std::is_same_v<T, Ts> || ...);
template <class T>
constexpr bool is_word = is_one_of<T, int, unsigned, unsigned long long>;
}  // namespace emulation
EMULATION_ATOMIC(atomicAdd, (emulation::is_word<T> || emulation::is_one_of<T, float, double>), T(old + value))
EMULATION_ATOMIC(atomicSub, (emulation::is_one_of<T, int, unsigned>), T(old - value))
EMULATION_ATOMIC(atomicMax, (emulation::is_word<T> || emulation::is_one_of<T, long long>),
                 (old > value ? old : value))
EMULATION_ATOMIC(atomicMin, (emulation::is_word<T> || emulation::is_one_of<T, long long>),
                 (old < value ? old : value))
EMULATION_ATOMIC(atomicAnd, emulation::is_word<T>, T(old& value))
EMULATION_ATOMIC(atomicOr, emulation::is_word<T>, T(old | value))
EMULATION_ATOMIC(atomicXor, emulation::is_word<T>, T(old ^ value))
EMULATION_ATOMIC(atomicExch, (emulation::is_word<T> || emulation::is_one_of<T, float>), value)
#undef EMULATION_ATOMIC
template <class T>
T atomicCAS(T* at, emulation::same<T> compare, emulation::same<T> value) {
  static_assert(emulation::is_word<T>, "atomicCAS has no such type in CUDA");
  __atomic_compare_exchange(at, &compare, &value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return compare;
}

#pragma GCC visibility pop
