#!/usr/bin/env bash
# Say what is missing on this machine and how to get it, before something fails with less helpful words.
#
#   tools/check_machine.sh python     PYTHON: an interpreter with its venv module
#   tools/check_machine.sh compiler   CXX: a compiler that knows C++17, and the headers of Python; prints its name
set -euo pipefail
python=${PYTHON:-python3}

fail() {
  printf '%s\n' "$@" >&2
  exit 1
}

check_python() {
  command -v "$python" >/dev/null 2>&1 || fail \
    "Missing: Python 3.10 or newer ('$python' is not on this machine)." \
    "Debian, Ubuntu: sudo apt install python3 python3-venv python3-dev    Fedora: sudo dnf install python3-devel" \
    "macOS: brew install python    Or name an interpreter: make PYTHON=/path/to/python3"
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || fail \
    "Missing: Python 3.10 or newer; '$python' is $("$python" --version 2>&1)." \
    "Name a newer one: make PYTHON=/path/to/python3"
  "$python" -c 'import ensurepip, venv' 2>/dev/null || fail \
    "Missing: Python's venv module, which makes the folder that everything is installed into." \
    "Debian, Ubuntu: sudo apt install python3-venv"
}

check_compiler() {
  local compiler
  compiler=${CXX:-$(command -v c++ || command -v g++ || command -v clang++ || true)}
  test -n "$compiler" || fail \
    "Missing: a C++ compiler (looked for c++, g++, clang++)." \
    "Debian, Ubuntu: sudo apt install g++    Fedora: sudo dnf install gcc-c++    macOS: xcode-select --install" \
    "Or name one: make CXX=/path/to/compiler"
  echo '#include <optional>' | $compiler -std=c++17 -fsyntax-only -x c++ - || fail \
    "Missing: a C++ compiler that knows C++17; '$compiler' failed on one line of it (see above)." \
    "Name another: make CXX=/path/to/compiler"
  "$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
    fail "Missing: the header files of Python (Python.h), which the C++ part is compiled against." \
      "Debian, Ubuntu: sudo apt install python3-dev    Fedora: sudo dnf install python3-devel"
  echo "$compiler"
}

"check_$1"
