// Banks on tensor cores: the product of bank.cuh with every float32 as a sum of two TF32 numbers.
//
// Ladder of versions (not yet measured on a GPU, which is why algorithm='auto' does not choose the last one):
//   window_naive  one thread per pixel and filter
//   bank_gemm     float32 multiply-adds, in bank.cuh
//   bank_tf32     three products of TF32 per product of float32: 3 * 1024 multiply-adds of a tensor core
//   replace
//                 1024 of the other units
//
// Accuracy. x = big + small, both with the 11 bits of TF32, is off by at most eps * |x| (eps = 2^-23); the
// product small * small that is left out is at most 2 * eps * |w * r|. Products of TF32 numbers are exact on
// tensor cores. What they add, the vendor does not say; measurements that were published found at least the
// 24 bits of float32, cut off instead of rounded. So every eight taps start from zero, small products first,
// and are added to the sum by an ordinary addition, which leaves the cut at about 2 * eps per tap. With the
// levels of bank_gemm on top:
//   |error| <= 16 * eps * n * max|w| * max|r| + n * 2^-126,
// n taps, maxima over the window. The last term is for products below 2^-126, should tensor cores drop them.
//
// A chunk of 16 taps in which a rate or a weight is NaN, infinite, 2^50 or larger (sums of eight might
// overflow) or below 2^-100 but not 0 (its small part might be lost) goes by multiply-adds, as in bank_gemm.
#pragma once

#include "cuda/bank.cuh"

