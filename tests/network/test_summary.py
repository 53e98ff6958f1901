"""Summaries: what is counted as a weight, and what the tables say."""

import json

import numpy as np
import pytest

import weightsharing as ws
from strategies.folders import ORACLE

COUNTS = ORACLE / "torch" / "weight_counts.npz"
UNIT = ws.Neuron(parameters="bias = 0.0 : filter", equations="r = sum(exc) + bias : min=0.0")


def architectures():
    with np.load(COUNTS) as counts:
        return json.loads(str(counts["params"]))["specs"], counts["totals"].tolist()


@pytest.mark.parametrize(
    ("spec", "total"),
    list(zip(*architectures(), strict=True)),
    ids=lambda one: one if isinstance(one, int) else "",
)
def test_weights_are_counted_as_the_teaching_notebook_counts_them(spec, total):
    network = ws.Network()
    layers = [network.create(tuple(spec["input_shape"]))]
    for bank in spec["filters"]:
        height, width, channels = layers[-1].geometry
        count, size = bank["n_filters"], bank["size"]
        layers.append(network.create((height - size + 1, width - size + 1, count), UNIT))
        ws.Convolution(*layers[-2:], "exc").connect_filters(
            np.zeros((count, size, size, channels)), padding="valid"
        )
    for units in spec["dense_shapes"]:
        layers.append(network.create(units, UNIT))
        ws.Projection(*layers[-2:], "exc").connect_all_to_all(0.0)
    summary = network.summary()
    counted = [
        one["weights"] + biases["weights"]
        for one, biases in zip(summary.projections, summary.populations[1:], strict=True)
    ]
    assert counted == [row[2] for row in spec["rows"] if row[0] != "Flatten"]
    shapes = [row[1] for row in spec["rows"] if row[0] != "Flatten"]
    assert [list(row["geometry"]) for row in summary.populations[1:]] == shapes
    assert summary.weights == total
    assert f"{total:,} weights in all" in str(summary)


def build():
    network = ws.Network(batch=3)
    neuron = ws.Neuron(
        parameters="tau = 2.0 : population\noffset = 1.0\nbias = 0.0 : filter", equations="r = sum(exc)"
    )
    pre, post = network.create((8, 6), name="pre"), network.create((8, 6), neuron, name="post")
    maps = network.create((8, 6, 2), name="maps")
    small = network.create((4, 3), name="small")
    timed = ws.Convolution(pre, post, "exc", name="timed")
    timed.connect_filter(np.ones((4, 3, 3)), time_axis=True)
    ws.Copy(pre, post, "inh", name="copied").connect_copy(timed)
    ws.Convolution(pre, maps, "exc").connect_filters([np.ones((3, 3)), np.ones((5, 5))])
    ws.Pooling(pre, small, "exc", name="pool").connect_pooling()
    ws.Projection(pre, post, "exc", name="open")
    return network


def test_shared_weights_are_counted_once_and_open_projections_named():
    network = build()
    summary = network.summary()
    rows = {row["name"]: row for row in summary.rows}
    assert [row["name"] for row in summary.rows] == [
        *(one.name for one in network.populations),
        *(one.name for one in network.projections),
    ]
    assert rows["timed"]["weights"] == 36 and rows["copied"]["weights"] == 0
    assert rows["copied"]["filters"] == "those of timed" and rows["open"]["filters"] == "not connected"
    assert rows["timed"]["filters"] == "(3, 3) over 4 steps"
    assert rows["timed"]["flops"] == 4 * network.projections[0].describe()["flops"]
    assert rows["pool"]["weights"] == 0 and rows["pool"]["filters"] == "max of (2, 2) every (2, 2)"
    assert rows["post"]["weights"] == 6 and rows["post"]["bytes"] == 3 * 4 * (1 + 48 + 6 + 48)
    assert summary.weights == 36 + 9 + 25 + 6
    for key in ("bytes", "flops"):
        assert getattr(summary, key) == sum(row[key] for row in summary.projections) > 0


def test_the_table_says_how_and_where():
    network = build()
    text = str(network.summary())
    assert text.splitlines()[0].startswith("backend auto, ") and "not compiled" in text
    assert "batch 3" in text and "of each trial" in text
    for row in ("pre -> post.exc", "(8, 6) -> (8, 6, 2)", "cpu: pool direct", "tau, offset, bias, r"):
        assert row in text
    assert max(map(len, text.splitlines())) < 200
    assert not any(line.endswith(" ") for line in text.splitlines())


def test_the_summary_of_a_compiled_network_is_that_of_its_backend():
    network = ws.Network()
    pre = network.create(4)
    ws.Convolution(pre, pre, "exc").connect_filter(np.ones(3))
    network.compile("reference")
    summary = network.summary()
    assert summary.settings["backend"] == "reference" and summary.settings["compiled"]
    assert summary.projections[0]["computed"].startswith("reference")
    assert "threads" not in str(summary)
    network.compile("cpu", threads=3)
    assert str(network.summary()).startswith("backend cpu, ") and "threads 3" in str(network.summary())
    assert "0 weights in all" in str(ws.Network().summary())
