"""Compare this package with other libraries on this machine: ``python -m weightsharing bench --gpu``."""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from ..backends.targets import backends
from ..version import __version__
from .devices import CupyDevice, TorchDevice, copy_bandwidth, find_gpu, installed, multiply_add_peak
from .harness import OURS, Ceilings, Row, our_chain, our_engine, run_row, table, try_engine
from .rivals import rivals_of, torch_chain
from .workloads import Chain, Workload, gpu_chain, gpu_workloads

SAMPLE = 4096  # units whose value is computed in float64
SETS_BYTES = 3 * 2**30  # all input sets and their results together, about


def say(text: str) -> None:
    """Tell how far the run is, beside the table."""
    print(text, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None, program: str = "python -m weightsharing.benchmarks") -> None:
    parser = argparse.ArgumentParser(prog=program, description=__doc__)
    parser.add_argument("--gpu", action="store_true", required=True, help="measure the first GPU")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for a first look")
    parser.add_argument("--only", default="", metavar="TEXT", help="only workloads with this in their name")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there")
    options = parser.parse_args(arguments)
    device, usable = find_gpu(), backends()["cuda"]
    if isinstance(device, str) or usable != "usable":
        reason = device if isinstance(device, str) else usable
        if options.markdown:
            options.markdown.write_text("\n".join(unmeasured(reason)) + "\n")
        raise SystemExit(f"No benchmarks: {reason}.")
    if "WEIGHTSHARING_CUDA" in os.environ:
        raise SystemExit(
            "No benchmarks: WEIGHTSHARING_CUDA is set, so that another module may stand for the GPU's."
        )
    measure(device, 5 if options.quick else 15, options.only, options.json, options.markdown)


def measure(
    device: TorchDevice | CupyDevice,
    rounds: int,
    only: str,
    json_file: Path | None,
    markdown_file: Path | None,
) -> None:
    """Run all rows; the files are written anew after each, so that a run cut short leaves what it has."""
    say(f"{device.name}: measuring a copy and multiply-adds")
    bandwidth = copy_bandwidth(device)
    flops, source = multiply_add_peak(device)
    device.release()
    ceilings = Ceilings(bandwidth, flops)
    about = {
        **machine(device),
        "copy, GB/s": bandwidth / 1e9,
        "float32, TFLOP/s": flops / 1e12,
        "float32 by": source,
    }
    rows: list[Row] = []
    generator = np.random.default_rng()
    works: list[Workload | Chain] = [*gpu_workloads(), gpu_chain()]
    for work in works:
        if only not in work.name:
            continue
        start = time.perf_counter()
        if isinstance(work, Chain):
            rows.append(chain_row(work, device, generator, rounds))
        else:
            rows.append(workload_row(work, device, generator, rounds))
        gc.collect()  # networks and their projections know each other
        device.release()
        say(f"{work.name}: {time.perf_counter() - start:.1f} s")
        if json_file:
            records = [row.record(ceilings) for row in rows]
            json_file.write_text(json.dumps({"machine": about, "rows": records}, indent=1) + "\n")
        if markdown_file:
            markdown_file.write_text("\n".join(page(about, rows, ceilings)) + "\n")
    print("\n".join(page(about, rows, ceilings)))


def workload_row(
    work: Workload, device: TorchDevice | CupyDevice, generator: np.random.Generator, rounds: int
) -> Row:
    """Measure one projection and its rivals on fresh random rates and weights."""
    row = Row(work, min(16, max(3, ceil(SETS_BYTES / work.bytes))))
    weights = work.random_weights(generator)
    inputs, kept = [], {}
    for n in range(row.sets):
        rates = work.random_rates(generator)
        inputs.append(device.upload(rates))
        if n in (0, row.sets - 1):
            kept[n] = rates
    units = work.sample(generator, SAMPLE)
    engines = try_engine(row, OURS, lambda: our_engine(row, weights, inputs, device, "cuda"))
    engines += rivals_of(row, weights, inputs, device)
    return run_row(row, engines, device, lambda n: (units, work.expected(kept[n], weights, units)), rounds)


def chain_row(
    work: Chain, device: TorchDevice | CupyDevice, generator: np.random.Generator, rounds: int
) -> Row:
    """Measure the network on fresh random rates and weights."""
    row = Row(work, 1, how={"family": "network"}, left_out={"cupyx": "has no graphs of several filters"})
    weights, rates = work.random_filter(generator), work.layer.random_rates(generator)[0]
    engines = try_engine(row, OURS, lambda: our_chain(row, weights, rates, "cuda"))
    if isinstance(device, TorchDevice):
        torch = device.torch
        engines += try_engine(
            row, "torch: graph", lambda: torch_chain(work, weights, device.upload(rates), torch)
        )
    return run_row(row, engines, device, lambda n: work.expected(rates, weights), rounds)


def machine(device: TorchDevice | CupyDevice) -> dict[str, Any]:
    """Tell what was measured, and when."""
    versions = {OURS: __version__, "Python": platform.python_version(), "NumPy": np.__version__}
    for name in ("torch", "cupy"):
        library = installed(name)
        if library:
            versions[name] = str(library.__version__)
    torch = installed("torch")
    if torch and torch.backends.cudnn.is_available():
        versions["cuDNN"] = str(torch.backends.cudnn.version())
    tool = shutil.which("nvidia-smi")
    if tool:
        asked = subprocess.run(
            [tool, "--query-gpu=driver_version", "--format=csv,noheader"], capture_output=True, text=True
        )
        versions["driver"] = asked.stdout.partition("\n")[0].strip()
    return {
        "GPU": device.name,
        "versions": versions,
        "date": time.strftime("%Y-%m-%d"),
        "command": " ".join(["python", "-m", "weightsharing.benchmarks", *sys.argv[1:]]),
    }


def unmeasured(reason: str) -> Iterator[str]:
    """Yield the report of a machine without a GPU: no number stands where none was measured."""
    yield "# No GPU"
    yield ""
    yield f"No GPU could be used: {reason}."
    yield ""
    yield f"| workload | {OURS}, ms |"
    yield "|---|---|"
    for name in (*(work.name for work in gpu_workloads()), gpu_chain().name):
        yield f"| {name} | not measured: no GPU |"


def page(about: dict[str, Any], rows: Sequence[Row], ceilings: Ceilings) -> Iterator[str]:
    """Yield the lines of the report in Markdown."""
    yield f"# {about['GPU']}, {about['date']}"
    yield ""
    yield ", ".join(f"{name} {version}" for name, version in about["versions"].items()) + "."
    yield (
        f"A copy moves {about['copy, GB/s']:.0f} GB/s, read and written; float32 reaches "
        f"{about['float32, TFLOP/s']:.1f} TFLOP/s ({about['float32 by']}). Times are medians, all arrays are float32."
    )
    yield ""
    yield from table(rows, ceilings)


if __name__ == "__main__":
    main()
