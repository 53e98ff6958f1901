// Bytecode of a psp or of a population's equations: checked once, then run by every backend over blocks of
// units.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weightsharing {

// Register code. A row is (operation, destination, a, b, c): slot numbers, except that `constant` and `load`
// take an index into the constants or inputs as `a`, `store` an index into the outputs as destination, and
// noise the occurrence of the draw as `a`.
class Program {
 public:
  // Throws std::invalid_argument when a row names an unknown operation, slot, constant, input or output.
  Program(std::vector<std::int32_t> code, std::vector<double> constants, int slots, int inputs, int outputs);

  std::vector<std::int32_t> code;
  std::vector<double> constants;
  int slots, inputs, outputs;
  bool draws = false;  // noise: only equations may

  static constexpr int row = 5;
  static constexpr int most_slots = 64;
  int length() const { return static_cast<int>(code.size()) / row; }
};

// Names in the order of their numbers.
std::vector<std::string> opcode_names();

}  // namespace weightsharing
