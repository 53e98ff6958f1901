// Pooling: blocks of boxes for a processor.
#pragma once

#include <string>

#include "cpu/shapes.h"
#include "plan/axes.h"

namespace weightsharing::plan {

struct PoolPlan {
  bool flat;
  std::string reason;
  cpu::PoolShape pool;  // what kernels are told
  Index blocks;
  double flops;
};

PoolPlan plan_pool(const PoolingGeometry& geometry, const CpuTarget& target);

}  // namespace weightsharing::plan
