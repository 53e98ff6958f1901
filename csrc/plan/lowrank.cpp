#include "plan/lowrank.h"

#include <algorithm>
#include <cmath>

namespace weightsharing::plan {
namespace {

// Wider than the factors, so that what a product leaves over is known to the last digit of float64 filters.
using Wide = long double;

Wide largest(const std::vector<Wide>& values) {
  Wide most = 0;
  for (Wide v : values) most = std::max(most, std::abs(v));
  return most;
}

// The best rank-one part sigma * u * v' of a rows x columns matrix, by alternating least squares (power
// iteration) from its largest row; exact to rounding for the separated spectra that filters have.
void leading_pair(const std::vector<Wide>& m, Index rows, Index columns, std::vector<Wide>& u,
                  std::vector<Wide>& v) {
  Index best = 0;
  Wide most = -1;
  for (Index i = 0; i < rows; ++i) {
    Wide norm = 0;
    for (Index j = 0; j < columns; ++j) norm += m[i * columns + j] * m[i * columns + j];
    if (norm > most) most = norm, best = i;
  }
  v.assign(m.begin() + best * columns, m.begin() + (best + 1) * columns);
  u.assign(rows, 0);
  Wide before = 0;
  for (int iteration = 0; iteration < 200; ++iteration) {
    Wide vv = 0;
    for (Wide x : v) vv += x * x;
    if (vv == 0) return;
    Wide uu = 0;
    for (Index i = 0; i < rows; ++i) {
      Wide sum = 0;
      for (Index j = 0; j < columns; ++j) sum += m[i * columns + j] * v[j];
      u[i] = sum / vv;
      uu += u[i] * u[i];
    }
    if (uu == 0) return;
    for (Index j = 0; j < columns; ++j) {
      Wide sum = 0;
      for (Index i = 0; i < rows; ++i) sum += m[i * columns + j] * u[i];
      v[j] = sum / uu;
    }
    const Wide size = uu * vv;
    if (std::abs(size - before) <= 1e-18L * size) break;
    before = size;
  }
  // Equal sizes of both factors keep the intermediate results in range.
  Wide uu = 0, vv = 0;
  for (Wide x : u) uu = std::max(uu, std::abs(x));
  for (Wide x : v) vv = std::max(vv, std::abs(x));
  if (uu == 0 || vv == 0) return;
  const Wide scale = std::sqrt(vv / uu);
  for (Wide& x : u) x *= scale;
  for (Wide& x : v) x /= scale;
}

bool split(std::vector<Wide> rest, const Shape& extents, Wide bound, std::size_t most_terms,
           std::vector<Term>& terms) {
  if (extents.size() == 1) {
    terms.push_back({{std::vector<double>(rest.begin(), rest.end())}});
    return terms.size() <= most_terms;
  }
  const Index rows = extents[0];
  if (rows == 1) {
    const std::size_t before = terms.size();
    if (!split(std::move(rest), Shape(extents.begin() + 1, extents.end()), bound, most_terms, terms))
      return false;
    for (std::size_t i = before; i < terms.size(); ++i)
      terms[i].factor.insert(terms[i].factor.begin(), {1.0});
    return true;
  }
  const Index columns = static_cast<Index>(rest.size()) / rows;
  const Shape inner(extents.begin() + 1, extents.end());
  std::vector<Wide> u, v;
  while (largest(rest) > bound) {
    if (terms.size() >= most_terms) return false;
    leading_pair(rest, rows, columns, u, v);
    std::vector<Term> parts;
    const Wide scale = std::max(largest(u) * static_cast<Wide>(most_terms), Wide(1e-300));
    if (!split(v, inner, bound / scale, most_terms - terms.size(), parts)) return false;
    for (Term& part : parts) {
      part.factor.insert(part.factor.begin(), std::vector<double>(u.begin(), u.end()));
      terms.push_back(std::move(part));
    }
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < columns; ++j) rest[i * columns + j] -= u[i] * v[j];
  }
  return true;
}

}  // namespace

std::vector<Term> factorise(const std::vector<double>& values, const Shape& extents, double tolerance,
                            std::size_t most_terms) {
  for (double v : values)
    if (!std::isfinite(v)) return {};
  const std::vector<Wide> wide(values.begin(), values.end());
  const double most = static_cast<double>(largest(wide));
  if (most == 0 || most > 1e150 || most < 1e-150) return {};
  std::vector<Term> terms;
  if (!split(wide, extents, 0.5L * tolerance * most, most_terms, terms)) return {};

  // The promise is checked, not derived: what the terms add up to, and how large they are on the way.
  double error = 0, size = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    double sum = 0, magnitude = 0;
    for (const Term& term : terms) {
      double product = 1;
      std::size_t rest = i;
      for (std::size_t d = extents.size(); d-- > 0;) {
        product *= term.factor[d][rest % extents[d]];
        rest /= extents[d];
      }
      sum += product;
      magnitude += std::abs(product);
    }
    error = std::max(error, std::abs(sum - values[i]));
    size = std::max(size, magnitude);
  }
  if (error > tolerance * most || size > 2 * most) return {};
  return terms;
}

double rate_bound(const std::vector<Term>& terms, double largest) {
  double size = 0;  // of the largest intermediate sums, for rates of 1
  for (const Term& term : terms) {
    double product = 1;
    for (const std::vector<double>& factor : term.factor) {
      double sum = 0;
      for (double v : factor) sum += std::abs(v);
      product *= std::max(sum, 1.0);
    }
    size += product;
  }
  return 0.25 * largest / size;
}

}  // namespace weightsharing::plan
