// Shapes: extents in C order, last axis fastest. Every product is checked for overflow.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weightsharing {

using Index = std::int64_t;
using Shape = std::vector<Index>;

inline constexpr int max_rank = 4;

// "(48, 64, 3)", as the messages and describe() print a shape.
std::string to_string(const Shape& shape);

// Number of elements; std::invalid_argument when an extent is not positive or the product passes 2^62.
Index volume(const Shape& shape, const char* name);

}  // namespace weightsharing
