// Runs a program for one unit: the interpreter that serves a psp or an equation where nothing was compiled
// for it. The code is the same for all threads of a warp, so that they never diverge and its loads are
// broadcasts.
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
    if (op == Opcode::uniform || op == Opcode::normal) {
      slot[destination] = draw(op == Opcode::normal, a, T(0));
      continue;
    }
    // Only operands are looked up: a unary row may hold anything in b and c.
    const T x = slot[a];
    T value = x;
    switch (op) {
#define UNARY(name, result) \
  case Opcode::name:        \
    value = result;         \
    break;
#define BINARY(name, result)  \
  case Opcode::name: {        \
    const T y = slot[row[3]]; \
    value = result;           \
  } break;
      BINARY(add, x + y)
      BINARY(subtract, x - y)
      BINARY(multiply, x * y)
      BINARY(divide, x / y)
      BINARY(modulo, math_fmod(x, y))
      BINARY(power, math_pow(x, y))
      BINARY(less, x < y ? T(1) : T(0))
      BINARY(less_equal, x <= y ? T(1) : T(0))
      BINARY(greater, x > y ? T(1) : T(0))
      BINARY(greater_equal, x >= y ? T(1) : T(0))
      BINARY(equal, x == y ? T(1) : T(0))
      BINARY(not_equal, x != y ? T(1) : T(0))
      BINARY(logical_and, x != T(0) && y != T(0) ? T(1) : T(0))
      BINARY(logical_or, x != T(0) || y != T(0) ? T(1) : T(0))
      BINARY(minimum, x != x ? x : x > y ? y : y != y ? y : x)
      BINARY(maximum, x != x ? x : x < y ? y : y != y ? y : x)
      BINARY(arctan2, math_atan2(x, y))
      UNARY(negate, -x)
      UNARY(logical_not, x == T(0) ? T(1) : T(0))
      UNARY(exp, math_exp(x))
      UNARY(log, math_log(x))
      UNARY(sqrt, math_sqrt(x))
      UNARY(absolute, math_fabs(x))
      UNARY(sin, math_sin(x))
      UNARY(cos, math_cos(x))
      UNARY(tan, math_tan(x))
      UNARY(arcsin, math_asin(x))
      UNARY(arccos, math_acos(x))
      UNARY(arctan, math_atan(x))
      UNARY(sinh, math_sinh(x))
      UNARY(cosh, math_cosh(x))
      UNARY(tanh, math_tanh(x))
      UNARY(arcsinh, math_asinh(x))
      UNARY(arccosh, math_acosh(x))
      UNARY(arctanh, math_atanh(x))
      UNARY(log2, math_log2(x))
      UNARY(log10, math_log10(x))
      UNARY(log1p, math_log1p(x))
      UNARY(expm1, math_expm1(x))
      UNARY(exp2, math_exp2(x))
      UNARY(cbrt, math_cbrt(x))
      UNARY(floor, math_floor(x))
      UNARY(ceil, math_ceil(x))
      UNARY(round, math_nearbyint(x))
      UNARY(sign, x > T(0) ? T(1) : x < T(0) ? T(-1) : x)
#undef UNARY
#undef BINARY
      case Opcode::select:
        value = slot[x != T(0) ? row[3] : row[4]];
        break;
      default:
        break;  // constant, load, store and noise are above
    }
    slot[destination] = value;
  }
}

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
