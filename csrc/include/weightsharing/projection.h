// What a projection is, in checked and resolved form: which pre coordinate every tap of every post unit
// reads.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "weightsharing/shape.h"

namespace weightsharing {

enum class Operation { sum, max, min, mean };
enum class Padding { constant, border, reflect, wrap, ignore, valid };

Operation operation_from(const std::string& name);
Padding padding_from(const std::string& name);
const char* name_of(Operation operation);
const char* name_of(Padding padding);

// One axis of a regular grid: tap k of unit q reads coordinate offset + stride * q + dilation * k.
// A convolution's flip is already in `offset`; its weights are read in reverse order.
struct Axis {
  Index pre = 1;
  Index post = 1;
  Index taps = 1;
  Index stride = 1;
  Index dilation = 1;
  Index offset = 0;
  Index first = 0;  // coordinate of the centre of unit 0
};

struct SharedArguments {
  Shape pre, post;
  std::vector<Shape> extents;  // of each filter, as the user gave them
  bool bank = false;
  bool keep_last_dimension = false;
  bool flip = false;  // method='convolution'
  Padding padding = Padding::constant;
  std::optional<Shape> strides, dilation, first, anchor;  // one entry per pre axis
  std::optional<std::vector<Index>> centres;              // (number of centres, rank of pre), C order
};

// A filter or a bank of filters over a grid. Throws std::invalid_argument, naming shapes and the remedy.
class SharedGeometry {
 public:
  explicit SharedGeometry(const SharedArguments& arguments);

  Shape pre, post;
  bool bank;
  bool flip;
  Padding padding;
  Index filters;  // size of the bank, 1 without
  Index units;    // post units of one filter
  std::vector<std::vector<Axis>>
      axes;  // [filter][pre axis]; of listed centres only pre, taps, dilation, offset count
  std::optional<std::vector<Index>> listed;  // centre coordinates (units, rank of pre)

  int rank() const { return static_cast<int>(pre.size()); }
  Index taps(Index filter) const;
  std::vector<Index> centre(Index unit) const;
};

// A box moved over a grid, clipped at the borders, without weights.
class PoolingGeometry {
 public:
  PoolingGeometry(const Shape& pre, const Shape& post, const std::optional<Shape>& extent,
                  const std::optional<Shape>& stride);

  Shape pre, post, extent, stride;
  std::vector<Axis> axes;
};

// Individual weights in compressed rows.
struct SynapsesGeometry {
  SynapsesGeometry(Index pre_size, Index post_size, std::vector<Index> row_start, std::vector<Index> column);

  Index pre, post;
  std::vector<Index> row_start, column;
};

}  // namespace weightsharing
