"""Wrong arguments of the connect methods: the error, what it says, and that nothing was connected."""

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
