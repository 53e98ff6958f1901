// Extents of the tiles, for the kernels and for whoever plans their launches. Includes nothing of CUDA.
#pragma once

#include "cuda/params.h"

namespace weightsharing::cuda {

// Units of one block, all filters and outer taps included; blocks are numbered columns first, then rows, axis
// 1, axis 0, trials.
template <class T>
struct WindowTile {
  static constexpr int threads = 128;
  static constexpr int wide = 16 / sizeof(T);  // elements of one access
  static constexpr int columns = 32 * wide;    // one access per lane
  static constexpr int rows_per_thread = 8;
  static constexpr int rows = threads / 32 * rows_per_thread;
  static constexpr int lead =
      4;  // elements in front of the first unit: the first aligned ones, for up to 9 taps
};

// With extents known at run time only; columns are counted on the flattened last axis (axis 3 with its
// layers).
template <class T>
struct AnyWindowTile {
  static constexpr int threads = 256;
  static constexpr int wide = 16 / sizeof(T);
  static constexpr int columns_per_thread = 2;
  static constexpr int columns = 32 * columns_per_thread;
  static constexpr int rows_per_thread = 8;
  static constexpr int rows = threads / 32 * rows_per_thread;
};

template <int pixels_, int filters_, int pixels_per_thread_, int filters_per_thread_>
struct BankTile {
  static constexpr int pixels = pixels_, filters = filters_;
  static constexpr int pixels_per_thread = pixels_per_thread_, filters_per_thread = filters_per_thread_;
  static constexpr int threads = pixels / pixels_per_thread * (filters / filters_per_thread);
};

struct BankTf32Tile {
  static constexpr int threads = 128, pixels = 128;
};

constexpr int bank_fan_in = 40;  // sums of chunk_taps taps that are added in sequence: 1280 taps

struct GatherTile {
  static constexpr int threads = 128;
  static constexpr int filters = 8;          // of a bank, per thread; 1 without
  static constexpr int most_taps = 1 << 14;  // what two levels of sums add up without a long sequence
};

struct PoolTile {
  static constexpr int threads = 256;
  static constexpr int rows_at_once = 2, columns_at_once = 2;  // vectors that a thread of pool_rows reads
  static constexpr int vectors = 2;  // of results, per thread of pool_2x2: eight reads at once
};

// For launches; device code does not call these.
#if !defined(__CUDACC_RTC__)

inline int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Lanes of a block of pool_2x2: they share a row of boxes out evenly, blocks begin at multiples of 128 bytes.
template <class T>
inline int64_t pool_2x2_lanes(const PoolParameters<T>& p) {
  const int64_t wide = 16 / sizeof(T);
  const int64_t wanted = divide_up(static_cast<int64_t>(p.axis[3].post) * p.inner, wide * PoolTile::vectors);
  const int64_t lanes = divide_up(wanted, divide_up(wanted, PoolTile::threads));
  return lanes > 32 ? divide_up(lanes, 8) * 8 : lanes;
}
template <class T>
inline bool pool_2x2_aligned(const PoolParameters<T>& p) {
  const Source<T>& s = p.source;
  const uintptr_t rates = reinterpret_cast<uintptr_t>(s.history ? s.history : s.rates);
  const uintptr_t row = s.history ? static_cast<uintptr_t>(s.row) * sizeof(T) : 0;
  return (rates | row | reinterpret_cast<uintptr_t>(p.post)) % 16 == 0;
}

// Static shared memory of window_tile with `extent` rows and columns, and of gather_tile.
inline int64_t window_tile_bytes(int64_t extent, int64_t element_bytes) {
  const int64_t columns = 32 * (16 / element_bytes) + 2 * WindowTile<float>::lead;
  return ((WindowTile<float>::rows + extent - 1) * columns + extent * extent + 3) * element_bytes;
}
inline int64_t gather_shared_bytes(int64_t filters, int64_t element_bytes) {
  return 32 * ((filters > 1 ? GatherTile::filters : 1) * element_bytes + 24);
}

// Elements of one row of the shared tile, whole accesses; up to wide - 1 elements in front align the first.
template <class T>
inline int64_t any_window_vectors(const WindowParameters<T>& p) {
  using Tile = AnyWindowTile<T>;
  const int64_t reach = static_cast<int64_t>(p.axis[3].taps - 1) * p.axis[3].dilation * p.inner;
  return (Tile::columns + reach + 2 * Tile::wide - 2) / Tile::wide;
}

template <class T>
inline int64_t any_window_shared_bytes(const WindowParameters<T>& p) {
  using Tile = AnyWindowTile<T>;
  const int64_t rows = Tile::rows + p.axis[2].taps - 1;
  const int64_t tile = rows * any_window_vectors(p) * Tile::wide;
  return (tile + static_cast<int64_t>(p.axis[2].taps) * p.axis[3].taps) * static_cast<int64_t>(sizeof(T));
}

// The tile, the result of the pass along rows, the factors of one term.
template <class T>
inline int64_t separable_shared_bytes(const WindowParameters<T>& p) {
  using Tile = AnyWindowTile<T>;
  const int64_t rows = Tile::rows + p.axis[2].taps - 1;
  const int64_t reach = static_cast<int64_t>(p.axis[3].taps - 1) * p.axis[3].dilation * p.inner;
  const int64_t pitch = (Tile::columns / Tile::wide + reach / Tile::wide + 2) * Tile::wide;
  const int64_t factors = divide_up(p.axis[3].taps, Tile::wide) * Tile::wide + p.axis[2].taps;
  return (rows * (pitch + Tile::columns + Tile::wide) + factors) * static_cast<int64_t>(sizeof(T));
}

// For sums of more than 32, and of more than 32 * bank_fan_in taps: one and two more levels.
inline int64_t bank_levels(int64_t taps) { return taps > 32 * bank_fan_in ? 2 : taps > 32 ? 1 : 0; }

// Two buffers of both matrices, the levels of the sums, the pixels of the block.
template <class T>
inline int64_t bank_shared_bytes(int64_t filters, int64_t pixels, int64_t taps) {
  const int64_t wide = 16 / sizeof(T), chunk = 4 * wide;
  const int64_t elements =
      2 * pixels * (chunk + wide) + 2 * chunk * filters + bank_levels(taps) * pixels * filters;
  return elements * static_cast<int64_t>(sizeof(T)) + 32 * pixels;
}

inline int64_t bank_tf32_shared_bytes(int64_t filters, int64_t taps) {
  constexpr int64_t pixels = BankTf32Tile::pixels;
  return 4 * (2 * pixels * 20 + 2 * 16 * (filters + 8) + bank_levels(taps) * pixels * filters) + 32 * pixels;
}

// One line per row of boxes.
template <class T>
inline int64_t pool_shared_bytes(const PoolParameters<T>& p, int64_t rows_per_block) {
  const int64_t wide = 16 / sizeof(T);
  const int64_t span = (static_cast<int64_t>(p.units - 1) * p.axis[3].stride + p.axis[3].extent) * p.inner;
  return rows_per_block * ((span + 2 * wide - 2) / wide * wide) * static_cast<int64_t>(sizeof(T));
}

#endif

}  // namespace weightsharing::cuda
