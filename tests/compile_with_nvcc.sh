#!/usr/bin/env bash
# Compile the kernels with nvcc for every architecture that wheels are built for; fail if one spills registers to memory.
set -euo pipefail
cd "$(dirname "$0")/../csrc"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for architecture in "${@:-75 80 86 89 90}"; do
  for number in $architecture; do
    nvcc --std=c++17 --ftz=false -arch="sm_$number" -I. -Iinclude -Xptxas -v -c cuda/kernel_table.cu \
      -o "$folder/kernels.o" 2>"$folder/report"
    spills=$(grep -c -E ' [1-9][0-9]* bytes spill' "$folder/report" || true)
    registers=$(grep -o -E 'Used [0-9]+ registers' "$folder/report" | grep -o -E '[0-9]+' | sort -n | tail -1)
    echo "sm_$number: $(grep -c 'Compiling entry' "$folder/report") kernels, at most $registers registers, $spills with spills"
    if [ "$spills" != 0 ]; then
      grep -B2 -E ' [1-9][0-9]* bytes spill' "$folder/report" | grep -E 'Function|spill' >&2
      exit 1
    fi
  done
done
