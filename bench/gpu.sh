#!/usr/bin/env bash
# Everything that needs a GPU, in one command of less than ten minutes that downloads nothing: build for this GPU,
# test, measure, look for memory errors and races. A stage that fails does not stop the next ones.
#
#   make gpu      or      bench/gpu.sh [STAGE...]
#
# Stages: build warm tests benchmarks memcheck racecheck. Needs nvcc, and a Python with pip or cmake, pybind11, NumPy,
# pytest and hypothesis; the benchmarks need torch or CuPy.
#   PYTHON   interpreter, default python3      RESULTS  folder for <gpu>.json and <gpu>.md, default bench/results
#   LOGS     folder for the output of the stages, default build/gpu-logs
#   BUDGET   seconds for everything, default 570          QUICK=1  fewer rounds of the benchmarks
# Fails if the build or a test fails, or a sanitizer finds something. A sanitizer that cannot work here is reported only.
set -uo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

python=${PYTHON:-python3}
results=${RESULTS:-bench/results}
logs=${LOGS:-build/gpu-logs}
budget=${BUDGET:-570}
target=$PWD/build/gpu
wanted=" ${*:-build warm tests benchmarks memcheck racecheck} "
mkdir -p "$results" "$logs" build
: >"$logs/stages.tsv"
broken=0

PATH=$PATH:/usr/local/cuda/bin  # nvcc and compute-sanitizer, where nobody put them on the PATH
unset WEIGHTSHARING_CUDA WEIGHTSHARING_PROGRAMS
export WEIGHTSHARING_CACHE=$PWD/build/gpu-cache  # what NVRTC compiled in an earlier run
export PYTHONUNBUFFERED=1 PYTHONPATH=$target${PYTHONPATH:+:$PYTHONPATH}
# Plugins that happen to be installed here are not part of the suite.
export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1

# gpu ATTRIBUTE: of the first GPU, from the driver's tool or from torch or CuPy.
gpu() {
  local values
  values=$(nvidia-smi --query-gpu="$1" --format=csv,noheader 2>/dev/null | head -n 1)
  [ -n "$values" ] || values=$("$python" - "$1" 2>/dev/null <<'PYTHON'
import sys
try:
    import torch
    name, (major, minor) = torch.cuda.get_device_name(0), torch.cuda.get_device_capability(0)
except ImportError:
    import cupy
    properties = cupy.cuda.runtime.getDeviceProperties(0)
    name, major, minor = properties["name"].decode(), properties["major"], properties["minor"]
print({"name": name, "compute_cap": f"{major}.{minor}"}[sys.argv[1]])
PYTHON
  )
  echo "$values"
}

# stage NAME LIMIT COMMAND...: runs it for at most LIMIT seconds and what is left of the budget; output to its log.
# A command may say in $logs/NAME.verdict what its status does not.
stage() {
  local name=$1 limit=$2 start=$SECONDS status=0 verdict
  shift 2
  [[ $wanted == *" $name "* ]] || return 0
  ((limit <= budget - SECONDS)) || limit=$((budget - SECONDS))
  rm -f "$logs/$name.verdict"
  if ((limit < 10)); then
    verdict="not run: no time left"
    status=1
  else
    echo "== $name (at most $limit s)"
    # The stages are functions: a fresh shell gets them, so that the time limit reaches everything they start.
    timeout --kill-after=10 "$limit" bash -c "$functions; $*" >"$logs/$name.log" 2>&1 || status=$?
    verdict=$(cat "$logs/$name.verdict" 2>/dev/null || true)
    rm -f "$logs/$name.verdict"
    if [ "$status" = 124 ] || [ "$status" = 137 ]; then
      verdict="out of time"
    elif [ -z "$verdict" ]; then
      verdict=$([ "$status" = 0 ] && echo passed || echo "FAILED with status $status")
    fi
    tail -n "$([ "$status" = 0 ] && echo 4 || echo 40)" "$logs/$name.log"
  fi
  echo "== $name: $verdict, $((SECONDS - start)) s"
  printf '%s\t%s\t%s\n' "$name" "$verdict" "$((SECONDS - start))" >>"$logs/stages.tsv"
  # A sanitizer that is only slow, and benchmarks without a rival, do not make the package wrong.
  case $name in
    warm) status=0 ;;  # only saves time
    memcheck | racecheck) [ "$status" = 124 ] || [ "$status" = 137 ] || ((limit < 10)) && status=0 ;;
  esac
  [ "$status" = 0 ] || broken=1
}

build() {
  rm -rf "$target"
  nvcc --version | tail -n 2
  CMAKE_BUILD_PARALLEL_LEVEL=$(nproc)
  export CMAKE_BUILD_PARALLEL_LEVEL
  if "$python" -c 'import pip, pybind11, scikit_build_core'; then
    "$python" -m pip install --no-build-isolation --no-deps --no-index --disable-pip-version-check \
      --root-user-action=ignore --upgrade --target "$target" -C build-dir=build/gpu-cmake \
      -C cmake.define.CMAKE_CUDA_ARCHITECTURES="$architecture" -C cmake.define.WEIGHTSHARING_CUDA=ON . || return
  else
    cmake -S . -B build/gpu-cmake-only -DCMAKE_CUDA_ARCHITECTURES="$architecture" -DWEIGHTSHARING_CUDA=ON \
      -DPython_EXECUTABLE="$(command -v "$python")" -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" \
      -DCMAKE_INSTALL_PREFIX="$target" &&
      cmake --build build/gpu-cmake-only && cmake --install build/gpu-cmake-only || return
    cp -r python/weightsharing/. "$target/weightsharing/"
  fi
  "$python" -c '
import weightsharing as ws
from importlib.util import find_spec
print(ws.__file__, ws.backends())
wanted = ["cuda", "cupy"] if find_spec("cupy") else ["cuda"]
raise SystemExit(any(ws.backends()[name] != "usable" for name in wanted))'
}

