// A filter as a sum of products of one-dimensional filters.
#pragma once

#include <vector>

#include "weightsharing/shape.h"

namespace weightsharing::plan {

struct Term {
  std::vector<std::vector<double>> factor;  // one per axis
};

// Terms (with a factor of exactly 1 along axes of extent 1) whose sum differs from `values` by at most
// `tolerance` * max|values| in every element; empty when more than `most_terms` are needed, when a value is
// not finite, or when the terms are so much larger than their sum that adding them would lose digits.
std::vector<Term> factorise(const std::vector<double>& values, const Shape& extents, double tolerance,
                            std::size_t most_terms);

// Rates smaller than this cannot overflow on the way through the terms' passes when `largest` is the largest
// number.
double rate_bound(const std::vector<Term>& terms, double largest);

}  // namespace weightsharing::plan
