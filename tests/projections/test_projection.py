"""Projections: connecting, calling, reading and refusing."""

import copy
import gc
import pickle

import numpy as np
import pytest

import weightsharing as ws
from strategies.backends import BACKENDS
from weightsharing import connectors

pytestmark = pytest.mark.usefixtures("network")


def populations(pre, post):
    return ws.Population(pre), ws.Population(post)


def convolution(pre, post, weights, method="connect_filter", operation="sum", **arguments):
    projection = ws.Convolution(*populations(pre, post), "exc", operation=operation)
    return getattr(projection, method)(weights, **arguments)


# --- Calling ---


@pytest.mark.parametrize("backend", BACKENDS)
def test_call_with_and_without_batch(backend):
    pre, post = populations((5, 6), (5, 6))
    projection = ws.Convolution(pre, post, "exc", backend=backend).connect_filter([[1.0, 2.0, 4.0]])
    rates = np.random.default_rng(0).normal(size=(3, 5, 6))
    padded = np.pad(rates, ((0, 0), (0, 0), (1, 1)))
    expected = padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + 4 * padded[:, :, 2:]
    batch = projection(rates)
    assert batch.dtype == np.float32
    np.testing.assert_allclose(batch, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(projection(rates[1]), batch[1])
    np.testing.assert_array_equal(projection(rates[1].tolist()), batch[1])
    np.testing.assert_array_equal(projection(np.asfortranarray(rates)), batch)
    out = np.full((3, 5, 6), np.nan, np.float32)
    assert projection(rates, out=out) is out
    np.testing.assert_array_equal(out, batch)
    assert projection(np.zeros((0, 5, 6))).shape == (0, 5, 6)


def test_refused_calls():
    projection = convolution((4, 4), (2, 2), np.ones((3, 3)))
    for wrong, error in [
        (np.zeros((4, 5)), ValueError),
        (np.zeros(16), ValueError),
        (np.zeros((1, 1, 4, 4)), ValueError),
        (np.zeros((4, 4), complex), TypeError),
        (np.full((4, 4), "1"), TypeError),
        ([[0.0], [0.0, 1.0]], ValueError),
    ]:
        with pytest.raises(error, match=r"^r"):
            projection(wrong)
    read_only = np.zeros((2, 2), np.float32)
    read_only.setflags(write=False)
    shared = np.zeros(20, np.float32)
    unaligned = np.zeros(17, np.uint8)[1:].view(np.float32).reshape(2, 2)
    for wrong, error in [
        (np.zeros((2, 2)), TypeError),
        (np.zeros((2, 2), ">f4"), TypeError),
        ([[0.0, 0.0], [0.0, 0.0]], TypeError),
        (np.zeros((1, 2, 2), np.float32), ValueError),
        (np.zeros((2, 4), np.float32)[:, ::2], ValueError),
        (np.zeros((2, 2), np.float32).T, ValueError),
        (read_only, ValueError),
        (unaligned, ValueError),
        (shared[12:16].reshape(2, 2), ValueError),
    ]:
        with pytest.raises(error, match=r"^out"):
            projection(shared[:16].reshape(4, 4), out=wrong)


def test_calls_need_no_network_to_be_compiled_and_no_rates():
    projection = convolution((4, 4), (4, 4), np.ones((1, 1)), delays=3.0)
    np.testing.assert_array_equal(projection(np.eye(4)), np.eye(4))
    assert not projection.post.r.any()


# --- Weights ---


def test_weights_are_read_only_and_assignable():
    projection = convolution((4, 4), (4, 4), np.ones((1, 1), int))
    before = projection.weights
    assert before.dtype == np.float32 and before.shape == (1, 1)
    with pytest.raises(ValueError, match="read-only"):
        before[0, 0] = 2
    np.testing.assert_array_equal(projection(np.eye(4)), np.eye(4))
    projection.weights = [[3.0]]
    np.testing.assert_array_equal(projection(np.eye(4)), 3 * np.eye(4))
    assert before[0, 0] == 1.0
    for wrong, error in (
        (np.ones(1), ValueError),
        (np.ones((1, 2)), ValueError),
        ([["3"]], TypeError),
        (3.0, ValueError),
    ):
        with pytest.raises(error, match="weights"):
            projection.weights = wrong
    assert projection.weights[0, 0] == 3.0


def test_weights_are_copied_when_connecting():
    weights = np.ones((1, 1), np.float32)
    projection = convolution((4, 4), (4, 4), weights)
    weights[...] = 5.0
    assert projection.weights[0, 0] == 1.0


def test_banks():
    regular = convolution((5, 5), (5, 5, 2), np.arange(18.0).reshape(2, 3, 3), "connect_filters")
    assert regular.weights.shape == (2, 3, 3) and regular.n_weights == 18
    regular.weights = np.zeros((2, 3, 3))
    scales = convolution((5, 5), (5, 5, 2), [np.ones((3, 3)), [[2.0]]], "connect_filters")
    assert [array.shape for array in scales.weights] == [(3, 3), (1, 1)] and scales.n_weights == 10
    with pytest.raises(TypeError, match="item assignment"):
        scales.weights[0] = np.zeros((3, 3))
    scales.weights = [np.zeros((3, 3)), np.ones((1, 1))]
    np.testing.assert_array_equal(scales(np.eye(5)), np.stack([np.zeros((5, 5)), np.eye(5)], axis=-1))
    with pytest.raises(ValueError, match="shapes"):
        scales.weights = [np.ones((1, 1)), np.ones((3, 3))]


@pytest.mark.parametrize(
    ("weights", "error"),
    [
        (np.ones((3, 3), complex), TypeError),
        (np.ones((3, 3), object), TypeError),
        ([["a"]], TypeError),
        ([[1.0, 2.0], [3.0]], ValueError),
        (1.0, ValueError),
        (np.ones((0, 3)), ValueError),
        ([], ValueError),
        (ws.Uniform(0, 1), TypeError),
        (None, TypeError),
    ],
)
@pytest.mark.parametrize("method", ["connect_filter", "connect_filters"])
def test_refused_weights(weights, error, method):
    post = (6, 6) if method == "connect_filter" else (6, 6, 2)
    projection = ws.Convolution(*populations((6, 6), post), "exc")
    if method == "connect_filters" and error is TypeError and isinstance(weights, np.ndarray):
        weights = np.stack([weights, weights])
    with pytest.raises((error, ValueError), match=r"weights|filter"):
        getattr(projection, method)(weights)
    assert not projection.connected
    getattr(projection, method)(np.ones((2, 3, 3)) if method == "connect_filters" else np.ones((3, 3)))


def test_read_only_weights_stay_read_only():
    synapses = ws.Projection(*populations(3, 3), "exc").connect_all_to_all(1.0)
    for values in (
        convolution((4, 4), (4, 4), np.ones((1, 1))).weights,
        convolution((4, 4), (4, 4, 2), np.ones((2, 1, 1)), "connect_filters").weights,
        convolution((4, 4), (4, 4, 2), [np.ones((1, 1)), np.ones((1, 3))], "connect_filters").weights[1],
        synapses.weights,
        synapses.receptive_field(0)[1],
    ):
        with pytest.raises(ValueError, match="WRITEABLE"):
            values.flags.writeable = True
    assert (synapses.weights == 1.0).all()


def test_numbers_that_do_not_fit_the_dtype(network):
    pre, post = populations((4, 4), (4, 4))
    huge = np.array([[1.0, 1e300]])
    projection = ws.Convolution(pre, post, "exc")
    for weights, arguments, says in (
        (huge, {}, "^weights: .*float32"),
        (huge.tolist(), {}, "^weights: .*float32"),
        ([[1.0]], {"padding": 1e300}, "^padding: .*float32"),
        ([[1.0]], {"padding": 10**400}, "^padding is too large"),
    ):
        with pytest.raises(ValueError, match=says):
            projection.connect_filter(weights, **arguments)
        assert not projection.connected
    bank = ws.Convolution(pre, ws.Population((4, 4, 2)), "exc")
    with pytest.raises(ValueError, match=r"^weights\[1\]: .*float32"):
        bank.connect_filters([[[1.0]], huge])
    projection.connect_filter([[np.inf]], padding=-np.inf)
    with pytest.raises(ValueError, match=r"^weights: .*float32"):
        projection.weights = [[-1e39]]
    with pytest.raises(ValueError, match=r"^r: .*float32"):
        projection(np.full((4, 4), 1e300))
    synapses = ws.Projection(pre, post, "exc")
    before = network.random_generator.bit_generator.state
    for weights in (1e300, ws.Uniform(1e299, 1e300), np.full((16, 16), 1e300)):
        with pytest.raises(ValueError, match=r"^weights: .*float32"):
            synapses.connect_all_to_all(weights)
    with pytest.raises(ValueError, match=r"^weights: .*float32"):
        synapses.connect_from_matrix(np.full((16, 16), 1e300))
    assert not synapses.connected and network.random_generator.bit_generator.state == before


def test_masked_arrays():
    pre, post = populations((4, 4), (4, 4))
    masked = np.ma.array(np.ones((4, 4)), mask=np.eye(4))
    projection = ws.Convolution(pre, post, "exc")
    with pytest.raises(TypeError, match=r"^weights is a masked array"):
        projection.connect_filter(masked)
    with pytest.raises(TypeError, match=r"^weights\[1\] is a masked array"):
        ws.Convolution(pre, ws.Population((4, 4, 2)), "exc").connect_filters([np.ones((4, 4)), masked])
    projection.connect_filter([[1.0]])
    with pytest.raises(TypeError, match=r"^r is a masked array"):
        projection(masked)
    with pytest.raises(TypeError, match=r"^weights is a masked array"):
        projection.weights = masked
    field = ws.Population(4)
    with pytest.raises(TypeError, match=r"^weights is a masked array.*NaN"):
        ws.Projection(field, field, "exc").connect_from_matrix(masked)


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


def test_nan_weights_are_data():
    projection = convolution((3, 3), (3, 3), [[np.nan]])
    assert np.isnan(projection(np.ones((3, 3)))).all()


# --- Shapes and other arguments ---


@pytest.mark.parametrize(
    ("pre", "post", "extent", "arguments"),
    [
        ((7, 6), (3, 3), (3, 3), {}),
        ((6, 6), (12, 12), (3, 3), {}),
        ((6, 6, 3), (6, 6, 3), (3, 3), {}),
        ((6, 6, 3), (6, 6, 4), (3, 3), {"keep_last_dimension": True}),
        ((6, 6, 3), (6, 6, 3), (3,), {"keep_last_dimension": True}),
        ((6, 6, 3), (6, 6), (3, 3, 2), {}),
        ((6, 6), (6, 6, 4), (4, 3, 3), {}),
        ((6, 6), (6, 6, 4), (3, 3), {}),
        ((6, 6), (5, 5), (3, 3), {"padding": "valid"}),
        ((6, 6), (3, 3), (3, 3), {"strides": 3}),
        ((6, 6), (3, 3), (3, 3), {"strides": (2, 2, 2)}),
        ((6, 6), (3, 3), (3, 3), {"strides": 0}),
        ((6, 6), (6, 6), (3, 3), {"dilation": -1}),
        ((6, 6), (6, 6), (3, 3), {"anchor": 3}),
        ((6, 6), (3, 3), (3, 3), {"strides": 2, "first": 2}),
        ((6, 6), (6, 6), (3, 3), {"padding": "zeros"}),
        ((6, 6), (2,), (3, 3), {"subsampling": [[0, 0]]}),
        ((6, 6), (2,), (3, 3), {"subsampling": [[0, 0], [0, 6]]}),
        ((6, 6), (2,), (3, 3), {"subsampling": [[0, 0], [0, -1]]}),
        ((6, 6), (2,), (3, 3), {"subsampling": [[0, 0], [0, 0.5]]}),
        ((6, 6), (2,), (3, 3), {"subsampling": [[0, 0], [0, np.nan]]}),
        ((6, 6), (2,), (3, 3), {"subsampling": [[0, 0], [0, 1e300]]}),
        ((6, 6), (6, 6), (3, 3), {"delays": -1.0}),
        ((6, 6), (6, 6), (3, 3), {"delays": np.nan}),
        ((6, 6), (6, 6), (3, 3), {"algorithm": "fast"}),
    ],
)
def test_shapes_that_do_not_fit(pre, post, extent, arguments):
    projection = ws.Convolution(*populations(pre, post), "exc")
    with pytest.raises(ValueError) as raised:
        projection.connect_filter(np.ones(extent), **arguments)
    assert str(raised.value)
    assert not projection.connected and projection.delays == 0.0


@pytest.mark.parametrize(
    "arguments",
    [
        {"padding": None},
        {"padding": True},
        {"padding": 1j},
        {"strides": 1.0},
        {"dilation": "2"},
        {"delays": "1"},
        {"delays": [0.0]},
        {"delays": ws.Uniform(0, 1)},
        {"keep_last_dimension": 1},
        {"subsampling": "all"},
    ],
)
def test_arguments_of_the_wrong_type(arguments):
    projection = ws.Convolution(*populations((6, 6), (6, 6)), "exc")
    with pytest.raises(TypeError, match=next(iter(arguments))):
        projection.connect_filter(np.ones((3, 3)), **arguments)
    assert not projection.connected


def test_bank_shapes_that_do_not_fit():
    for post, bank, arguments in [
        ((6, 6, 3), np.ones((4, 3, 3)), {}),
        ((6, 6, 4), np.ones((4, 3)), {}),
        ((6, 6, 2), [np.ones((3, 3)), np.ones(3)], {}),
        ((6, 6, 2), np.ones((2, 3)), {"keep_last_dimension": True}),
        ((6, 2), np.ones((2, 3, 3)), {}),
    ]:
        projection = ws.Convolution(*populations((6, 6), post), "exc")
        with pytest.raises(ValueError):
            projection.connect_filters(bank, **arguments)
        assert not projection.connected


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"pre": None}, TypeError),
        ({"post": 3}, TypeError),
        ({"target": 1}, TypeError),
        ({"target": ""}, ValueError),
        ({"target": "sum(exc)"}, ValueError),
        ({"operation": "prod"}, ValueError),
        ({"psp": "w*post.r"}, ValueError),
        ({"psp": "w*rate"}, ValueError),
        ({"psp": "__import__('os')"}, ValueError),
        ({"psp": "(" * 10_000 + "w" + ")" * 10_000}, ValueError),
        ({"psp": 3}, TypeError),
        ({"backend": "gpu"}, ValueError),
        ({"threads": -1}, ValueError),
    ],
)
def test_refused_projections(network, arguments, error):
    pre, post = populations(3, 3)
    with pytest.raises(error, match=next(iter(arguments))):
        ws.SharedProjection(**{"pre": pre, "post": post, "target": "exc", **arguments})
    assert network.projections == ()


