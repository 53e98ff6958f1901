# Every target works from a fresh clone. `make help` lists them.

PYTHON ?= python3
PIP_INSTALL = $(@D)/bin/python -m pip install --quiet --no-input --disable-pip-version-check

# The kernels for GPUs, run on the CPU: for the tests. Where nvcc is found the real module is built as well, for one
# architecture, because this build is not to be shipped.
EMULATION = --config-settings=cmake.define.WEIGHTSHARING_EMULATION=ON \
  --config-settings=cmake.define.CMAKE_CUDA_ARCHITECTURES=90

# Folders are listed too: their time changes when a file is deleted or renamed (not that of tests/emulation, where running
# the tests writes byte code).
SOURCES := $(shell find csrc python -name __pycache__ -prune -o ! -name '*.so' -print) CMakeLists.txt pyproject.toml \
  $(shell find tests/emulation -name __pycache__ -prune -o -type f -print)
CPP_SOURCES = $(shell find csrc tests -name '*.h' -o -name '*.cpp' -o -name '*.cuh' -o -name '*.cu')

# CXX only if the user set it: make's own default says nothing about this machine.
FIND_COMPILER = compiler="$${CXX:-$$(command -v c++ || command -v g++ || command -v clang++ || true)}"

define CHECK_PYTHON
@command -v $(PYTHON) >/dev/null 2>&1 || { \
  echo "Missing: Python 3.10 or newer ('$(PYTHON)' is not on this machine)."; \
  echo "Debian, Ubuntu: sudo apt install python3 python3-venv python3-dev    Fedora: sudo dnf install python3-devel"; \
  echo "macOS: brew install python    Or name an interpreter: make PYTHON=/path/to/python3"; exit 1; }
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
  echo "Missing: Python 3.10 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)."; \
  echo "Name a newer one: make PYTHON=/path/to/python3"; exit 1; }
@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
  echo "Missing: Python's venv module, which makes the folder that everything is installed into."; \
  echo "Debian, Ubuntu: sudo apt install python3-venv"; exit 1; }
endef

define CHECK_COMPILER
@$(FIND_COMPILER); \
test -n "$$compiler" || { \
  echo "Missing: a C++ compiler (looked for c++, g++, clang++)."; \
  echo "Debian, Ubuntu: sudo apt install g++    Fedora: sudo dnf install gcc-c++    macOS: xcode-select --install"; \
  echo "Or name one: make CXX=/path/to/compiler"; exit 1; }; \
echo '#include <optional>' | $$compiler -std=c++17 -fsyntax-only -x c++ - || { \
  echo "Missing: a C++ compiler that knows C++17; '$$compiler' failed on one line of it (see above)."; \
  echo "Name another: make CXX=/path/to/compiler"; exit 1; }
