// Banks: many filters over a regular grid, as a matrix product of pixels x taps and taps x filters whose
// first matrix is never written down.
//
// Ladder of versions (not yet measured on a GPU):
//   window_naive  one thread per pixel and filter, filters in neighbouring threads
//   bank_gemm     both matrices in chunks of 64 bytes of taps through two buffers in shared memory, the next
//                 chunk on its way while this one is multiplied; 8 x 8 (8 x 4, 4 x 4) results per thread in
//                 registers, float32 or float64 multiply-adds. Per 16 bytes of taps a thread reads 8 + 8
//                 accesses for 256 multiply-adds
//   bank_tf32     the same on tensor cores, in bank_tf32.cuh: on request only
// With padding='ignore' an element outside is a zero. Where that makes a NaN of a weight that is not finite,
// and only there, the pixels whose window sticks out are reduced once more, as window_naive does.
#pragma once

#include "cuda/window.cuh"

namespace weightsharing::cuda {

// One pixel of a block: one unit of the grid in one trial.
struct BankPixel {
  int64_t rates;  // first element of its trial, or -1 behind the last pixel
  int64_t post;
  int32_t first[4];  // coordinate of tap (0, 0, 0, 0)
};

struct BankTap {
  int32_t index, along[4];
};
template <class T>
inline __device__ void advance_tap(const WindowParameters<T>& p, BankTap& tap, int32_t by) {
  tap.index += by;
  tap.along[3] += by;
  while (tap.along[3] >= p.axis[3].taps) {
    tap.along[3] -= p.axis[3].taps;
    if (++tap.along[2] < p.axis[2].taps) continue;
    tap.along[2] = 0;
    if (++tap.along[1] < p.axis[1].taps) continue;
    tap.along[1] = 0;
    ++tap.along[0];
  }
}

// Element of the trial that the tap reads at the pixel over the axes 0 to `axes` - 1; -1 when that is
// outside.
template <int axes, class T>
inline __device__ int64_t bank_element(const WindowParameters<T>& p, const BankPixel& pixel,
                                       const BankTap& tap) {
  int64_t element = 0;
  bool outside = false;
  WEIGHTSHARING_UNROLL
  for (int d = 0; d < axes; ++d) {
    const int32_t u = place(pixel.first[d] + p.axis[d].dilation * tap.along[d], p.axis[d].pre, p.outside);
    outside = outside || u < 0;
    element += u * p.pre_step[d];
  }
  return outside ? -1 : element;
}

// The pixels of a block, in shared memory. All threads call it; a barrier has to follow.
template <int pixels, int threads, class T>
inline __device__ void find_pixels(const WindowParameters<T>& p, int64_t first_pixel, BankPixel* table) {
  for (int32_t k = threadIdx.x; k < pixels; k += threads) {
    const int64_t trial = (first_pixel + k) / p.units;
    int64_t index = (first_pixel + k) % p.units;
    BankPixel pixel;
    pixel.post = trial * p.post_size;
    WEIGHTSHARING_UNROLL
    for (int d = 3; d >= 0; --d) {
      const int64_t q = index % p.axis[d].post;
      index /= p.axis[d].post;
      pixel.first[d] = static_cast<int32_t>(p.axis[d].offset + q * p.axis[d].stride);
      pixel.post += q * p.post_step[d];
    }
    pixel.rates = trial < p.batch ? trial * p.pre_size : -1;
    table[k] = pixel;
  }
}

// Whether the taps of a chunk are neighbouring channels of one pixel of pre, all of them: then whole accesses
// are inside or outside.
template <class T>
inline __device__ bool whole_channels(const WindowParameters<T>& p, const T* rates) {
  return p.axis[3].taps == p.axis[3].pre && p.axis[3].post == 1 && p.axis[3].offset == 0 &&
         p.axis[3].dilation == 1 && p.pre_step[3] == 1 &&
         (reinterpret_cast<uintptr_t>(rates) |
          static_cast<uintptr_t>((p.axis[3].taps | p.pre_size) * sizeof(T))) %
                 16 ==
             0;
}

// Copies one chunk of taps, 64 bytes, of every (threads / 4)-th pixel: `tap` is the first of this thread's
// access, `to` its place in the row of the first pixel.
template <int pixels, int threads, int pitch, class T>
inline __device__ void load_rates(const WindowParameters<T>& p, const BankPixel* table, const T* rates,
                                  bool whole, const BankTap& tap, T* to) {
  constexpr int V = 16 / sizeof(T);
  const T fill = p.outside == outside_ignore ? T(0) : p.outside_value;
  for (int32_t k = threadIdx.x / 4; k < pixels; k += threads / 4, to += threads / 4 * pitch) {
    const BankPixel pixel = table[k];
    if (whole) {
      const bool used = pixel.rates >= 0 && tap.index < p.taps;
      const int64_t element = used ? bank_element<3>(p, pixel, tap) : -1;
      if (element >= 0) {
        cp_async<16>(to, rates + pixel.rates + element + tap.along[3]);
      } else {
        Wide<T> value;
        WEIGHTSHARING_UNROLL
        for (int v = 0; v < V; ++v) value.element[v] = used ? fill : T(0);
        *reinterpret_cast<Wide<T>*>(to) = value;
      }
    } else {
      BankTap here = tap;
      for (int v = 0; v < V; ++v) {
        const bool used = pixel.rates >= 0 && here.index < p.taps;
        const int64_t element = used ? bank_element<4>(p, pixel, here) : -1;
        if (element >= 0)
          cp_async<sizeof(T)>(to + v, rates + pixel.rates + element);
        else
          to[v] = used ? fill : T(0);
        advance_tap(p, here, 1);
      }
    }
  }
}

// Copies the weights of one chunk for `filters` filters; this thread copies every threads-th access.
template <int filters, int threads, int pitch, class T>
inline __device__ void load_weights(const WindowParameters<T>& p, int32_t chunk, int32_t first_filter,
                                    T* tile) {
  constexpr int V = 16 / sizeof(T), K = 4 * V;
  WEIGHTSHARING_UNROLL
  for (int k = 0; k < K * filters / V / threads; ++k) {
    const int32_t access = threadIdx.x + k * threads, row = access / (filters / V),
                  column = access % (filters / V) * V;
    const bool used = chunk * K + row < p.taps;
    const T* from = p.packed + (used ? static_cast<int64_t>(chunk * K + row) * p.packed_filters : 0) +
                    first_filter + column;
    cp_async<16>(tile + row * pitch + column, from, used ? 16 : 0);
  }
}

// Sums that are full move to a second level in shared memory, and bank_fan_in of those to a third.
template <class T, int rows, int columns, int threads>
struct BankLevels {
  static constexpr int V = 16 / sizeof(T), accesses = rows * columns / V;
  static_assert(columns % V == 0, "whole accesses");
  Wide<T>* second;  // [accesses][threads]; the third level lies behind it
  int32_t moves = 0;

