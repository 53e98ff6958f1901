"""Compilation of kernels at run time, by NVIDIA's NVRTC: found in cuda-bindings or in CuPy.

Machine code is kept in the user's cache folder, so that a kernel is compiled once per machine.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Protocol

# Denormal numbers are kept, as in the build with nvcc. Machine code, not PTX: what was tested is what runs.
OPTIONS = ("--std=c++17", "-ftz=false")
# The interpreter rounds after every operation; a program that is compiled computes the same, bit for bit.
PROGRAM_OPTIONS = ("-fmad=false",)


def emulated() -> bool:
    """Whether the tests asked for the imitation of CUDA on the CPU."""
    return os.environ.get("WEIGHTSHARING_CUDA") == "emulated"


class CompilerError(RuntimeError):
    """NVRTC refused a source, which is an error of this package."""


class Compiler(Protocol):
    """NVRTC, wherever it comes from."""

    version: tuple[int, int]
    architectures: frozenset[int]

    def compile(
        self, source: str, headers: Mapping[str, str], options: Sequence[str], kernel: str
    ) -> tuple[bytes, str]:
        """Return machine code and the name in it of a kernel, an instance as written in C++."""


class _FromBindings:
    """NVRTC of the package cuda-bindings."""

    def __init__(self) -> None:
        self._nvrtc: Any = importlib.import_module("nvrtc_emulated" if emulated() else "cuda.bindings.nvrtc")
        major, minor = self._check(self._nvrtc.nvrtcVersion())
        self.version = (int(major), int(minor))
        number = self._check(self._nvrtc.nvrtcGetNumSupportedArchs())
        # cuda-bindings fills a list that it makes itself.
        self.architectures = frozenset(self._check(self._nvrtc.nvrtcGetSupportedArchs())[:number])

    def _check(self, answer: tuple[Any, ...]) -> Any:
        status, *values = answer
        if status != self._nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise CompilerError(self._nvrtc.nvrtcGetErrorString(status)[1].decode())
        return values[0] if len(values) == 1 else values

    def compile(
        self, source: str, headers: Mapping[str, str], options: Sequence[str], kernel: str
    ) -> tuple[bytes, str]:
        nvrtc, check = self._nvrtc, self._check
        texts, names = [text.encode() for text in headers.values()], [name.encode() for name in headers]
        program = check(nvrtc.nvrtcCreateProgram(source.encode(), b"kernel.cu", len(names), texts, names))
        try:
            check(nvrtc.nvrtcAddNameExpression(program, kernel.encode()))
            (status,) = nvrtc.nvrtcCompileProgram(program, len(options), [one.encode() for one in options])
            if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
                log = bytes(check(nvrtc.nvrtcGetProgramLogSize(program)))
                check(nvrtc.nvrtcGetProgramLog(program, log))
                raise CompilerError(log.rstrip(b"\0").decode(errors="replace"))
            code = bytes(check(nvrtc.nvrtcGetCUBINSize(program)))
            check(nvrtc.nvrtcGetCUBIN(program, code))
            return code, check(nvrtc.nvrtcGetLoweredName(program, kernel.encode())).decode()
        finally:
            nvrtc.nvrtcDestroyProgram(program)


class _FromCupy:
    """NVRTC as CuPy wraps it; CuPy's own compilation would flush denormal numbers."""

    def __init__(self) -> None:
        self._nvrtc: Any = importlib.import_module("cupy.cuda").nvrtc
        major, minor = self._nvrtc.getVersion()
        self.version = (int(major), int(minor))
        self.architectures = frozenset(self._nvrtc.getSupportedArchs())

    def compile(
        self, source: str, headers: Mapping[str, str], options: Sequence[str], kernel: str
    ) -> tuple[bytes, str]:
        nvrtc = self._nvrtc
        texts, names = [text.encode() for text in headers.values()], [name.encode() for name in headers]
        program = nvrtc.createProgram(source, "kernel.cu", texts, names)
        try:
            nvrtc.addNameExpression(program, kernel)
            try:
                nvrtc.compileProgram(program, list(options))
            except nvrtc.NVRTCError as error:
                raise CompilerError(f"{error}\n{nvrtc.getProgramLog(program)}") from error
            return bytes(nvrtc.getCUBIN(program)), str(nvrtc.getLoweredName(program, kernel))
        finally:
            nvrtc.destroyProgram(program)


