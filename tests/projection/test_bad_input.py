"""Wrong geometries, psps, arguments, rates and weights: the error, and what it says."""

from __future__ import annotations

import numpy as np
import pytest

import weightsharing as ws

FILTER = np.arange(1.0, 10.0).reshape(3, 3)
GEOMETRIES = (
    (0, ValueError, "at least one"),
    (-1, ValueError, "at least one"),
    ((3, 0), ValueError, "at least one"),
    ((3, -1), ValueError, "at least one"),
    (2.5, TypeError, "whole"),
    ((2.0, 3), TypeError, "whole"),
    (np.array([2.0, 2.0]), TypeError, "whole"),
    ((True, 2), TypeError, "whole"),
    ((), ValueError, "1 to 4"),
    ((2, 2, 2, 2, 2), ValueError, "1 to 4"),
    ("33", TypeError, "whole"),
    (None, TypeError, "whole"),
    ([[2, 2]], TypeError, "whole"),
    # The products of these overflow 64 bits, some of them to small numbers.
    ((2**40, 2**40), ValueError, "more units"),
    ((2**62, 4), ValueError, "more units"),
    ((2**32, 2**32, 1, 1), ValueError, "more units"),
    (2**70, ValueError, "more units"),
)


@pytest.mark.parametrize(("geometry", "error", "says"), GEOMETRIES, ids=lambda value: repr(value)[:40])
def test_wrong_geometries(geometry, error, says):
    network = ws.Network()
    with pytest.raises(error, match=rf"geometry.*{says}"):
        network.create(geometry)
    assert network.populations == ()


def test_sizes_that_can_be_counted_but_not_stored():
    """A population is described at once; its numbers are asked for when they are needed."""
    network = ws.Network()
    pre, post = network.create((2**28, 2**28)), network.create((2**28, 2**28))
    assert pre.size == 2**56
    projection = ws.Convolution(pre, post, "exc").connect_filter(FILTER)
    assert projection.center(pre.size - 1) == (2**28 - 1, 2**28 - 1)
    with pytest.raises(MemoryError):
        _ = pre.r
    with pytest.raises(MemoryError):
        pre.r = 1.0
    assert projection.connected and network.populations == (pre, post)


def test_pooling_over_more_than_there_is():
    """Regions are clipped, whatever the product of their extents."""
    for extent in (2**21, 2**40, 2**61):
        network = ws.Network(dtype="float64")
        projection = ws.Pooling(network.create((6, 6)), network.create((1, 1)), "exc", operation="mean")
        projection.connect_pooling(extent=extent)
        rates = np.arange(36.0).reshape(6, 6)
        assert projection(rates).item() == 17.5
        assert len(projection.receptive_field(0)[0]) == 36


PSPS = (
    ("w*x", ValueError, "unknown name 'x'"),
    ("w*post.r", ValueError, r"unknown name 'post\.r'"),
    ("w*pre.v", ValueError, r"unknown name 'pre\.v'"),
    ("w.real*pre.r", ValueError, r"unknown name 'w\.real'"),
    ("pre.__class__", ValueError, r"unknown name 'pre\.__class__'"),
    ("eval(w)", ValueError, "unknown function 'eval'"),
    ("__import__('os')", ValueError, "unexpected character"),
    ("w[0]", ValueError, "unexpected character"),
    ("lambda: w", ValueError, "unexpected ':'"),
    ("w := 1", ValueError, "unexpected ':'"),
    ("w = 1", ValueError, "unexpected '='"),
    ("w; pre.r", ValueError, "unexpected ';'"),
    ("[w for w in w]", ValueError, "unexpected character"),
    ("w*", ValueError, "missing here"),
    ("w pre.r", ValueError, "missing here"),
    ("(w", ValueError, "not closed"),
    ("exp(w, w)", ValueError, "takes 1 argument"),
    ("exp(w)(w)", ValueError, "not allowed"),
    ("1e999*w", ValueError, "too large"),
    ("", ValueError, "empty"),
    (None, TypeError, "string"),
    (3, TypeError, "string"),
    (b"w", TypeError, "string"),
    ("(" * 10_000 + "w" + ")" * 10_000, ValueError, "at most"),
    ("(" * 1000 + "w" + ")" * 1000, ValueError, "nested|bracket"),
    ("-" * 3000 + "w", ValueError, "deep|nested|level"),
    ("exp(" * 700 + "w" + ")" * 700, ValueError, "nested|bracket"),
    ("w**" * 1300 + "w", ValueError, "deep|nested|level"),
    ("w*" * 50_000 + "w", ValueError, "at most"),
)


