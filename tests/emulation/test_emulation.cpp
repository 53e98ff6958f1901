// Kernels with planted bugs, which the emulation must catch, and the same kernels without. test_emulation.py
// builds this file with and without sanitizers: `test_emulation correct` runs all that must pass,
// `test_emulation NAME` one planted bug. Exit status: 0 all is right, 1 a wrong result, 2 the emulation
// refused, else a sanitizer's.
#include <stdio.h>

#include <limits>
#include <map>
#include <string>
#include <vector>

#include "planted/async_copies.h"
#include "planted/blocks.h"
#include "planted/graphs.h"
#include "planted/runtime.h"
#include "planted/warps.h"

using namespace planted;

namespace {

void correct() {
  compare<&neighbours<none>>(neighbours_expected);
  compare<&mirror<none>>(mirror_expected, block_size * sizeof(float));
  compare<&prefix<none>>(prefix_expected);
  compare<&exchange<none>>(
      [](const std::vector<float>& v, int i) { return (i ^ 1) < static_cast<int>(v.size()) ? v[i ^ 1] : 0; });
  compare<&wide<none>>([](const std::vector<float>&, int) { return 1.0f; });
  compare<&twice<none>>([](const std::vector<float>& v, int i) { return 2 * v[i]; });
  compare<&padded>(
      [](const std::vector<float>& v, int i) { return i < static_cast<int>(v.size()) - 3 ? v[i] : 0; });
  run_staged<async_none>();
  for (const auto& test : {arithmetic, warps, blocks, tensor_cores, recovery, memory, devices, launches,
                           streams, graphs, capture_rules})
    test();
}

const std::map<std::string, void (*)()> cases = {
    {"correct", correct},
    {"no_barrier", [] { compare<&neighbours<no_barrier>>(neighbours_expected); }},
    {"no_second_barrier", [] { compare<&prefix<no_barrier>>(prefix_expected); }},
    {"no_warp_barrier",
     [] {
       compare<&exchange<no_barrier>>([](const std::vector<float>& v, int i) { return v[i ^ 1]; }, 0,
                                      2 * block_size);
     }},
    {"shared_index", [] { compare<&neighbours<one_off>>(neighbours_expected); }},
    {"dynamic_shared_index",
     [] { compare<&mirror<one_off>>(mirror_expected, block_size * sizeof(float), block_size); }},
    {"misaligned", [] { compare<&wide<one_off>>([](const std::vector<float>&, int) { return 1.0f; }); }},
    {"no_guard",
     [] { compare<&twice<no_guard>>([](const std::vector<float>& v, int i) { return 2 * v[i]; }); }},
    {"no_guard_after_barrier", [] { compare<&neighbours<no_guard>>(neighbours_expected); }},
    {"early_return", [] { compare<&neighbours<early_return>>(neighbours_expected); }},
    {"other_line", [] { compare<&neighbours<other_line>>(neighbours_expected); }},
    {"no_async_wait", run_staged<no_wait>},
    {"late_async_wait", run_staged<late_wait>},
    {"short_async_wait", run_staged<wait_too_few>},
    {"no_async_commit", run_staged<no_commit>},
    {"misaligned_async", run_staged<misaligned>},
    {"caller_not_named", [] { compare<&warp_sums<caller_not_named>>(warp_sums_expected); }},
    {"source_not_named", [] { compare<&warp_sums<source_not_named>>(warp_sums_expected); }},
    {"lane_ended", [] { compare<&warp_sums<lane_ended>>(warp_sums_expected); }},
    {"divergent_shuffle", [] { compare<&warp_sums<divergent_shuffle>>(warp_sums_expected); }},
    {"beyond_the_block", beyond_the_block},
    {"no_atomic", no_atomic},
    {"blocks_in_a_chain", blocks_in_a_chain},
    {"blocks_at_one_element", blocks_at_one_element},
    {"unsafe_capture", unsafe_capture},
    {"no_stream_wait", no_stream_wait},
    {"use_after_free", use_after_free},
    {"too_deep", too_deep},
};

}  // namespace

int main(int count, char** words) {
  emulation::add<&twice<none>>("twice");
  emulation::add<&mirror<none>>("mirror");
  emulation::add<&neighbours<early_return>>("early_return");
  const auto found = cases.find(count == 2 ? words[1] : "");
  if (found == cases.end()) {
    for (const auto& each : cases) puts(each.first.c_str());
    return 0;
  }
  try {
    found->second();
  } catch (const WrongResult& wrong) {
    printf("wrong result: %s\n", wrong.what());
    return 1;
  } catch (const emulation::Error& error) {
    printf("refused: %s\n", error.what());
    return 2;
  }
  return 0;
}
