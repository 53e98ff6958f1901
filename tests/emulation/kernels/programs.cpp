// Every operation of the interpreter against the C++ library.

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "cuda/program.cuh"
#include "kernels/cases.h"

namespace weightsharing::cuda {

template <class T>
void programs() {
  const T nan = std::numeric_limits<T>::quiet_NaN(), infinity = std::numeric_limits<T>::infinity();
  const std::vector<T> values{nan,   infinity, -infinity, T(0),   T(-0.0), T(1),
                              T(-1), T(2.5),   T(-2.5),   T(3.5), T(0.3),  T(-0.7)};
  struct Binary {
    Opcode op;
    std::function<T(T, T)> f;
  };
  const auto truth = [](bool value) { return value ? T(1) : T(0); };
  const std::vector<Binary> binary{
      {Opcode::add, [](T x, T y) { return x + y; }},
      {Opcode::subtract, [](T x, T y) { return x - y; }},
      {Opcode::multiply, [](T x, T y) { return x * y; }},
      {Opcode::divide, [](T x, T y) { return x / y; }},
      {Opcode::modulo, [](T x, T y) { return std::fmod(x, y); }},
      {Opcode::power, [](T x, T y) { return std::pow(x, y); }},
      {Opcode::less, [&](T x, T y) { return truth(x < y); }},
      {Opcode::less_equal, [&](T x, T y) { return truth(x <= y); }},
      {Opcode::greater, [&](T x, T y) { return truth(x > y); }},
      {Opcode::greater_equal, [&](T x, T y) { return truth(x >= y); }},
      {Opcode::equal, [&](T x, T y) { return truth(x == y); }},
      {Opcode::not_equal, [&](T x, T y) { return truth(x != y); }},
      {Opcode::logical_and, [&](T x, T y) { return truth(x != 0 && y != 0); }},
      {Opcode::logical_or, [&](T x, T y) { return truth(x != 0 || y != 0); }},
      {Opcode::minimum, [](T x, T y) { return x != x || y != y ? x + y : std::min(x, y); }},
      {Opcode::maximum, [](T x, T y) { return x != x || y != y ? x + y : std::max(x, y); }},
      {Opcode::arctan2, [](T x, T y) { return std::atan2(x, y); }}};
  for (const Binary& b : binary)
    for (T x : values)
      for (T y : values) {
        const Code code =
            Code()(Opcode::load, 0, 0)(Opcode::load, 63, 1)(b.op, 1, 0, 63)(Opcode::store, 0, 1);
        compare("operation " + std::to_string(static_cast<int>(b.op)),
                run_psp<T>(code.program<T>(nullptr), x, y), b.f(x, y), 0);
      }
  const std::vector<std::pair<Opcode, T (*)(T)>> unary{
      {Opcode::negate, [](T x) { return -x; }},
      {Opcode::logical_not, [](T x) { return x == 0 ? T(1) : T(0); }},
      {Opcode::exp, [](T x) { return std::exp(x); }},
      {Opcode::log, [](T x) { return std::log(x); }},
      {Opcode::sqrt, [](T x) { return std::sqrt(x); }},
      {Opcode::absolute, [](T x) { return std::abs(x); }},
      {Opcode::sin, [](T x) { return std::sin(x); }},
      {Opcode::cos, [](T x) { return std::cos(x); }},
      {Opcode::tan, [](T x) { return std::tan(x); }},
      {Opcode::arcsin, [](T x) { return std::asin(x); }},
      {Opcode::arccos, [](T x) { return std::acos(x); }},
      {Opcode::arctan, [](T x) { return std::atan(x); }},
      {Opcode::sinh, [](T x) { return std::sinh(x); }},
      {Opcode::cosh, [](T x) { return std::cosh(x); }},
      {Opcode::tanh, [](T x) { return std::tanh(x); }},
      {Opcode::arcsinh, [](T x) { return std::asinh(x); }},
      {Opcode::arccosh, [](T x) { return std::acosh(x); }},
      {Opcode::arctanh, [](T x) { return std::atanh(x); }},
      {Opcode::log2, [](T x) { return std::log2(x); }},
      {Opcode::log10, [](T x) { return std::log10(x); }},
      {Opcode::log1p, [](T x) { return std::log1p(x); }},
      {Opcode::expm1, [](T x) { return std::expm1(x); }},
      {Opcode::exp2, [](T x) { return std::exp2(x); }},
      {Opcode::cbrt, [](T x) { return std::cbrt(x); }},
      {Opcode::floor, [](T x) { return std::floor(x); }},
      {Opcode::ceil, [](T x) { return std::ceil(x); }},
      {Opcode::round, [](T x) { return std::nearbyint(x); }},
      {Opcode::sign, [](T x) { return x > 0   ? T(1)
                                      : x < 0 ? T(-1)
                                              : x; }}};
  for (const auto& [op, f] : unary)
    for (T x : values) {
      const Code code = Code()(Opcode::load, 0, 0)(op, 0, 0, 99, 99)(Opcode::store, 0, 0);
      compare("operation " + std::to_string(static_cast<int>(op)),
              apply_program<T>(code.program<T>(nullptr), x), f(x), 0);
    }
  for (T x : values) {
    const Code code = Code()(Opcode::load, 0, 0)(Opcode::constant, 1, 1)(Opcode::constant, 2, 0)(
        Opcode::select, 0, 0, 1, 2)(Opcode::store, 0, 0);
    const T constants[] = {T(5), T(6)};
    compare("select", apply_program<T>(code.program<T>(constants), x), x != 0 ? T(6) : T(5), 0);
  }
}

template void programs<float>();
template void programs<double>();

}  // namespace weightsharing::cuda
