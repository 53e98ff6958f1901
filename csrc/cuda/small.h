// Small work of one step: the kernels that `level` can stand in for, and its launch, which many pieces share.
#pragma once

#include <memory>
#include <vector>

#include "cuda/launch.h"
#include "cuda/memory.h"
#include "cuda/params.h"
#include "plan/levels.h"

namespace weightsharing::cuda {

// A kernel with a thread per element: its name in instances.def, and how `level` does the same.
template <template <class> class P>
struct SmallKernel {
  const char* name;
  LevelKind kind;
};

namespace small {
constexpr SmallKernel<ApplyParameters> apply{"apply", LevelKind::apply};
constexpr SmallKernel<CopyParameters> copy{"copy", LevelKind::copy};
constexpr SmallKernel<CopyParameters> copy_each{"copy_each", LevelKind::copy_each};
constexpr SmallKernel<CombineParameters> combine{"combine_arrays", LevelKind::combine};
constexpr SmallKernel<GatherHistoryParameters> gather_history{"gather_history", LevelKind::gather_history};
constexpr SmallKernel<StatisticParameters> statistic_part{"statistic_part", LevelKind::statistic_part};
constexpr SmallKernel<StatisticParameters> statistic_total{"statistic_total", LevelKind::statistic_total};
constexpr SmallKernel<UpdateParameters> update{"update", LevelKind::update};
constexpr SmallKernel<ShowParameters> show{"show", LevelKind::show};
constexpr SmallKernel<KeepParameters> keep{"keep", LevelKind::keep};
constexpr SmallKernel<CheckParameters> check{"check", LevelKind::check};
}  // namespace small

template <class T, template <class> class P>
Launch small_launch(const SmallKernel<P>& kernel, Index threads, const P<T>& parameters) {
  return make_launch(kernel_named(plan::instance<T>(kernel.name)), plan::flat_launch(threads), parameters,
                     kernel.kind);
}

// One array's elements into another one, both on the device.
Launch copy_launch(DType dtype, const void* from, void* to, Index elements);

// Work that the same threads do, launch after launch; `level` knows all of them.
using Chain = std::vector<const Launch*>;

struct SharedLaunch {
  Launch launch;
  std::vector<std::shared_ptr<Memory>> tables;  // that it reads
};

// One launch for many: their parameters one after the other, and a table that gives each block its chain.
// `counters`: which step counter it copies, see LevelParameters.
SharedLaunch share_launch(const std::vector<Chain>& chains, LevelParameters counters, DType dtype,
                          int device);

}  // namespace weightsharing::cuda
