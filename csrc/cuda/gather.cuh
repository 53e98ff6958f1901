// Listed centres: every unit has its own first tap. And the one loop over taps that every naive kernel is
// made of.
//
// Ladder of versions (not yet measured on a GPU):
//   gather_naive  one thread per unit, filter and trial, any operation, padding and psp; rates through the L1
//                 cache
//   gather_tile   weights and the place of every tap in shared memory, read once per block; a rate feeds all
//                 filters of the thread (8 of a bank); units whose window lies inside pre ask nowhere where
//                 a tap is. Per rate of 4 bytes 8 multiply-adds, 2 accesses of weights and 1 of the place
#pragma once

#include "cuda/coordinates.cuh"
#include "cuda/program.cuh"
#include "cuda/reduction.cuh"
#include "cuda/tile.cuh"

namespace weightsharing::cuda {

// One unit of one filter: its taps in the order of the weights, `first` the coordinate of tap (0, 0, 0, 0).
// `with_psp` = false for kernels that are never launched with one: the program's slots cost them registers.
template <bool with_psp, class T>
inline __device__ T reduce_taps(const WindowParameters<T>& p, const T* rates, const T* weights,
                                const int64_t (&first)[4]) {
  Reducer<T> reducer(p.reduction);
  const bool ignore = p.outside == outside_ignore;
  int64_t tap = 0;
  for (int32_t i = 0; i < p.axis[0].taps; ++i) {
    const int64_t u0 =
        place<int64_t>(first[0] + static_cast<int64_t>(i) * p.axis[0].dilation, p.axis[0].pre, p.outside);
    for (int32_t j = 0; j < p.axis[1].taps; ++j) {
      const int64_t u1 =
          place<int64_t>(first[1] + static_cast<int64_t>(j) * p.axis[1].dilation, p.axis[1].pre, p.outside);
      for (int32_t k = 0; k < p.axis[2].taps; ++k) {
        const int64_t u2 =
            place<int64_t>(first[2] + static_cast<int64_t>(k) * p.axis[2].dilation, p.axis[2].pre, p.outside);
        const bool row_outside = u0 < 0 || u1 < 0 || u2 < 0;
        if (row_outside && ignore) {
          tap += p.axis[3].taps;
          continue;
        }
        const int64_t row = u0 * p.pre_step[0] + u1 * p.pre_step[1] + u2 * p.pre_step[2];
        for (int32_t l = 0; l < p.axis[3].taps; ++l, ++tap) {
          const int64_t u3 = place<int64_t>(first[3] + static_cast<int64_t>(l) * p.axis[3].dilation,
                                            p.axis[3].pre, p.outside);
          const bool is_outside = row_outside || u3 < 0;
          if (is_outside && ignore) continue;
          const T rate = is_outside ? p.outside_value : rates[row + u3 * p.pre_step[3]];
          const T weight = weights[tap];
          if (with_psp && p.has_psp)
            reducer.add(run_psp(p.psp, weight, rate));
          else
            reducer.add(weight * rate);
        }
      }
    }
  }
  return reducer.result(ignore ? reducer.count : p.taps);
}

// One filter at one listed unit of one trial; filters are neighbours, so that a warp writes one run of post.
template <class T>
__device__ __forceinline__ void gather_unit(const WindowParameters<T>& p, int64_t index) {
  const int32_t filter = static_cast<int32_t>(index % p.filters);
  index /= p.filters;
  const int64_t unit = index % p.units, trial = index / p.units;
  if (trial >= p.batch) return;
  const int32_t* listed = p.listed + 4 * unit;
  const int64_t first[4] = {listed[0], listed[1], listed[2], listed[3]};
  const T value = reduce_taps<true>(p, source_rates(p.source) + trial * p.pre_size,
                                    p.weights + static_cast<int64_t>(filter) * p.taps, first);
  write_unit(p.post + trial * p.post_size + unit * p.post_unit + p.first_filter + filter, value,
             p.accumulate);
}

// This thread is responsible for one filter at one listed unit of one trial. Threads: batch * units *
// filters, one-dimensional.
template <class T>
__global__ void gather_naive(const WindowParameters<T> p) {
  gather_unit(p, thread_index());
}

// Element of the trial that a tap with coordinates `along` reads; -1 when that is outside.
template <class T>
inline __device__ int64_t gather_element(const WindowParameters<T>& p, const int64_t (&first)[4],
                                         const int32_t (&along)[4]) {
  int64_t element = 0;
  bool outside = false;
  WEIGHTSHARING_UNROLL
  for (int d = 0; d < 4; ++d) {
    const int64_t u = place<int64_t>(first[d] + static_cast<int64_t>(p.axis[d].dilation) * along[d],
                                     p.axis[d].pre, p.outside);
    outside = outside || u < 0;
    element += u * p.pre_step[d];
  }
  return outside ? -1 : element;
}

// This block is responsible for GatherTile::threads units of one trial and `filters` filters; this thread for
// one of the units, neighbours in neighbouring threads, and all filters of the block. While loading, it is
// responsible for every threads-th tap and weight of a chunk.
//
// Listed centres, any padding and dilation, no psp. Grid: ceil(units / threads) * ceil(p.filters / filters) *
// batch, one-dimensional, units fastest; block: GatherTile::threads; no dynamic shared memory.
template <class T, int filters, Reduction reduction>
__global__ void __launch_bounds__(GatherTile::threads, sizeof(T) * filters > 32 ? 3 : 4)
    gather_tile(const WindowParameters<T> p) {
  constexpr int threads = GatherTile::threads;
  WEIGHTSHARING_SHARED(T, weight, [chunk_taps * filters]);  // [tap][filter]
  WEIGHTSHARING_SHARED(int64_t, step, [chunk_taps]);        // elements from the first tap
  WEIGHTSHARING_SHARED(int32_t, along, [chunk_taps][4]);
  const uint32_t unit_blocks = static_cast<uint32_t>((p.units + threads - 1) / threads);
  const uint32_t filter_blocks = (p.filters + filters - 1) / filters;
  const int32_t first_filter = static_cast<int32_t>(blockIdx.x / unit_blocks % filter_blocks) * filters;
  const int64_t unit = static_cast<int64_t>(blockIdx.x % unit_blocks) * threads + threadIdx.x;
  const int64_t trial = blockIdx.x / unit_blocks / filter_blocks;

  // Threads behind the last unit do its work again and write nothing.
  const int32_t* listed = p.listed + 4 * (unit < p.units ? unit : p.units - 1);
  int64_t first[4];
  bool inside = true;
  const T* rates = source_rates(p.source) + trial * p.pre_size;
  const T* corner = rates;
  WEIGHTSHARING_UNROLL
  for (int d = 0; d < 4; ++d) {
    first[d] = listed[d];
    inside = inside && first[d] >= 0 &&
             first[d] + static_cast<int64_t>(p.axis[d].taps - 1) * p.axis[d].dilation < p.axis[d].pre;
    corner += first[d] * p.pre_step[d];
  }

  Sums<T, reduction, 1, filters> sums;
  int32_t count = 0;  // taps that take part
  for (int32_t chunk = 0; chunk < p.taps; chunk += chunk_taps) {
    const int32_t taps = min(chunk_taps, p.taps - chunk);
    __syncthreads();  // the chunk of before is read
    for (int32_t k = threadIdx.x; k < taps; k += threads) {
      int32_t rest = chunk + k;
      int64_t elements = 0;
      WEIGHTSHARING_UNROLL
      for (int d = 3; d >= 0; --d) {
        along[k][d] = rest % p.axis[d].taps;
        rest /= p.axis[d].taps;
        elements += static_cast<int64_t>(along[k][d]) * p.axis[d].dilation * p.pre_step[d];
      }
      step[k] = elements;
    }
    for (int32_t k = threadIdx.x; k < taps * filters; k += threads) {
      const int32_t filter = first_filter + k % filters;
      weight[k] =
          filter < p.filters ? p.weights[static_cast<int64_t>(filter) * p.taps + chunk + k / filters] : T(0);
    }
    __syncthreads();
    sums.reserve(taps);
    const auto add = [&](int32_t k, T rate) {
      WEIGHTSHARING_UNROLL
      for (int f = 0; f < filters; ++f)
        sums.part[0][f] = contribute<reduction>(sums.part[0][f], weight[k * filters + f], rate);
    };
    if (inside) {
      for (int32_t k = 0; k < taps; ++k) add(k, corner[step[k]]);
      count += taps;
    } else {
      WEIGHTSHARING_NO_UNROLL
      for (int32_t k = 0; k < taps; ++k) {
        const int64_t element = gather_element(p, first, along[k]);
        if (element < 0 && p.outside == outside_ignore) continue;
        add(k, element < 0 ? p.outside_value : rates[element]);
        ++count;
      }
    }
  }

  if (unit >= p.units) return;
  T* post = p.post + trial * p.post_size + unit * p.post_unit + p.first_filter + first_filter;
  WEIGHTSHARING_UNROLL
  for (int f = 0; f < filters; ++f) {
    if (first_filter + f >= p.filters) continue;
    T value = count ? sums.result(0, f) : T(0);
    if (p.reduction == reduce_mean && count) value /= static_cast<T>(count);
    write_unit(post + f, value, p.accumulate);
  }
}

}  // namespace weightsharing::cuda
