// Whatever shared memory a device has, the plan chooses kernels that fit it: for every family, from what the
// largest device offers down to nothing. Prints the number of launches, or the first that does not fit.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "plan/pool_launches.h"
#include "plan/window_launches.h"

namespace weightsharing::plan {
namespace {

int launches = 0;
std::set<std::string> kernels;  // that were chosen, with what was asked for left out

[[noreturn]] void fail(const std::string& what) {
  std::printf("%s\n", what.c_str());
  std::exit(1);
}

void must_fit(const std::string& kernel, std::int64_t bytes, const GpuTarget& target,
              const std::string& what) {
  ++launches;
  kernels.insert(kernel.substr(0, kernel.find('<')));
  if (bytes > target.shared_bytes)
    fail(what + ": " + kernel + " takes " + std::to_string(bytes) + " bytes of " +
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
        plans = plan_window_launches(geometry, {operation, sizeof(T), general_psp, algorithm}, target);
      } catch (const std::invalid_argument&) {
        if (algorithm != Algorithm::tf32x3) throw;
        continue;
      }
      for (const WindowLaunchPlan& plan : plans) {
        if (plan.small.has_value() != (plan.inner == 1 && plan.kernel != WindowKernel::bank_tf32))
          fail(what + ": a wrong twin for little work");
        cuda::WindowParameters<T> w = window_parameters<T>(plan);
        w.batch = 2;
        w.reduction = static_cast<std::int32_t>(operation);
        // What kernels reserve themselves.
        const std::int64_t reserved =
            plan.kernel == WindowKernel::tile     ? cuda::window_tile_bytes(w.axis[3].taps, sizeof(T))
            : plan.kernel == WindowKernel::gather ? cuda::gather_shared_bytes(w.filters, sizeof(T))
                                                  : 0;
        std::vector<WindowKernel> may_run = {plan.kernel};
        if (plan.may_be_separable) may_run.push_back(WindowKernel::separable);
        for (WindowKernel kernel : may_run)
          must_fit(window_kernel<T>(kernel, plan, w.reduction),
                   window_launch(kernel, plan, w).shared_bytes + (kernel == plan.kernel ? reserved : 0),
                   target, what);
      }
    }
}

template <class T>
void pools(const PoolingGeometry& geometry, const GpuTarget& target, const std::string& what) {
  for (Operation operation : {Operation::sum, Operation::max}) {
    const PoolLaunchPlan plan = plan_pool_launch(geometry, operation, sizeof(T), target);
    cuda::PoolParameters<T> p = pool_parameters<T>(plan);
    p.batch = 2;
    p.reduction = static_cast<std::int32_t>(operation);
    if (plan.small.has_value() != (plan.inner == 1)) fail(what + ": a wrong twin for little work");
    const PoolKernel kernel = kernel_for(plan, p);
    must_fit(pool_kernel<T>(kernel, p.reduction), pool_launch(kernel, p).shared_bytes, target, what);
  }
}

// The kernel of a pooling, and the name that its reason begins with, where arrays lie `off` bytes behind a
// multiple of 16.
template <class T>
void must_be(const std::string& wanted, const PoolingGeometry& geometry, std::uintptr_t off, bool delayed,
             const std::string& reason) {
  const PoolLaunchPlan plan = plan_pool_launch(geometry, Operation::mean, sizeof(T), {232448, 90});
  if (plan.reason.rfind(wanted, 0) != 0 && (!off || plan.reason.rfind("pool_2x2", 0) != 0))
    fail("the reason for " + wanted + " is " + plan.reason);
  if (plan.reason.find(reason) == std::string::npos) fail(plan.reason + " says nothing of: " + reason);
  for (const bool post_is_off : {false, true}) {
    cuda::PoolParameters<T> p = pool_parameters<T>(plan);
    p.batch = 2;
    p.reduction = static_cast<std::int32_t>(Operation::mean);
    const T* from = reinterpret_cast<const T*>(std::uintptr_t{4096} + (post_is_off ? 0 : off));
    (delayed ? p.source.history : p.source.rates) = from;
    p.source.row = 2 * plan.pre_size;
    p.post = reinterpret_cast<T*>(std::uintptr_t{8192} + (post_is_off ? off : 0));
    const std::string kernel = pool_kernel<T>(kernel_for(plan, p), p.reduction);
    const LaunchShape shape = pool_launch(kernel_for(plan, p), p);
    ++launches;
    if (kernel != instance<T>(wanted.c_str(), "sum") &&
        (wanted != "pool_naive" || kernel != instance<T>("pool_naive")))
      fail(wanted + " was expected, not " + kernel);
    if (shape.block[0] * shape.block[1] > cuda::PoolTile::threads) fail(kernel + ": a large block");
  }
}

void kernels_of_pooling() {
  const auto boxes = [](Shape pre, Shape post, Shape extent) {
    return PoolingGeometry(pre, post, extent, extent);
  };
  for (const bool delayed : {false, true}) {
    for (const PoolingGeometry& whole :
         {boxes({512, 512, 64}, {256, 256, 64}, {2, 2, 1}), boxes({400, 200}, {200, 100}, {2, 2}),
          boxes({8, 64, 64}, {8, 32, 32}, {1, 2, 2}), boxes({131, 128}, {65, 64}, {2, 2}),
          boxes({3, 40, 40, 4}, {3, 20, 20, 4}, {1, 2, 2, 1}), boxes({2, 65536}, {1, 32768}, {2, 2})}) {
      must_be<float>("pool_2x2", whole, 0, delayed, "boxes side by side");
      must_be<double>("pool_2x2", whole, 0, delayed, "boxes side by side");
      must_be<float>("pool_rows", whole, 4, delayed, "boxes side by side");
      must_be<float>("pool_rows", whole, 8, delayed, "boxes side by side");
      must_be<double>("pool_rows", whole, 8, delayed, "boxes side by side");
    }
    const PoolingGeometry ragged = boxes({400, 202}, {200, 101}, {2, 2});
    must_be<float>("pool_rows", ragged, 0, delayed, "not whole vectors");
    must_be<double>("pool_2x2", ragged, 0, delayed, "");
    must_be<double>("pool_rows", boxes({400, 201}, {200, 100}, {2, 2}), 0, delayed, "not whole vectors");
    must_be<float>("pool_rows", boxes({200, 200, 3}, {100, 100, 3}, {2, 2, 1}), 0, delayed, "not whole");
    must_be<float>("pool_rows", boxes({399, 200}, {200, 100}, {2, 2}), 0, delayed, "clipped");
    must_be<float>("pool_rows", boxes({8, 64, 64}, {4, 64, 32}, {2, 1, 2}), 0, delayed, "apart");
    must_be<float>("pool_rows", PoolingGeometry({65, 64}, {64, 60}, Shape{2, 2}, Shape{1, 1}), 0, delayed,
                   "not side by side");
    must_be<float>("pool_rows", boxes({300, 300}, {100, 100}, {3, 3}), 0, delayed, "shared memory");
    must_be<float>("pool_naive", boxes({40, 40}, {20, 20}, {2, 2}), 0, delayed, "one thread per unit");
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
  for (Index k : {1, 2, 3, 5, 7, 9, 15, 31, 63, 101, 301}) {
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
            "gather_naive", "gather_tile", "pool_naive", "pool_rows", "pool_2x2"})
        if (!kernels.count(name)) fail(std::string("the largest device never gets ") + name);
    kernels.clear();
  }
  kernels_of_pooling();
  std::printf("%d launches\n", launches);
}
