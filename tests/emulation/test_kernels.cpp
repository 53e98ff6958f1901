// The kernels against plain loops in long double, in the emulation. Every fast kernel meets the same cases as
// the naive one: tails of every length, every padding, operation and dtype, NaN and infinity, accumulation,
// batches, misaligned rates. Prints the number of comparisons, or the first case that differs.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "cuda/bank.cuh"
#include "cuda/bank_tf32.cuh"
#include "cuda/device.h"
#include "cuda/exchange.cuh"
#include "cuda/gather.cuh"
#include "cuda/history.cuh"
#include "cuda/level.cuh"
#include "cuda/lowrank.cuh"
#include "cuda/pool.cuh"
#include "cuda/statistic.cuh"
#include "cuda/synapses.cuh"
#include "cuda/update.cuh"
#include "cuda/window.cuh"

namespace weightsharing::cuda {
namespace {

std::mt19937 random_bits(1);
long comparisons = 0;

int pick(int from, int to) {
  return from + static_cast<int>(random_bits() % static_cast<unsigned>(to - from + 1));
}
bool one_in(int n) { return pick(1, n) == 1; }
bool one_sign = false;  // rounding errors of a sum add up
template <class T>
T number() {
  return static_cast<T>(pick(one_sign ? 1 : -1000, 1000)) / T(510);
}

// A vector of exactly the elements asked for, at an address that is 16-byte aligned or, with `off` = 1, one
// element past.
template <class T>
struct Array {
  std::vector<T> memory;
  T* data;
  std::size_t size;

  explicit Array(std::size_t n, int off = 0) : memory(n + off), data(memory.data() + off), size(n) {
    for (std::size_t i = 0; i < n; ++i) data[i] = number<T>();
  }
};

[[noreturn]] void differ(const std::string& what) {
  std::printf("DIFFERS %s\n", what.c_str());
  std::exit(1);
}

template <class T>
void compare(const std::string& what, T got, T wanted, double tolerance) {
  ++comparisons;
  if (got != got && wanted != wanted) return;
  if (got == wanted) return;
  if (std::abs(static_cast<double>(got) - static_cast<double>(wanted)) <= tolerance) return;
  char text[200];
  std::snprintf(text, sizeof text, ": got %.9g, expected %.9g within %.3g", static_cast<double>(got),
                static_cast<double>(wanted), tolerance);
  differ(what + text);
}

// The definition, with nothing in common with coordinates.cuh.
long plain_place(long u, long n, int outside) {
  const auto modulo = [](long a, long b) { return (a % b + b) % b; };
  if (u >= 0 && u < n) return u;
  if (outside == outside_border) return u < 0 ? 0 : n - 1;
  if (outside == outside_wrap) return modulo(u, n);
  if (outside == outside_reflect) {
    if (n == 1) return 0;
    const long v = modulo(u, 2 * (n - 1));
    return v < n ? v : 2 * (n - 1) - v;
  }
  return -1;
}

template <class T>
struct Plain {
  int reduction;
  long double sum = 0, magnitude = 0;
  T extreme = 0;
  bool nan = false;
  long count = 0;