@pytest.mark.parametrize(("psp", "error", "says"), PSPS, ids=lambda value: repr(value)[:40])
def test_wrong_psp(psp, error, says):
    network = ws.Network()
    pre, post = network.create(3), network.create(3)
    for create in (
        lambda: ws.Convolution(pre, post, "exc", psp=psp),
        lambda: ws.SharedProjection(pre, post, "exc", psp=psp),
        lambda: ws.Copy(pre, post, "exc", psp=psp),
        lambda: ws.Synapse(psp=psp),
    ):
        with pytest.raises(error, match=f"psp(?s:.*)({says})") as raised:
            create()
        assert len(str(raised.value)) < 2000
        if error is ValueError:
            assert "\n    " in str(raised.value) and "^" in str(raised.value)
    with pytest.raises(error, match="psp"):
        ws.Pooling(pre, post, "exc", psp=psp)
    assert network.projections == ()


def test_the_message_about_a_psp_points_at_the_place_and_lists_what_is_allowed():
    network = ws.Network()
    with pytest.raises(ws.ExpressionError) as raised:
        ws.Convolution(network.create(3), network.create(3), "exc", psp="w * log(1 + pre.x)")
    lines = str(raised.value).splitlines()
    assert lines[1].index("pre.x") == lines[2].index("^")
    assert "Allowed names: w, pre.r" in str(raised.value) and "log" in lines[4]


def test_weights_in_the_psp_of_a_pooling():
    network = ws.Network()
    pre, post = network.create((4, 4)), network.create((2, 2))
    with pytest.raises(ws.ExpressionError, match="no weights"):
        ws.Pooling(pre, post, "exc", psp="w*pre.r")
    shared = ws.SharedProjection(pre, post, "exc", psp="w*log(1+pre.r)", operation="max")
    with pytest.raises(ValueError, match=r"psp.*no weights.*pre\.r"):
        shared.pooling()
    shared.convolve(FILTER)
    assert shared.connected


PROJECTIONS = (
    ({"pre": 3}, TypeError, "pre is a int"),
    ({"post": "pop1"}, TypeError, "post is a str"),
    ({"target": 1}, TypeError, "target"),
    ({"target": "no name"}, ValueError, "target is 'no name'"),
    ({"target": ""}, ValueError, "target"),
    ({"operation": "product"}, ValueError, "operation is 'product'.*'sum', 'max', 'min', 'mean'"),
    ({"operation": None}, ValueError, "operation"),
    ({"backend": "opencl"}, ValueError, "backend is 'opencl'.*'cpu'"),
    ({"backend": "cuda"}, ValueError, "backend 'cuda' cannot be used here: "),
    ({"backend": "cupy"}, ValueError, "backend 'cupy' cannot be used here: "),
    ({"threads": 0}, ValueError, "threads is 0"),
    ({"threads": 1.5}, TypeError, "threads"),
    ({"name": 3}, TypeError, "name"),
)


@pytest.mark.parametrize(("arguments", "error", "says"), PROJECTIONS, ids=lambda value: repr(value)[:40])
def test_wrong_arguments_of_projections(arguments, error, says):
    if ws.backends().get(arguments.get("backend")) == "usable":
        arguments, says = {"backend": "metal"}, "backend is 'metal'"
    network = ws.Network()
    right = {"pre": network.create(3), "post": network.create(3), "target": "exc"}
    with pytest.raises(error, match=says):
        ws.Convolution(**{**right, **arguments})
    assert network.projections == ()


