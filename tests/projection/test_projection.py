"""What all projections have: names, attributes, a description, their network."""

import copy
import gc
import pickle

import numpy as np
import pytest

import weightsharing as ws
from strategies.projections import convolution, populations

pytestmark = pytest.mark.usefixtures("network")


def test_mistyped_attributes():
    for projection in (
        convolution((4, 4), (4, 4), [[1.0]]),
        ws.Projection(*populations(3, 3), "exc").connect_all_to_all(1.0),
    ):
        for name in ("weight", "v", "center", "connect_filter"):
            with pytest.raises(AttributeError, match=f"{name}.*it has weights"):
                setattr(projection, name, 1.0)
        with pytest.raises(AttributeError):
            projection.target = "inh"


def test_names(network):
    pre, post = populations(3, 3)
    assert ws.Projection(pre, post, "exc", name="proj1").name == "proj1"
    assert ws.Projection(pre, post, "exc").name == "proj2"
    with pytest.raises(ValueError, match=r"name is 'proj1'.*another"):
        ws.Convolution(pre, post, "exc", name="proj1")
    assert len(network.projections) == 2


@pytest.mark.parametrize("use", [copy.copy, copy.deepcopy, pickle.dumps])
def test_projections_are_not_copied(use):
    with pytest.raises(TypeError, match="a Convolution cannot be copied or pickled; create"):
        use(convolution((4, 4), (4, 4), [[1.0]]))


def test_describe_prints_a_table():
    report = convolution((6, 6), (3, 3), np.ones((3, 3)), padding="border", delays=2.0).describe()
    assert report["pre"] == (6, 6) and report["filters"] == "(3, 3)" and report["padding"] == "border"
    assert report["psp"] == "w*pre.r" and report["delays"] == 2.0 and report["weights"] == 9
    assert {"algorithm", "reason", "bytes", "flops", "backend"} <= report.keys()
    assert str(report).splitlines()[2].split() == ["pre", "(6,", "6)"]
    assert isinstance(report, dict) and repr(report) == str(report)


def test_projections_that_nobody_keeps_stay_in_their_network(network):
    pre = ws.Population(2)
    post = ws.Population(2, ws.Neuron(equations="r = sum(exc)"))
    ws.Projection(pre, post, "exc").connect_one_to_one(3.0)
    gc.collect()
    pre.r = [1, 2]
    network.compile()
    network.step()
    assert post.r.tolist() == [3, 6]


def test_describe_says_why_this_backend():
    def connected(backend):
        with ws.Network(backend=backend):
            projection = ws.Convolution(ws.Population(3), ws.Population(3), "exc")
        return projection.connect_filter([1.0, 2.0, 1.0])

    automatic, named = connected("auto"), connected("reference")
    assert "'auto'" in automatic.describe()["backend_reason"]
    assert named.describe()["backend_reason"] == "asked for by name"
    automatic.network.compile(backend="cpu")
    assert automatic.describe()["backend_reason"] == "asked for by name"
