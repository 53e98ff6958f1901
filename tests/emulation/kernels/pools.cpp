// Pooling, aligned and not.

#include <algorithm>
#include <cstring>

#include "cuda/pool.cuh"
#include "kernels/cases.h"

namespace weightsharing::cuda {

namespace {

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

}  // namespace

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

template void pools<float>(int);
template void pools<double>(int);

}  // namespace weightsharing::cuda