def test_populations_of_different_dtypes_or_networks():
    pre, post = ws.Population(3, dtype="float64"), ws.Population(3)
    with pytest.raises(ValueError, match=r"pre.*float64.*post.*float32.*same dtype"):
        ws.Convolution(pre, post, "exc")
    other = ws.Network(dtype="float64").create(3)
    with pytest.raises(ValueError, match=r"different networks.*create both in one"):
        ws.Convolution(pre, other, "exc")
    with pytest.raises(ValueError, match=r"dtype is float64.*float32"):
        ws.Population(3, dtype="float64", network=ws.Network())
    for dtype in ("float16", "int32", complex, object, "no dtype", None):
        with pytest.raises(ValueError, match=r"dtype.*float32.*float64"):
            ws.Network(dtype=dtype)
    assert pre.network.projections == ()


def test_connecting_twice():
    network = ws.Network()
    pre, post = network.create((6, 6)), network.create((6, 6))
    connections = (
        (ws.SharedProjection(pre, post, "exc").convolve(FILTER), ("convolve", FILTER)),
        (ws.Convolution(pre, post, "exc").connect_filter(FILTER), ("connect_filters", FILTER)),
        (ws.Pooling(pre, post, "exc").connect_pooling(), ("connect_pooling", (2, 2))),
        (ws.Projection(pre, post, "exc").connect_one_to_one(2.0), ("connect_all_to_all", 1.0)),
    )
    copied = connections[-1][0]
    connections += ((ws.Copy(pre, post, "exc").connect_copy(copied), ("connect_copy", copied)),)
    rates = np.random.default_rng(2).random((6, 6))
    for projection, (method, argument) in connections:
        before = projection(rates)
        with pytest.raises(ws.StateError, match="connected already; create another projection"):
            getattr(projection, method)(argument)
        np.testing.assert_array_equal(projection(rates), before)


BEFORE_CONNECTING = {
    "call": lambda one: one(np.ones(3)),
    "weights": lambda one: one.weights,
    "weights =": lambda one: setattr(one, "weights", [1.0]),
    "n_weights": lambda one: one.n_weights,
    "center": lambda one: one.center(0),
    "receptive_field": lambda one: one.receptive_field(0),
    "describe": lambda one: one.describe(),
    "copy": lambda one: ws.Copy(one.pre, one.post, "inh").connect_copy(one),
    "compile": lambda one: one.network.compile(),
}


@pytest.mark.parametrize("use", BEFORE_CONNECTING.values(), ids=BEFORE_CONNECTING)
def test_using_before_connecting(use):
    network = ws.Network()
    projection = ws.Convolution(network.create(3), network.create(3), "exc")
    with pytest.raises(ws.StateError, match="connect methods first"):
        use(projection)
    assert not projection.connected
    assert projection.connect_filter([2.0])(np.ones(3)).tolist() == [2.0, 2.0, 2.0]


class HoldsAnArray:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