def test_connecting_twice_and_using_before():
    pre, post = populations((4, 4), (4, 4))
    projection = ws.SharedProjection(pre, post, "exc")
    for action in (
        lambda: projection(np.eye(4)),
        lambda: projection.weights,
        lambda: projection.n_weights,
        lambda: projection.describe(),
        lambda: projection.center(0),
        lambda: projection.receptive_field(0),
        lambda: ws.Copy(pre, post, "exc").connect_copy(projection),
    ):
        with pytest.raises(ws.StateError, match="connect"):
            action()
    with pytest.raises(ws.StateError):
        projection.weights = np.ones((3, 3))
    assert projection.convolve(np.ones((3, 3))) is projection
    for action in (
        lambda: projection.convolve(np.ones((1, 1))),
        lambda: projection.pooling(),
        lambda: projection.copy(projection),
    ):
        with pytest.raises(ws.StateError, match="already"):
            action()
    assert projection.weights.shape == (3, 3)


# --- Centres and receptive fields ---


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


# --- Pooling ---


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


# --- Copies and individual weights ---


def matrix_of(projection):
    matrix = projection.weights
    return np.where(np.isnan(matrix), 0.0, matrix)


def test_copy():
    pre, post = populations((2, 2), 3)
    other = ws.Population((2, 2)), ws.Population(3)
    original = ws.Projection(pre, post, "exc").connect_from_matrix(
        [[1, None, 2, 3], [np.nan] * 4, [4, 5, 6, 7]], delays=2.0
    )
    maximum = ws.Copy(*other, "exc", psp="w*pre.r", operation="max").connect_copy(original)
    squares = ws.SharedProjection(*other, "exc", psp="w*pre.r^2", operation="mean").copy(original)
    assert maximum.delays == squares.delays == 2.0 and squares.n_weights == 7
    rates = np.array([[1.0, -1.0], [2.0, -3.0]])
    assert maximum(rates).tolist() == [4, 0, 12]
    np.testing.assert_allclose(squares(rates), [(1 + 8 + 27) / 3, 0, (4 + 5 + 24 + 63) / 4], rtol=1e-6)
    original.weights = -1.0
    assert maximum(rates).tolist() == [3, 0, 3]
    shared = convolution((4, 4), (4, 4), np.ones((1, 1)))
    copy = ws.SharedProjection(*populations((4, 4), (4, 4)), "exc").copy(shared)
    shared.weights = [[2.0]]
    np.testing.assert_array_equal(copy(np.eye(4)), 2 * np.eye(4))
    assert copy.center(3) == (0, 3)


