// Banks: many filters over a regular grid.
//
// Ladder of versions (not yet measured on a GPU):
//   bank_naive  the naive window, one thread per pixel and filter, filters in neighbouring threads
#pragma once

#include "cuda/window.cuh"

namespace weightsharing::cuda {}  // namespace weightsharing::cuda