  __device__ explicit BankLevels(void* memory) : second(static_cast<Wide<T>*>(memory) + threadIdx.x) {}

  __device__ void move(T (&sum)[rows][columns]) {
    const bool next_level = (moves + 1) % bank_fan_in == 0;
    Wide<T>* const third = second + accesses * threads;
    WEIGHTSHARING_UNROLL
    for (int k = 0; k < accesses; ++k) {
      T* part = sum[k * V / columns] + k * V % columns;
      const int at = k * threads;
      Wide<T> total{};
      if (moves % bank_fan_in) total = second[at];
      WEIGHTSHARING_UNROLL
      for (int v = 0; v < V; ++v) {
        total.element[v] += part[v];
        part[v] = T(0);
      }
      if (!next_level) {
        second[at] = total;
        continue;
      }
      if (moves >= bank_fan_in) {
        WEIGHTSHARING_UNROLL
        for (int v = 0; v < V; ++v) total.element[v] += third[at].element[v];
      }
      third[at] = total;
    }
    ++moves;
  }
  // All levels together.
  __device__ void finish(T (&sum)[rows][columns]) const {
    const Wide<T>* const third = second + accesses * threads;
    WEIGHTSHARING_UNROLL
    for (int k = 0; k < accesses; ++k) {
      T* part = sum[k * V / columns] + k * V % columns;
      Wide<T> value{};
      if (moves % bank_fan_in) value = second[k * threads];
      WEIGHTSHARING_UNROLL
      for (int v = 0; v < V; ++v) part[v] += value.element[v];
      if (moves < bank_fan_in) continue;
      value = third[k * threads];
      WEIGHTSHARING_UNROLL
      for (int v = 0; v < V; ++v) part[v] += value.element[v];
    }
  }
};

template <class T>
inline __device__ bool sticks_out(const WindowParameters<T>& p, const BankPixel& pixel) {
  bool out = false;
  WEIGHTSHARING_UNROLL
  for (int d = 0; d < 4; ++d)
    out = out || pixel.first[d] < 0 ||
          pixel.first[d] + (p.axis[d].taps - 1) * p.axis[d].dilation >= p.axis[d].pre;
  return out;
}

// What a mean divides by; 1 for a sum.
template <class T>
inline __device__ T bank_divisor(const WindowParameters<T>& p, const BankPixel& pixel) {
  if (p.reduction != reduce_mean) return T(1);
  if (p.outside != outside_ignore) return static_cast<T>(p.taps);
  int32_t count = 1;
  WEIGHTSHARING_UNROLL
  for (int d = 0; d < 4; ++d) count *= taps_inside(p.axis[d], pixel.first[d]);
  return static_cast<T>(max(count, 1));  // without taps the sum is 0
}

// With 'ignore': whether this block must reduce its pixels that stick out tap by tap, because a zero outside
// met a weight that is not finite. All threads call it.
template <class T, int rows, int columns>
inline __device__ bool again_tap_by_tap(const WindowParameters<T>& p, const T (&sum)[rows][columns]) {
  if (p.outside != outside_ignore) return false;
  bool nan = false;
  WEIGHTSHARING_UNROLL
  for (int i = 0; i < rows; ++i) {
    WEIGHTSHARING_UNROLL
    for (int f = 0; f < columns; ++f) nan = nan || sum[i][f] != sum[i][f];
  }
  return __syncthreads_or(nan);
}

// The threads of the block share its pixels that stick out, each reduced tap by tap.
template <int pixels, int filters, int threads, class T>
inline __device__ void reduce_pixels(const WindowParameters<T>& p, const BankPixel* table, const T* rates,
                                     int32_t first_filter) {
  for (int32_t k = threadIdx.x; k < pixels * filters; k += threads) {
    const BankPixel pixel = table[k / filters];
    const int32_t filter = first_filter + k % filters;
    if (pixel.rates < 0 || filter >= p.filters || !sticks_out(p, pixel)) continue;
    const int64_t first[4] = {pixel.first[0], pixel.first[1], pixel.first[2], pixel.first[3]};
    const T value =
        reduce_taps<false>(p, rates + pixel.rates, p.weights + static_cast<int64_t>(filter) * p.taps, first);
    write_unit(p.post + pixel.post + p.first_filter + filter, value, p.accumulate);
  }
}

// This block is responsible for `pixels` pixels x `filters` filters. While loading, a thread is responsible
// for every (threads / 4)-th pixel and one of four accesses of its taps; while multiplying, for PT pixels, 8
// apart, and FT filters, in accesses 4 apart. Sums move to a second accumulator in shared memory every
// chunk_taps.
//
// Sum and mean, any stride, dilation and padding, no psp, no layers. p.packed holds the weights as
// [tap][packed_filters], packed_filters the filters of the launch rounded up to a multiple of `filters`,
// zeros in the rest. Grid: ceil(units * batch / pixels) * packed_filters / filters, one-dimensional, filters
// fastest; block: BankTile::threads; shared memory: bank_shared_bytes.
template <class T, int filters, int pixels, int PT, int FT>
__global__ void __launch_bounds__(BankTile<pixels, filters, PT, FT>::threads, sizeof(T) == 4 ? 3 : 2)
    bank_gemm(const WindowParameters<T> p) {
  using Tile = BankTile<pixels, filters, PT, FT>;
  constexpr int V = 16 / sizeof(T), K = 4 * V, threads = Tile::threads;
  constexpr int pitch = K + V;  // eight pixels below each other lie in different banks
  static_assert(pixels % (8 * PT) == 0 && filters % (4 * FT) == 0 && FT % V == 0, "a warp is 8 x 4 threads");
  static_assert(pixels * 4 % threads == 0 && K * filters / V % threads == 0 && chunk_taps % K == 0,
                "whole accesses");
  WEIGHTSHARING_DYNAMIC_SHARED(T, shared);
  T* const rate_tile = shared;                            // [2][pixels][pitch]
  T* const weight_tile = rate_tile + 2 * pixels * pitch;  // [2][K][filters]
  BankPixel* const pixel_table = reinterpret_cast<BankPixel*>(weight_tile + 2 * K * filters);
  BankLevels<T, PT, FT, threads> levels(pixel_table + pixels);

  const uint32_t filter_blocks = p.packed_filters / filters;
  const int32_t first_filter = blockIdx.x % filter_blocks * filters;
  find_pixels<pixels, threads>(p, static_cast<int64_t>(blockIdx.x / filter_blocks) * pixels, pixel_table);
  __syncthreads();

  const T* rates = source_rates(p.source);
  const bool whole = whole_channels(p, rates);
  BankTap tap{};  // the first of this thread's access
  advance_tap(p, tap, threadIdx.x % 4 * V);
  const auto load = [&](int32_t buffer, int32_t chunk) {
    load_rates<pixels, threads, pitch>(
        p, pixel_table, rates, whole, tap,
        rate_tile + buffer * pixels * pitch + threadIdx.x / 4 * pitch + threadIdx.x % 4 * V);
    advance_tap(p, tap, K);
    load_weights<filters, threads, filters>(p, chunk, first_filter, weight_tile + buffer * K * filters);
    cp_async_commit();
  };

  const int32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int32_t pixel = warp / (filters / (4 * FT)) * (8 * PT) + lane / 4;
  const int32_t filter = warp % (filters / (4 * FT)) * (4 * FT) + lane % 4 * V;
  T sum[PT][FT];
  WEIGHTSHARING_UNROLL
  for (int i = 0; i < PT; ++i) {
    WEIGHTSHARING_UNROLL
    for (int f = 0; f < FT; ++f) sum[i][f] = T(0);
  }
  const int32_t chunks = (p.taps + K - 1) / K;
  load(0, 0);
  for (int32_t chunk = 0; chunk < chunks; ++chunk) {
    cp_async_wait<0>();
    __syncthreads();  // this chunk is there, and the other buffer is read
    const int32_t buffer = chunk % 2;
    if (chunk + 1 < chunks) load(1 - buffer, chunk + 1);
    const T* from_rates = rate_tile + buffer * pixels * pitch + pixel * pitch;
    const T* from_weights = weight_tile + buffer * K * filters + filter;
    WEIGHTSHARING_UNROLL
    for (int k = 0; k < K; k += V) {
      Wide<T> rate[PT];
      WEIGHTSHARING_UNROLL
      for (int i = 0; i < PT; ++i)
        rate[i] = *reinterpret_cast<const Wide<T>*>(from_rates + i * 8 * pitch + k);
      WEIGHTSHARING_UNROLL
      for (int v = 0; v < V; ++v) {
        Wide<T> weight[FT / V];
        WEIGHTSHARING_UNROLL
        for (int j = 0; j < FT / V; ++j)
          weight[j] = *reinterpret_cast<const Wide<T>*>(from_weights + (k + v) * filters + j * 4 * V);
        WEIGHTSHARING_UNROLL
        for (int i = 0; i < PT; ++i) {
          WEIGHTSHARING_UNROLL
          for (int f = 0; f < FT; ++f) sum[i][f] += rate[i].element[v] * weight[f / V].element[f % V];
        }
      }
    }
    if ((chunk + 1) % (chunk_taps / K) == 0 && p.taps > chunk_taps) levels.move(sum);
  }
  levels.finish(sum);

  const bool again = again_tap_by_tap(p, sum);
  WEIGHTSHARING_UNROLL
  for (int i = 0; i < PT; ++i) {
    const BankPixel& at = pixel_table[pixel + 8 * i];
    if (at.rates < 0 || (again && sticks_out(p, at))) continue;
    if (p.reduction == reduce_mean) {
      const T divisor = bank_divisor(p, at);
      WEIGHTSHARING_UNROLL
      for (int f = 0; f < FT; ++f) sum[i][f] /= divisor;
    }
    WEIGHTSHARING_UNROLL
    for (int j = 0; j < FT / V; ++j) {
      const int32_t f = first_filter + filter + j * 4 * V;
      T* to = p.post + at.post + p.first_filter + f;
      Wide<T> value;
      WEIGHTSHARING_UNROLL
      for (int v = 0; v < V; ++v) value.element[v] = sum[i][j * V + v];
      if (f + V <= p.filters && reinterpret_cast<uintptr_t>(to) % 16 == 0) {
        Wide<T>* at_once = reinterpret_cast<Wide<T>*>(to);
        if (p.accumulate) {
          const Wide<T> before = *at_once;
          WEIGHTSHARING_UNROLL
          for (int v = 0; v < V; ++v) value.element[v] += before.element[v];
        }
        *at_once = value;
      } else {
        WEIGHTSHARING_UNROLL
        for (int v = 0; v < V; ++v)
          if (f + v < p.filters) write_unit(to + v, value.element[v], p.accumulate);
      }
    }
  }
  if (again) reduce_pixels<pixels, filters, threads>(p, pixel_table, rates, first_filter);
}

}  // namespace weightsharing::cuda