@cache
def find_compiler() -> Compiler | str:
    """Return NVRTC, or the reason why there is none."""
    reasons = []
    for kind in (_FromBindings,) if emulated() else (_FromBindings, _FromCupy):
        try:
            return kind()
        # What a package raises whose library cannot be loaded is its own affair.
        except Exception as error:
            reasons.append(f"{type(error).__name__}: {error}".splitlines()[0])
    return "; ".join(reasons)


def why_not_for(compiler: Compiler, driver_version: int, architecture: int) -> str:
    """Say why a device cannot run what NVRTC compiles; an empty text if it can."""
    made = ".".join(map(str, compiler.version))
    known = divmod(driver_version // 10, 100)
    if known[0] < compiler.version[0]:
        return f"the NVIDIA driver is too old: it knows CUDA {known[0]}.{known[1]}, NVRTC compiles for CUDA {made}"
    if target_of(compiler, architecture) is None:
        return f"NVRTC {made} cannot compile for this device (sm_{architecture}): install a newer nvidia-cuda-nvrtc"
    return ""


def target_of(compiler: Compiler, architecture: int) -> int | None:
    """Return the newest architecture that NVRTC knows and a device can run; code runs within one generation."""
    return max(
        (one for one in compiler.architectures if one // 10 == architecture // 10 and one <= architecture),
        default=None,
    )


def source_of(headers: Mapping[str, str], program: str) -> str:
    """Return the source of any kernel: all headers, and behind them the text of a program, if there is one."""
    families = "".join(f'#include "{name}"\n' for name in headers if name.endswith(".cuh"))
    if program:
        families = f"#define WEIGHTSHARING_COMPILED_PROGRAM\n{families}"
        program = f"namespace weightsharing::cuda {{\n{program}}}\n"
    return f"{families}{program}using namespace weightsharing::cuda;\n"


def cache_folder() -> Path:
    """Return where machine code is kept: ``WEIGHTSHARING_CACHE``, or the user's cache folder."""
    named = os.environ.get("WEIGHTSHARING_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "weightsharing"


def _read(file: Path) -> tuple[bytes, str] | None:
    """Return what `_write` has written, None if there is nothing or something else."""
    try:
        digest, content = file.read_bytes().split(b"\n", 1)
        if digest != hashlib.sha256(content).hexdigest().encode():
            return None
        entry, code = content.split(b"\n", 1)
        return code, entry.decode()
    except (OSError, ValueError, RuntimeError):  # RuntimeError: there is no home folder
        return None


def _write(file: Path, code: bytes, entry: str) -> None:
    """Keep machine code; where that cannot be done it is compiled again."""
    content = entry.encode() + b"\n" + code
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Another process may read or write the same file.
        handle, unfinished = tempfile.mkstemp(dir=file.parent)
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
            os.replace(unfinished, file)
        except OSError:
            os.unlink(unfinished)
            raise


def compile_kernel(
    compiler: Compiler, headers: Mapping[str, str], kernel: str, program: str, architecture: int
) -> tuple[bytes, str]:
    """Compile one kernel, or take it from the cache.

    Parameters
    ----------
    compiler
        As `find_compiler` returns it.
    headers
        Sources by name.
    kernel
        Instance of a template as written in C++.
    program
        Text that takes the place of the interpreter of psps and equations; empty: the interpreter.
    architecture
        90 for compute capability 9.0.

    Returns
    -------
    tuple
        Machine code, and the name of the kernel in it.

    Raises
    ------
    CompilerError
        With NVRTC's log.
    """
    target = target_of(compiler, architecture)
    options = (*OPTIONS, *(PROGRAM_OPTIONS if program else ()), f"-arch=sm_{target or architecture}")
    source = source_of(headers, program)
    version = (*map(str, compiler.version), str(emulated()))
    parts = (*version, *options, kernel, source, *headers, *headers.values())
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    try:
        file = cache_folder() / f"{key}.cubin"
    except RuntimeError:  # no home folder
        file = None
    kept = None if file is None else _read(file)
    if kept is not None:
        return kept
    try:
        code, entry = compiler.compile(source, headers, options, kernel)
    except CompilerError as error:
        raise CompilerError(
            f"internal error: NVRTC {'.'.join(map(str, compiler.version))} cannot compile {kernel} for "
            f"sm_{architecture}; please report it, and set WEIGHTSHARING_PROGRAMS=interpreted if it is about "
            f"compiled_program.\n{error}\n{program}"
        ) from error
    if file is not None:
        _write(file, code, entry)
    return code, entry
