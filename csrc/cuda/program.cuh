// Runs a program for one unit. Where NVRTC is at hand the program is compiled with the kernel
// (WEIGHTSHARING_COMPILED_PROGRAM), elsewhere an interpreter serves. Its code is the same for all threads of
// a warp, so that they never diverge and its loads are broadcasts. Both give the same result bit for bit.
#pragma once

#include "cuda/device.h"
#include "cuda/noise.cuh"
#include "cuda/params.h"
#include "primitives/opcodes.h"

namespace weightsharing::cuda {

#define WEIGHTSHARING_UNARY(name, single)                              \
  inline __device__ float math_##name(float x) { return ::single(x); } \
  inline __device__ double math_##name(double x) { return ::name(x); }
#define WEIGHTSHARING_BINARY(name, single)                                         \
  inline __device__ float math_##name(float x, float y) { return ::single(x, y); } \
  inline __device__ double math_##name(double x, double y) { return ::name(x, y); }
WEIGHTSHARING_UNARY(exp, expf)
WEIGHTSHARING_UNARY(log, logf)
WEIGHTSHARING_UNARY(sqrt, sqrtf)
WEIGHTSHARING_UNARY(fabs, fabsf)
WEIGHTSHARING_UNARY(sin, sinf)
WEIGHTSHARING_UNARY(cos, cosf)
WEIGHTSHARING_UNARY(tan, tanf)
WEIGHTSHARING_UNARY(asin, asinf)
WEIGHTSHARING_UNARY(acos, acosf)
WEIGHTSHARING_UNARY(atan, atanf)
WEIGHTSHARING_UNARY(sinh, sinhf)
WEIGHTSHARING_UNARY(cosh, coshf)
WEIGHTSHARING_UNARY(tanh, tanhf)
WEIGHTSHARING_UNARY(asinh, asinhf)
WEIGHTSHARING_UNARY(acosh, acoshf)
WEIGHTSHARING_UNARY(atanh, atanhf)
WEIGHTSHARING_UNARY(log2, log2f)
WEIGHTSHARING_UNARY(log10, log10f)
WEIGHTSHARING_UNARY(log1p, log1pf)
WEIGHTSHARING_UNARY(expm1, expm1f)
WEIGHTSHARING_UNARY(exp2, exp2f)
WEIGHTSHARING_UNARY(cbrt, cbrtf)
WEIGHTSHARING_UNARY(floor, floorf)
WEIGHTSHARING_UNARY(ceil, ceilf)
WEIGHTSHARING_UNARY(nearbyint, nearbyintf)
WEIGHTSHARING_BINARY(pow, powf)
WEIGHTSHARING_BINARY(fmod, fmodf)
WEIGHTSHARING_BINARY(atan2, atan2f)
#undef WEIGHTSHARING_UNARY
#undef WEIGHTSHARING_BINARY

// What each operation computes from x, or from x and y: for the interpreter and for compiled programs alike.
// clang-format off
#define WEIGHTSHARING_UNARY_FORMULAS(X) \
  X(negate, -x) \
  X(logical_not, x == T(0) ? T(1) : T(0)) \
  X(exp, math_exp(x)) \
  X(log, math_log(x)) \
  X(sqrt, math_sqrt(x)) \
  X(absolute, math_fabs(x)) \
  X(sin, math_sin(x)) \
  X(cos, math_cos(x)) \
  X(tan, math_tan(x)) \
  X(arcsin, math_asin(x)) \
  X(arccos, math_acos(x)) \
  X(arctan, math_atan(x)) \
  X(sinh, math_sinh(x)) \
  X(cosh, math_cosh(x)) \
  X(tanh, math_tanh(x)) \
  X(arcsinh, math_asinh(x)) \
  X(arccosh, math_acosh(x)) \
  X(arctanh, math_atanh(x)) \
  X(log2, math_log2(x)) \
  X(log10, math_log10(x)) \
  X(log1p, math_log1p(x)) \
  X(expm1, math_expm1(x)) \
  X(exp2, math_exp2(x)) \
  X(cbrt, math_cbrt(x)) \
  X(floor, math_floor(x)) \
  X(ceil, math_ceil(x)) \
  X(round, math_nearbyint(x)) \
  X(sign, x > T(0) ? T(1) : x < T(0) ? T(-1) : x)
#define WEIGHTSHARING_BINARY_FORMULAS(X) \
  X(add, x + y) \
  X(subtract, x - y) \
  X(multiply, x * y) \
  X(divide, x / y) \
  X(modulo, math_fmod(x, y)) \
  X(power, math_pow(x, y)) \
  X(less, x < y ? T(1) : T(0)) \
  X(less_equal, x <= y ? T(1) : T(0)) \
  X(greater, x > y ? T(1) : T(0)) \
  X(greater_equal, x >= y ? T(1) : T(0)) \
  X(equal, x == y ? T(1) : T(0)) \
  X(not_equal, x != y ? T(1) : T(0)) \
  X(logical_and, x != T(0) && y != T(0) ? T(1) : T(0)) \
  X(logical_or, x != T(0) || y != T(0) ? T(1) : T(0)) \
  X(minimum, x != x ? x : x > y ? y : y != y ? y : x) \
  X(maximum, x != x ? x : x < y ? y : y != y ? y : x) \
  X(arctan2, math_atan2(x, y))
// clang-format on

#define X(name, formula)               \
  template <class T>                   \
  inline __device__ T op_##name(T x) { \
    return formula;                    \
  }