OUTPUTS = {
    "shape": (lambda r: np.zeros((4, 3), "f4"), ValueError, r"out.*\(4, 3\).*\(3, 4\)"),
    "batch axis": (lambda r: np.zeros((1, 3, 4), "f4"), ValueError, r"out.*\(1, 3, 4\).*\(3, 4\)"),
    "wider dtype": (lambda r: np.zeros((3, 4)), TypeError, "out.*float64.*float32"),
    "integer": (lambda r: np.zeros((3, 4), int), TypeError, "out.*int64.*float32"),
    "byte order": (lambda r: np.zeros((3, 4), ">f4"), TypeError, "out.*>f4.*float32"),
    "list": (lambda r: [[0.0] * 4] * 3, TypeError, "out.*list.*NumPy"),
    "read-only": (lambda r: np.broadcast_to(np.float32(0), (3, 4)), ValueError, "out is read-only"),
    "transposed": (lambda r: np.zeros((4, 3), "f4").T, ValueError, "out.*strides.*contiguous"),
    "strided": (lambda r: np.zeros((3, 8), "f4")[:, ::2], ValueError, "out.*strides.*contiguous"),
    "unaligned": (
        lambda r: np.zeros(49, np.uint8)[1:].view("f4").reshape(3, 4), ValueError, "out.*aligned"
    ),
    "the rates": (lambda r: r, ValueError, "out overlaps the rates"),
    "overlapping": (lambda r: r.base[2:14].reshape(3, 4), ValueError, "out overlaps the rates"),
}  # fmt: skip


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("case", OUTPUTS.values(), ids=OUTPUTS)
def test_wrong_outputs(case, backend):
    make, error, says = case
    network = ws.Network()
    projection = ws.Convolution(network.create((3, 4)), network.create((3, 4)), "exc", backend=backend)
    projection.connect_filter(FILTER)
    memory = np.random.default_rng(5).random(20).astype("f4")
    rates = memory[:12].reshape(3, 4)
    out = make(rates)
    held, values = memory.copy(), np.array(out)
    for given in (rates, HoldsAnArray(rates), memoryview(rates)):
        with pytest.raises(error, match=says):
            projection(given, out=out)
    np.testing.assert_array_equal(np.array(out), values)
    np.testing.assert_array_equal(memory, held)
    right = np.full((3, 4), np.nan, "f4")
    assert projection(rates, out=right) is right and np.isfinite(right).all()


WRONG_RATES = (
    (np.ones((4, 3)), ValueError, r"\(4, 3\).*\(3, 4\).*batch"),
    (np.ones((2, 2, 3, 4)), ValueError, r"\(2, 2, 3, 4\).*\(3, 4\)"),
    (1.0, ValueError, r"\(\).*\(3, 4\)"),
    (np.ones((3, 4), complex), TypeError, "complex128.*real"),
    (np.ones((3, 4), object), TypeError, "object.*real"),
    ("rates", TypeError, "real"),
    (None, TypeError, "real"),
    ([[1, 2], [3]], ValueError, "ragged"),
)


@pytest.mark.parametrize(("rates", "error", "says"), WRONG_RATES, ids=lambda value: repr(value)[:30])
def test_wrong_rates(rates, error, says):
    network = ws.Network()
    pre, post = network.create((3, 4)), network.create((3, 4))
    projection = ws.Convolution(pre, post, "exc").connect_filter(FILTER)
    out = np.full((3, 4), 7.0, "f4")
    with pytest.raises(error, match=f"^r(?s:.*){says}"):
        projection(rates, out=out)
    assert (out == 7.0).all()
    if isinstance(rates, float):
        return  # One number is a right value for all units of a population.
    pre.r = 5.0
    with pytest.raises(error, match=r"^r"):
        pre.r = rates
    assert (pre.r == 5.0).all()


WRONG_WEIGHTS = (
    (np.ones((3, 4)), ValueError, r"\(3, 4\).*\(3, 3\)"),
    (np.ones(9), ValueError, r"\(9,\).*\(3, 3\)"),
    ([[1, 2], [3]], ValueError, "ragged"),
    (FILTER * 1j, TypeError, "complex128"),
    (FILTER.astype(object), TypeError, "object"),
    (None, TypeError, "real"),
)


@pytest.mark.parametrize(("weights", "error", "says"), WRONG_WEIGHTS, ids=lambda value: repr(value)[:30])
def test_wrong_weights_assigned_later(weights, error, says):
    network = ws.Network()
    projection = ws.Convolution(network.create((6, 6)), network.create((6, 6)), "exc").connect_filter(FILTER)
    with pytest.raises(error, match=f"weights(?s:.*){says}"):
        projection.weights = weights
    np.testing.assert_array_equal(projection.weights, FILTER)
    with pytest.raises(ValueError, match="read-only"):
        projection.weights[0, 0] = 1.0