def test_refused_copies():
    pre, post = populations(4, 3)
    original = ws.Projection(pre, post, "exc").connect_all_to_all(1.0)
    with pytest.raises(ValueError, match="geometr"):
        ws.Copy(ws.Population((2, 2)), post, "exc").connect_copy(original)
    with pytest.raises(TypeError, match="projection"):
        ws.Copy(pre, post, "exc").connect_copy(post)
    with pytest.raises(ValueError, match="no weights"):
        ws.Copy(pre, pre, "exc").connect_copy(ws.Pooling(pre, pre, "exc").connect_pooling())
    with ws.Network(dtype="float64"):
        wide = ws.Projection(*populations(4, 3), "exc").connect_all_to_all(1.0)
    with pytest.raises(ValueError, match="dtype"):
        ws.Copy(pre, post, "exc").connect_copy(wide)


def test_all_to_all_and_one_to_one():
    pre, post = populations(3, 2)
    rates = np.array([1.0, 2.0, 4.0])
    assert ws.Projection(pre, post, "exc").connect_all_to_all(2.0)(rates).tolist() == [14, 14]
    matrix = np.arange(6.0).reshape(2, 3)
    dense = ws.Projection(pre, post, "exc").connect_all_to_all(matrix)
    np.testing.assert_array_equal(dense.weights, matrix)
    np.testing.assert_array_equal(dense(rates), matrix @ rates)
    lateral = ws.Projection(pre, pre, "exc").connect_all_to_all(1.0)
    assert lateral(rates).tolist() == [6, 5, 3] and lateral.n_weights == 6
    assert np.isnan(np.diag(lateral.weights)).all()
    full = ws.Projection(pre, pre, "exc").connect_all_to_all(1.0, allow_self_connections=True)
    assert full(rates).tolist() == [7, 7, 7]
    pairs = ws.Projection(pre, pre, "exc").connect_one_to_one([1.0, 10.0, 100.0])
    assert pairs(rates).tolist() == [1, 20, 400]
    with pytest.raises(ValueError, match="sizes"):
        ws.Projection(pre, post, "exc").connect_one_to_one()
    for wrong, error in (
        (np.ones((3, 2)), ValueError),
        (np.ones(5), ValueError),
        ("1", TypeError),
        (1j, TypeError),
    ):
        with pytest.raises(error, match="weights"):
            ws.Projection(pre, post, "exc").connect_all_to_all(wrong)


