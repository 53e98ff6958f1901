// Launches of synapses with weights of their own: which kernel, which grid.
#pragma once

#include <string>

#include "plan/launches.h"
#include "plan/levels.h"

namespace weightsharing::plan {

// One thread per row, or a warp.
enum class SynapsesKernel { naive, warp };
constexpr std::size_t synapses_kernels = 2;

struct SynapsesLaunchPlan {
  SynapsesKernel kernel;
  Index post, synapses;

  Index threads(Index batch) const { return post * batch * (kernel == SynapsesKernel::warp ? 32 : 1); }
};

// Warps where rows are long enough to fill one.
inline SynapsesLaunchPlan plan_synapses_launch(Index post, Index synapses) {
  return {synapses >= 8 * post ? SynapsesKernel::warp : SynapsesKernel::naive, post, synapses};
}

// Whether so many trials may share a launch with other work of a step: both kernels can.
inline bool is_small(const SynapsesLaunchPlan& plan, Index batch) {
  return plan.synapses * batch <= most_small_work && plan.threads(batch) <= most_small_work;
}
inline cuda::LevelKind level_kind(SynapsesKernel kernel) {
  return kernel == SynapsesKernel::warp ? cuda::LevelKind::synapses_warp : cuda::LevelKind::synapses;
}

template <class T>
std::string synapses_kernel(SynapsesKernel kernel) {
  return instance<T>(kernel == SynapsesKernel::warp ? "synapses_warp" : "synapses_naive");
}
inline LaunchShape synapses_launch(const SynapsesLaunchPlan& plan, Index batch) {
  return flat_launch(plan.threads(batch));
}

}  // namespace weightsharing::plan
