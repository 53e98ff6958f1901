// Where things lie: the part of what a kernel is told that depends on neither dtype nor values. The plan
// fills it, kernels read it. Included by files that are compiled once per instruction set: nothing of the
// standard library.
#pragma once

#include <stdint.h>

namespace weightsharing::cpu {

using Index = int64_t;

// A strip or tile may be read this many elements past its end by the last vector of a row.
inline constexpr int slack = 64;

// One axis of the strip other than the last: which pre coordinates its rows hold.
struct StripAxis {
  Index pre;   // coordinates of pre
  Index post;  // units
  Index taps, stride, dilation, offset;
  Index block;  // units per block
  Index blocks;
  bool compact;      // rows hold unit * taps + tap (taps do not overlap), else every coordinate
  Index pre_step;    // elements of pre from one coordinate to the next
  Index post_step;   // elements of post from one unit to the next
  Index strip_step;  // elements of the strip from one row to the next
};

// The last axis of the strip: `planes` runs of elements, each a slice of the coordinates, so that
// neighbouring units read neighbouring elements whatever the stride (one plane per phase of the stride and
// per collapsed channel).
struct StripRow {
  Index pre;     // coordinates of pre
  Index inner;   // elements of pre per coordinate (layers or channels merged into this axis)
  Index offset;  // coordinate of tap 0 of unit 0
  Index stride;  // coordinates from one unit to the next
  Index post;    // units (coordinates of post)
  Index block, blocks;
  Index fill_stride;  // coordinates from one entry of a plane to the next: `stride` (phases apart) or 1 (all
                      // in one plane)
  Index fill_units;   // elements copied per coordinate
  Index planes;
  const Index* plane_phase;    // coordinate of a plane's first entry, relative to the block's first tap
  const Index* plane_channel;  // first element within the coordinate
  Index plane_entries;         // coordinates per plane
  Index plane_length;          // elements per plane with slack
};

// A padded copy of the part of pre that a block of units reads.
struct StripShape {
  StripAxis axis[3];
  StripRow row;
  Index elements;
};

// One filter, or the filters of a bank with equal extents, over a regular grid.
struct WindowShape {
  Index taps;
  const Index* tap_offset;  // elements of the strip from a unit's first element to tap t
  const int32_t*
      tap_index;  // [tap][4]: tap number per axis, on the last one coordinates from tap 0; for clipped work
  Index filters;
  Index post_offset;  // first filter's place in a post unit
  Index post_unit;    // elements of post from one unit to the next on the last axis
  Index
      row_units;  // units per coordinate of the last axis (layers), a run of them is contiguous in the strip
  bool flatten;   // the rows of a block are computed as one run
  Index filter_block;   // bank: filters of one block of packed weights
  Index unit_step;      // bank: strip elements from one unit to the next
  Index column_taps;    // lowrank: taps along the last axis, the first ones of tap_offset
  Index term_elements;  // lowrank: elements of one intermediate result
  Index scratch_tile;   // elements of scratch after the strip
};

// Units at listed centres, on a padded copy of the whole of pre.
struct GatherShape {
  const Index* base;        // [unit] strip element of the first tap
  const Index* coordinate;  // [unit][4] coordinate of the first tap, for 'ignore'
  Index units, block;
  Index taps;
  const Index* tap_offset;
  const int32_t* tap_index;
  Index filters, post_offset, post_unit;
};

// Boxes without weights, clipped at the borders; axes 0..2 and the last one, `inner` elements per coordinate
// of the last.
struct PoolAxis {
  Index pre, post, extent, stride;
  Index pre_step, post_step;  // elements; of the last axis: inner
  Index block, blocks;        // units
};

struct PoolShape {
  PoolAxis axis[4];
  Index inner;
  Index buffer_elements;  // of one of the buffers in scratch: 11 for pool, 3 for flat
};

}  // namespace weightsharing::cpu
