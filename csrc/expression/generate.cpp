#include "expression/generate.h"

#include <array>
#include <cmath>
#include <stdexcept>

#include "primitives/opcodes.h"

namespace weightsharing {
namespace {

struct Operation {
  const char* name;
  int operands;
};

constexpr Operation operations[] = {
#define X(name, operands) {#name, operands},
    WEIGHTSHARING_OPCODES(X)
#undef X
};

// Exact, and the same under every locale: a hexadecimal integer times a power of two.
std::string literal(double value) {
  if (std::isnan(value)) return "T(__int_as_float(0x7fc00000))";
  const std::string sign = std::signbit(value) ? "-" : "";
  if (std::isinf(value)) return sign + "T(__int_as_float(0x7f800000))";
  int exponent = 0;
  auto digits = static_cast<unsigned long long>(std::ldexp(std::frexp(std::fabs(value), &exponent), 53));
  std::string hexadecimal;
  for (; digits; digits /= 16) hexadecimal.insert(hexadecimal.begin(), "0123456789abcdef"[digits % 16]);
  return "T(" + sign + "0x" + (hexadecimal.empty() ? "0" : hexadecimal) + "p" +
         std::to_string(exponent - 53) + ")";
}

}  // namespace

std::string generate(const Program& program) {
  std::string text =
      "template <class T, class Load, class Store, class Draw>\n"
      "inline __device__ void compiled_program(Load load, Store store, Draw draw) {\n";
  // Every row defines a value of its own; slots only say which of them is meant.
  std::array<int, Program::most_slots> value_in{};
  value_in.fill(-1);
  for (int i = 0; i < program.length(); ++i) {
    const std::int32_t* row = program.code.data() + Program::row * i;
    const Operation& operation = operations[row[0]];
    const auto operand = [&](int k) {
      const int value = value_in[static_cast<std::size_t>(row[2 + k])];
      if (value < 0) throw std::invalid_argument("program: a slot is read before it is written");
      return "v" + std::to_string(value);
    };
    const auto opcode = static_cast<Opcode>(row[0]);
    if (opcode == Opcode::store) {
      text += "  store(" + std::to_string(row[1]) + ", " + operand(0) + ");\n";
      continue;
    }
    std::string value;
    if (opcode == Opcode::constant) {
      value = literal(program.constants[static_cast<std::size_t>(row[2])]);
    } else if (opcode == Opcode::load) {
      value = "load(" + std::to_string(row[2]) + ")";
    } else if (is_noise(opcode)) {
      const auto word = [](bool yes) { return yes ? "true" : "false"; };
      value = std::string("draw(") + word(is_normal(opcode)) + ", " + word(is_of_population(opcode)) + ", " +
              std::to_string(row[2]) + ", T(0))";
    } else {
      value = std::string("op_") + operation.name + "(";
      for (int k = 0; k < operation.operands; ++k) value += (k ? ", " : "") + operand(k);
      value += ")";
    }
    text += "  const T v" + std::to_string(i) + " = " + value + ";\n";
    value_in[static_cast<std::size_t>(row[1])] = i;
  }
  return text + "}\n";
}

}  // namespace weightsharing
