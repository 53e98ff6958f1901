"""Compile every kernel instance with NVRTC, for processors that are not here: no device and no driver are needed.

    python tests/compile_with_nvrtc.py sm_75 sm_90 sm_120

Needs the packages cuda-bindings and nvidia-cuda-nvrtc. Fails on the first instance that does not compile.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from cuda.bindings import nvrtc

SOURCES = Path(__file__).resolve().parent.parent / "csrc"
# Explicit instantiation of everything in the list, from the same headers as the nvcc build.
PROGRAM = "\n".join(
    [
        *(f'#include "cuda/{file.name}"' for file in sorted((SOURCES / "cuda").glob("*.cuh"))),
        "namespace weightsharing::cuda {",
        "#define WEIGHTSHARING_KERNEL(...) __VA_ARGS__",
        "#define WEIGHTSHARING_INSTANCE(name, kernel, Parameters) \\",
        "  template __global__ void WEIGHTSHARING_KERNEL kernel(const Parameters);",
        '#include "cuda/instances.def"',
        "}",
    ]
)
# The same treatment of denormal numbers as the nvcc build: they are kept.
OPTIONS = ("--std=c++17", f"--include-path={SOURCES}", "--ftz=false")


def check(status, *values):
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise SystemExit(f"NVRTC: {nvrtc.nvrtcGetErrorString(status)[1].decode()}")
    return values[0] if len(values) == 1 else values


def compile_for(architecture: str) -> int:
    """Compile for one architecture and return the size of the machine code in bytes."""
    program = check(*nvrtc.nvrtcCreateProgram(PROGRAM.encode(), b"kernels.cu", 0, [], []))
    options = [option.encode() for option in (*OPTIONS, f"--gpu-architecture={architecture}")]
    (status,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        log = b" " * check(*nvrtc.nvrtcGetProgramLogSize(program))
        check(*nvrtc.nvrtcGetProgramLog(program, log))
        raise SystemExit(f"NVRTC cannot compile the kernels for {architecture}:\n{log.decode()}")
    size = check(*nvrtc.nvrtcGetCUBINSize(program))
    check(*nvrtc.nvrtcDestroyProgram(program))
    return size


if __name__ == "__main__":
    for name in sys.argv[1:] or ("sm_75", "sm_90", "sm_120"):
        start = time.perf_counter()
        print(f"{name}: {compile_for(name)} bytes in {time.perf_counter() - start:.1f} s", flush=True)