@$(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' || { \
  echo "Missing: the header files of Python (Python.h), which the C++ part is compiled against."; \
  echo "Debian, Ubuntu: sudo apt install python3-dev    Fedora: sudo dnf install python3-devel"; exit 1; }
endef

.PHONY: help demo examples test test-full sanitize races compile-cuda gpu lint format clean
.DELETE_ON_ERROR:

help:
	@echo "make demo      run the image pipeline on a photograph, check it, write demo.png"
	@echo "make examples  run the examples and write their pictures to examples/*.png"
	@echo "make test      run the test-suite"
	@echo "make test-full run the property tests with thousands of examples"
	@echo "make sanitize  run the test-suite under the address and undefined-behaviour sanitizers"
	@echo "make races     run the GPU kernels on the CPU under the sanitizer for data races"
	@echo "make gpu       build for the GPU of this machine, test and measure there; downloads nothing"
	@echo "make compile-cuda  compile the GPU kernels with nvcc (where it is found) and NVRTC; needs no GPU"
	@echo "make lint      check style and types"
	@echo "make format    put the sources into the project's style"
	@echo "make clean     remove what these targets made"
	@echo "PYTHON=... chooses the interpreter, CXX=... the compiler."

demo: .venv/installed
	@.venv/bin/python examples/demo.py

examples: .venv/installed
	@for example in $(filter-out examples/demo.py,$(wildcard examples/*.py)); do \
	  echo "== $$example"; .venv/bin/python "$$example" || exit 1; \
	done

test: .venv/installed
	@WEIGHTSHARING_CUDA=emulated .venv/bin/python -m pytest -q tests

test-full: .venv/installed
	@WEIGHTSHARING_CUDA=emulated HYPOTHESIS_PROFILE=full .venv/bin/python -m pytest -q tests/backends/test_cpu.py tests/backends/cuda tests/simulation/test_networks_agree.py

# The interpreter is not instrumented, so the sanitizers' libraries must be loaded before it starts, and with
# them libstdc++, whose exceptions AddressSanitizer intercepts. What CPython leaks at exit is not ours.
# The emulated threads of a block take turns forward in the whole suite, then in two more orders.
sanitize: .venv-sanitize/installed
	@compiler="$$(cat .venv-sanitize/compiler)"; \
	preload=; \
	for library in libasan.so libubsan.so libstdc++.so; do \
	  path="$$($$compiler -print-file-name=$$library)"; \
	  test -e "$$path" || { echo "make sanitize needs GCC with its sanitizer libraries, and '$$compiler' has" \
	    "no $$library. Try: make sanitize CXX=g++"; exit 1; }; \
	  preload="$$preload $$path"; \
	done; \
	run() { \
	  LD_PRELOAD="$$preload" ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 \
	  UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 HYPOTHESIS_PROFILE=sanitize WEIGHTSHARING_CUDA=emulated \
	  WEIGHTSHARING_EMULATION_ORDER="$$1" .venv-sanitize/bin/python -m pytest -q --capture=sys $$2; \
	}; \
	run forward tests && run reverse tests/backends/cuda && run shuffled:1 tests/backends/cuda

# The kernel tests again, with the sanitizer that sees two threads at one element without a barrier between them.
races: .venv/installed
	@WEIGHTSHARING_KERNEL_SANITIZERS=thread .venv/bin/python -m pytest -q tests/backends/test_cuda_kernels.py

# On the machine as it is, without an environment of its own: nothing may need to be downloaded.
gpu:
	@PYTHON="$(PYTHON)" bench/gpu.sh

# For every architecture that is shipped, failing on registers that spill; NVRTC compiles the same sources.
compile-cuda: .venv/installed .venv-nvrtc/installed
	@if command -v nvcc >/dev/null 2>&1; then tests/compile_with_nvcc.sh; else echo "no nvcc on this machine: left out"; fi
	PYTHONPATH="$$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("platlib"))')" \
	  .venv-nvrtc/bin/python tests/compile_with_nvrtc.py sm_75 sm_90 sm_120

.venv-nvrtc/installed: .venv-nvrtc/created
	@$(PIP_INSTALL) cuda-bindings 'nvidia-cuda-nvrtc==13.0.*'
	@touch $@

lint: .venv-lint/installed
	.venv-lint/bin/ruff check .
	.venv-lint/bin/ruff format --check .
	.venv-lint/bin/mypy --strict python/weightsharing
	PYTHONPATH=python .venv-lint/bin/lint-imports
	.venv-lint/bin/clang-format --dry-run -Werror $(CPP_SOURCES)

format: .venv-lint/installed
	.venv-lint/bin/ruff check --fix .
	.venv-lint/bin/ruff format .
	.venv-lint/bin/clang-format -i $(CPP_SOURCES)

clean:
	rm -rf .venv .venv-lint .venv-nvrtc .venv-sanitize build demo.png examples/*.png

.venv/installed: .venv/created $(SOURCES)
	$(CHECK_COMPILER)
	@echo "Building and installing weightsharing into $(@D); the first time takes some minutes."
	@$(PIP_INSTALL) '.[images,plot,test]' $(EMULATION)
	@touch $@

.venv-sanitize/installed: .venv-sanitize/created $(SOURCES)
	$(CHECK_COMPILER)
	@echo "Building weightsharing with sanitizers into $(@D); this takes some minutes."
	@$(FIND_COMPILER); echo "$$compiler" > $(@D)/compiler
	@CXX="$$(cat $(@D)/compiler)" $(PIP_INSTALL) '.[images,plot,test]' \
	  --config-settings=cmake.define.WEIGHTSHARING_SANITIZE=address,undefined \
	  --config-settings=build-dir=build/sanitize \
	  --config-settings=cmake.define.WEIGHTSHARING_CUDA=OFF $(EMULATION)
	@touch $@

# Dependency groups need a newer pip than the one that comes with older Pythons.
.venv-lint/installed: .venv-lint/created pyproject.toml
	@$(PIP_INSTALL) --upgrade 'pip>=25.1'
	@$(PIP_INSTALL) --group lint
	@touch $@

.venv/created .venv-lint/created .venv-nvrtc/created .venv-sanitize/created:
	$(CHECK_PYTHON)
	@$(PYTHON) -m venv $(@D)
	@touch $@
