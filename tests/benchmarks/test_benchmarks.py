"""The benchmarks: their workloads, their judgement and their table, without a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from strategies.backends import BACKENDS
from weightsharing.benchmarks import rivals
from weightsharing.benchmarks.__main__ import page
from weightsharing.benchmarks.harness import (
    OURS,
    Ceilings,
    Engine,
    Row,
    our_chain,
    our_engine,
    relative_error,
    run_row,
    table,
    try_engine,
)
from weightsharing.benchmarks.workloads import Chain, Workload, gpu_chain, gpu_workloads

SMALL = gpu_workloads(64)
CEILINGS = Ceilings(bandwidth=1e9, flops=1e10)

each_workload = pytest.mark.parametrize("work", SMALL, ids=lambda work: work.name)


class HostDevice:
    """NumPy arrays and the host's clock."""

    name = "host"

    def upload(self, values):
        return values.copy()

    def download(self, array):
        return np.asarray(array)

    def copy(self, target, source):
        target[...] = source

    def seconds(self, call):
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    def release(self):
        pass


class Clock(HostDevice):
    """A host on which every call takes as long as its engine says."""

    now = 0.0

    def seconds(self, call):
        start = self.now
        call()
        return self.now - start


def drawn(work, sets=2):
    generator = np.random.default_rng(5)
    rates = [work.random_rates(generator) for _ in range(sets)]
    return work.random_weights(generator), rates, work.sample(generator, 500)


def judged(work, engines, sets=2, device=None):
    """Run engines, given a function that makes them, on fresh inputs."""
    weights, rates, units = drawn(work, sets)
    row = Row(work, sets)
    return run_row(
        row,
        engines(row, weights, rates),
        device or HostDevice(),
        lambda n: (units, work.expected(rates[n], weights, units)),
        rounds=2,
        duration=0.0,
    )


# --- The workloads ---


def test_full_size():
    works = gpu_workloads()
    assert len({work.name for work in works}) == len(works)
    for work in works:
        if work.form != "bank":
            assert 4 * np.prod(work.pre) >= 512e6


def test_counts():
    """Bytes and flops per unit of the result, by hand."""
    counts = {
        "3x3 filter": (8, 18),
        "5x5 filter": (8, 50),
        "7x7 filter": (8, 98),
        "31x31 Gaussian": (8, 2 * 2 * 31),
        "sum of w*log(1+r)": (8, 50 + 4),
        "max of w*r": (8, 2 * (25 + 25)),
        "5x5 max at every unit": (8, 2 * 6),
        "2x2 max pooling": (20, 2 * 3),
        "5x5 on each layer": (8, 50),
        "64 filters 3x3x64": (8, 2 * 9 * 64),
    }
    for work in gpu_workloads():
        (expected,) = (count for start, count in counts.items() if work.name.startswith(start))
        units = np.prod(work.result)
        weights = 4 * np.prod(work.weight_shape) if work.weight_shape else 0
        assert work.bytes - weights == expected[0] * units, work.name
        assert work.flops == expected[1] * units, work.name
    chain = gpu_chain()
    assert chain.bytes == 4 * (5 + 4) * 64 * 64
    assert chain.flops == 4 * 18 * 64 * 64


@each_workload
def test_bytes_are_those_of_the_arrays(work):
    weights, (rates, *_), _ = drawn(work)
    result = np.zeros(work.result, np.float32)
    assert rates.dtype == weights.dtype == np.float32
    assert work.bytes == rates.nbytes + result.nbytes + (weights.nbytes if work.weight_shape else 0)


@each_workload
def test_expected_is_the_reference(work):
    work = Workload(**{**vars(work), "batch": min(work.batch, 2)})
    weights, (rates, *_), units = drawn(work)
    result = work.projection(weights, "reference")(rates)
    assert result.shape == work.result
    assert relative_error(result, units, work.expected(rates, weights, units)) < 1e-6


@each_workload
def test_sample_reaches_the_edges(work):
    *_, units = drawn(work)
    shape = np.array(work.result)
    assert units.shape == (500, len(shape))
    assert (units >= 0).all() and (units < shape).all()
    assert (units.min(0) == 0).all() and (units.max(0) == shape - 1).all()
    assert len(np.unique(units, axis=0)) > 100


def test_sample_may_be_smaller_than_the_corners():
    assert SMALL[0].sample(np.random.default_rng(0), 3).shape == (3, 3)


# --- Our engines ---


