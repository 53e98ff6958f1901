// Runs a program over blocks of program_block units, one operation at a time, so that every operation is one
// vector loop. Block lengths are always whole: the units past the end repeat the last one, so a unit's value
// never depends on its place.
#pragma once

#include "cpu/vector.h"
#include "primitives/opcodes.h"
#include "primitives/random.h"

// libmvec (glibc, x86-64) declares its vector versions only under -ffast-math; named here they serve at full
// IEEE semantics with at most 4 ulp of error. Elsewhere the loops call the scalar functions.
#define WEIGHTSHARING_SCALAR_MATH(name)                      \
  extern "C" float name##f(float) noexcept;                  \
  extern "C" double name(double) noexcept;                   \
  namespace weightsharing::cpu::WEIGHTSHARING_ISA {          \
  namespace {                                                \
  inline float math_##name(float x) { return ::name##f(x); } \
  inline double math_##name(double x) { return ::name(x); }  \
  }                                                          \
  }
#if defined(WEIGHTSHARING_LIBMVEC)
#define WEIGHTSHARING_SIMD __attribute__((__simd__("notinbranch")))
#else
#define WEIGHTSHARING_SIMD
#endif
extern "C" {
WEIGHTSHARING_SIMD float expf(float) noexcept;
WEIGHTSHARING_SIMD double exp(double) noexcept;
WEIGHTSHARING_SIMD float logf(float) noexcept;
WEIGHTSHARING_SIMD double log(double) noexcept;
WEIGHTSHARING_SIMD float sinf(float) noexcept;
WEIGHTSHARING_SIMD double sin(double) noexcept;
WEIGHTSHARING_SIMD float cosf(float) noexcept;
WEIGHTSHARING_SIMD double cos(double) noexcept;
WEIGHTSHARING_SIMD float powf(float, float) noexcept;
WEIGHTSHARING_SIMD double pow(double, double) noexcept;
float fmodf(float, float) noexcept;
double fmod(double, double) noexcept;
float atan2f(float, float) noexcept;
double atan2(double, double) noexcept;
}
WEIGHTSHARING_SCALAR_MATH(exp)
WEIGHTSHARING_SCALAR_MATH(log)
WEIGHTSHARING_SCALAR_MATH(sin)
WEIGHTSHARING_SCALAR_MATH(cos)
WEIGHTSHARING_SCALAR_MATH(tan)
WEIGHTSHARING_SCALAR_MATH(asin)
WEIGHTSHARING_SCALAR_MATH(acos)
WEIGHTSHARING_SCALAR_MATH(atan)
WEIGHTSHARING_SCALAR_MATH(sinh)
WEIGHTSHARING_SCALAR_MATH(cosh)
WEIGHTSHARING_SCALAR_MATH(tanh)
WEIGHTSHARING_SCALAR_MATH(asinh)
WEIGHTSHARING_SCALAR_MATH(acosh)
WEIGHTSHARING_SCALAR_MATH(atanh)
WEIGHTSHARING_SCALAR_MATH(log2)
WEIGHTSHARING_SCALAR_MATH(log10)
WEIGHTSHARING_SCALAR_MATH(log1p)
WEIGHTSHARING_SCALAR_MATH(expm1)
WEIGHTSHARING_SCALAR_MATH(exp2)
WEIGHTSHARING_SCALAR_MATH(cbrt)
#undef WEIGHTSHARING_SCALAR_MATH
#undef WEIGHTSHARING_SIMD

namespace weightsharing::cpu::WEIGHTSHARING_ISA {
namespace {

inline float math_pow(float x, float y) { return ::powf(x, y); }
inline double math_pow(double x, double y) { return ::pow(x, y); }
inline float math_fmod(float x, float y) { return ::fmodf(x, y); }
inline double math_fmod(double x, double y) { return ::fmod(x, y); }
inline float math_atan2(float x, float y) { return ::atan2f(x, y); }
inline double math_atan2(double x, double y) { return ::atan2(x, y); }
inline float math_sqrt(float x) { return __builtin_sqrtf(x); }
inline double math_sqrt(double x) { return __builtin_sqrt(x); }
inline float math_fabs(float x) { return __builtin_fabsf(x); }
inline double math_fabs(double x) { return __builtin_fabs(x); }
inline float math_floor(float x) { return __builtin_floorf(x); }
inline double math_floor(double x) { return __builtin_floor(x); }
inline float math_ceil(float x) { return __builtin_ceilf(x); }
inline double math_ceil(double x) { return __builtin_ceil(x); }
inline float math_round(float x) { return __builtin_nearbyintf(x); }
inline double math_round(double x) { return __builtin_nearbyint(x); }

// The words of a block of units, those of one group side by side in `word[0]` to `word[3]`.
template <int groups>
struct BlockOfWords {
  unsigned word[4][groups];

