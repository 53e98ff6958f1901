"""Centres and receptive fields."""

import numpy as np
import pytest

import weightsharing as ws
from strategies.projections import convolution, populations

pytestmark = pytest.mark.usefixtures("network")


def test_center():
    projection = ws.SharedProjection(*populations((100, 100), (50, 50)), "exc").convolve(np.ones((3, 3)))
    assert projection.center(10, 10) == projection.center((10, 10)) == projection.centre(510) == (20, 20)
    collapsed = convolution((6, 6, 3), (6, 6), np.ones((3, 3, 3)))
    assert collapsed.center(1, 2) == (1, 2, 1)
    bank = convolution((6, 6), (3, 3, 4), np.ones((4, 3, 3)), "connect_filters")
    assert bank.center(1, 2, 3) == bank.center(1, 2) == bank.center(4 * 5 + 3) == (2, 4)
    layerwise = convolution((6, 6, 3), (6, 6, 3), np.ones((3, 3)), keep_last_dimension=True)
    assert layerwise.center(1, 2, 2) == (1, 2, 2)
    listed = convolution((6, 6), (2,), np.ones((3, 3)), subsampling=np.array([[5, 4], [0, 1]]))
    assert listed.center(0) == listed.center((0,)) == (5, 4)
    for wrong, error in [
        ((2500,), ValueError),
        ((-1,), ValueError),
        ((50, 0), ValueError),
        ((1, 2, 3), ValueError),
        ((1.5,), TypeError),
        ((), ValueError),
    ]:
        with pytest.raises(error):
            projection.center(*wrong)
    with pytest.raises(ValueError, match="filters"):
        ws.Pooling(*populations((4, 4), (2, 2)), "exc").connect_pooling().center(0)
    with pytest.raises(ValueError, match=r"50 is out of range, axis 1 has 0 to 49"):
        projection.center(3, 50)


RECEPTIVE = [
    ((6, 5), (6, 5), (3, 3), {}),
    ((6, 5), (6, 5), (4, 2), {"padding": "border"}),
    ((6, 5), (6, 5), (5, 3), {"padding": "reflect"}),
    ((6, 6), (3, 2), (3, 4), {"padding": "wrap", "dilation": (1, 2)}),
    ((6, 6), (2, 2), (3, 3), {"padding": "valid", "strides": 3}),
    ((6, 6), (3, 3), (3, 3), {"strides": 2, "first": 1, "anchor": (0, 2)}),
    ((4, 5, 4), (4, 5), (3, 3, 4), {}),
    ((4, 5, 3), (4, 5, 3), (3, 3), {"keep_last_dimension": True}),
    ((4, 5), (3,), (3, 3), {"subsampling": [[0, 0], [3, 4], [1, 2]]}),
]


@pytest.mark.parametrize("method", ["filter", "convolution"])
@pytest.mark.parametrize(("pre", "post", "extent", "arguments"), RECEPTIVE)
def test_receptive_field_explains_the_result(pre, post, extent, arguments, method):
    generator = np.random.default_rng(1)
    weights, rates = generator.normal(size=extent), generator.normal(size=pre)
    projection = ws.SharedProjection(*populations(pre, post), "exc").convolve(
        weights, method=method, **arguments
    )
    result = projection(rates).ravel()
    for rank in range(result.size):
        coordinates, values = projection.receptive_field(rank)
        assert coordinates.shape == (len(values), len(pre))
        np.testing.assert_allclose(rates[tuple(coordinates.T)] @ values, result[rank], rtol=1e-4, atol=1e-5)


def test_receptive_fields_of_the_others():
    bank = convolution((5, 5), (5, 5, 2), [np.ones((3, 3)), 2 * np.ones((1, 1))], "connect_filters")
    coordinates, values = bank.receptive_field(0, 0, 1)
    assert coordinates.tolist() == [[0, 0]] and values.tolist() == [2.0]
    assert len(bank.receptive_field(2, 2)[0]) == 9
    pooling = ws.Pooling(*populations((5, 4), (3, 2)), "exc").connect_pooling(extent=2)
    assert pooling.receptive_field(2, 1)[0].tolist() == [[4, 2], [4, 3]]
    pre, post = populations((2, 2), 3)
    synapses = ws.Projection(pre, post, "exc").connect_from_matrix(
        [[None, 1, 2, None], [None] * 4, [3, 4, 5, 6]]
    )
    coordinates, values = synapses.receptive_field(0)
    assert coordinates.tolist() == [[0, 1], [1, 0]] and values.tolist() == [1.0, 2.0]
    assert synapses.receptive_field(1)[0].shape == (0, 2)
