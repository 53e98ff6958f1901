"""Pooling."""

import numpy as np
import pytest

import weightsharing as ws
from strategies.projections import populations

pytestmark = pytest.mark.usefixtures("network")


def test_pooling():
    rates = np.random.default_rng(2).normal(size=(4, 6))
    blocks = rates.reshape(2, 2, 2, 3).astype(np.float32)
    for operation in ("sum", "max", "min", "mean"):
        expected = getattr(blocks, operation)(axis=(1, 3))
        old = ws.SharedProjection(*populations((4, 6), (2, 2)), "exc", operation=operation).pooling()
        new = ws.Pooling(*populations((4, 6), (2, 2)), "exc", operation=operation).connect_pooling((2, 3))
        np.testing.assert_allclose(old(rates), expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(new(rates), old(rates))
    assert ws.Pooling(*populations((4, 6), (2, 2)), "exc").operation == "max"
    overlapping = ws.Pooling(*populations((4, 6), (3, 5)), "exc").pooling(2, 1)
    assert overlapping.describe()["stride"] == (1, 1) and overlapping.n_weights == 0
    with pytest.raises(ValueError, match="no weights"):
        _ = overlapping.weights


def test_refused_pooling():
    for pre, post, arguments in [
        ((7, 6), (3, 3), {}),
        ((6, 6, 3), (3, 3), {}),
        ((6, 6, 3), (3, 3), {"extent": (2, 2)}),
        ((6, 6, 3), (3, 3), {"extent": (2, 2, 2)}),
        ((6, 6), (3, 3), {"extent": (0, 2)}),
        ((6, 6), (4, 3), {"extent": 2}),
        ((6, 6), (3, 3), {"delays": -1}),
    ]:
        projection = ws.Pooling(*populations(pre, post), "exc")
        with pytest.raises(ValueError):
            projection.connect_pooling(**arguments)
        assert not projection.connected
    with pytest.raises(TypeError, match="extent"):
        ws.Pooling(*populations((6, 6), (3, 3)), "exc").connect_pooling((2.0, 2.0))
    with pytest.raises(ValueError, match="w"):
        ws.Pooling(*populations((6, 6), (3, 3)), "exc", psp="w*pre.r")
    with pytest.raises(ValueError, match="psp"):
        ws.SharedProjection(*populations((6, 6), (3, 3)), "exc", psp="w*pre.r*pre.r").pooling()
    squared = ws.SharedProjection(*populations(4, 2), "exc", psp="pre.r*pre.r").pooling()
    assert squared([1, 2, 3, 4]).tolist() == [5, 25]