@each_workload
@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "reference"])
def test_our_projections(work, backend):
    def engines(row, weights, rates):
        return [our_engine(row, weights, rates, HostDevice(), backend)]

    row = judged(work, engines)
    assert not row.problems
    assert row.seconds[OURS] > 0 and row.errors[OURS] < 2e-5
    assert row.how["family"] and row.how["algorithm"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_our_chain(backend):
    work = Chain("chain", 5, 16, 3, steps=6)
    generator = np.random.default_rng(1)
    weights, rates = work.random_filter(generator), work.layer.random_rates(generator)[0]
    row = Row(work, 1)
    run_row(
        row,
        [our_chain(row, weights, rates, backend)],
        HostDevice(),
        lambda n: work.expected(rates, weights),
        rounds=2,
        duration=0.0,
    )
    assert not row.problems and row.errors[OURS] < 2e-5
    assert row.reached("steps per second", CEILINGS) == pytest.approx(1 / row.seconds[OURS])


# --- The judgement ---


def right(work, weights, rates, name="fake"):
    projection = work.projection(weights, "reference")
    return Engine(name, lambda n: projection(rates[n]), np.asarray)


def spoiled(kind):
    """Make an engine whose answer is spoiled in one way."""

    def engines(row, weights, rates):
        engine = right(row.work, weights, rates)
        calls = []

        def call(n):
            calls.append(n)
            result = engine.call(n)
            if kind == "not all written":
                result[..., 7] = np.nan
            elif kind == "border":
                result[:, :, -1] += 0.1
            elif kind == "old inputs":
                result = engine.call(0)
            elif kind == "race" and len(calls) > 4:
                result[:, 0, 0] += 1.0
            elif kind == "shape":
                result = result[0]
            elif kind == "broken" or (kind == "broken later" and len(calls) > 3):
                raise MemoryError("no memory\nat all")
            return result

        return [Engine("fake: spoiled", call, np.asarray), engine]

    return engines


@pytest.mark.parametrize(
    "kind, words",
    (
        ("not all written", "wrong: relative error inf"),
        ("border", "wrong: relative error"),
        ("old inputs", "seen after timing"),
        ("race", "seen after timing"),
        ("shape", "wrong"),
        ("broken", "failed: MemoryError: no memory"),
        ("broken later", "failed: MemoryError: no memory"),
    ),
)
def test_wrong_answers_are_not_timed(kind, words):
    row = judged(SMALL[0], spoiled(kind))
    assert words in row.problems["fake: spoiled"] and "\n" not in row.problems["fake: spoiled"]
    assert set(row.seconds) == {"fake"} == row.exact
    assert words.split(":")[0].split(",")[0] in "\n".join(table([row], CEILINGS))
    json.dumps(row.record(CEILINGS))


def test_rounded_answers_are_no_rivals():
    def engines(row, weights, rates):
        engine = right(row.work, weights, rates)

        def rounded(n):
            return engine.call(n) * np.float32(1.001)

        return [
            Engine("fake TF32", rounded, np.asarray, tolerance=5e-3),
            Engine("fake", rounded, np.asarray),
        ]

    row = judged(SMALL[0], engines)
    assert set(row.seconds) == {"fake TF32"} and row.exact == set()
    assert row.rival() is None and row.speedup() is None
    assert row.problems["fake"].startswith("wrong")


def test_an_engine_that_cannot_be_made():
    row = Row(SMALL[0], 2)

    def make():
        raise ValueError("too large")

    assert try_engine(row, OURS, make) == []
    assert row.problems == {OURS: "failed: ValueError: too large"}
    assert "| failed |" in "\n".join(table([row], CEILINGS))


# --- Times and table ---


def timed(work, milliseconds):
    """Return a row of engines that are right and take a given time each, and the inputs they were given."""
    clock, asked = Clock(), {name: [] for name in milliseconds}

    def engines(row, weights, rates):
        def made(name, time):
            engine = right(work, weights, rates)

            def call(n):
                clock.now += time / 1e3
                asked[name].append(n)
                return engine.call(n)

            return Engine(name, call, engine.read)

        return [made(name, time) for name, time in milliseconds.items()]

    return judged(work, engines, sets=3, device=clock), asked


def test_times_ratio_and_bound():
    work = Workload(
        "toy", "filter", (8, 8), (8, 8), 3, goals={"bound": 0.25, "fast": 2.0, "slow": 2.0, "absent": 1.0}
    )
    row, asked = timed(work, {OURS: 4.0, "slow": 12.0, "fast: one": 9.0, "fast: other": 6.0})
    assert row.seconds == pytest.approx({OURS: 4e-3, "slow": 12e-3, "fast: one": 9e-3, "fast: other": 6e-3})
    assert row.rival() == "fast: other" and row.rival("slow") == "slow"
    assert row.speedup() == pytest.approx(1.5) and row.speedup("slow") == pytest.approx(3.0)
    assert {0, 1, 2} == set(asked[OURS])

    # 548 bytes at 1e5 bytes/s take 5.48 ms, 1152 flops at 1e6 flops/s 1.15 ms.
    assert (work.bytes, work.flops) == (548, 1152)
    assert Ceilings(1e5, 1e6).bound(work) == (pytest.approx(5.48e-3), "bytes")
    ceilings = Ceilings(1e6, 1e6)
    assert ceilings.bound(work) == (pytest.approx(1.152e-3), "flops")
    record = row.record(ceilings)
    assert record["best rival"] == "fast: other"
    assert record["ours / best rival"] == pytest.approx(2 / 3)
    assert record["bound"]["reached"] == pytest.approx(0.288)
    assert record["goals"]["fast"] == {"wanted": 2.0, "reached": pytest.approx(1.5)}

    head, line, cells = table([row], ceilings)
    assert head.startswith(f"| workload | {OURS}, ms | of the bound | slow, ms | fast, ms |")
    assert head.count("|") == line.count("|") == cells.count("|")
    for text in ("| 4 (", "29% of flops", "| 12 |", "| 6 (other) |", "| 0.67 |"):
        assert text in cells
    assert "bound 29% of 25%: met; fast 1.50x of 2.00x: MISSED; slow 3.00x of 2.00x: met" in cells
    assert "absent: not measured" in cells


def test_page_tells_what_is_left_out():
    row, _ = timed(SMALL[0], {OURS: 1.0})
    row.left_out["other"] = "has no filters"
    about = {
        "GPU": "A GPU",
        "versions": {"Python": "3"},
        "date": "today",
        "copy, GB/s": 1.0,
        "float32, TFLOP/s": 2.0,
        "float32 by": "hand",
    }
    text = "\n".join(page(about, [row], CEILINGS))
    assert "# A GPU, today" in text and "other, ms" in text
    assert f"- other: has no filters ({SMALL[0].name})" in text
    assert "- other: has no filters (all)" in "\n".join(page(about, [row, row], CEILINGS))


# --- The rivals, on the CPU ---


@each_workload
def test_torch_computes_the_same(work):
    torch = pytest.importorskip("torch")

    def engines(row, weights, rates):
        return list(rivals.torch_engines(work, weights, [torch.from_numpy(r) for r in rates], torch))

    row = judged(work, engines)
    assert row.seconds and not row.problems


def test_torch_runs_the_same_chain():
    torch = pytest.importorskip("torch")
    work = Chain("chain", 5, 16, 3, steps=6)
    generator = np.random.default_rng(1)
    weights, rates = work.random_filter(generator), work.layer.random_rates(generator)[0]
    engine = rivals.torch_chain(work, weights, torch.from_numpy(rates), torch)
    assert relative_error(engine.read(engine.call(0)), *work.expected(rates, weights)) < 2e-5


@each_workload
def test_ndimage_computes_the_same(work):
    ndimage = pytest.importorskip("scipy.ndimage")  # the same functions as cupyx.scipy.ndimage
    if rivals.why_not_ndimage(work):
        return

    def engines(row, weights, rates):
        return [rivals.ndimage_engine(work, weights, rates, np, ndimage)]

    row = judged(work, engines)
    assert row.seconds and not row.problems


def test_missing_libraries_are_left_out(monkeypatch):
    monkeypatch.setattr(rivals, "installed", lambda name: None)
    row = Row(SMALL[0], 2)
    assert rivals.rivals_of(row, np.zeros((3, 3)), [], HostDevice()) == []
    assert set(row.left_out) == {"torch", "cupyx"}


# --- The command ---


def test_no_gpu_is_one_line(tmp_path):
    for library in ("torch", "cupy"):  # as if neither were installed
        (tmp_path / f"{library}.py").write_text("raise ImportError")
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    for command in (["weightsharing", "bench"], ["weightsharing.benchmarks"]):
        run = subprocess.run(
            [sys.executable, "-m", *command, "--gpu", "--markdown", tmp_path / "report.md"],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        assert run.returncode == 1 and run.stdout == ""
        assert run.stderr.startswith("No benchmarks: ") and run.stderr.count("\n") == 1
        report = (tmp_path / "report.md").read_text()
        assert report.count("not measured: no GPU") == len(SMALL) + 1 and "neither torch nor CuPy" in report


def test_the_command_needs_a_word():
    run = subprocess.run([sys.executable, "-m", "weightsharing"], capture_output=True, text=True)
    assert run.returncode == 1 and "bench" in run.stderr