  BlockOfWords(const NoiseBlock& noise, unsigned occurrence, Index units_per_group) {
    const Index first = noise.unit / units_per_group;
    _Pragma("omp simd") for (int g = 0; g < groups; ++g) {
      const NoiseWords words = noise_words(noise.key, static_cast<unsigned long long>(first + g),
                                           static_cast<unsigned long long>(noise.step), occurrence);
      for (int j = 0; j < 4; ++j) word[j][g] = words.word[j];
    }
  }
};

// One raw draw for each unit of a block that begins at a whole group.
inline void draw_uniform(float* d, const NoiseBlock& noise, unsigned occurrence) {
  constexpr int groups = program_block / 4;
  const BlockOfWords<groups> words(noise, occurrence, 4);
  for (int g = 0; g < groups; ++g)
    for (int j = 0; j < 4; ++j) d[4 * g + j] = uniform_from(words.word[j][g]);
}
inline void draw_uniform(double* d, const NoiseBlock& noise, unsigned occurrence) {
  constexpr int groups = program_block / 2;
  const BlockOfWords<groups> words(noise, occurrence, 2);
  for (int g = 0; g < groups; ++g)
    for (int j = 0; j < 2; ++j) d[2 * g + j] = uniform_from(words.word[2 * j][g], words.word[2 * j + 1][g]);
}

// Box and Muller: of two evenly distributed numbers two normal ones, for neighbouring units.
template <class T>
inline void box_muller(T* d, const T* radius_from, const T* turn) {
  T radius[program_block / 2], sine[program_block / 2], cosine[program_block / 2];
  _Pragma("omp simd") for (int k = 0; k < program_block / 2; ++k) {
    radius[k] = math_sqrt(T(-2) * math_log(radius_from[k]));
    const T angle = T(6.283185307179586477) * turn[k];
    sine[k] = math_sin(angle);
    cosine[k] = math_cos(angle);
  }
  for (int k = 0; k < program_block / 2; ++k) {
    d[2 * k] = radius[k] * cosine[k];
    d[2 * k + 1] = radius[k] * sine[k];
  }
}
inline void draw_normal(float* d, const NoiseBlock& noise, unsigned occurrence) {
  constexpr int groups = program_block / 4;
  const BlockOfWords<groups> words(noise, occurrence, 4);
  float radius_from[program_block / 2], turn[program_block / 2];
  for (int g = 0; g < groups; ++g)
    for (int j = 0; j < 2; ++j) {
      radius_from[2 * g + j] = positive_uniform_from(words.word[2 * j][g]);
      turn[2 * g + j] = uniform_from(words.word[2 * j + 1][g]);
    }
  box_muller(d, radius_from, turn);
}
inline void draw_normal(double* d, const NoiseBlock& noise, unsigned occurrence) {
  constexpr int groups = program_block / 2;
  const BlockOfWords<groups> words(noise, occurrence, 2);
  double radius_from[groups], turn[groups];
  for (int g = 0; g < groups; ++g) {
    radius_from[g] = positive_uniform_from(words.word[0][g], words.word[1][g]);
    turn[g] = uniform_from(words.word[2][g], words.word[3][g]);
  }
  box_muller(d, radius_from, turn);
}

// One block. A slot is a pointer, so that a whole block of an input is read where it lies.
template <class T>
void run_program(const ProgramView<T>& program, const ProgramInput<T>* inputs, T* const* outputs, Index n,
                 T* scratch, const NoiseBlock* noise) {
  constexpr int block = program_block;
  const T* slot[64];
  for (int i = 0; i < program.length; ++i) {
    const int32_t* row = program.code + 5 * i;
    const auto op = static_cast<Opcode>(row[0]);
    const int dst = row[1];
    if (op == Opcode::store) {
      copy(outputs[dst], slot[row[2]], n);
      continue;
    }
    T* d = scratch + dst * block;
    if (op == Opcode::constant) {
      fill(d, program.constants[row[2]], Index{block});
      slot[dst] = d;
      continue;
    }
    if (op == Opcode::load) {
      const ProgramInput<T>& input = inputs[row[2]];
      if (input.step && n == block && !program.copies_inputs) {
        slot[dst] = input.data;
      } else {
        const Index known = input.step ? n : 1;
        copy(d, input.data, known);
        fill(d + known, input.data[known - 1], block - known);
        slot[dst] = d;
      }
      continue;
    }
    if (is_noise(op)) {
      NoiseBlock from = *noise;
      if (is_of_population(op)) from.unit = 0;
      is_normal(op) ? draw_normal(d, from, static_cast<unsigned>(row[2]))
                    : draw_uniform(d, from, static_cast<unsigned>(row[2]));
      if (is_of_population(op)) fill(d + 1, d[0], Index{block - 1});
      slot[dst] = d;
      continue;
    }
    // Only operands are looked up: a unary row may hold anything in b and c.
    const T* a = slot[row[2]];
    switch (op) {
#define UNARY(name, value)                                \
  case Opcode::name:                                      \
    _Pragma("omp simd") for (int k = 0; k < block; ++k) { \
      const T x = a[k];                                   \
      d[k] = value;                                       \
    }                                                     \
    break;
#define BINARY(name, value)                               \
  case Opcode::name: {                                    \
    const T* b = slot[row[3]];                            \
    _Pragma("omp simd") for (int k = 0; k < block; ++k) { \
      const T x = a[k], y = b[k];                         \
      d[k] = value;                                       \
    }                                                     \
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
      BINARY(logical_and, ((x != T(0)) & (y != T(0))) ? T(1) : T(0))
      BINARY(logical_or, ((x != T(0)) | (y != T(0))) ? T(1) : T(0))
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
      UNARY(round, math_round(x))
      UNARY(sign, x > T(0) ? T(1) : x < T(0) ? T(-1) : x)
#undef UNARY
#undef BINARY
      case Opcode::select: {
        const T *b = slot[row[3]], *c = slot[row[4]];
        _Pragma("omp simd") for (int k = 0; k < block; ++k) d[k] = a[k] != T(0) ? b[k] : c[k];
      } break;
      default:
        break;  // constant, load, store and noise are above
    }
    slot[dst] = d;
  }
}

// y[0..n) := f(y[0..n)) for a program of one input and one output.
template <class T>
void apply_program(const ProgramView<T>& program, T* y, Index n, T* scratch) {
  for (Index i = 0; i < n; i += program_block) {
    const ProgramInput<T> input{y + i, 1};
    T* output = y + i;
    run_program(program, &input, &output, smaller(program_block, n - i), scratch, nullptr);
  }
}

}  // namespace
}  // namespace weightsharing::cpu::WEIGHTSHARING_ISA