def test_operations_of_synapses():
    pre, post = populations(3, 2)
    weights, rates = np.array([[1.0, -2.0, np.nan], [np.nan] * 3]), [3.0, 4.0, 5.0]
    for operation, expected in (("sum", -5), ("mean", -2.5), ("max", 3), ("min", -8)):
        projection = ws.Projection(pre, post, "exc", ws.Synapse(operation=operation)).connect_from_matrix(
            weights
        )
        assert projection(rates).tolist() == [expected, 0]
    squared = ws.Projection(pre, post, "exc", ws.Synapse(psp="w*pre.r*pre.r")).connect_from_matrix(weights)
    assert squared(rates).tolist() == [9 - 32, 0]
    for wrong in ({"psp": "w*x"}, {"operation": "prod"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            ws.Synapse(**wrong)
    with pytest.raises(TypeError, match="synapse"):
        ws.Projection(pre, post, "exc", "w*pre.r")


def test_assigned_matrices_keep_the_synapses():
    projection = ws.Projection(*populations(2, 2), "exc").connect_from_matrix([[1, None], [2, 3]])
    projection.weights = projection.weights * 2
    np.testing.assert_array_equal(projection.weights, [[2, np.nan], [4, 6]])
    projection.weights = [1.0, 2.0, 5.0]
    np.testing.assert_array_equal(projection.weights, [[1, np.nan], [2, 5]])
    for wrong in (np.ones((2, 2)), np.ones(2), np.ones((3, 3))):
        with pytest.raises(ValueError, match="weights"):
            projection.weights = wrong
    np.testing.assert_array_equal(projection.weights, [[1, np.nan], [2, 5]])


def test_fixed_probability_depends_on_the_seed():
    def connected(seed):
        with ws.Network(seed=seed):
            population = ws.Population(100)
            return ws.Projection(population, population, "exc").connect_fixed_probability(
                0.3, ws.Uniform(1, 2)
            )

    one, same, other = connected(1), connected(1), connected(2)
    np.testing.assert_array_equal(one.weights, same.weights)
    assert one.n_weights != other.n_weights or not np.array_equal(matrix_of(one), matrix_of(other))
    assert abs(one.n_weights - 0.3 * 9900) < 200 and np.isnan(np.diag(one.weights)).all()
    assert np.nanmin(one.weights) >= 1.0 and np.nanmax(one.weights) < 2.0
    pre, post = populations(5, 6)
    assert ws.Projection(pre, post, "exc").connect_fixed_probability(1.0, 1.0).n_weights == 30
    assert ws.Projection(pre, post, "exc").connect_fixed_probability(0.0, 1.0)(np.ones(5)).tolist() == [0] * 6
    with pytest.raises(ValueError, match="probability"):
        ws.Projection(pre, post, "exc").connect_fixed_probability(1.5, 1.0)


def test_gaussian_and_difference_of_gaussians():
    pre, post = populations((5, 1), (3, 4))
    x, y = np.arange(5) / 4, np.zeros(1)
    u, v = np.arange(3) / 2, np.arange(4) / 3
    squared = (u[:, None, None, None] - x[None, None, :, None]) ** 2 + (
        v[None, :, None, None] - y[None, None, None, :]
    ) ** 2
    squared = squared.reshape(12, 5)
    gaussian = ws.Projection(pre, post, "exc").connect_gaussian(-2.0, 0.3, limit=0.1)
    expected = -2.0 * np.exp(-squared / (2 * 0.3**2))
    expected[np.abs(expected) <= 0.2] = np.nan
    np.testing.assert_allclose(gaussian.weights, expected, rtol=1e-6)
    dog = ws.Projection(pre, post, "exc").connect_dog(3.0, 0.2, 1.0, 0.6, limit=0.05)
    expected = 3.0 * np.exp(-squared / (2 * 0.2**2)) - np.exp(-squared / (2 * 0.6**2))
    expected[np.abs(expected) <= 0.1] = np.nan
    np.testing.assert_allclose(dog.weights, expected, rtol=1e-5, atol=1e-6)
    field = ws.Population(9)
    lateral = ws.Projection(field, field, "exc").connect_gaussian(1.0, 0.1)
    assert np.isnan(np.diag(lateral.weights)).all()
    for wrong in ({"sigma": 0.0}, {"limit": -1.0}, {"amp": np.inf}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            ws.Projection(pre, post, "exc").connect_gaussian(**{"amp": 1.0, "sigma": 1.0, **wrong})
    with pytest.raises(ValueError, match="dimensions"):
        ws.Projection(field, post, "exc").connect_gaussian(1.0, 0.1)


def test_matrices():
    pre, post = populations(2, 3)
    matrix = np.array([[1.0, np.nan], [2.0, 3.0], [np.nan, np.inf]])
    direct = ws.Projection(pre, post, "exc").connect_from_matrix(matrix)
    np.testing.assert_array_equal(direct.weights, matrix)
    turned = ws.Projection(pre, post, "exc").connect_from_matrix(matrix.T, pre_post=True)
    np.testing.assert_array_equal(turned.weights, matrix)
    for wrong, error in [
        (matrix.T, ValueError),
        (np.ones(6), ValueError),
        ([[1, None], [1], [2, 3]], ValueError),
        ([["1", None]] * 3, TypeError),
        ([[1j, None]] * 3, TypeError),
        (matrix.astype(complex), TypeError),
    ]:
        with pytest.raises(error, match="weights"):
            ws.Projection(pre, post, "exc").connect_from_matrix(wrong)
    for wrong in (ws.Uniform(0, 1), None, {}, {1, 2}, "matrix", object()):
        with pytest.raises(TypeError, match=rf"^weights .*({type(wrong).__name__}|dtype).*real"):
            ws.Projection(pre, post, "exc").connect_from_matrix(wrong)
    sparse = pytest.importorskip("scipy.sparse")
    for wrong in (sparse.eye(2), sparse.csr_array(np.eye(2))):
        with pytest.raises(TypeError, match=r"^weights is a sparse matrix.*connect_from_sparse"):
            ws.Projection(pre, post, "exc").connect_from_matrix(wrong)


def test_sparse_matrices():
    class Compressed:
        """As much of a SciPy matrix in compressed columns as is asked for."""

        shape = (2, 3)

        def __init__(self):
            self.indptr, self.indices = np.array([0, 2, 2, 3]), np.array([0, 1, 1])
            self.data = np.array([1.0, 0.0, 5.0])

        def tocsc(self):
            return self

        copy = tocsc

        def sum_duplicates(self):
            pass

    pre, post = populations(2, 3)
    projection = ws.Projection(pre, post, "exc").connect_from_sparse(Compressed())
    np.testing.assert_array_equal(projection.weights, [[1, 0], [np.nan, np.nan], [np.nan, 5]])
    with pytest.raises(TypeError, match="weights"):
        ws.Projection(pre, post, "exc").connect_from_sparse(np.ones((2, 3)))
    with pytest.raises(ValueError, match="weights"):
        ws.Projection(post, pre, "exc").connect_from_sparse(Compressed())


def test_connectors_list_every_pair_once():
    starts, columns = connectors.all_to_all(4, 4, True)
    assert starts.tolist() == [0, 3, 6, 9, 12] and columns.tolist() == [1, 2, 3, 0, 2, 3, 0, 1, 3, 0, 1, 2]


# --- Words ---


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
