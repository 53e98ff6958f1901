#!/usr/bin/env bash
# Compile and link the module for NVIDIA GPUs with nvcc, import it, and fail if a kernel spills registers to memory.
#
#   tests/compile_with_nvcc.sh 75 90     or     tests/compile_with_nvcc.sh all, as wheels are built
#
# Works in the build tree of .venv, where everything but the module itself is compiled already.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$*" != all ] || set -- 75 80 86 89 90
report=build/python/nvcc-report.txt
cmake=$PWD/.venv/bin/cmake

trap '"$cmake" -S . -B build/python -DWEIGHTSHARING_CUDA=OFF >/dev/null' EXIT
"$cmake" -S . -B build/python -DWEIGHTSHARING_CUDA=ON -DCMAKE_CUDA_FLAGS="-Xptxas -v" \
  -DCMAKE_CUDA_ARCHITECTURES="$(printf '%s-real;' "$@" | sed 's/;$//')" >build/python/nvcc-configure.txt ||
  { cat build/python/nvcc-configure.txt && exit 1; }
rm -f build/python/csrc/cuda/CMakeFiles/_cuda.dir/kernel_table.cu.o  # its report is wanted, old or new
"$cmake" --build build/python --target _cuda >"$report" 2>&1 || { cat "$report" && exit 1; }
for architecture in "$@"; do
  kernels=$(grep -c -E "Compiling entry .*'sm_$architecture'" "$report" || true)
  echo "sm_$architecture: $kernels kernels"
  [ "$kernels" != 0 ] || { echo "nvcc compiled nothing for sm_$architecture; see $report" && exit 1; }
done
registers=$(grep -o -E 'Used [0-9]+ registers' "$report" | grep -o -E '[0-9]+' | sort -n | tail -1)
if grep -q -E ' [1-9][0-9]* bytes spill' "$report"; then
  grep -B2 -E ' [1-9][0-9]* bytes spill' "$report" | grep -E 'Function|Compiling|spill' >&2
  exit 1
fi
echo "at most $registers registers, no spills"
module=$(find build/python -name '_cuda.*.so')
.venv/bin/python - "$module" <<'PYTHON'
import importlib.util
import sys

found = importlib.util.spec_from_file_location("_cuda", sys.argv[1])
importlib.util.module_from_spec(found)
print("the module can be imported")
PYTHON
