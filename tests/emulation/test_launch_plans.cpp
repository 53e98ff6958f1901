// Whatever shared memory a device has, the plan chooses kernels that fit it: for every family, from what the
// largest device offers down to nothing. Prints the number of launches, or the first that does not fit.
#include <cstdio>
#include <cstdlib>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "plan/launches.h"

namespace weightsharing::plan {
namespace {

int launches = 0;
std::set<std::string> kernels;  // that were chosen, with what was asked for left out

[[noreturn]] void fail(const std::string& what) {
  std::printf("%s\n", what.c_str());
  std::exit(1);
}

void must_fit(const LaunchShape& shape, std::int64_t more, const GpuTarget& target, const std::string& what) {
  ++launches;
  kernels.insert(shape.kernel.substr(0, shape.kernel.find('<')));
  const std::int64_t bytes = shape.shared_bytes + more;
  if (bytes > target.shared_bytes)
    fail(what + ": " + shape.kernel + " takes " + std::to_string(bytes) + " bytes of " +
         std::to_string(target.shared_bytes));
}

template <class T>
void windows(const SharedArguments& arguments, Algorithm algorithm, const GpuTarget& target,
             const std::string& what) {
  const SharedGeometry geometry(arguments);
  for (Operation operation : {Operation::sum, Operation::max, Operation::mean})
    for (bool general_psp : {false, true}) {
      std::vector<WindowLaunchPlan> plans;
      try {
        plans = plan_window_launches(geometry, operation, sizeof(T), general_psp, algorithm, target);
      } catch (const std::invalid_argument&) {
        if (algorithm != Algorithm::tf32x3) throw;
        continue;
      }
      for (const WindowLaunchPlan& plan : plans) {
        cuda::WindowParameters<T> w{};
        std::copy(plan.axis, plan.axis + 4, w.axis);
        w.units = plan.units;
        w.taps = plan.taps;
        w.filters = plan.filters;
        w.inner = plan.inner;
        w.packed_filters = (plan.filters + plan.filter_block - 1) / plan.filter_block * plan.filter_block;
        w.batch = 2;
        w.reduction = static_cast<std::int32_t>(operation);
        // What kernels reserve themselves.
        const std::int64_t reserved =
            plan.kernel == WindowKernel::tile     ? cuda::window_tile_bytes(w.axis[3].taps, sizeof(T))
            : plan.kernel == WindowKernel::gather ? cuda::gather_shared_bytes(w.filters, sizeof(T))
                                                  : 0;
        must_fit(window_launch<T>(plan, w), reserved, target, what);
        if (plan.may_be_separable)
          must_fit(any_tile_launch("separable_tile", w, cuda::separable_shared_bytes(w)), 0, target, what);
      }
    }
}

template <class T>
void pools(const PoolingGeometry& geometry, const GpuTarget& target, const std::string& what) {
  for (Operation operation : {Operation::sum, Operation::max}) {
    const PoolLaunchPlan plan = plan_pool_launch(geometry, operation, sizeof(T), target);
    cuda::PoolParameters<T> p{};
    std::copy(plan.axis, plan.axis + 4, p.axis);
    p.inner = plan.inner;
    p.units = plan.units;
    p.batch = 2;
    p.reduction = static_cast<std::int32_t>(operation);
    must_fit(pool_launch(plan, p), 0, target, what);
  }
}

SharedArguments one(Shape pre, Shape extent) {
  SharedArguments a;
  a.pre = a.post = pre;
  a.extents = {extent};
  return a;
}
SharedArguments several(Shape pre, Shape extent, Index filters, bool whole_last_axis) {
  SharedArguments a = one(pre, extent);
  if (whole_last_axis) a.post.pop_back();
  a.post.push_back(filters);
  a.extents.assign(static_cast<std::size_t>(filters), extent);
  a.bank = true;
  return a;
}

template <class T>
void all(const GpuTarget& target) {
  const std::string device = std::to_string(target.shared_bytes) + " bytes, ";
  for (Index k : {1, 3, 5, 7, 9, 15, 31, 63, 101, 301}) {
    const std::string size = device + std::to_string(k) + " x " + std::to_string(k);
    windows<T>(one({400, 400}, {k, k}), Algorithm::automatic, target, size);
    windows<T>(one({400, 400, 3}, {k, k, 1}), Algorithm::automatic, target, size + ", layers");
    windows<T>(one({12, 64, 64}, {3, k, k}), Algorithm::automatic, target, size + ", three axes");
    SharedArguments listed = one({80, 80}, {k, k});
    listed.centres = std::vector<Index>(2 * 6400, 5);
    windows<T>(listed, Algorithm::automatic, target, size + ", listed");
    for (Algorithm algorithm : {Algorithm::automatic, Algorithm::tf32x3})
      for (Index filters : {17, 100}) {
        windows<T>(several({40, 40}, {k, k}, filters, false), algorithm, target, size + ", bank");
        windows<T>(several({40, 40, 8}, {k, k, 8}, filters, true), algorithm, target, size + ", channels");
      }
    pools<T>(PoolingGeometry({700, 700}, {700 / k, 700 / k}, Shape{k, k}, Shape{k, k}), target,
             size + ", pooling");
    pools<T>(PoolingGeometry({90, 3000, 4}, {90, 3000 / k, 4}, Shape{1, k, 1}, Shape{1, k, 1}), target,
             size + ", pooling of layers");
  }
}

}  // namespace
}  // namespace weightsharing::plan

int main() {
  using namespace weightsharing::plan;
  for (int bytes : {232448, 166912, 101376, 65536, 49152, 40000, 24000, 16384, 8192, 4096, 1000, 0}) {
    all<float>({bytes, 90});
    all<double>({bytes, 90});
    if (bytes == 232448)
      for (const char* name :
           {"window_naive", "window_tile", "window_tile_any", "separable_tile", "bank_gemm", "bank_tf32",
            "gather_naive", "gather_tile", "pool_naive", "pool_rows"})
        if (!kernels.count(name)) fail(std::string("the largest device never gets ") + name);
    kernels.clear();
  }
  std::printf("%d launches\n", launches);
}
