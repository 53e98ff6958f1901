"""The part of cuda.bindings.nvrtc that the package uses, for the emulation of CUDA on the CPU.

The kernels of instances.def are built into the emulation; their "machine code" only says so. A kernel with a
program in place of the interpreter is compiled by the C++ compiler into a shared library, from the headers that it
is given. ``compilations`` counts these.
"""

from __future__ import annotations

import enum
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
compilations = 0

RUN = """
extern "C" __attribute__((visibility("default"))) void weightsharing_run(
    const void* parameters, dim3 grid, dim3 block, size_t shared) {{
  emulation::run("{kernel}", emulation::Call<&{kernel}>::call, parameters, grid, block, shared);
}}
extern "C" __attribute__((visibility("default"))) const size_t weightsharing_parameter_bytes =
    emulation::Call<&{kernel}>::parameter_bytes;
"""


class nvrtcResult(enum.IntEnum):
    NVRTC_SUCCESS = 0
    NVRTC_ERROR_COMPILATION = 6


OK = nvrtcResult.NVRTC_SUCCESS


def find_compiler():
    """The C++ compiler, or None."""
    named = os.environ.get("CXX")
    return named or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")


class Program:
    def __init__(self, source, headers):
        self.source, self.headers = source, headers
        self.kernel = self.log = ""
        self.code = b""

    @property
    def with_program(self):
        return "WEIGHTSHARING_COMPILED_PROGRAM" in self.source


def nvrtcVersion():
    return OK, 13, 0


def nvrtcGetNumSupportedArchs():
    return OK, 2


def nvrtcGetSupportedArchs():
    return OK, [80, 90]


def nvrtcGetErrorString(status):
    return OK, status.name.encode()


def nvrtcCreateProgram(source, name, count, headers, names):
    assert len(headers) == len(names) == count
    texts = {one.decode(): text.decode() for one, text in zip(names, headers, strict=True)}
    return OK, Program(source.decode(), texts)


def nvrtcAddNameExpression(program, expression):
    program.kernel = expression.decode()
    return (OK,)


def nvrtcCompileProgram(program, count, options):
    global compilations
    assert len(options) == count
    assert {b"--std=c++17", b"-ftz=false", b"-arch=sm_90"} <= set(options)
    library = b""
    if program.with_program:
        assert b"-fmad=false" in options
        compilations += 1
        with tempfile.TemporaryDirectory() as folder:
            for name, text in program.headers.items():
                file = Path(folder, name)
                file.parent.mkdir(exist_ok=True)
                file.write_text(text)
            source, built = Path(folder, "kernel.cpp"), Path(folder, "kernel.so")
            source.write_text(program.source + RUN.format(kernel=program.kernel))
            command = [find_compiler(), "-std=c++17", "-O1", "-ffp-contract=off", "-fPIC", "-shared"]
            if "libasan" in os.environ.get("LD_PRELOAD", ""):
                command += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
            command += [f"-I{folder}", f"-I{HERE}", str(source), "-o", str(built)]
            done = subprocess.run(
                command, capture_output=True, text=True, env={**os.environ, "LD_PRELOAD": ""}
            )
            program.log = done.stderr
            if done.returncode:
                return (nvrtcResult.NVRTC_ERROR_COMPILATION,)
            library = built.read_bytes()
    program.code = b"weightsharing %d\n" % len(library) + library
    return (OK,)


def nvrtcGetProgramLogSize(program):
    return OK, len(program.log.encode())


def _fill(buffer, content):
    # The real one writes into the bytes object that it is given.
    import ctypes

    ctypes.memmove(ctypes.c_char_p(buffer), content, len(content))


def nvrtcGetProgramLog(program, buffer):
    _fill(buffer, program.log.encode())
    return (OK,)


def nvrtcGetCUBINSize(program):
    return OK, len(program.code)


def nvrtcGetCUBIN(program, buffer):
    _fill(buffer, program.code)
    return (OK,)


def nvrtcGetLoweredName(program, expression):
    assert expression.decode() == program.kernel
    return OK, b"program in " * program.with_program + expression


def nvrtcDestroyProgram(program):
    return (OK,)
