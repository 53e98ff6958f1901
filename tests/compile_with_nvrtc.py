"""Compile every kernel instance with NVRTC, and programs, for processors that are not here: no device, no driver.

    python tests/compile_with_nvrtc.py 75 90     or     python tests/compile_with_nvrtc.py all

The package must be importable; NVRTC comes from cuda-bindings or CuPy, with nvidia-cuda-nvrtc. Fails on the first
kernel that does not compile.
"""

from __future__ import annotations

import re
import sys
import time

import weightsharing as ws
from weightsharing.backends.core import core_program
from weightsharing.backends.device_modules import driver_module
from weightsharing.backends.nvrtc import OPTIONS, PROGRAM_OPTIONS, find_compiler, source_of
from weightsharing.language.expression import parse_psp

PSPS = (
    "max(w, pre.r)",
    "exp(-(w-pre.r)**2)",
    "1.0 if pre.r > w else 0.0",
    "max(w, pre.r) + min(w*pre.r, 0.5)",
    "log(1 + abs(w*pre.r)) - w/3",
    "tanh(w + pre.r) * (w % 2.0)",
)
EQUATIONS = (
    "r = sum(exc)",
    "tau*dv/dt + v = sum(exc) - sum(inh) : max=4.0\nr = max(v, 0) + 0.1*sin(t)",
    "n += 1 : population\nr = n",
    "r = clip(sum(exc), -1e-300, 1e300) if t > 3 and sum(exc) != 0 else sqrt(2) + cbrt(t)",
    "x = round(t/7) : population\nr = sinh(x + sum(exc)) ** 3",
    "r = sum(exc) * Uniform(-1, 1) + Normal(0, 1)",
)
NEURON = "tau = 10.0 : population"


def programs() -> dict[str, list[str]]:
    """The texts of programs, by the kernels that may run them."""
    psps = [core_program(parse_psp(psp).program(("w", "pre.r"))).text() for psp in PSPS]
    equations = [
        core_program(ws.Neuron(parameters=NEURON, equations=text).program()).text() for text in EQUATIONS
    ]
    rate = core_program(parse_psp("exp(-pre.r)", allow_weight=False).program(("pre.r",))).text()
    families = {"window_naive": psps, "gather_naive": psps[:1], "synapses_naive": psps[:1]}
    families |= {"synapses_warp": psps[:1], "update": equations, "apply": [rate]}
    return {f"{family}<{T}>": texts for family, texts in families.items() for T in ("float", "double")}


def compile_for(architecture: str) -> None:
    """Compile for one architecture and print the size of the machine code."""
    compiler = find_compiler()
    if isinstance(compiler, str):
        raise SystemExit(f"NVRTC is missing: {compiler}")
    module = driver_module()
    headers = module.kernel_sources()
    options = (*OPTIONS, f"-arch={architecture}")
    start, size = time.perf_counter(), 0
    expressions = module.kernel_expressions()
    for kernel in expressions.values():
        size += len(compiler.compile(source_of(headers, ""), headers, options, kernel)[0])
    print(
        f"{architecture}: {len(expressions)} kernels, {size} bytes, {time.perf_counter() - start:.1f} s",
        flush=True,
    )
    start, size, count = time.perf_counter(), 0, 0
    for kernel, texts in programs().items():
        for text in texts:
            code, _ = compiler.compile(
                source_of(headers, text), headers, (*options, *PROGRAM_OPTIONS), kernel
            )
            size, count = size + len(code), count + 1
    print(f"{architecture}: {count} programs, {size} bytes, {time.perf_counter() - start:.1f} s", flush=True)


if __name__ == "__main__":
    names = sys.argv[1:]
    for name in ("75", "90", "120") if names in ([], ["all"]) else names:
        if not re.fullmatch(r"\d+a?", name):
            raise SystemExit(f"'{name}' is no architecture; for example 90")
        compile_for(f"sm_{name}")
