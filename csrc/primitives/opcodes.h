// The operations of a program, X(name, number of operands). Order is the number: append only, saved files
// hold numbers.
#pragma once

#include "primitives/primitive.h"

// clang-format off
#define WEIGHTSHARING_OPCODES(X)                                                                             \
  X(constant, 0) X(load, 0) X(store, 1) X(add, 2) X(subtract, 2) X(multiply, 2) X(divide, 2) X(modulo, 2)    \
  X(power, 2) X(negate, 1) X(less, 2) X(less_equal, 2) X(greater, 2) X(greater_equal, 2) X(equal, 2)         \
  X(not_equal, 2) X(logical_and, 2) X(logical_or, 2) X(logical_not, 1) X(select, 3) X(minimum, 2)            \
  X(maximum, 2) X(exp, 1) X(log, 1) X(sqrt, 1) X(absolute, 1) X(sin, 1) X(cos, 1) X(tan, 1) X(arcsin, 1)     \
  X(arccos, 1) X(arctan, 1) X(sinh, 1) X(cosh, 1) X(tanh, 1) X(arcsinh, 1) X(arccosh, 1) X(arctanh, 1)       \
  X(log2, 1) X(log10, 1) X(log1p, 1) X(expm1, 1) X(exp2, 1) X(cbrt, 1) X(floor, 1) X(ceil, 1) X(round, 1)    \
  X(sign, 1) X(arctan2, 2) X(uniform, 0) X(normal, 0) X(population_uniform, 0) X(population_normal, 0)
// clang-format on

namespace weightsharing {

enum class Opcode : int {
#define X(name, operands) name,
  WEIGHTSHARING_OPCODES(X)
#undef X
};

// Noise: one draw per unit, or with `population_` that of unit 0 for all of them.
WEIGHTSHARING_PRIMITIVE bool is_noise(Opcode op) {
  return op >= Opcode::uniform && op <= Opcode::population_normal;
}
WEIGHTSHARING_PRIMITIVE bool is_normal(Opcode op) {
  return op == Opcode::normal || op == Opcode::population_normal;
}
WEIGHTSHARING_PRIMITIVE bool is_of_population(Opcode op) { return op >= Opcode::population_uniform; }

}  // namespace weightsharing
