#!/usr/bin/env bash
# Build weightsharing and install it into a virtual environment, with a line for each file that is compiled.
#
#   tools/install.sh FOLDER PIP_OPTION...
#
# The build tree stays: what did not change is not compiled again. The build tools come from the environment itself,
# as those of pip's isolated builds lie at another place each time, which makes everything look changed.
set -euo pipefail
folder=$1
shift
log=$folder/build.log
"$folder/bin/python" -m pip install --verbose --no-build-isolation --no-input --disable-pip-version-check "$@" 2>&1 |
  tee "$log" | sed -une 's/^ *\(\[[0-9]*\/[0-9]*\]\) Building .*\/\([^/]*\)\.o$/  \1 \2/p' || {
  tail -n 60 "$log" >&2
  echo "The build failed; all of its output is in $log." >&2
  exit 1
}