# NVRTC takes seconds for a large kernel: all of them at once, so that the tests find them compiled. Programs of psps
# and equations, which are drawn anew in thousands, are interpreted but where a test is about compiling them.
warm() {
  "$python" - "$architecture" <<'PYTHON'
import multiprocessing
import sys
from importlib.util import find_spec

from weightsharing.backends import device_modules, nvrtc

def compile_one(kernel):
    headers = device_modules.driver_module().kernel_sources()
    nvrtc.compile_kernel(nvrtc.find_compiler(), headers, kernel, "", int(sys.argv[1]))

if __name__ == "__main__":
    if not find_spec("cupy"):
        raise SystemExit("CuPy is not installed: nothing to compile")
    kernels = sorted(set(device_modules.driver_module().kernel_expressions().values()))
    with multiprocessing.get_context("fork").Pool() as pool:
        pool.map(compile_one, kernels, chunksize=1)
    print(len(kernels), "kernels compiled")
PYTHON
}

# Every test takes all backends that can be used.
tests() {
  export WEIGHTSHARING_PROGRAMS=interpreted
  # Other libraries than those of the test environment may warn of something: not what is asked here.
  "$python" -m pytest -q -p no:cacheprovider -W default --durations=8 \
    tests/backends/cuda tests/backends/test_compiled_programs.py tests/backends/test_backends.py \
    tests/backends/test_torch_cuda.py tests/simulation/test_schedule.py tests/simulation/test_networks_agree.py \
    tests/network/test_network.py tests/projections tests/other_systems/test_annarchy.py \
    tests/other_systems/test_torch.py tests/language/test_{neuron,equations,differential_equations,divisors}.py \
    tests/populations/test_population.py tests/benchmarks
}

benchmarks() {
  "$python" -m weightsharing.benchmarks --gpu ${QUICK:+--quick} --json "$report.json" --markdown "$report.md"
}

# sanitize TOOL TESTS: its lines begin with =========; a status of 99 means that it found something.
sanitize() {
  local status=0 refusal
  command -v compute-sanitizer >/dev/null || {
    echo "not run: compute-sanitizer is not installed" | tee "$logs/$1.verdict"
    return 0
  }
  # What other libraries ask the driver in vain is not an error of ours.
  HYPOTHESIS_PROFILE=sanitize compute-sanitizer --tool "$1" --error-exitcode 99 --report-api-errors no \
    "$python" -m pytest -q -x -p no:cacheprovider -W default tests/backends/cuda/test_{projections,tensor_cores,tiles,steps}.py -k "($2) and not cupy" || status=$?
  refusal=$(grep -iE '^=====.*(not supported|LibraryNotLoaded|terminated before)' "$logs/$1.log" | head -n 1)
  [ -z "$refusal" ] || {
    echo "refused this machine: ${refusal#========= }" >"$logs/$1.verdict"
    return 0
  }
  return "$status"
}
memcheck() { sanitize memcheck "shared or pooling or synapses or products or network or variable"; }
racecheck() { sanitize racecheck "shared or pooling or products or network"; }

functions=$(declare -f build warm tests benchmarks sanitize memcheck racecheck)
name=$(gpu name)
architecture=$(gpu compute_cap | tr -d .)
if [ -z "$name" ] || [ -z "$architecture" ]; then
  echo "No GPU: neither nvidia-smi nor torch nor CuPy names one." >&2
  exit 1
fi
command -v nvcc >/dev/null || echo "nvcc is not on the PATH; the build will say so." >&2
report=$results/$(echo "$name" | tr '[:upper:] ' '[:lower:]-' | tr -cd 'a-z0-9.-')
export python target logs report architecture
echo "== $name, architecture $architecture, $("$python" --version 2>&1)"
rm -f "$report.json" "$report.md"

stage build 240 build
stage warm 90 warm
stage tests 240 tests
stage benchmarks 240 benchmarks
stage memcheck 100 memcheck
stage racecheck 100 racecheck

# The stages' outcomes go into both files, which the benchmarks wrote if they came that far.
"$python" - "$report" "$logs/stages.tsv" "$name" <<'PYTHON'
import json
import pathlib
import sys

report, stages, name = sys.argv[1:]
rows = [line.split("\t") for line in pathlib.Path(stages).read_text().splitlines()]
data, page = pathlib.Path(report + ".json"), pathlib.Path(report + ".md")
content = json.loads(data.read_text()) if data.exists() else {"machine": {"GPU": name}, "rows": []}
content["stages"] = [{"stage": stage, "outcome": outcome, "seconds": int(s)} for stage, outcome, s in rows]
data.write_text(json.dumps(content, indent=1) + "\n")
text = page.read_text() if page.exists() else f"# {name}\n\nNothing was measured.\n"
table = ["", "| stage | outcome | s |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]
page.write_text(text + "\n".join(table) + "\n")
PYTHON
echo
cat "$report.md"
echo
echo "Written: $report.json $report.md; the stages' output: $logs"
exit "$broken"
