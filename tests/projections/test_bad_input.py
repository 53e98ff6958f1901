"""Wrong arguments: an error before anything is computed, that says what to do, and nothing has changed.

One row for each wrong argument: the exception, what its message must name, and then the same objects are used as if
nothing had happened.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import weightsharing as ws

FILTER = np.arange(1.0, 10.0).reshape(3, 3)


@dataclass(frozen=True)
class Wrong:
    """A connect method with a wrong argument, and the parts of its message in their order."""

    label: str
    says: tuple[str, ...]
    weights: Any = None
    pre: tuple[int, ...] = (6, 6)
    post: tuple[int, ...] = (6, 6)
    kind: str = "connect_filter"
    error: type[Exception] = ValueError
    operation: str = "sum"
    arguments: dict[str, Any] = field(default_factory=dict)


def filters(label, weights, *says, **options):
    """A row about a filter: arguments that `Wrong` does not know are those of the connect method."""
    own = {key: options.pop(key) for key in list(options) if key in ("pre", "post", "kind", "error")}
    return Wrong(label, says, weights, **own, arguments=options)


def pooling(label, *says, pre=(6, 6), post=(3, 3), error=ValueError, **arguments):
    return Wrong(label, says, None, pre, post, "connect_pooling", error, "mean", arguments)


def ones(*shape):
    return np.ones(shape)


LAYERS = {"pre": (6, 6, 3), "post": (6, 6, 3)}
BANK = {"kind": "connect_filters", "post": (6, 6, 2)}
LISTED = {"post": (2,)}
CONVOLVE = {"kind": "convolve"}
TYPE = {"error": TypeError}

SHAPES = (
    filters("no multiple", FILTER, r"\(10, 10\)", r"\(4, 5\)", "subsampling", pre=(10, 10), post=(4, 5)),
    filters("post larger", FILTER, r"\(5, 5\)", r"\(10, 10\)", "subsampling", pre=(5, 5), post=(10, 10)),
    filters("bank: no multiple", ones(4, 3, 3), r"\(7, 6\)", r"\(3, 3, 4\)", "subsampling", pre=(7, 6),
            post=(3, 3, 4), kind="connect_filters"),
    filters("filter rank above pre", ones(3, 3, 3), r"\(3, 3, 3\)", r"\(6, 6\)", "connect_filters"),
    filters("filter rank below pre", FILTER, r"\(3, 3\)", r"\(6, 6, 3\)", "keep_last_dimension", **LAYERS),
    filters("layer-wise: rank of pre", ones(3, 3, 3), r"\(3, 3, 3\)", r"\(6, 6, 3\)", "one dimension less",
            **LAYERS, keep_last_dimension=True),
    filters("layer-wise: rank too low", ones(3), r"\(3,\)", r"\(6, 6, 3\)", "one dimension less", **LAYERS,
            keep_last_dimension=True),
    filters("layer-wise: other last axis", FILTER, r"\(6, 6, 3\)", r"\(6, 6, 4\)", "same number",
            pre=(6, 6, 3), post=(6, 6, 4), keep_last_dimension=True),
    filters("layer-wise bank", ones(3, 3, 3), "keep_last_dimension", "bank", "projection of its own", **LAYERS,
            kind="connect_filters", keep_last_dimension=True),
    filters("collapsed axis not spanned", ones(3, 3, 2), r"\(3, 3, 2\)", r"\(6, 6, 3\)", r"\(6, 6\)", "span",
            pre=(6, 6, 3)),
    filters("post rank above pre", FILTER, r"\(6, 6\)", r"\(6, 6, 4\)", "connect_filters", post=(6, 6, 4)),
    filters("bank size", ones(4, 3, 3), "4 filters", r"\(6, 6, 2\)", "one unit per filter", **BANK),
    filters("bank: filter rank", ones(2, 3, 3), r"\(3, 3\)", r"\(6, 6, 3\)", "axis of size 1", pre=(6, 6, 3),
            post=(6, 6, 2), kind="connect_filters"),
    filters("valid: other post", FILTER, r"\(6, 6\)", "valid", "4 units", padding="valid"),
    filters("valid: filter too large", ones(7, 3), r"\(7, 3\)", r"\(6, 6\)", "larger than pre", post=(1, 1),
            padding="valid"),
    pooling("pooling: ranks", r"\(6, 6, 3\)", r"\(3, 3\)", "give extent", pre=(6, 6, 3)),
    pooling("pooling: no multiple", r"\(7, 6\)", r"\(3, 3\)", "give extent", pre=(7, 6)),
    pooling("pooling: axis not covered", "cover", r"\(6, 6, 3\)", r"\(3, 3\)", pre=(6, 6, 3), extent=(2, 2, 2)),
    pooling("pooling: region outside", "outside", r"\(6, 6\)", r"\(4, 3\)", post=(4, 3), extent=(2, 2)),
    pooling("pooling: stride too far", "stride", r"\(6, 6\)", r"\(3, 3\)", extent=(2, 2), stride=(4, 2)),
    pooling("pooling: post rank", r"\(6, 6\)", r"\(3, 3, 1\)", post=(3, 3, 1), extent=(2, 2)),
)  # fmt: skip

VALUES = (
    filters("ragged", [[1, 2], [3]], "weights", "ragged", "same length"),
    filters("ragged, method convolve", [[1, 2], [3]], "weights", "ragged", **CONVOLVE),
    filters("bank: ragged filter", [FILTER, [[1, 2], [3]]], r"weights\[1\]", "ragged", **BANK),
    filters("bank: filters of two ranks", [FILTER, [1.0]], r"weights\[1\]", "dimensions", **BANK),
    filters("filters of different extents", [FILTER, ones(5, 5)], "weights", "ragged", **CONVOLVE),
    filters("empty list", [], "weights", r"\(0,\)", "one element"),
    filters("empty array", ones(0, 3), "weights", r"\(0, 3\)", "one element"),
    filters("empty bank", [], "weights", "at least one filter", **BANK),
    filters("bank: empty filter", [FILTER, ones(0, 3)], r"weights\[1\]", r"\(0, 3\)", "one element", **BANK),
    filters("scalar", 1.0, "weights", r"\(\)", "dimension"),
    filters("complex", FILTER * 1j, "weights", "complex128", "real", **TYPE),
    filters("object", FILTER.astype(object), "weights", "object", "real", **TYPE),
    filters("text", [["a", "b"]], "weights", "real", **TYPE),
    filters("dates", FILTER.astype("M8[s]"), "weights", "datetime64", "real", **TYPE),
    filters("nothing", None, "weights", "real", **TYPE),
    filters("distribution", ws.Uniform(0, 1), "weights", "sample", **TYPE),
)  # fmt: skip

CENTRES = (
    filters("centre beyond pre", FILTER, "subsampling", "6", r"\(6, 6\)", **LISTED, subsampling=[[0, 0], [6, 0]]),
    filters("centre negative", FILTER, "subsampling", "-1", r"\(6, 6\)", **LISTED, subsampling=[[0, 0], [0, -1]]),
    filters("centre huge", FILTER, "subsampling", r"\(6, 6\)", **LISTED, subsampling=[[0, 0], [0, 2**63]]),
    filters("centre fractional", FILTER, "subsampling", "whole", **LISTED, subsampling=[[0, 0], [0.5, 0]]),
    filters("centre NaN", FILTER, "subsampling", "whole", **LISTED, subsampling=[[0, 0], [np.nan, 0]]),
    filters("too few centres", FILTER, "subsampling", r"\(1, 2\)", r"\(2, 2\)", **LISTED, subsampling=[[0, 0]]),
    filters("centres of another rank", FILTER, "subsampling", r"\(2, 1\)", r"\(2, 2\)", **LISTED,
            subsampling=[[0], [1]]),
    filters("ragged centres", FILTER, "subsampling", "ragged", **LISTED, subsampling=[[0, 0], [1]]),
    filters("centres as text", FILTER, "subsampling", "real", **LISTED, **TYPE, subsampling="all"),
    filters("bank: centres per unit", ones(2, 3, 3), "subsampling", r"\(4, 2\)", r"\(2, 2\)",
            kind="connect_filters", post=(2, 2), subsampling=ones(4, 2)),
    filters("strides lead outside", FILTER, r"\(6, 6\)", "stride of 2", "outside pre", strides=2),
    filters("first outside", FILTER, "first=6", "outside pre", first=6),
    filters("first negative", FILTER, "first", "at least 0", first=-1),
    filters("anchor outside", FILTER, "anchor=3", "0 to 2", anchor=3),
    filters("anchor negative", FILTER, "anchor=-1", "0 to 2", anchor=-1),
)  # fmt: skip

NUMBERS = (
    *(
        filters(f"{name} {value}", FILTER, name, says, error=error, **{name: value})
        for name in ("strides", "dilation")
        for value, says, error in (
            (0, "at least 1", ValueError),
            (-1, "at least 1", ValueError),
            (1.5, "whole", TypeError),
            (True, "whole", TypeError),
            ("2", "whole", TypeError),
            ((1, 1, 1), r"per axis of pre \(2\)", ValueError),
            ((1, 0), "at least 1", ValueError),
            (2**70, "2\\*\\*62", ValueError),
        )
    ),
    filters("stride whose product overflows", FILTER, "stride", "outside pre", strides=2**61),
    filters("dilation whose product overflows", FILTER, "dilation", "too large", dilation=2**61),
    filters("unknown padding", FILTER, "padding is 'same'", "'border'", "'valid'", padding="same"),
    filters("padding None", FILTER, "padding is None", "a number or", **TYPE, padding=None),
    filters("padding complex", FILTER, "padding", "a number or", **TYPE, padding=1j),
    filters("padding array", FILTER, "padding", "a number or", **TYPE, padding=[0.0, 1.0]),
    filters("unknown method", FILTER, "method is 'flip'", "'filter'", "'convolution'", **CONVOLVE, method="flip"),
    filters("multiple", FILTER, "multiple", "True or False", **CONVOLVE, **TYPE, multiple=2),
    filters("keep_last_dimension", FILTER, "keep_last_dimension", "True or False", **TYPE,
            keep_last_dimension="yes"),
    filters("unknown algorithm", FILTER, "algorithm is 'fft'", "'direct'", algorithm="fft"),
    filters("delay negative", FILTER, "delays is -1.0", "positive", delays=-1.0),
    filters("delay NaN", FILTER, "delays", "finite", delays=np.nan),
    filters("delay infinite", FILTER, "delays", "finite", delays=np.inf),
    filters("delay as text", FILTER, "delays", "number", **TYPE, delays="2"),
    filters("delay for each filter", FILTER, "delays", "one number", **TYPE, delays=[1.0, 2.0]),
    filters("drawn delay", FILTER, "delays", "one number", **TYPE, delays=ws.Uniform(1, 2)),
    pooling("extent zero", "extent", "at least 1", extent=(0, 2)),
    pooling("extent negative", "extent", "at least 1", extent=(-2, 2)),
    pooling("extent fractional", r"extent\[0\]", "whole", error=TypeError, extent=(2.5, 2)),
    pooling("extent of another rank", "extent", r"per axis of pre \(2\)", extent=(2, 2, 2)),
    pooling("extent as text", "extent", "whole", error=TypeError, extent="22"),
    pooling("extent beyond 64 bits", "extent", "2\\*\\*62", extent=2**70),
    pooling("stride zero", "stride", "at least 1", stride=0),
    pooling("stride beyond 64 bits", "stride", "2\\*\\*62", stride=2**70),
    pooling("stride whose product overflows", "stride", "outside", stride=2**61),
    pooling("pooling: delay negative", "delays", "positive", delays=-2.0),
)  # fmt: skip


def connect(projection, wrong):
    if wrong.kind == "connect_pooling":
        return projection.connect_pooling(**wrong.arguments)
    return getattr(projection, wrong.kind)(wrong.weights, **wrong.arguments)


def assert_says(error, says):
    message = str(error.value)
    assert len(message) < 1500 and "pybind" not in message and "_core" not in message
    start = 0
    for part in says:
        found = re.compile(part).search(message, start)
        assert found, f"{message!r} does not go on with {part!r}"
        start = found.end()


@pytest.mark.parametrize("wrong", (*SHAPES, *VALUES, *CENTRES, *NUMBERS), ids=lambda wrong: wrong.label)
def test_wrong_arguments_of_connect_methods(wrong):
    kinds = {"connect_pooling": ws.Pooling, "convolve": ws.SharedProjection}
    network = ws.Network(dtype="float64", seed=1)
    pre, post = network.create(wrong.pre), network.create(wrong.post)
    pre.r = rates = np.random.default_rng(0).random(wrong.pre)
    projection = kinds.get(wrong.kind, ws.Convolution)(pre, post, "exc", operation=wrong.operation)
    with pytest.raises(wrong.error) as error:
        connect(projection, wrong)
    assert_says(error, wrong.says)
    # Nothing has changed: not connected, the same network and rates; and the projection can still be connected.
    assert not projection.connected and projection.delays == 0.0
    assert network.populations == (pre, post) and network.projections == (projection,)
    np.testing.assert_array_equal(pre.r, rates)
    assert not post.r.any() and not post.sum("exc").any()
    if len(wrong.post) <= len(wrong.pre) or wrong.kind == "connect_filters":
        assert_can_be_connected(projection, wrong, rates)


def assert_can_be_connected(projection, wrong, rates):
    """Connect every post unit to the first unit of pre, or to a region that starts there."""
    axes = len(wrong.pre)
    if wrong.kind == "connect_pooling":
        projection.connect_pooling(extent=wrong.pre, stride=1)
        assert projection(rates).flat[0] == pytest.approx(rates.mean())
        return
    one, units = np.ones((1,) * axes), projection.post.size
    if wrong.kind == "connect_filters":
        one, units = np.ones((wrong.post[-1], *one.shape)), units // wrong.post[-1]
    getattr(projection, wrong.kind)(one, subsampling=[[0] * axes] * units)
    assert (projection(rates) == rates.flat[0]).all()


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


def test_nan_and_infinity_are_data():
    network = ws.Network(dtype="float64")
    pre, post = network.create(4), network.create(4)
    pre.r = [np.nan, 1.0, np.inf, -np.inf]
    projection = ws.Convolution(pre, post, "exc", psp="w").connect_filter([np.inf], padding=np.nan)
    assert (projection(pre.r) == np.inf).all()
    projection.weights = [np.nan]
    assert np.isnan(projection(pre.r)).all()


@pytest.mark.parametrize("delay", [2.0**30, 3e9, 1e18, 1e300, 1.7e308])
def test_delays_beyond_all_memory(delay):
    network = ws.Network(dt=0.5)
    pre, post = network.create(2), network.create(2, ws.Neuron(equations="r = sum(exc)"))
    with pytest.raises(ValueError, match=r"delays is .* steps of dt = 0\.5 ms.*choose a smaller delay"):
        ws.Convolution(pre, post, "exc").connect_filter([1.0], delays=delay)
    network.compile()


def test_delays_per_unit_beyond_all_memory():
    network = ws.Network()
    pre, post = network.create(2), network.create(2, ws.Neuron(equations="r = sum(exc)"))
    with pytest.raises(ValueError, match=r"delays is 1\.0 to 5000000000\.0 ms.*choose a smaller delay"):
        ws.PointwiseProjection(pre, post, "exc", delays=[1.0, 5e9])
    network.compile()


def test_histories_beyond_the_memory_there_is():
    network = ws.Network()
    pre, post = (
        network.create((1000, 1000)),
        network.create((1000, 1000), ws.Neuron(equations="r = sum(exc)")),
    )
    ws.PointwiseProjection(pre, post, "exc", delays=1e9)
    with pytest.raises(
        MemoryError, match=r"rates of 'pop0' in the last 1000000000 steps.*4,000,000,000,000,000 bytes"
    ):
        network.compile()


def test_a_projection_that_could_not_be_connected_does_not_hinder():
    network = ws.Network()
    pre, post = network.create((4, 4)), network.create((4, 4), ws.Neuron(equations="r = sum(exc)"))
    with pytest.raises(ValueError, match="filter"):
        ws.Convolution(pre, post, "exc").connect_filter(np.ones(3))
    ws.Convolution(pre, post, "exc").connect_filter(np.ones((1, 1)))
    forgotten = ws.Convolution(pre, post, "exc")
    with pytest.raises(ws.StateError, match="connect methods"):
        network.compile()
    forgotten.connect_filter(np.ones((1, 1)))
    pre.r = 1.0
    network.compile()
    network.step()
    assert len(network.projections) == 2 and (post.r == 2.0).all()


def test_long_delays_and_durations_are_counted_exactly():
    """A tolerance that grew with the number of steps would make a million steps one more."""
    network = ws.Network()
    pre, post = network.create(1), network.create(1, ws.Neuron(equations="r = sum(exc)"))
    ws.Convolution(pre, post, "exc").connect_filter([1.0], delays=1e6)
    network.compile()
    pre.r = 1.0
    network.simulate(1e6)
    assert post.r.item() == 0.0
    network.step()
    assert post.r.item() == 1.0
    for duration in (1e6 + 0.5, 1e300):
        with pytest.raises(ValueError, match="duration"):
            network.simulate(duration)
    assert network.time == 1e6 + 1


# --- What can never be computed is refused when it is connected --------------------------------------------


def test_delays_that_cannot_be_stored_leave_the_projection_free():
    network = ws.Network()
    pre, post = network.create(3), network.create(3, ws.Neuron(equations="r = sum(exc)"))
    projection = ws.Convolution(pre, post, "exc")
    with pytest.raises(ValueError, match="more than can be stored of the 3 units"):
        projection.connect_filter([1.0], delays=1e12)
    assert not projection.connected
    projection.connect_filter([1.0], delays=2.0)
    network.compile()


@pytest.mark.parametrize(
    ("settings", "arguments", "bank", "reason"),
    [
        ({}, {}, False, "this is one filter"),
        ({"dtype": "float64"}, {}, True, "the dtype is float64"),
        ({}, {"operation": "max"}, True, "the operation is 'max'"),
        ({}, {"psp": "min(w, pre.r)"}, True, "is not f.w. . g.pre.r."),
        ({"backend": "cpu"}, {}, True, "the backend is 'cpu'"),
    ],
)
def test_tensor_cores_that_cannot_serve_are_refused_when_connecting(settings, arguments, bank, reason):
    network = ws.Network(**settings)
    pre, post = network.create((3, 4)), network.create((3, 4, 2) if bank else (3, 4))
    projection = ws.Convolution(pre, post, "exc", **arguments)
    connect = projection.connect_filters if bank else projection.connect_filter
    weights = np.ones((2, 3, 3) if bank else (3, 3))
    with pytest.raises(ValueError, match=f"{reason}. Use algorithm='auto'"):
        connect(weights, algorithm="3xtf32")
    connect(weights)
    network.compile()


@pytest.mark.parametrize(
    ("equation", "parameters"),
    [
        ("r = t % p", "p = 0.0"),
        ("r = modulo(t, p)", "p = 0.0"),
        ("r = 1/(p*q)", "p = 1e-30\nq = 1e-30"),  # zero in float32
    ],
)
def test_divisors_that_parameters_make_zero(equation, parameters):
    network = ws.Network()
    network.create(2, ws.Neuron(parameters, equation))
    with pytest.raises(ValueError, match=r"p .* would divide by zero; assign another value"):
        network.compile()


@pytest.mark.parametrize("text", ["1/0", "1/(2 - 2)", "5 % 0", "10**400", "t + 2*(1/0)"])
def test_numbers_that_are_not_finite(text):
    with pytest.raises(ws.ExpressionError, match="no finite number"):
        ws.Neuron(equations=f"r = {text}")


def test_more_synapses_than_memory(monkeypatch):
    monkeypatch.setattr("weightsharing.connectors.free_memory", lambda: 1000)
    projection = ws.Projection(ws.Population(20), ws.Population(30), "exc")
    with pytest.raises(MemoryError, match="connect_all_to_all: 20 x 30 synapses need more than 4800 bytes"):
        projection.connect_all_to_all(1.0)
    assert not projection.connected


def test_weights_without_a_synapse_are_counted():
    projection = ws.Projection(ws.Population(2), ws.Population(2), "exc").connect_one_to_one(1.0)
    with pytest.raises(
        ValueError, match="2 weights where there is no synapse, the first from unit 1 to unit 0"
    ):
        projection.weights = np.ones((2, 2))