WEIGHTSHARING_UNARY_FORMULAS(X)
#undef X
#define X(name, formula)                    \
  template <class T>                        \
  inline __device__ T op_##name(T x, T y) { \
    return formula;                         \
  }
WEIGHTSHARING_BINARY_FORMULAS(X)
#undef X
template <class T>
inline __device__ T op_select(T x, T y, T z) {
  return x != T(0) ? y : z;
}

#if defined(WEIGHTSHARING_COMPILED_PROGRAM)

// Defined by the text of expression/generate.h, which is compiled behind this header.
template <class T, class Load, class Store, class Draw>
inline __device__ void compiled_program(Load load, Store store, Draw draw);

template <class T, class Load, class Store, class Draw = NoNoise>
inline __device__ void run_program(const Program<T>&, Load load, Store store, Draw draw = {}) {
  compiled_program<T>(load, store, draw);
}

#else

constexpr int most_slots = 64;  // as include/weightsharing/program.h

// load(i): input i of this unit. store(i, value): its output i. draw: where its noise comes from.
template <class T, class Load, class Store, class Draw = NoNoise>
inline __device__ void run_program(const Program<T>& program, Load load, Store store, Draw draw = {}) {
  T slot[most_slots];
  for (int32_t i = 0; i < program.length; ++i) {
    const int32_t* row = program.code + 5 * static_cast<int64_t>(i);
    const auto op = static_cast<Opcode>(row[0]);
    const int32_t destination = row[1], a = row[2];
    if (op == Opcode::constant) {
      slot[destination] = program.constants[a];
      continue;
    }
    if (op == Opcode::load) {
      slot[destination] = load(a);
      continue;
    }
    if (op == Opcode::store) {
      store(destination, slot[a]);
      continue;
    }
    if (is_noise(op)) {
      slot[destination] = draw(is_normal(op), is_of_population(op), a, T(0));
      continue;
    }
    // Only operands are looked up: a unary row may hold anything in b and c.
    const T x = slot[a];
    T value = x;
    switch (op) {
#define X(name, formula)  \
  case Opcode::name:      \
    value = op_##name(x); \
    break;
      WEIGHTSHARING_UNARY_FORMULAS(X)
#undef X
#define X(name, formula)                \
  case Opcode::name:                    \
    value = op_##name(x, slot[row[3]]); \
    break;
      WEIGHTSHARING_BINARY_FORMULAS(X)
#undef X
      case Opcode::select:
        value = op_select(x, slot[row[3]], slot[row[4]]);
        break;
      default:
        break;  // constant, load, store and noise are above
    }
    slot[destination] = value;
  }
}

#endif

// A psp of (weight, rate).
template <class T>
inline __device__ T run_psp(const Program<T>& program, T weight, T rate) {
  T result = T(0);
  run_program(
      program, [&](int32_t i) { return i == 0 ? weight : rate; }, [&](int32_t, T value) { result = value; });
  return result;
}

// A program of one input and one output.
template <class T>
inline __device__ T apply_program(const Program<T>& program, T x) {
  T result = T(0);
  run_program(program, [&](int32_t) { return x; }, [&](int32_t, T value) { result = value; });
  return result;
}

}  // namespace weightsharing::cuda
