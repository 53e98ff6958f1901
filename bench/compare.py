"""Compare the CPU backend with SciPy, OpenCV and torch on the same arrays.

    pip install . scipy opencv-python-headless torch==2.13.0 matplotlib
    python bench/compare.py --output bench/results/compare-cpu.json --figure docs/images/compare.png

Every engine's answer is checked against float64 before anything is timed. Then the engines of a workload take turns,
round after round, in one process; the figures are medians over the rounds. Everything is float32. Rivals get their
inputs in the layout they like best, prepared before timing, and write into a given array where they can. Prints a
table in Markdown. A library that is not installed is left out.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import json
import os
import platform
import re
import statistics
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

import weightsharing as ws


def installed(module):
    try:
        return importlib.import_module(module)
    except ImportError:
        print(f"{module} is not installed: left out", file=sys.stderr)
        return None


ndimage, cv2, torch = installed("scipy.ndimage"), installed("cv2"), installed("torch")
LIBRARIES = {"SciPy": ndimage, "OpenCV": cv2, "torch": torch}
OURS = "weightsharing"
ROUND = 0.03  # seconds that an engine is called for, per round
TOLERANCE = 2e-5  # of the largest expected value


@dataclass
class Workload:
    """One computation: what comes out (float64), and how each engine, "library" or "library: how", is asked."""

    name: str
    projection: ws.SharedProjection
    rates: np.ndarray
    expected: np.ndarray
    engines: dict = field(default_factory=dict)

    def __post_init__(self):
        out = np.empty(self.expected.shape, np.float32)
        self.engines[OURS] = lambda: self.projection(self.rates, out=out)

    def add(self, engine, call):
        if LIBRARIES[engine.split(":")[0]]:
            self.engines[engine] = call

    def add_torch_conv(self, weights, groups=1, function=lambda r: r):
        """torch on (height, width, channels) with weights (filters, height, width, channels), in both layouts."""
        rates = self.rates.reshape(*self.rates.shape[:2], -1)
        if not torch:
            return
        for variant, layout in (("channels last", torch.channels_last), ("planes", torch.contiguous_format)):
            x = torch.from_numpy(rates)[None].permute(0, 3, 1, 2).contiguous(memory_format=layout)
            w = torch.from_numpy(weights).permute(0, 3, 1, 2).contiguous(memory_format=layout)
            conv = partial(torch.nn.functional.conv2d, weight=w, padding="same", groups=groups)
            self.engines[f"torch: {variant}"] = lambda x=x, conv=conv: conv(function(x))


def projection(pre, post, psp="w*pre.r", operation="sum"):
    with ws.Network():
        return ws.SharedProjection(ws.Population(pre), ws.Population(post), "exc", psp, operation)


def numbers(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def taps(rates, weights):
    """Yield (weight, shifted rates) for each tap along the first two axes, in float64, zeros outside."""
    pad = [((k - 1) // 2, k // 2) for k in weights.shape[:2]] + [(0, 0)] * (rates.ndim - 2)
    padded = np.pad(rates.astype(np.float64), pad)
    for i, j in np.ndindex(*weights.shape[:2]):
        yield weights[i, j].astype(np.float64), padded[i : i + rates.shape[0], j : j + rates.shape[1]]


def one_filter(name, size, extent, psp="w*pre.r", function=lambda r: r):
    """`function` is what the psp does to rates, NumPy's or torch's."""
    r, w = np.abs(numbers(size, size)), numbers(extent, extent)
    filtered = projection(r.shape, r.shape, psp).convolve(w, method="filter")
    work = Workload(name, filtered, r, sum(w * function(x) for w, x in taps(r, w)))
    out = np.empty_like(r)
    work.add("SciPy", lambda: ndimage.correlate(function(r), w, out, mode="constant"))
    work.add("OpenCV", lambda: cv2.filter2D(function(r), -1, w, out, borderType=cv2.BORDER_CONSTANT))
    work.add_torch_conv(w[None, :, :, None], function=function)
    return work


def logarithm(r):
    return np.log1p(r) if isinstance(r, np.ndarray) else torch.log1p(r)


def gaussian(name, size, extent):
    """The rivals get the two lines that a Gaussian is the product of; weightsharing gets the square filter."""
    r = numbers(size, size)
    line = np.exp(-(np.linspace(-3, 3, extent) ** 2) / 2).astype(np.float32)
    w = np.outer(line, line)
    smoothed = projection(r.shape, r.shape).convolve(w, method="filter")
    work = Workload(name, smoothed, r, sum(w * x for w, x in taps(r, w)))
    out, middle = np.empty_like(r), np.empty_like(r)

    def scipy_lines():
        ndimage.correlate1d(r, line, 0, middle, mode="constant")
        return ndimage.correlate1d(middle, line, 1, out, mode="constant")

    work.add("SciPy: separable", scipy_lines)
    work.add(
        "OpenCV: separable", lambda: cv2.sepFilter2D(r, -1, line, line, out, borderType=cv2.BORDER_CONSTANT)
    )
    if torch:
        x, t, conv = torch.from_numpy(r)[None, None], torch.from_numpy(line), torch.nn.functional.conv2d
        down, across = t[None, None, :, None], t[None, None, None]
        work.add("torch: separable", lambda: conv(conv(x, down, padding="same"), across, padding="same"))
    return work


def bank(name, size, filters, extent):
    r, w = numbers(size, size), numbers(filters, extent, extent)
    expected = np.stack([sum(w * x for w, x in taps(r, one)) for one in w], -1)
    filtered = projection(r.shape, (size, size, filters)).convolve(w, method="filter", multiple=True)
    work = Workload(name, filtered, r, expected)
    each = [(one, np.empty_like(r)) for one in w]
    work.add("SciPy", lambda: [ndimage.correlate(r, w, out, mode="constant") for w, out in each])
    work.add(
        "OpenCV", lambda: [cv2.filter2D(r, -1, w, out, borderType=cv2.BORDER_CONSTANT) for w, out in each]
    )
    work.add_torch_conv(w[..., None])
    return work


def channels(name, size, count):
    r, w = numbers(size, size, count), numbers(count, 3, 3, count)
    expected = sum(x @ w for w, x in taps(r, w.transpose(1, 2, 3, 0)))
    work = Workload(
        name, projection(r.shape, r.shape).convolve(w, method="filter", multiple=True), r, expected
    )
    work.add_torch_conv(w)
    return work


def layerwise(name, size, layers, extent):
    r, w = numbers(size, size, layers), numbers(extent, extent)
    filtered = projection(r.shape, r.shape).convolve(w, method="filter", keep_last_dimension=True)
    work = Workload(name, filtered, r, sum(w * x for w, x in taps(r, w)))
    out = np.empty_like(r)
    work.add("SciPy", lambda: ndimage.correlate(r, w[..., None], out, mode="constant"))
    work.add("OpenCV", lambda: cv2.filter2D(r, -1, w, out, borderType=cv2.BORDER_CONSTANT))
    work.add_torch_conv(np.tile(w[None, :, :, None], (layers, 1, 1, 1)), groups=layers)
    return work


def max_pooling(name, size, layers):
    r, half = numbers(size, size, layers), size // 2
    expected = r.reshape(half, 2, half, 2, layers).max((1, 3))
    work = Workload(name, projection(r.shape, expected.shape, operation="max").pooling(), r, expected)
    pairs, columns = r.reshape(-1, 2 * layers), np.empty((size * half, layers), np.float32)
    rows, pooled = columns.reshape(half, -1), np.empty((half, half * layers), np.float32)

    def opencv_pairs():
        cv2.max(pairs[:, :layers], pairs[:, layers:], columns)
        return cv2.max(rows[:, : half * layers], rows[:, half * layers :], pooled).reshape(half, half, layers)

    out = np.empty_like(r)
    work.add("SciPy", lambda: ndimage.maximum_filter(r, (2, 2, 1), None, out, origin=(-1, -1, 0))[::2, ::2])
    work.add("OpenCV: max of halves", opencv_pairs)
    if torch:
        x = torch.from_numpy(r)
        q = [x[i::2, j::2] for i, j in np.ndindex(2, 2)]
        work.add("torch: max_pool2d", lambda: torch.nn.functional.max_pool2d(x[None].permute(0, 3, 1, 2), 2))
        work.add(
            "torch: maximum", lambda: torch.maximum(torch.maximum(q[0], q[1]), torch.maximum(q[2], q[3]))
        )
    return work


def max_window(name, size, extent):
    """Windows start at their unit and are clipped where they stick out."""
    r = numbers(size, size)
    windows = np.pad(r, (0, extent - 1), constant_values=-np.inf)
    windows = np.max([windows[i : i + size] for i in range(extent)], 0)
    expected = np.max([windows[:, i : i + size] for i in range(extent)], 0)
    pooled = projection(r.shape, r.shape, operation="max").pooling(extent=extent, stride=1)
    work = Workload(name, pooled, r, expected)
    out, box, to_unit = np.empty_like(r), np.ones((extent, extent), np.uint8), -(extent // 2)
    work.add("SciPy", lambda: ndimage.maximum_filter(r, extent, None, out, "constant", -np.inf, to_unit))
    work.add("OpenCV", lambda: cv2.dilate(r, box, out, anchor=(0, 0)))
    if torch:
        x, outside = torch.from_numpy(r)[None, None], (0, extent - 1, 0, extent - 1)
        pool, pad = torch.nn.functional.max_pool2d, partial(torch.nn.functional.pad, value=-torch.inf)
        work.add("torch: separable", lambda: pool(pool(pad(x, outside), (extent, 1), 1), (1, extent), 1))
    return work


def weighted_max(name, size, extent):
    r, w = numbers(size, size), numbers(extent, extent)
    expected = np.max([w * x for w, x in taps(r, w)], 0)
    work = Workload(
        name, projection(r.shape, r.shape, operation="max").convolve(w, method="filter"), r, expected
    )
    padded, out, part = np.pad(r, extent // 2), np.empty_like(r), np.empty_like(r)
    shifts = [(float(w[i, j]), padded[i : i + size, j : j + size]) for i, j in np.ndindex(w.shape)]

    def opencv_taps():
        cv2.multiply(shifts[0][1], shifts[0][0], out)
        for weight, x in shifts[1:]:
            cv2.max(out, cv2.multiply(x, weight, part), out)
        return out

    work.add("OpenCV: tap by tap", opencv_taps)
    if torch:
        pieces = [(weight, torch.from_numpy(x)) for weight, x in shifts]
        total, product = torch.empty(size, size), torch.empty(size, size)

        def torch_taps():
            torch.mul(pieces[0][1], pieces[0][0], out=total)
            for weight, x in pieces[1:]:
                torch.maximum(total, torch.mul(x, weight, out=product), out=total)
            return total

        work.add("torch: tap by tap", torch_taps)
    return work


WORKLOADS = (
    lambda: one_filter("3x3 filter, 1024x1024", 1024, 3),
    lambda: one_filter("7x7 filter, 2048x2048", 2048, 7),
    lambda: gaussian("31x31 Gaussian, 1024x1024", 1024, 31),
    lambda: bank("16 filters 7x7, 256x256", 256, 16, 7),
    lambda: channels("64 filters 3x3x64, 128x128x64", 128, 64),
    lambda: layerwise("5x5 on each layer of 512x512x32", 512, 32, 5),
    lambda: max_pooling("2x2 max pooling, 512x512x64", 512, 64),
    lambda: max_window("31x31 max at every unit, 1024x1024", 1024, 31),
    lambda: one_filter("sum of w*log(1+r), 5x5, 1024x1024", 1024, 5, "w*log(1+pre.r)", logarithm),
    lambda: weighted_max("max of w*r, 5x5, 1024x1024", 1024, 5),
)


def check(engine, result, expected):
    result = np.stack(result) if isinstance(result, list) else np.asarray(result).squeeze()
    if result.shape != expected.shape:  # planes first
        result = np.moveaxis(result, 0, -1)
    error = np.abs(result - expected).max() / np.abs(expected).max()
    if not error <= TOLERANCE:
        raise SystemExit(f"{engine}: wrong result, relative error {error:.2g}")


def measure(work, rounds):
    """Seconds per call: median and quartiles of each engine."""
    calls, seconds = {}, {engine: [] for engine in work.engines}
    for engine, call in work.engines.items():
        check(engine, call(), work.expected)
        start = time.perf_counter()
        call()
        calls[engine] = max(1, round(ROUND / (time.perf_counter() - start)))
    for _ in range(rounds):
        for engine, call in work.engines.items():
            call()  # its threads awake, its data in the cache
            start = time.perf_counter()
            for _ in range(calls[engine]):
                call()
            seconds[engine].append((time.perf_counter() - start) / calls[engine])
    return {engine: statistics.quantiles(values, n=4) for engine, values in seconds.items()}


def row(work, quartiles):
    times = {e: {"ms": q[1] * 1e3, "spread": (q[2] - q[0]) / q[1]} for e, q in quartiles.items()}
    rival = min((e for e in times if e != OURS), key=lambda e: times[e]["ms"], default=None)
    ratio = times[OURS]["ms"] / times[rival]["ms"] if rival else None
    how = work.projection.describe()["family"]
    return {"workload": work.name, "family": how, "engines": times, "best rival": rival, "ratio": ratio}


def table(rows):
    yield f"| workload | {OURS}, ms | {', ms | '.join(LIBRARIES)}, ms | ratio to the best other | fastest |"
    yield "|---|" + "---|" * (len(LIBRARIES) + 3)
    for one in rows:
        cells = [
            f"{one['engines'][OURS]['ms']:.3g} ({one['family']}, ±{one['engines'][OURS]['spread'] / 2:.0%})"
        ]
        for library in LIBRARIES:
            known = [(t["ms"], e) for e, t in one["engines"].items() if e.split(":")[0] == library]
            ms, engine = min(known, default=(None, ""))
            _, _, variant = engine.partition(": ")
            cells.append("-" if ms is None else f"{ms:.3g}" + (f" ({variant})" if variant else ""))
        cells.append("-" if one["ratio"] is None else f"{one['ratio']:.2f}")
        cells.append(min(one["engines"], key=lambda engine: one["engines"][engine]["ms"]).split(":")[0])
        yield f"| {one['workload']} | {' | '.join(cells)} |"


def machine(threads):
    information = Path("/proc/cpuinfo").read_text() if os.path.exists("/proc/cpuinfo") else ""
    model = re.search(r"model name\s*: (.*)", information)
    versions = {OURS: ws.__version__, "Python": platform.python_version(), "NumPy": np.__version__}
    for name, module in LIBRARIES.items():
        if module:
            versions[name] = importlib.import_module(module.__name__.split(".")[0]).__version__
    return {
        "processor": model[1] if model else platform.processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "versions": versions,
        "date": time.strftime("%Y-%m-%d"),
        "command": "python " + " ".join(sys.argv),
    }


def busy_elsewhere():
    """Seconds that other processes used all cores for since the machine started (Linux)."""
    if not os.path.exists("/proc/stat"):
        return float("nan")
    user, nice, system, _, _, *rest = map(int, Path("/proc/stat").read_text().split()[1:9])
    own = os.times()
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK") - own.user - own.system


def draw(rows, path):
    import matplotlib.pyplot as plt

    plt.switch_backend("Agg")  # a file, not a window
    figure, axes = plt.subplots(figsize=(9, 4.6), layout="constrained")
    names = [one["workload"] for one in rows]
    for library, colour in zip(LIBRARIES, ("tab:orange", "tab:green", "tab:red"), strict=True):
        for y, one in enumerate(rows):
            known = [t["ms"] for e, t in one["engines"].items() if e.split(":")[0] == library]
            if known:
                axes.plot(min(known) / one["engines"][OURS]["ms"], y, "o", color=colour)
        axes.plot([], [], "o", color=colour, label=library)
    axes.axvline(1, color="tab:blue", label=OURS)
    axes.set(xscale="log", xlabel=f"time / time of {OURS}, same threads (right of the line: slower)")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=ws.get_num_threads())
    parser.add_argument("--rounds", type=int, default=15, help="at least 2")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    parser.add_argument("--figure", type=Path, help="picture to write")
    options = parser.parse_args()
    # Freed memory is kept: rivals that allocate their results would otherwise pay for fresh pages in every call.
    if sys.platform == "linux":
        mallopt, trim_threshold, mmap_max = ctypes.CDLL(None).mallopt, -1, -4
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)
    ws.set_num_threads(options.threads)
    if cv2:
        cv2.setNumThreads(options.threads)
    if torch:
        torch.set_num_threads(options.threads)
        torch.set_grad_enabled(False)
    about, rows = machine(options.threads), []
    start, busy = time.perf_counter(), busy_elsewhere()
    for make in WORKLOADS:
        work = make()
        print(work.name, file=sys.stderr)
        rows.append(row(work, measure(work, options.rounds)))
    # Threads that wait for each other suffer from every core that something else uses: below 0.1 is a quiet run.
    about["cores used by other processes"] = (busy_elsewhere() - busy) / (time.perf_counter() - start)
    print("\n".join(table(rows)))
    print(f"\nOther processes used {about['cores used by other processes']:.2f} cores.", file=sys.stderr)
    if options.output:
        options.output.write_text(json.dumps({"machine": about, "rows": rows}, indent=1) + "\n")
    if options.figure:
        draw(rows, options.figure)


if __name__ == "__main__":
    main()