namespace weightsharing::cuda {

struct SplitFloat {
  unsigned big, small;
};
inline __device__ SplitFloat split_float(float x) {
  const unsigned big = round_to_tf32(x) & 0xFFFFE000u;  // nobody promises what the low bits are
  return {big, round_to_tf32(x - __uint_as_float(big))};
}

inline __device__ bool splits_well(const Wide<float>& values) {
  bool well = true;
  WEIGHTSHARING_UNROLL
  for (int v = 0; v < 4; ++v) {
    const float size = fabsf(values.element[v]);
    well = well && size < 0x1p50f && (size >= 0x1p-100f || size == 0.0f);  // NaN is not well
  }
  return well;
}

// This block is responsible for BankTf32Tile::pixels pixels x `filters` filters, a warp for 32 of the pixels
// and all of the filters. While loading, a thread is responsible for every (threads / 4)-th pixel and one of
// four accesses of its taps, and looks at what it has copied; while multiplying, with g = lane / 4 and t =
// lane % 4, for the pixels g, g + 8, g + 16, g + 24 of its warp and the filters 2t, 2t + 1 of every eight.
// Sums move to a second accumulator in shared memory every chunk_taps.
//
// For sm_80 and newer; else as bank_gemm. Grid: ceil(units * batch / pixels) * packed_filters / filters,
// one-dimensional, filters fastest; block: BankTf32Tile::threads; shared memory: bank_tf32_shared_bytes.
template <int filters>
__global__ void __launch_bounds__(BankTf32Tile::threads, 3) bank_tf32(const WindowParameters<float> p) {
  constexpr int V = 4, K = 4 * V, threads = BankTf32Tile::threads, pixels = BankTf32Tile::pixels;
  // Fragments lie in different banks: 20 g + t and 8 t + g run through all of them.
  constexpr int pitch = K + V, weight_pitch = filters + 8;
  constexpr int M = 2, N = filters / 8;  // products of 16 x 8 x 8 side by side
  static_assert(pixels == threads / 32 * 16 * M && K * filters / V % threads == 0 && filters % 32 == 0,
                "whole products and accesses");
  WEIGHTSHARING_DYNAMIC_SHARED(float, shared);
  float* const rate_tile = shared;                            // [2][pixels][pitch]
  float* const weight_tile = rate_tile + 2 * pixels * pitch;  // [2][K][weight_pitch]
  BankPixel* const pixel_table = reinterpret_cast<BankPixel*>(weight_tile + 2 * K * weight_pitch);
  BankLevels<float, M * N, 4, threads> levels(pixel_table + pixels);

  const uint32_t filter_blocks = p.packed_filters / filters;
  const int32_t first_filter = blockIdx.x % filter_blocks * filters;
  find_pixels<pixels, threads>(p, static_cast<int64_t>(blockIdx.x / filter_blocks) * pixels, pixel_table);
  __syncthreads();

  const float* rates = source_rates(p.source);
  const bool whole = whole_channels(p, rates);
  float* const own_rates = rate_tile + threadIdx.x / 4 * pitch + threadIdx.x % 4 * V;
  BankTap tap{};  // the first of this thread's access
  advance_tap(p, tap, threadIdx.x % 4 * V);
  const auto load = [&](int32_t buffer, int32_t chunk) {
    load_rates<pixels, threads, pitch>(p, pixel_table, rates, whole, tap,
                                       own_rates + buffer * pixels * pitch);
    advance_tap(p, tap, K);
    load_weights<filters, threads, weight_pitch>(p, chunk, first_filter,
                                                 weight_tile + buffer * K * weight_pitch);
    cp_async_commit();
  };
  const auto copies_split_well = [&](int32_t buffer) {
    bool well = true;
    WEIGHTSHARING_UNROLL
    for (int k = 0; k < pixels / (threads / 4); ++k)
      well = splits_well(*reinterpret_cast<const Wide<float>*>(own_rates + buffer * pixels * pitch +
                                                               k * (threads / 4) * pitch)) &&
             well;
    WEIGHTSHARING_UNROLL
    for (int k = 0; k < K * filters / V / threads; ++k) {
      const int32_t access = threadIdx.x + k * threads, row = access / (filters / V),
                    column = access % (filters / V) * V;
      well = splits_well(*reinterpret_cast<const Wide<float>*>(weight_tile + buffer * K * weight_pitch +
                                                               row * weight_pitch + column)) &&
             well;
    }
    return well;
  };

  const int32_t g = threadIdx.x % 32 / 4, t = threadIdx.x % 4, pixel = threadIdx.x / 32 * 16 * M + g;
  float sum[M * N][4];
  WEIGHTSHARING_UNROLL
  for (int k = 0; k < M * N; ++k) {
    WEIGHTSHARING_UNROLL
    for (int i = 0; i < 4; ++i) sum[k][i] = 0.0f;
  }
  const int32_t chunks = (p.taps + K - 1) / K;
  load(0, 0);
  for (int32_t chunk = 0; chunk < chunks; ++chunk) {
    const int32_t buffer = chunk % 2;
    cp_async_wait<0>();
    // This chunk is there, and the other buffer is read.
    const bool by_multiply_adds = __syncthreads_or(!copies_split_well(buffer));
    if (chunk + 1 < chunks) load(1 - buffer, chunk + 1);
    const float* from_rates = rate_tile + buffer * pixels * pitch + pixel * pitch;
    const float* from_weights = weight_tile + buffer * K * weight_pitch;
    if (by_multiply_adds) {
      WEIGHTSHARING_NO_UNROLL
      for (int k = 0; k < K; ++k) {
        WEIGHTSHARING_UNROLL
        for (int n = 0; n < N; ++n) {
          WEIGHTSHARING_UNROLL
          for (int i = 0; i < 4; ++i) {
            const float weight = from_weights[k * weight_pitch + 8 * n + 2 * t + i % 2];
            WEIGHTSHARING_UNROLL
            for (int m = 0; m < M; ++m)
              sum[m * N + n][i] += from_rates[(16 * m + i / 2 * 8) * pitch + k] * weight;
          }
        }
      }
    } else {
      WEIGHTSHARING_UNROLL
      for (int k = 0; k < K; k += 8) {
        unsigned big[M][4], small[M][4];
        WEIGHTSHARING_UNROLL
        for (int m = 0; m < M; ++m) {
          WEIGHTSHARING_UNROLL
          for (int i = 0; i < 4; ++i) {
            const SplitFloat rate = split_float(from_rates[(16 * m + i % 2 * 8) * pitch + k + t + i / 2 * 4]);
            big[m][i] = rate.big;
            small[m][i] = rate.small;
          }
        }
        WEIGHTSHARING_UNROLL
        for (int n = 0; n < N; n += 2) {
          unsigned weight_big[2][2], weight_small[2][2];
          WEIGHTSHARING_UNROLL
          for (int i = 0; i < 4; ++i) {
            const SplitFloat weight =
                split_float(from_weights[(k + t + i % 2 * 4) * weight_pitch + 8 * (n + i / 2) + g]);
            weight_big[i / 2][i % 2] = weight.big;
            weight_small[i / 2][i % 2] = weight.small;
          }
          // Four products that do not wait for each other, three times.
          float eight_taps[2][M][4] = {};
          WEIGHTSHARING_UNROLL
          for (int pass = 0; pass < 3; ++pass) {
            WEIGHTSHARING_UNROLL
            for (int i = 0; i < 2 * M; ++i)
              mma_tf32(eight_taps[i / M][i % M], pass == 0 ? small[i % M] : big[i % M],
                       pass == 1 ? weight_small[i / M] : weight_big[i / M]);
          }
          WEIGHTSHARING_UNROLL
          for (int i = 0; i < 2 * M; ++i) {
            WEIGHTSHARING_UNROLL
            for (int v = 0; v < 4; ++v) sum[i % M * N + n + i / M][v] += eight_taps[i / M][i % M][v];
          }
        }
      }
    }
    if ((chunk + 1) % (chunk_taps / K) == 0 && p.taps > chunk_taps) levels.move(sum);
  }
  levels.finish(sum);

  const bool again = again_tap_by_tap(p, sum);
  WEIGHTSHARING_UNROLL
  for (int row = 0; row < 2 * M; ++row) {
    const BankPixel& at = pixel_table[pixel + 8 * row];
    if (at.rates < 0 || (again && sticks_out(p, at))) continue;
    const float divisor = bank_divisor(p, at);
    WEIGHTSHARING_UNROLL
    for (int n = 0; n < N; ++n) {
      const int32_t f = first_filter + 8 * n + 2 * t;
      float* to = p.post + at.post + p.first_filter + f;
      float value[2];
      WEIGHTSHARING_UNROLL
      for (int i = 0; i < 2; ++i) {
        value[i] = sum[row / 2 * N + n][row % 2 * 2 + i];
        if (p.reduction == reduce_mean) value[i] /= divisor;
      }
      if (f + 2 <= p.filters && reinterpret_cast<uintptr_t>(to) % 8 == 0) {
        float2* at_once = reinterpret_cast<float2*>(to);
        float2 both = {value[0], value[1]};
        if (p.accumulate) both = {at_once->x + both.x, at_once->y + both.y};
        *at_once = both;
      } else {
        WEIGHTSHARING_UNROLL
        for (int i = 0; i < 2; ++i)
          if (f + i < p.filters) write_unit(to + i, value[i], p.accumulate);
      }
    }
  }
  if (again) reduce_pixels<pixels, filters, threads>(p, pixel_table, rates, first_filter);
}

}  // namespace weightsharing::cuda
