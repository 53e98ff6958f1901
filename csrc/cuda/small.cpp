#include "cuda/small.h"

#include <cstring>

namespace weightsharing::cuda {
namespace {

constexpr unsigned threads_per_block = 256;  // of `level`

// The chains as `level` reads them.
struct Written {
  std::vector<std::uint32_t> words;
  std::vector<std::size_t> starts;  // of each chain, in words
  std::vector<LevelPiece> heads;    // the first of each chain
};

Written write_down(const std::vector<Chain>& chains) {
  Written to;
  for (const Chain& chain : chains) {
    to.starts.push_back(to.words.size());
    for (std::size_t k = 0; k < chain.size(); ++k) {
      const Parameters& parameters = chain[k]->parameters;
      LevelPiece head{};
      head.kind = chain[k]->level.value();
      head.words = static_cast<std::int32_t>((parameters.size() + 3) / 4);
      head.more = static_cast<std::int32_t>(chain.size() - 1 - k);
      if (k == 0) to.heads.push_back(head);
      const std::size_t place = to.words.size();
      to.words.resize(place + sizeof head / 4 + (parameters.size() + 15) / 16 * 4);
      std::memcpy(&to.words[place], &head, sizeof head);
      std::memcpy(&to.words[place + sizeof head / 4], parameters.data(), parameters.size());
    }
  }
  return to;
}

}  // namespace

Launch copy_launch(DType dtype, const void* from, void* to, Index elements) {
  const auto make = [&](auto one) {
    using T = decltype(one);
    return small_launch(
        small::copy, elements,
        CopyParameters<T>{static_cast<const T*>(from), static_cast<T*>(to), nullptr, elements, 1});
  };
  return dtype == DType::float32 ? make(0.0f) : make(0.0);
}

SharedLaunch share_launch(const std::vector<Chain>& chains, LevelParameters counters, DType dtype,
                          int device) {
  const Written written = write_down(chains);
  const auto memory = upload(written.words, device);
  std::vector<LevelBlock> blocks;
  for (std::size_t c = 0; c < chains.size(); ++c) {
    const plan::LaunchShape& shape = chains[c][0]->shape;
    for (unsigned number = 0; number * threads_per_block < shape.grid[0] * shape.block[0]; ++number) {
      LevelBlock block{};
      block.chain = static_cast<const std::uint32_t*>(memory->data()) + written.starts[c];
      block.first = written.heads[c];
      block.number = static_cast<std::int32_t>(number);
      blocks.push_back(block);
    }
  }
  const auto table = upload(blocks, device);
  counters.blocks = static_cast<const LevelBlock*>(table->data());
  const Kernel& kernel = kernel_named(dtype == DType::float32 ? plan::instance<float>("level")
                                                              : plan::instance<double>("level"));
  const auto shape = plan::block_launch(static_cast<Index>(blocks.size()), {threads_per_block, 1}, 0);
  return {make_launch(kernel, shape, counters), {memory, table}};
}

}  // namespace weightsharing::cuda
