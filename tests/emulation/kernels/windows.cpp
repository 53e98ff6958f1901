// Windows: one filter, banks of filters, listed centres, sums of products of 1-D filters.

#include <algorithm>
#include <cmath>

#include "cuda/bank.cuh"
#include "cuda/bank_tf32.cuh"
#include "cuda/gather.cuh"
#include "cuda/lowrank.cuh"
#include "cuda/window.cuh"
#include "kernels/cases.h"

namespace weightsharing::cuda {

namespace {

// The definition, with nothing in common with primitives/padding.h.
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

}  // namespace

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

template void windows<float>(int);
template void windows<double>(int);

}  // namespace weightsharing::cuda
