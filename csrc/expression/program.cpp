#include "weightsharing/program.h"

#include <stdexcept>

#include "primitives/opcodes.h"

namespace weightsharing {
namespace {

struct OpcodeInfo {
  const char* name;
  int operands;
};

constexpr OpcodeInfo opcodes[] = {
#define X(name, operands) {#name, operands},
    WEIGHTSHARING_OPCODES(X)
#undef X
};
constexpr int opcode_count = sizeof(opcodes) / sizeof(opcodes[0]);

}  // namespace

std::vector<std::string> opcode_names() {
  std::vector<std::string> names;
  for (const OpcodeInfo& info : opcodes) names.push_back(info.name);
  return names;
}

Program::Program(std::vector<std::int32_t> code_, std::vector<double> constants_, int slots_, int inputs_,
                 int outputs_)
    : code(std::move(code_)),
      constants(std::move(constants_)),
      slots(slots_),
      inputs(inputs_),
      outputs(outputs_) {
  const auto require = [](bool condition, const char* what) {
    if (!condition) throw std::invalid_argument(std::string("program: ") + what);
  };
  require(code.size() % row == 0, "the code must have five columns");
  require(slots >= 0 && slots <= most_slots, "too many slots (64 at most)");
  for (std::size_t i = 0; i < code.size(); i += row) {
    const std::int32_t op = code[i], dst = code[i + 1];
    require(op >= 0 && op < opcode_count, "unknown operation");
    const auto opcode = static_cast<Opcode>(op);
    if (is_noise(opcode)) {
      require(code[i + 2] >= 0, "an occurrence of noise cannot be negative");
      draws = true;
    }
    require(dst >= 0 && dst < (opcode == Opcode::store ? outputs : slots), "destination out of range");
    if (opcode == Opcode::constant)
      require(code[i + 2] >= 0 && code[i + 2] < static_cast<std::int32_t>(constants.size()),
              "constant out of range");
    if (opcode == Opcode::load) require(code[i + 2] >= 0 && code[i + 2] < inputs, "input out of range");
    for (int k = 0; k < opcodes[op].operands; ++k)
      require(code[i + 2 + k] >= 0 && code[i + 2 + k] < slots, "slot out of range");
  }
}

}  // namespace weightsharing