  void add(T a, T b) {
    const T product = a * b;
    nan = nan || product != product;
    if (!count || (reduction == reduce_max ? product > extreme : product < extreme)) extreme = product;
    sum += static_cast<long double>(a) * static_cast<long double>(b);
    const long double size = static_cast<long double>(a) * static_cast<long double>(b);
    magnitude += size < 0 ? -size : size;
    ++count;
  }
  T result(long divisor) const {
    if (nan) return std::numeric_limits<T>::quiet_NaN();
    if (!count) return T(0);
    if (reduction == reduce_max || reduction == reduce_min) return extreme;
    return static_cast<T>(reduction == reduce_mean ? sum / divisor : sum);
  }
  // Of the result and of adding it to `before`; exact for max and min that stand alone.
  double tolerance(long divisor, T before) const {
    const double epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());
    if (reduction == reduce_max || reduction == reduce_min)
      return before == T(0)
                 ? 0
                 : epsilon * (std::abs(static_cast<double>(before)) + std::abs(static_cast<double>(extreme)));
    const double size =
        static_cast<double>(reduction == reduce_mean && divisor ? magnitude / divisor : magnitude);
    return epsilon * (4 * size + std::abs(static_cast<double>(before)));
  }
};

struct Code {
  std::vector<int32_t> rows;
  Code& operator()(Opcode op, int destination, int a = 0, int b = 0, int c = 0) {
    for (int value : {static_cast<int>(op), destination, a, b, c}) rows.push_back(value);
    return *this;
  }
  template <class T>
  Program<T> program(const T* constants) const {
    return {rows.data(), constants, static_cast<int32_t>(rows.size() / 5), most_slots};
  }
};

// min(w, r) - 0.25: a psp that does not split.
Code example_program() {
  Code psp;
  psp(Opcode::load, 0, 0)(Opcode::load, 1, 1)(Opcode::minimum, 0, 0, 1)(Opcode::constant, 1, 0);
  psp(Opcode::subtract, 0, 0, 1)(Opcode::store, 0, 0);
  return psp;
}
template <class T>
T example_psp(T w, T r) {
  return (r != r || w != w ? r + w : w < r ? w : r) - T(0.25);
}

enum class Kind { naive, listed, tile, any, separable, bank, gather, tf32 };

bool is_bank(Kind kind) { return kind == Kind::bank || kind == Kind::tf32; }
bool is_listed(Kind kind) { return kind == Kind::listed || kind == Kind::gather; }

template <class T>
struct WindowCase {
  WindowParameters<T> p{};
  int off = 0;
  bool non_finite = false, non_finite_weights = false, extreme = false;
  std::vector<T> column_factors, row_factors;
  int terms = 1;
  std::string name;
};

template <class T>
void set_steps(WindowParameters<T>& p) {
  int64_t pre = p.inner, post = static_cast<int64_t>(p.inner) * p.post_unit;
  p.units = 1;
  p.taps = 1;
  for (int d = 3; d >= 0; --d) {
    p.pre_step[d] = pre;
    p.post_step[d] = post;
    pre *= p.axis[d].pre;
    post *= p.axis[d].post;
    p.units *= p.axis[d].post;
    p.taps *= p.axis[d].taps;
  }
  p.pre_size = pre;
  p.post_size = post;
}

template <class T>
void launch_window(Kind kind, WindowCase<T>& c, std::vector<T>& packed);

template <class T>
void run_window(Kind kind, WindowCase<T>& c) {
  one_sign = one_in(3);
  WindowParameters<T>& p = c.p;
  set_steps(p);
  // What does not fit the shared memory of a block is not launched.
  const int64_t shared = kind == Kind::any         ? any_window_shared_bytes(p)
                         : kind == Kind::separable ? separable_shared_bytes(p)
                                                   : 0;
  if (shared > 227 * 1024) return;
  const bool delayed = one_in(4);
  Array<T> now(static_cast<std::size_t>(p.pre_size * p.batch), c.off);
  Array<T> history(static_cast<std::size_t>(delayed ? 3 * p.pre_size * p.batch : 0), c.off);
  Array<T> weights(static_cast<std::size_t>(p.filters * p.taps));
  Array<T> post(static_cast<std::size_t>(p.post_size * p.batch), one_in(3));
  const int64_t step = pick(0, 5);
  p.source = {now.data, delayed ? history.data : nullptr, &step, p.pre_size * p.batch,
              3,        delayed ? pick(1, 3) : 0};
  T* rates = delayed ? history.data + ((step - p.source.delay + 6) % 3) * p.pre_size * p.batch : now.data;
  if (c.non_finite)
    for (int k = 0; k < 3; ++k)
      rates[random_bits() % static_cast<unsigned>(p.pre_size * p.batch)] =
          k ? std::numeric_limits<T>::quiet_NaN() : std::numeric_limits<T>::infinity();
  if (c.extreme)
    for (T value : {T(1e-35), T(-3e-39), T(2e16), T(-1e20)})
      rates[random_bits() % static_cast<unsigned>(p.pre_size * p.batch)] = value;
  if (kind == Kind::separable) {
    c.column_factors.resize(static_cast<std::size_t>(c.terms * p.axis[3].taps));
    c.row_factors.resize(static_cast<std::size_t>(c.terms * p.axis[2].taps));
    for (T& value : c.column_factors) value = number<T>();
    for (T& value : c.row_factors) value = number<T>();
    for (int i = 0; i < p.axis[2].taps; ++i)
      for (int j = 0; j < p.axis[3].taps; ++j) {
        T sum = 0;
        for (int t = 0; t < c.terms; ++t)
          sum += c.row_factors[t * p.axis[2].taps + i] * c.column_factors[t * p.axis[3].taps + j];
        weights.data[i * p.axis[3].taps + j] = sum;
      }
  }
  if (c.non_finite_weights)
    weights.data[random_bits() % weights.size] =
        one_in(2) ? std::numeric_limits<T>::quiet_NaN() : -std::numeric_limits<T>::infinity();
  p.weights = weights.data;
  p.post = post.data;
  std::vector<int32_t> listed;
  if (is_listed(kind)) {
    for (int64_t u = 0; u < p.units; ++u)
      for (int d = 0; d < 4; ++d) {
        const int last_inside = p.axis[d].pre - 1 - (p.axis[d].taps - 1) * p.axis[d].dilation;
        listed.push_back(one_in(3) || last_inside < 0 ? pick(-2, p.axis[d].pre + 1) : pick(0, last_inside));
      }
    p.listed = listed.data();
  }
  const Code psp = example_program();
  const T constants[] = {T(0.25)};
  if (kind == Kind::naive || kind == Kind::listed) p.has_psp = one_in(3);
  p.psp = psp.program(constants);
  const std::vector<T> before(post.data, post.data + post.size);
  std::vector<T> packed;
  launch_window(kind, c, packed);

  std::vector<bool> written(post.size, false);
  for (int b = 0; b < p.batch; ++b)
    for (int64_t unit = 0; unit < p.units; ++unit) {
      int64_t rest = unit, q[4];
      for (int d = 3; d >= 0; --d) q[d] = rest % p.axis[d].post, rest /= p.axis[d].post;
      for (int layer = 0; layer < p.inner; ++layer)
        for (int f = 0; f < p.filters; ++f) {
          Plain<T> plain{p.reduction};
          double largest_rate = 0, largest_weight = 0;
          for (int64_t tap = 0; tap < p.taps; ++tap) {
            int64_t left = tap, element = b * p.pre_size + layer;
            bool outside = false;
            for (int d = 3; d >= 0; --d) {
              const int64_t k = left % p.axis[d].taps;
              left /= p.axis[d].taps;
              const int64_t first =
                  is_listed(kind) ? listed[4 * unit + d] : p.axis[d].offset + p.axis[d].stride * q[d];
              const long u = plain_place(first + p.axis[d].dilation * k, p.axis[d].pre, p.outside);
              outside = outside || u < 0;
              element += u * p.pre_step[d];
            }
            if (outside && p.outside == outside_ignore) continue;
            const T rate = outside ? p.outside_value : rates[element];
            const T weight = weights.data[f * p.taps + tap];
            if (p.has_psp)
              plain.add(T(1), example_psp(weight, rate));
            else
              plain.add(weight, rate);
            largest_rate = std::max(largest_rate, std::abs(static_cast<double>(rate)));
            largest_weight = std::max(largest_weight, std::abs(static_cast<double>(weight)));
          }
          int64_t at = b * p.post_size + layer + p.first_filter + f;
          if (is_listed(kind))
            at += unit * p.post_unit;
          else
            for (int d = 0; d < 4; ++d) at += q[d] * p.post_step[d];
          const long divisor = p.outside == outside_ignore ? plain.count : p.taps;
          const T old = p.accumulate ? before[at] : T(0);
          double tolerance = plain.tolerance(divisor, old);
          if (kind == Kind::separable)
            tolerance += 16 * c.terms * static_cast<double>(std::numeric_limits<T>::epsilon()) * p.taps * 16 *
                         largest_rate;
          if (kind == Kind::tf32)
            tolerance += 16 * static_cast<double>(std::numeric_limits<T>::epsilon()) * largest_weight *
                         largest_rate * (p.reduction == reduce_mean ? 1 : p.taps);
          compare(c.name + " unit " + std::to_string(unit) + " filter " + std::to_string(f) + " layer " +
                      std::to_string(layer) + " trial " + std::to_string(b),
                  post.data[at], static_cast<T>(old + plain.result(divisor)), tolerance);
          written[at] = true;
        }
    }
  for (std::size_t i = 0; i < post.size; ++i)
    if (!written[i] && post.data[i] != before[i])
      differ(c.name + " wrote element " + std::to_string(i) + " of another filter");
}

template <class T, int K>
void launch_tile(const WindowParameters<T>& p) {
  using Tile = WindowTile<T>;
  const dim3 grid(static_cast<unsigned>(divide_up(p.axis[3].post, Tile::columns) *
                                        divide_up(p.axis[2].post, Tile::rows) * p.axis[1].post *
                                        p.axis[0].post * p.batch));
  if (p.reduction == reduce_max)
    emulation::launch<&window_tile<T, K, K, reduce_max>>(grid, dim3(Tile::threads), p);
  else if (p.reduction == reduce_min)
    emulation::launch<&window_tile<T, K, K, reduce_min>>(grid, dim3(Tile::threads), p);
  else
    emulation::launch<&window_tile<T, K, K, reduce_sum>>(grid, dim3(Tile::threads), p);
}

template <class T, int filters>
void launch_gather(const WindowParameters<T>& p) {
  const dim3 grid(static_cast<unsigned>(divide_up(p.units, GatherTile::threads) *
                                        divide_up(p.filters, filters) * p.batch));
  const dim3 block(GatherTile::threads);
  if (p.reduction == reduce_max)
    emulation::launch<&gather_tile<T, filters, reduce_max>>(grid, block, p);
  else if (p.reduction == reduce_min)
    emulation::launch<&gather_tile<T, filters, reduce_min>>(grid, block, p);
  else
    emulation::launch<&gather_tile<T, filters, reduce_sum>>(grid, block, p);
}

template <int filters, class T>
void pack(WindowParameters<T>& p, std::vector<T>& packed) {
  p.packed_filters = static_cast<int32_t>(divide_up(p.filters, filters) * filters);
  packed.assign(static_cast<std::size_t>(p.taps) * p.packed_filters, T(0));
  for (int f = 0; f < p.filters; ++f)
    for (int k = 0; k < p.taps; ++k)
      packed[static_cast<std::size_t>(k) * p.packed_filters + f] = p.weights[f * p.taps + k];
  p.packed = packed.data();
}

template <class T, int filters, int pixels, int PT, int FT>
void launch_bank(WindowParameters<T>& p, std::vector<T>& packed) {
  pack<filters>(p, packed);
  const dim3 grid(static_cast<unsigned>(divide_up(p.units * p.batch, pixels) * (p.packed_filters / filters)));
  emulation::launch<&bank_gemm<T, filters, pixels, PT, FT>>(grid,
                                                            dim3(BankTile<pixels, filters, PT, FT>::threads),
                                                            p, bank_shared_bytes<T>(filters, pixels, p.taps));
}

template <int filters>
void launch_tf32(WindowParameters<float>& p, std::vector<float>& packed) {
  pack<filters>(p, packed);
  const dim3 grid(static_cast<unsigned>(divide_up(p.units * p.batch, BankTf32Tile::pixels) *
                                        (p.packed_filters / filters)));
  emulation::launch<&bank_tf32<filters>>(grid, dim3(BankTf32Tile::threads), p,
                                         bank_tf32_shared_bytes(filters, p.taps));
}

template <class T>
void launch_window(Kind kind, WindowCase<T>& c, std::vector<T>& packed) {
  WindowParameters<T>& p = c.p;
  const dim3 threads(static_cast<unsigned>(divide_up(p.units * p.filters * p.batch, 64)));
  using Any = AnyWindowTile<T>;
  const dim3 any(static_cast<unsigned>(
      divide_up(static_cast<int64_t>(p.axis[3].post) * p.inner, Any::columns) *
      divide_up(p.axis[2].post, Any::rows) * p.axis[1].post * p.axis[0].post * p.batch));
  switch (kind) {
    case Kind::naive:
      return emulation::launch<&window_naive<T>>(threads, dim3(64), p);
    case Kind::listed:
      return emulation::launch<&gather_naive<T>>(threads, dim3(64), p);
    case Kind::gather:
      return p.filters > 1 ? launch_gather<T, 8>(p) : launch_gather<T, 1>(p);
    case Kind::tile:
      return p.axis[3].taps == 3   ? launch_tile<T, 3>(p)
             : p.axis[3].taps == 5 ? launch_tile<T, 5>(p)
                                   : launch_tile<T, 7>(p);
    case Kind::any: {
      const auto bytes = static_cast<std::size_t>(any_window_shared_bytes(p));
      if (p.reduction == reduce_max)
        return emulation::launch<&window_tile_any<T, reduce_max>>(any, dim3(256), p, bytes);
      if (p.reduction == reduce_min)
        return emulation::launch<&window_tile_any<T, reduce_min>>(any, dim3(256), p, bytes);
      return emulation::launch<&window_tile_any<T, reduce_sum>>(any, dim3(256), p, bytes);
    }
    case Kind::separable: {
      const SeparableParameters<T> s{p, c.row_factors.data(), c.column_factors.data(), T(1e6), c.terms};
      return emulation::launch<&separable_tile<T>>(any, dim3(256), s,
                                                   static_cast<std::size_t>(separable_shared_bytes(p)));
    }
    case Kind::tf32:
      if constexpr (sizeof(T) == 4)
        return p.filters > 32 ? launch_tf32<64>(p, packed) : launch_tf32<32>(p, packed);
      return;
    case Kind::bank:
      if constexpr (sizeof(T) == 8)
        return launch_bank<T, 32, 64, 4, 4>(p, packed);
      else
        return p.filters > 32 ? launch_bank<T, 64, 128, 8, 8>(p, packed)
                              : launch_bank<T, 32, 128, 8, 4>(p, packed);
  }
}

// A geometry that `kind` may be chosen for.
template <class T>
WindowCase<T> window_case(Kind kind, int number) {
  WindowCase<T> c;
  WindowParameters<T>& p = c.p;
  const bool free = kind == Kind::naive || is_listed(kind) || is_bank(kind);
  p.batch = one_in(3) ? 2 : 1;
  p.inner = (kind == Kind::any || kind == Kind::separable) && one_in(2) ? pick(2, 5) : 1;
  p.filters = is_bank(kind)                            ? (one_in(3) ? pick(33, 66) : pick(1, 9))
              : kind == Kind::separable || p.inner > 1 ? 1
              : kind == Kind::gather                   ? pick(1, 11)
                                                       : pick(1, 2);
  p.first_filter = one_in(3) && p.inner == 1 ? pick(1, 4) : 0;
  p.post_unit = p.filters + p.first_filter + (p.first_filter && one_in(2) ? pick(0, 3) : 0);
  constexpr int reductions[] = {reduce_sum, reduce_mean, reduce_max, reduce_min};
  p.reduction = reductions[is_bank(kind) || kind == Kind::separable ? number % 2 : number % 4];
  p.outside = number / 4 % 6;
  p.outside_value = p.outside == outside_constant && one_in(2) ? T(0) : number % 7 == 0 ? T(0.25) : T(0.5);
  p.accumulate = one_in(3);
  c.off = one_in(3);
  c.non_finite = one_in(3);
  c.extreme = kind == Kind::tf32 && one_in(3);
  c.non_finite_weights = kind != Kind::separable && one_in(p.outside == outside_ignore ? 2 : 4);
  for (int d = 0; d < 4; ++d) {
    Axis& a = p.axis[d];
    const bool tiled = d >= 2 && !free, outer = d < 2;
    if (outer && (kind == Kind::tile || kind == Kind::separable)) {
      a = {pick(1, 2), 0, 1, 1, 1, 0};
      a.post = a.pre;
      continue;
    }
    a.taps = kind == Kind::tile ? 0
             : outer            ? (one_in(3) ? pick(1, 3) : 1)
                                : pick(1, is_bank(kind) ? 3
                                          : one_in(6)   ? 20
                                                        : 6);
    a.stride = tiled ? 1 : pick(1, 3);
    a.dilation = (tiled && (d == 2 || kind == Kind::tile)) || one_in(2) ? 1 : pick(2, 3);
    a.post = outer    ? pick(1, 2)
             : free   ? pick(1, 9)
             : d == 3 ? pick(1, one_in(2) ? 150 : 40)
                      : pick(1, one_in(4) ? 80 : 20);
    a.pre = (a.post - 1) * a.stride + pick(1, 3);
    a.offset = -pick(0, (a.taps + 1) * a.dilation / 2);
    if (p.outside == outside_valid) {  // no tap outside
      a.offset = 0;
      a.pre = (a.post - 1) * a.stride + (a.taps - 1) * a.dilation + pick(1, 2);
    }
    if (kind == Kind::tile) {
      if (p.outside == outside_valid) p.outside = outside_constant;
      a.taps = 3 + 2 * (number % 3);
      if (d == 3) a.taps = p.axis[2].taps;
      a.pre = a.post + (one_in(3) ? pick(0, 3) : 0);
      a.offset = -(a.taps / 2);
    }
  }
  if ((kind == Kind::any || kind == Kind::naive || kind == Kind::gather) && one_in(10))
    p.axis[2].taps = 70;  // more than one accumulator holds
  if (kind == Kind::tile || kind == Kind::any || kind == Kind::separable)
    if (one_in(2)) {  // rows that 16-byte accesses fit
      const int wide = static_cast<int>(16 / sizeof(T));
      p.axis[3].pre = static_cast<int>(divide_up(p.axis[3].pre, wide)) * wide;
      c.off = 0;
    }
  if (is_bank(kind) && one_in(2)) {  // all channels of a pixel
    const int channels = one_in(5) ? 128 : one_in(2) ? 4 * pick(1, 10) : pick(1, 7);
    p.axis[3] = {channels, 1, channels, 1, 1, 0};
    c.off = one_in(4);
  }
  if (is_bank(kind) && number % 12 == 7) {  // three levels of sums, the last one added to
    p.axis[2].taps = 6;
    p.axis[2].pre = p.axis[2].post + 20;
    p.axis[3] = {480, 1, 480, 1, 1, 0};
  }
  static const char* const kinds[] = {"window_naive",   "gather_naive", "window_tile", "window_tile_any",
                                      "separable_tile", "bank_gemm",    "gather_tile", "bank_tf32"};
  c.name = std::string(kinds[static_cast<int>(kind)]) + (sizeof(T) == 4 ? "<float>" : "<double>") + " case " +
           std::to_string(number) + " operation " + std::to_string(p.reduction) + " padding " +
           std::to_string(p.outside) + " (pre, post, taps, stride, dilation, offset)";
  for (const Axis& a : p.axis) {
    c.name += " (";
    for (int value : {a.pre, a.post, a.taps, a.stride, a.dilation, a.offset})
      c.name += std::to_string(value) + " ";
    c.name += ")";
  }
  c.name += " inner " + std::to_string(p.inner) + " filters " + std::to_string(p.filters) + ":";
  if (kind == Kind::separable) c.terms = pick(1, 3);
  return c;
}

template <class T>
void windows(int cases) {
  for (Kind kind : {Kind::naive, Kind::listed, Kind::tile, Kind::any, Kind::separable, Kind::bank,
                    Kind::gather, Kind::tf32})
    for (int number = 0; number < cases; ++number) {
      if (kind == Kind::tf32 && sizeof(T) == 8) continue;
      WindowCase<T> c = window_case<T>(kind, number);
      run_window(kind, c);
    }
}

// bank_tf32 on data that is hard for it: the largest error in units of eps * n * max|w| * max|r|. Sums of one
// sign, sums that cancel, magnitudes over many powers of two, numbers half-way between those of TF32.
void tf32_on_hard_data() {
  constexpr int filters = 32, pixels = 8;
  double worst = 0;
  for (int n : {9, 27, 64, 144, 576, 1152, 4096})
    for (int kind = 0; kind < 7; ++kind) {
      WindowParameters<float> p{};
      p.batch = p.inner = 1;
      p.filters = p.post_unit = filters;
      for (Axis& a : p.axis) a = {1, 1, 1, 1, 1, 0};
      p.axis[2] = {pixels, pixels, 1, 1, 1, 0};
      p.axis[3] = {n, 1, n, 1, 1, 0};
      set_steps(p);
      const auto hard = [kind](int tap) {
        const float x = static_cast<float>(pick(1 << 23, (1 << 24) - 1)) / (1 << 23);  // [1, 2), all bits
        switch (kind) {
          case 0:
            return x;
          case 1:
            return tap % 2 ? x : -x;
          case 2:
            return std::ldexp(one_in(2) ? x : -x, pick(-30, 30));
          case 3:
            return 1 + std::ldexp(1.0f, -11) -
                   std::ldexp(1.0f, -23);  // rounds to TF32 with the largest error
          case 4:
            return 1.9999998f;
          case 5:  // nearly the largest number: rounded to TF32 it would be infinite
            return tap % 9 ? 1e-3f : 3.4028e38f;
          default:  // nearly the smallest normal number: its small part would be lost
            return std::ldexp(x, -125);
        }
      };
      std::vector<float> rates(n * pixels), weights(n * filters), post(pixels * filters), packed;
      for (std::size_t k = 0; k < rates.size(); ++k) rates[k] = hard(static_cast<int>(k));
      for (std::size_t k = 0; k < weights.size(); ++k)
        weights[k] = kind == 1 && k % 2 ? weights[k - 1]
                     : kind == 5        ? 1e-6f
                     : kind == 6        ? 1.0f
                                        : std::abs(hard(static_cast<int>(k)));
      const int64_t step = 0;
      p.source = {rates.data(), nullptr, &step, n * pixels, 1, 0};
      p.weights = weights.data();
      p.post = post.data();
      launch_tf32<filters>(p, packed);
      for (int q = 0; q < pixels; ++q)
        for (int f = 0; f < filters; ++f) {
          long double exact = 0;
          double rate = 0, weight = 0;
          for (int k = 0; k < n; ++k) {
            exact += static_cast<long double>(rates[q * n + k]) * weights[f * n + k];
            rate = std::max(rate, std::abs(static_cast<double>(rates[q * n + k])));
            weight = std::max(weight, std::abs(static_cast<double>(weights[f * n + k])));
          }
          const double unit = std::ldexp(1.0, -23) * n * rate * weight;
          compare("bank_tf32 on hard data, " + std::to_string(n) + " taps", post[q * filters + f],
                  static_cast<float>(exact), 16 * unit);
          worst = std::max(worst, std::abs(static_cast<double>(post[q * filters + f] - exact)) / unit);
        }
    }
  std::fprintf(stderr, "bank_tf32: error at most %.2f * eps * n * max|w| * max|r|\n", worst);
}

enum class Pool { naive, rows, two_by_two };

// Boxes of any kind, or such as pool_2x2 takes: rows of whole vectors, now and then longer than the boxes.
template <class T>
void draw_boxes(PoolParameters<T>& p, Pool kind) {
  constexpr int wide = 16 / sizeof(T);
  if (kind == Pool::two_by_two) {
    constexpr int inner[] = {1, 1, wide, 4, 12, 64};
    p.inner = inner[pick(0, 5)];
  } else {
    p.inner = kind == Pool::rows && one_in(2) ? pick(2, 9) : 1;
  }
  for (int d = 3; d >= 0; --d) {
    PoolAxis& a = p.axis[d];
    if (kind == Pool::two_by_two) {
      a.extent = a.stride = d < 2 ? 1 : 2;
      if (d < 2) a.stride = pick(1, 2);
      a.post = d < 2 ? pick(1, 2) : d == 2 ? pick(1, 9) : p.inner == 1 ? pick(1, 100) * wide / 2 : pick(1, 9);
      a.pre = (a.post - 1) * a.stride + a.extent + (one_in(3) ? pick(0, 2) : 0);
      if (d == 3 && p.inner == 1) a.pre = (a.pre + wide - 1) / wide * wide;
    } else {
      a.extent = d < 2 ? pick(1, 2) : one_in(8) ? 70 : pick(1, 5);
      // more is for pool_naive: the plan sees to it
      if (kind == Pool::rows && (p.reduction == reduce_sum || p.reduction == reduce_mean))
        a.extent = std::min(a.extent, d == 3 ? chunk_taps : chunk_taps / 4);
      a.stride = pick(1, 5);
      a.post = d < 2 ? pick(1, 2) : d == 3 ? pick(1, 60) : pick(1, 7);
      a.pre = (a.post - 1) * a.stride + pick(1, a.extent);
    }
  }
}

template <class T>
void launch_pool(Pool kind, PoolParameters<T> p) {
  const auto blocks = [&](int64_t along_axis_3, int64_t y) {
    return dim3(static_cast<unsigned>(along_axis_3 * divide_up(p.axis[2].post, y) * p.axis[1].post *
                                      p.axis[0].post * p.batch));
  };
  if (kind == Pool::naive) {
    emulation::launch<&pool_naive<T>>(dim3(static_cast<unsigned>(divide_up(p.post_size * p.batch, 64))),
                                      dim3(64), p);
  } else if (kind == Pool::rows) {
    const unsigned y = 1u << pick(0, 3), x = 256 / y;
    p.units = pick(1, p.axis[3].post);
    const dim3 grid = blocks(divide_up(p.axis[3].post, p.units), y);
    const auto bytes = static_cast<std::size_t>(pool_shared_bytes(p, y));
    if (p.reduction == reduce_max)
      emulation::launch<&pool_rows<T, reduce_max>>(grid, dim3(x, y), p, bytes);
    else if (p.reduction == reduce_min)
      emulation::launch<&pool_rows<T, reduce_min>>(grid, dim3(x, y), p, bytes);
    else
      emulation::launch<&pool_rows<T, reduce_sum>>(grid, dim3(x, y), p, bytes);
  } else {
    // As a launch has it, or with tails at other places.
    const auto x = static_cast<unsigned>(one_in(2) ? pool_2x2_lanes(p) : pick(1, 40));
    const unsigned y = static_cast<unsigned>(pick(1, std::min<int>(256 / static_cast<int>(x), 4)));
    const int64_t per_block = x * PoolTile::vectors * (16 / static_cast<int64_t>(sizeof(T)));
    const dim3 grid = blocks(divide_up(static_cast<int64_t>(p.axis[3].post) * p.inner, per_block), y);
    if (p.reduction == reduce_max)
      emulation::launch<&pool_2x2<T, reduce_max>>(grid, dim3(x, y), p);
    else if (p.reduction == reduce_min)
      emulation::launch<&pool_2x2<T, reduce_min>>(grid, dim3(x, y), p);
    else
      emulation::launch<&pool_2x2<T, reduce_sum>>(grid, dim3(x, y), p);
  }
}

template <class T>
void pools(int cases) {
  for (int number = 0; number < 3 * cases; ++number) {
    const Pool kind = static_cast<Pool>(number % 3);
    PoolParameters<T> p{};
    p.batch = pick(1, 2);
    constexpr int reductions[] = {reduce_sum, reduce_mean, reduce_max, reduce_min};
    p.reduction = reductions[number / 3 % 4];
    p.accumulate = one_in(3);
    draw_boxes(p, kind);
    int64_t pre = p.inner, post = p.inner;
    for (int d = 3; d >= 0; --d) {
      const PoolAxis& a = p.axis[d];
      p.pre_step[d] = pre;
      p.post_step[d] = post;
      pre *= a.pre;
      post *= a.post;
    }
    p.pre_size = pre;
    p.post_size = post;
    one_sign = one_in(3);
    const bool delayed = one_in(4);
    Array<T> now(static_cast<std::size_t>(pre * p.batch), one_in(3)),
        history(static_cast<std::size_t>(delayed ? 3 * pre * p.batch : 0), one_in(3)),
        out(static_cast<std::size_t>(post * p.batch), one_in(4));
    const int64_t step = pick(0, 5);
    p.source = {now.data, delayed ? history.data : nullptr, &step, pre * p.batch,
                3,        delayed ? pick(1, 3) : 0};
    T* rates = delayed ? history.data + ((step - p.source.delay + 6) % 3) * pre * p.batch : now.data;
    if (one_in(4))
      for (int64_t i = 0; i < pre * p.batch; ++i)
        if (!one_in(4)) rates[i] = -T(0);
    if (one_in(3))
      rates[random_bits() % static_cast<std::size_t>(pre * p.batch)] = std::numeric_limits<T>::quiet_NaN();
    p.post = out.data;
    const std::vector<T> before(out.data, out.data + out.size);
    const bool aligned = pool_2x2_aligned(p);
    launch_pool(kind == Pool::two_by_two && !aligned ? Pool::rows : kind, p);
    if (kind == Pool::two_by_two && aligned) {
      // Where an array lies does not change a bit of the results.
      Array<T> again(out.size);
      std::copy(before.begin(), before.end(), again.data);
      p.post = again.data;
      launch_pool(Pool::rows, p);
      for (std::size_t i = 0; i < out.size; ++i)
        if (out.data[i] == out.data[i] ? std::memcmp(&out.data[i], &again.data[i], sizeof(T)) != 0
                                       : again.data[i] == again.data[i])
          differ("pool_2x2 and pool_rows, case " + std::to_string(number));
    }
    for (int b = 0; b < p.batch; ++b)
      for (int64_t unit = 0; unit < post; ++unit) {
        int64_t rest = unit / p.inner, q[4];
        for (int d = 3; d >= 0; --d) q[d] = rest % p.axis[d].post, rest /= p.axis[d].post;
        Plain<T> plain{p.reduction};
        const auto end = [&](int d) {
          return std::min<int64_t>(q[d] * p.axis[d].stride + p.axis[d].extent, p.axis[d].pre);
        };
        for (int64_t i = q[0] * p.axis[0].stride; i < end(0); ++i)
          for (int64_t j = q[1] * p.axis[1].stride; j < end(1); ++j)
            for (int64_t k = q[2] * p.axis[2].stride; k < end(2); ++k)
              for (int64_t l = q[3] * p.axis[3].stride; l < end(3); ++l)
                plain.add(T(1), rates[b * pre + i * p.pre_step[0] + j * p.pre_step[1] + k * p.pre_step[2] +
                                      l * p.pre_step[3] + unit % p.inner]);
        const T old = p.accumulate ? before[b * post + unit] : T(0);
        compare("pool case " + std::to_string(number) + " unit " + std::to_string(unit),
                out.data[b * post + unit], static_cast<T>(old + plain.result(plain.count)),
                plain.tolerance(plain.count, old));
      }
  }
}

template <class T>
void synapses(int cases) {
  const Code psp = example_program();
  const T constants[] = {T(0.25)};
  for (int number = 0; number < 2 * cases; ++number) {
    SynapsesParameters<T> p{};
    p.batch = pick(1, 2);
    p.pre_size = pick(1, 40);
    p.post_size = pick(1, 30);
    constexpr int reductions[] = {reduce_sum, reduce_mean, reduce_max, reduce_min};
    p.reduction = reductions[number / 2 % 4];
    p.accumulate = one_in(3);
    p.has_psp = one_in(3);
    p.psp = psp.program(constants);
    one_sign = one_in(3);
    std::vector<int64_t> row_start{0};
    std::vector<int32_t> column;
    for (int64_t q = 0; q < p.post_size; ++q) {
      const int n = one_in(3) ? 0 : one_in(8) ? pick(3000, 20000) : pick(1, 100);
      for (int k = 0; k < n; ++k) column.push_back(pick(0, static_cast<int>(p.pre_size) - 1));
      row_start.push_back(static_cast<int64_t>(column.size()));
    }
    Array<T> weights(column.size()), rates(static_cast<std::size_t>(p.pre_size * p.batch)),
        out(static_cast<std::size_t>(p.post_size * p.batch));
    if (one_in(3)) rates.data[random_bits() % rates.size] = std::numeric_limits<T>::quiet_NaN();
    const int64_t step = 0;
    p.source = {rates.data, nullptr, &step, p.pre_size * p.batch, 1, 0};
    p.post = out.data;
    p.row_start = row_start.data();
    p.column = column.data();
    p.weights = weights.data;
    const std::vector<T> before(out.data, out.data + out.size);
    const int64_t rows = p.post_size * p.batch;
    if (number % 2)
      emulation::launch<&synapses_warp<T>>(dim3(static_cast<unsigned>(divide_up(rows, 4))), dim3(128), p);
    else
      emulation::launch<&synapses_naive<T>>(dim3(static_cast<unsigned>(divide_up(rows, 64))), dim3(64), p);
    for (int64_t b = 0; b < p.batch; ++b)
      for (int64_t q = 0; q < p.post_size; ++q) {
        Plain<T> plain{p.reduction};
        for (int64_t j = row_start[q]; j < row_start[q + 1]; ++j) {
          const T w = weights.data[j], r = rates.data[b * p.pre_size + column[j]];
          if (p.has_psp)
            plain.add(T(1), example_psp(w, r));
          else
            plain.add(w, r);
        }
        const T old = p.accumulate ? before[b * p.post_size + q] : T(0);
        compare("synapses case " + std::to_string(number) + " unit " + std::to_string(q),
                out.data[b * p.post_size + q], static_cast<T>(old + plain.result(plain.count)),
                plain.tolerance(plain.count, old));
      }
  }
}

template <class T>
void statistics(int cases) {
  for (int number = 0; number < 5 * cases; ++number) {
    StatisticParameters<T> p{};
    p.which = number % 5;
    p.batch = pick(1, 3);
    p.units = one_in(3) ? pick(1, 70) : one_in(2) ? pick(2000, 2100) : pick(4000, 9000);
    p.parts_per_trial = divide_up(p.units, statistic_units);
    one_sign = one_in(3);
    Array<T> values(static_cast<std::size_t>(p.batch * p.units)), out(static_cast<std::size_t>(p.batch));
    Array<double> parts(static_cast<std::size_t>(p.batch * p.parts_per_trial));
    if (one_in(3)) values.data[random_bits() % values.size] = std::numeric_limits<T>::quiet_NaN();
    p.values = values.data;
    p.parts = parts.data;
    p.out = out.data;
    if (number / 5 % 2) {
      const auto blocks = [](int64_t warps) { return dim3(static_cast<unsigned>(divide_up(warps, 4))); };
      emulation::launch<&statistic_part<T>>(blocks(p.batch * p.parts_per_trial), dim3(128), p);
      if (p.parts_per_trial > 1) emulation::launch<&statistic_total<T>>(blocks(p.batch), dim3(128), p);
    } else {
      emulation::launch<&statistic_naive<T>>(dim3(1), dim3(32), p);
    }
    for (int b = 0; b < p.batch; ++b) {
      constexpr int reductions[] = {reduce_mean, reduce_max, reduce_min, reduce_sum, reduce_sum};
      Plain<T> plain{reductions[p.which]};
      for (int64_t u = 0; u < p.units; ++u) {
        const T x = values.data[b * p.units + u];
        if (p.which == statistic_norm2)
          plain.add(x, x);
        else
          plain.add(T(1), p.which == statistic_norm1 ? std::abs(x) : x);
      }
      const T wanted = plain.result(p.units);
      compare("statistic case " + std::to_string(number) + " trial " + std::to_string(b), out.data[b],
              p.which == statistic_norm2 ? std::sqrt(wanted) : wanted, plain.tolerance(p.units, T(0)));
    }
  }
}

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

template <class T>
void time_keepers() {
  for (int elements : {1, 3, 4, 255, 257})
    for (int off : {0, 1}) {
      int64_t step = 7;
      Array<T> from(elements, off), to(3 * elements);
      std::vector<T> wanted(to.data, to.data + to.size);
      const dim3 grid(static_cast<unsigned>(divide_up(elements, 64 * 16 / sizeof(T))));
      emulation::launch<&copy<T>>(grid, dim3(64), CopyParameters<T>{from.data, to.data, &step, elements, 3});
      std::copy(from.data, from.data + elements, wanted.begin() + 1 * elements);
      for (std::size_t i = 0; i < wanted.size(); ++i) compare("copy", to.data[i], wanted[i], 0);
      emulation::launch<&copy<T>>(grid, dim3(64), CopyParameters<T>{nullptr, to.data, &step, elements, 1});
      for (int i = 0; i < elements; ++i) compare("clear", to.data[i], T(0), 0);
      emulation::launch<&advance<1>>(dim3(1), dim3(32), AdvanceParameters{&step});
      if (step != 8) differ("advance");

      const Code twice = Code()(Opcode::load, 0, 0)(Opcode::add, 0, 0, 0)(Opcode::store, 0, 0);
      const Source<T> source{nullptr, to.data, &step, elements, 3, 9};  // row (8 - 9) mod 3 = 2
      Array<T> doubled(elements);
      emulation::launch<&apply<T>>(
          dim3(static_cast<unsigned>(divide_up(elements, 64))), dim3(64),
          ApplyParameters<T>{source, doubled.data, elements, twice.program<T>(nullptr)});
      for (int i = 0; i < elements; ++i) compare("apply", doubled.data[i], 2 * to.data[2 * elements + i], 0);

      // r = x + t; count += r, one value per trial, written by unit 0
      const Code equations = Code()(Opcode::load, 0, 0)(Opcode::load, 1, 1)(Opcode::add, 0, 0, 1)(
          Opcode::store, 0, 0)(Opcode::load, 1, 2)(Opcode::add, 1, 1, 0)(Opcode::store, 1, 1);
      Array<T> x(2 * elements), r(2 * elements), count(2), count_after(2);
      const Operand<T> inputs[] = {{x.data, elements}, {nullptr, 1}, {count.data, 1}};
      const Operand<T> outputs[] = {{r.data, elements}, {count_after.data, 1}};
      const UpdateParameters<T> both{
          equations.program<T>(nullptr), inputs, outputs, &step, nullptr, 0.5, elements, 2};
      emulation::launch<&update<T>>(dim3(static_cast<unsigned>(divide_up(2 * elements, 64))), dim3(64), both);
      for (int i = 0; i < 2 * elements; ++i) compare("update", r.data[i], x.data[i] + T(4), 0);
      for (int b = 0; b < 2; ++b)
        compare("update", count_after.data[b], count.data[b] + r.data[b * elements], 0);

      // The same update and a copy in one launch, which moves the counter on as well.
      Array<T> again(2 * elements), copied(elements);
      const Operand<T> again_to[] = {{again.data, elements}, {count_after.data, 1}};
      UpdateParameters<T> piece = both;
      piece.outputs = again_to;
      const CopyParameters<T> other{from.data, copied.data, &step, elements, 1};
      // ... and a copy of what the update leaves, by the same threads.
      Array<T> kept(2 * elements);
      const CopyParameters<T> next{again.data, kept.data, &step, 2 * elements, 1};
      std::vector<LevelBlock> blocks;
      std::vector<uint32_t> words[2];
      const auto put = [&](int chain, const auto& parameters, LevelKind kind, int more) {
        const int32_t size = static_cast<int32_t>(sizeof(parameters) / 4);
        const LevelPiece head{kind, size, more, 0};
        const std::size_t place = words[chain].size();
        words[chain].resize(place + 4 + static_cast<std::size_t>(size + 3) / 4 * 4);
        std::memcpy(&words[chain][place], &head, sizeof head);
        std::memcpy(&words[chain][place + 4], &parameters, sizeof(parameters));
        return head;
      };
      const LevelPiece heads[] = {put(0, piece, LevelKind::update, 1), put(1, other, LevelKind::copy, 0)};
      put(0, next, LevelKind::copy_each, 0);
      const int64_t threads[] = {2 * elements, divide_up(elements, 16 / sizeof(T))};
      for (int c : {0, 1})
        for (int32_t k = 0; k * level_threads < threads[c]; ++k)
          blocks.push_back({words[c].data(), heads[c], k});
      int64_t after = 0;
      emulation::launch<&level<T>>(dim3(static_cast<unsigned>(blocks.size())), dim3(level_threads),
                                   LevelParameters{blocks.data(), &step, &after, 1});
      if (after != step + 1) differ("level: counter");
      for (int i = 0; i < 2 * elements; ++i) {
        compare("level: update", again.data[i], r.data[i], 0);
        compare("level: chain", kept.data[i], r.data[i], 0);
      }
      for (int i = 0; i < elements; ++i) compare("level: copy", copied.data[i], from.data[i], 0);
    }
}

// Reductions over time, rates of different ages, frames, rows that are kept, and values that are not finite.
template <class T>
void exchanges() {
  const T nan = std::numeric_limits<T>::quiet_NaN(), infinity = std::numeric_limits<T>::infinity();
  for (int units : {1, 5, 300}) {
    const int elements = 2 * units;
    const dim3 grid(static_cast<unsigned>(divide_up(elements, 64))), block(64);
    int64_t step = 7;
    for (int reduction : {reduce_sum, reduce_max, reduce_min}) {
      Array<T> values(elements), out(elements);
      values.data[pick(0, elements - 1)] = nan;
      out.data[pick(0, elements - 1)] = nan;
      const std::vector<T> before(out.data, out.data + elements);
      emulation::launch<&combine_arrays<T>>(
          grid, block, CombineParameters<T>{values.data, out.data, elements, T(3), reduction});
      for (int i = 0; i < elements; ++i) {
        const T a = before[i], b = values.data[i];
        const T larger = a < b ? b : a, smaller = a < b ? a : b;
        const T wanted = a != a || b != b          ? nan
                         : reduction == reduce_max ? larger
                         : reduction == reduce_min ? smaller
                                                   : a + b / T(3);
        compare("combine", out.data[i], wanted, 0);
      }
    }

    Array<T> rates(elements), history(4 * elements), out(elements);
    std::vector<int32_t> delays;
    for (int u = 0; u < units; ++u) delays.push_back(pick(0, 4));
    emulation::launch<&gather_history<T>>(grid, block,
                                          GatherHistoryParameters<T>{rates.data, history.data, delays.data(),
                                                                     out.data, &step, elements, units, 4});
    for (int i = 0; i < elements; ++i) {
      const int delay = delays[i % units];
      compare("gather_history", out.data[i],
              delay ? history.data[(7 - delay) % 4 * elements + i] : rates.data[i], 0);
    }

    for (bool each_trial : {false, true}) {
      const int64_t starts[] = {1, 2, 6};
      const int row = each_trial ? elements : units;
      Array<T> frames(3 * row), shown_on(elements);
      const Shown<T> shown{frames.data, starts, 3, 9, 4, each_trial};
      for (step = 0; step < 30; ++step) {
        const std::vector<T> before(shown_on.data, shown_on.data + elements);
        emulation::launch<&show<T>>(grid, block, ShowParameters<T>{shown_on.data, &shown, &step, units, 2});
        const int64_t place = step < 4 ? -1 : (step - 4) % 9;
        const int frame = place == 1 ? 0 : place == 2 ? 1 : place == 6 ? 2 : -1;
        for (int i = 0; i < elements; ++i)
          compare("show", shown_on.data[i],
                  frame < 0 ? before[i] : frames.data[frame * row + (each_trial ? i : i % units)], 0);
      }
    }

    const int64_t ranks[] = {units - 1, 0};
    Array<T> all(2 * elements), some(2 * 2 * 2);
    const std::vector<T> all_before(all.data, all.data + all.size);
    const Kept<T> kept[] = {{rates.data, nullptr, all.data, units, units, 2, 3, 5, 1, 2},
                            {rates.data, ranks, some.data, units, 2, 2, 8, 1, 0, 2}};
    const Kept<T>* table = kept;
    const int32_t count = 2;
    step = 8;  // row 1 of the first, at place 0; row 0 of the second
    emulation::launch<&keep<T>>(dim3(2), dim3(64), KeepParameters<T>{&table, &count, &step, 128});
    for (int i = 0; i < 2 * elements; ++i)
      compare("keep", all.data[i], i < elements ? rates.data[i] : all_before[i], 0);
    for (int k = 0; k < 4; ++k) compare("keep", some.data[k], rates.data[k / 2 * units + ranks[k % 2]], 0);

    NotFinite found{~0ull, ~0ull};
    const auto look = [&](int number) {
      emulation::launch<&check<T>>(grid, block,
                                   CheckParameters<T>{rates.data, &found, &step, elements, number});
    };
    look(0);
    if (found.step != ~0ull) differ("check: found nothing");
    const int place = pick(0, elements - 1);
    rates.data[place] = -infinity;
    rates.data[elements - 1] = place == elements - 1 ? -infinity : nan;
    look(3);
    look(2);
    ++step;
    look(1);  // too late
    const unsigned long long wanted = 2ull << 48 | static_cast<unsigned long long>(place) << 2 | 2;
    if (found.step != 8 || found.place != wanted) differ("check");
  }
}

// Known answers of Philox (Salmon et al.), and draws that the units of a group share.
template <class T>
void draws() {
  const NoiseWords zeros = philox(0, 0, 0, 0, 0, 0);
  if (zeros.word[0] != 0x6627e8d5u || zeros.word[1] != 0xe169c58du || zeros.word[2] != 0xbc57ac4cu ||
      zeros.word[3] != 0x9b00dbd8u)
    differ("philox");
  const NoiseKey key = noise_key(5, 1, 2);
  for (int64_t unit = 0; unit < 64; ++unit) {
    const UnitNoise noise{key, (int64_t{1} << 33) + 3, unit};
    const int group = sizeof(T) == 4 ? 4 : 2, place = static_cast<int>(unit % group);
    const NoiseWords w = noise_words(key, unit / group, (1ull << 33) + 3, 9);
    const double even[] = {static_cast<double>(uniform_from(w.word[0], w.word[1])),
                           static_cast<double>(uniform_from(w.word[2], w.word[3]))};
    const T uniform =
        sizeof(T) == 4 ? static_cast<T>(uniform_from(w.word[place])) : static_cast<T>(even[place % 2]);
    compare("uniform", noise(false, false, 9, T(0)), uniform, 0);
    const double from = sizeof(T) == 4 ? positive_uniform_from(w.word[place / 2 * 2]) : even[0] + 0x1p-53;
    const double turn = sizeof(T) == 4 ? uniform_from(w.word[place / 2 * 2 + 1]) : even[1];
    const double angle = 6.283185307179586477 * turn, radius = std::sqrt(-2 * std::log(from));
    const double normal = radius * (place % 2 ? std::sin(angle) : std::cos(angle));
    compare("normal", noise(true, false, 9, T(0)), static_cast<T>(normal),
            16 * std::numeric_limits<T>::epsilon());
    const UnitNoise first{key, noise.step, 0};
    compare("noise of the population", noise(true, true, 9, T(0)), first(true, false, 9, T(0)), 0);
  }
}

template <class T>
void all(int cases) {
  programs<T>();
  time_keepers<T>();
  exchanges<T>();
  draws<T>();
  synapses<T>(cases);
  statistics<T>(cases);
  pools<T>(cases);
  windows<T>(cases);
}

}  // namespace
}  // namespace weightsharing::cuda

int main(int count, char** arguments) {
  const int cases = count > 1 ? std::atoi(arguments[1]) : 48;
  if (count > 2) weightsharing::cuda::random_bits.seed(static_cast<unsigned>(std::atoi(arguments[2])));
  weightsharing::cuda::all<float>(cases);
  weightsharing::cuda::all<double>(cases);
  weightsharing::cuda::tf32_on_hard_data();
  std::printf("%ld comparisons\n", weightsharing::cuda::comparisons);
}
