# Every target works from a fresh clone. `make help` lists them.

PYTHON ?= python3
PIP_INSTALL = $(@D)/bin/python -m pip install --quiet --no-input --disable-pip-version-check
CHECK = PYTHON="$(PYTHON)" tools/check_machine.sh

# Tests run side by side, a process for each core. The threads of these processes share the cores: one that has nothing
# to do must sleep, as a busy wait would keep the core from a thread that has work.
WORKERS ?= auto
RUN_TESTS = -m pytest -q -n $(WORKERS) --dist worksteal
PYTEST = OMP_WAIT_POLICY=passive WEIGHTSHARING_CUDA=emulated .venv/bin/python $(RUN_TESTS)
SELECT ?=
ARCHITECTURES ?= 75 90

# What tests need beyond the package are the kernels for GPUs, run on the CPU. What nvcc makes is proved by compile-cuda.
BUILD = --config-settings=build-dir=build/python --config-settings=cmake.define.WEIGHTSHARING_CUDA=OFF
EMULATION = --config-settings=cmake.define.WEIGHTSHARING_EMULATION

# Folders are listed too: their time changes when a file is deleted or renamed.
SOURCES := $(shell find csrc cmake python -name __pycache__ -prune -o ! -name '*.so' -print) CMakeLists.txt pyproject.toml
EMULATION_SOURCES := $(wildcard tests/emulation/*.h tests/emulation/machine/* tests/emulation/runtime/*) \
  tests/emulation/driver.cpp tests/emulation/CMakeLists.txt
CPP_SOURCES = $(shell find csrc tests -name '*.h' -o -name '*.cpp' -o -name '*.cuh' -o -name '*.cu')

.PHONY: help demo examples develop test test-full sanitize races compile-cuda gpu lint format clean
.DELETE_ON_ERROR:

help:
	@echo "make demo          run the image pipeline on a photograph, check it, write demo.png"
	@echo "make examples      run the examples and write their pictures to examples/*.png"
	@echo "make develop       build into python/weightsharing: only what changed, for work on this package"
	@echo "make test          run the test-suite"
	@echo "make test-full     run the property tests with thousands of examples"
	@echo "make sanitize      run the test-suite under the address and undefined-behaviour sanitizers"
	@echo "make races         run the GPU kernels on the CPU under the sanitizer for data races"
	@echo "make compile-cuda  compile the GPU kernels with nvcc (where it is found) and NVRTC; needs no GPU"
	@echo "make gpu           build for the GPU of this machine, test and measure there; downloads nothing"
	@echo "make lint          check style, types and imports"
	@echo "make format        put the sources into the project's style"
	@echo "make clean         remove what these targets made"
	@echo
	@echo "PYTHON=... chooses the interpreter, CXX=... the compiler, WORKERS=... how many tests run at once,"
	@echo "ARCHITECTURES=... the GPUs of compile-cuda: numbers such as '75 90', or all."

demo: .venv/installed
	@.venv/bin/python examples/demo.py

examples: .venv/installed
	@for example in $(filter-out examples/demo.py,$(wildcard examples/*.py)); do \
	  echo "== $$example"; .venv/bin/python "$$example" || exit 1; \
	done

# In the build tree of the installed package, so that nothing is compiled twice.
develop:
	@test -e .venv/emulated || $(MAKE) .venv/emulated
	@.venv/bin/cmake --build build/python
	@.venv/bin/cmake --install build/python --prefix python >/dev/null
	@echo "Built. Test it: PYTHONPATH=python WEIGHTSHARING_CUDA=emulated .venv/bin/python -m pytest -q tests/..."

test: .venv/emulated
	@$(PYTEST) $(if $(SELECT),-m "$(SELECT)") tests

test-full: .venv/emulated
	@HYPOTHESIS_PROFILE=full $(PYTEST) -m properties tests

# The interpreter is not instrumented, so the sanitizers' libraries must be loaded before it starts, and with
# them libstdc++, whose exceptions AddressSanitizer intercepts. What CPython leaks at exit is not ours.
# The emulated threads of a block take turns forward in all tests, then in two more orders where they do most.
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
	  order="$$1"; shift; \
	  LD_PRELOAD="$$preload" ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 \
	  UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 HYPOTHESIS_PROFILE=sanitize WEIGHTSHARING_CUDA=emulated \
	  OMP_WAIT_POLICY=passive WEIGHTSHARING_EMULATION_ORDER="$$order" \
	  .venv-sanitize/bin/python $(RUN_TESTS) --capture=sys "$$@" tests; \
	}; \
	run forward -m "not python_only and not sanitized_by_itself" && \
	run reverse -m thread_order -k "not cupy" && run shuffled:1 -m thread_order -k "not cupy"

# The kernel tests again, with the sanitizer that sees two threads at one element without a barrier between them.
races: .venv/emulated
	@WEIGHTSHARING_KERNEL_SANITIZERS=thread $(PYTEST) $(shell find tests -name test_cuda_kernels.py)

# On the machine as it is, without an environment of its own: nothing may need to be downloaded.
gpu:
	@PYTHON="$(PYTHON)" bench/gpu.sh

# Fails on registers that spill. NVRTC compiles the same sources.
compile-cuda: .venv/emulated .venv-nvrtc/installed
	@if command -v nvcc >/dev/null 2>&1; then tests/compile_with_nvcc.sh $(ARCHITECTURES); \
	  else echo "no nvcc on this machine: left out"; fi
	@PYTHONPATH="$$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("platlib"))')" \
	  .venv-nvrtc/bin/python tests/compile_with_nvrtc.py $(ARCHITECTURES)

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
	rm -rf .venv .venv-lint .venv-nvrtc .venv-sanitize build demo.png examples/*.png python/weightsharing/*.so

# The emulation stays in the build once a test has asked for it.
.venv/installed: .venv/tools $(SOURCES)
	@$(CHECK) compiler >/dev/null
	@echo "Building weightsharing and installing it into $(@D); the first time takes some minutes."
	@tools/install.sh $(@D) '.[images,plot$(if $(wildcard .venv/emulated),$(comma)test)]' $(BUILD) \
	  $(EMULATION)=$(if $(wildcard .venv/emulated),ON,OFF)
	@touch $@ $(wildcard .venv/emulated)

.venv/emulated: .venv/tools $(SOURCES) $(EMULATION_SOURCES)
	@$(CHECK) compiler >/dev/null
	@echo "Building weightsharing for tests and installing it into $(@D); the first time takes some minutes."
	@tools/install.sh $(@D) '.[images,plot,test]' $(BUILD) $(EMULATION)=ON
	@touch $@ .venv/installed

.venv-sanitize/installed: .venv-sanitize/tools $(SOURCES) $(EMULATION_SOURCES)
	@$(CHECK) compiler >$(@D)/compiler
	@echo "Building weightsharing with sanitizers into $(@D); this takes some minutes."
	@CXX="$$(cat $(@D)/compiler)" tools/install.sh $(@D) '.[images,plot,test]' $(BUILD) $(EMULATION)=ON \
	  --config-settings=build-dir=build/sanitize \
	  --config-settings=cmake.define.WEIGHTSHARING_SANITIZE=address,undefined
	@touch $@

# Dependency groups need a newer pip than the one that comes with older Pythons.
.venv/tools .venv-sanitize/tools: %/tools: %/created pyproject.toml
	@$(PIP_INSTALL) --upgrade 'pip>=25.1'
	@$(PIP_INSTALL) --group build
	@touch $@

.venv-lint/installed: .venv-lint/created pyproject.toml
	@$(PIP_INSTALL) --upgrade 'pip>=25.1'
	@$(PIP_INSTALL) --group lint
	@touch $@

.venv/created .venv-lint/created .venv-nvrtc/created .venv-sanitize/created:
	@$(CHECK) python
	@$(PYTHON) -m venv $(@D)
	@touch $@

comma := ,
