// What stands outside of pre: the one rule of all backends' kernels.
#pragma once

#include "primitives/primitive.h"

namespace weightsharing {

// Numbers of Padding in include/weightsharing/projection.h.
enum Outside : int {
  outside_constant,
  outside_border,
  outside_reflect,
  outside_wrap,
  outside_ignore,
  outside_valid
};

// Coordinate of the pre element that stands for coordinate u of an axis of n, or -1 when that is the padding
// value. Nothing is computed for the coordinates inside: a division costs more than all else here.
template <class Coordinate>
WEIGHTSHARING_PRIMITIVE Coordinate place(Coordinate u, Coordinate n, int outside) {
  if (u >= 0 && u < n) return u;
  switch (outside) {
    case outside_border:
      return u < 0 ? 0 : n - 1;
    case outside_wrap:
      u %= n;
      return u < 0 ? u + n : u;
    case outside_reflect: {
      if (n == 1) return 0;
      const Coordinate period = 2 * (n - 1);
      u %= period;
      if (u < 0) u += period;
      return u < n ? u : period - u;
    }
    default:
      return -1;
  }
}

}  // namespace weightsharing
