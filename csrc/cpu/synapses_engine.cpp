// Projections whose synapses have weights of their own: rows of compressed weights.
#include <algorithm>

#include "cpu/engine.h"

namespace weightsharing::cpu {
namespace {

template <class T>
class SynapsesEngine final : public Engine {
 public:
  SynapsesEngine(const SynapsesGeometry& geometry, Operation operation, const Psp& psp,
                 const EngineOptions& options)
      : resources_(operation, psp, options), geometry_(geometry) {
    for (Index q = 0; q < geometry_.post; ++q) consecutive_.push_back(is_consecutive(q));
    rates_.reserve(1, geometry_.pre);
    SynapsesParameters<T>& s = parameters_;
    s.pre = geometry_.pre;
    s.post = geometry_.post;
    const double per_unit = static_cast<double>(synapses()) / static_cast<double>(geometry_.post) + 1;
    s.block = std::clamp<Index>(static_cast<Index>(65536 / per_unit), 1, 1024);
    s.row_start = geometry_.row_start.data();
    s.column = geometry_.column.data();
    s.consecutive = consecutive_.data();
    s.pointwise = is_pointwise();
    s.reduction = resources_.reduction();
    s.psp = resources_.general.view();
    s.rate = resources_.g.view();
  }

  void set_weights(const std::vector<const void*>& values) override {
    const std::lock_guard<std::mutex> turn(resources_.mutex);
    const T* from = static_cast<const T*>(values.at(0));
    weights_ = resources_.apply_weight_function(std::vector<T>(from, from + synapses()));
    parameters_.weights = weights_.data();
  }

  void run(const void* pre, void* post, Index batch, bool accumulate) override {
    const auto turn = resources_.begin(flops() * static_cast<double>(batch), resources_.program_elements());
    const SynapsesParameters<T>& s = parameters_;
    for (Index trial = 0; trial < batch; ++trial) {
      const auto task = [&](Index block, int thread) {
        return Task<T>{static_cast<const T*>(pre) + trial * s.pre,
                       static_cast<T*>(post) + trial * s.post,
                       resources_.scratch.of(thread),
                       rates_.of(0),
                       block,
                       accumulate};
      };
      if (s.rate)
        for_blocks((s.pre + s.block - 1) / s.block, turn.threads, [&](Index block, int thread) {
          resources_.kernels.synapses_prepare(s, task(block, thread));
        });
      for_blocks((s.post + s.block - 1) / s.block, turn.threads,
                 [&](Index block, int thread) { resources_.kernels.synapses(s, task(block, thread)); });
    }
  }

  std::vector<std::pair<std::string, std::string>> describe() const override {
    return resources_.describe("synapses", "direct", "every synapse has its own weight");
  }
  double flops() const override { return 2.0 * static_cast<double>(synapses()); }
  double bytes() const override {
    return sizeof(T) * static_cast<double>(geometry_.pre + geometry_.post + synapses()) +
           sizeof(Index) * static_cast<double>(synapses());
  }

 private:
  Index synapses() const { return static_cast<Index>(geometry_.column.size()); }

  // Whether the columns of a row are neighbours in order.
  bool is_consecutive(Index row) const {
    for (Index j = geometry_.row_start[row] + 1; j < geometry_.row_start[row + 1]; ++j)
      if (geometry_.column[j] != geometry_.column[j - 1] + 1) return false;
    return true;
  }

  // Whether every unit has one synapse, from the unit of its own number.
  bool is_pointwise() const {
    if (geometry_.pre != geometry_.post) return false;
    for (Index q = 0; q < geometry_.post; ++q)
      if (geometry_.row_start[q + 1] != q + 1 || geometry_.column[q] != q) return false;
    return true;
  }

  Resources<T> resources_;
  SynapsesGeometry geometry_;
  SynapsesParameters<T> parameters_{};
  std::vector<std::uint8_t> consecutive_;
  std::vector<T> weights_;
  Scratch<T> rates_;  // g(rate) of a psp that splits
};

}  // namespace
}  // namespace weightsharing::cpu

namespace weightsharing {

std::unique_ptr<Engine> make_engine(const SynapsesGeometry& geometry, Operation operation, const Psp& psp,
                                    const EngineOptions& options) {
  return cpu::engine_of<cpu::SynapsesEngine>(options.dtype, geometry, operation, psp, options);
}

}  // namespace weightsharing
