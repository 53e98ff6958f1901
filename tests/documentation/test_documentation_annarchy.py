"""The snippets of ANNarchy's page "Convolution and pooling", with nothing but the imports changed.

The page's imports `from ANNarchy import *` and `from ANNarchy.extensions.weightsharing import *` become those of
`IMPORTS`. `Whatever` is the page's word for any rate-coded neuron. A snippet that goes on from an earlier one is
run after it, as a reader would.
"""

from __future__ import annotations

import numpy as np
import pytest

import weightsharing

IMPORTS = """
import numpy as np
from weightsharing import *
"""

WHATEVER = """
Whatever = Neuron(parameters="baseline = 0.0", equations="r = sum(exc) + baseline")
"""

SAME_GEOMETRY = """
pre = Population(geometry=(100, 100), neuron = Whatever)
post = Population(geometry=(100, 100), neuron = Whatever)
"""

VERTICAL_FILTER = """
vertical_filter = np.array(
    [
        [1.0, 0.0, -1.0],
        [1.0, 0.0, -1.0],
        [1.0, 0.0, -1.0]
    ]
)
"""

CONVOLVE = """
proj = SharedProjection(pre=pre, post=post, target='exc')
proj.convolve(weights=vertical_filter)
"""

CENTER = """
pre = Population(geometry=(100, 100), neuron = Whatever)
post = Population(geometry=(50, 50), neuron = Whatever)

proj = SharedProjection(pre=pre, post=post, target='exc')
proj.convolve(weights=vertical_filter)

pre_coordinates = proj.center(10, 10) # returns (20, 20)
"""

RED_FILTER = """
pre = Population(geometry=(100, 100, 3), neuron = Whatever)
post = Population(geometry=(100, 100), neuron = Whatever)

red_filter = np.array(
    [
        [
            [2.0, -1.0, -1.0]
        ]
    ]
)

proj = SharedProjection(pre=pre, post=post, target='exc')
proj.convolve(weights=red_filter, method='filter')
"""

PSP = """
proj = SharedProjection(pre=pre, post=post, target='exc', psp='w*log(1+pre.r)')
"""

OPERATION = """
proj = SharedProjection(pre=pre, post=post, target='exc', operation='max')
"""

LAYERWISE = """
pre = Population(geometry=(100, 100, 3), neuron = Whatever)
post = Population(geometry=(50, 50, 3), neuron = Whatever)

vertical_filter = np.array(
    [
        [1.0, 0.0, -1.0],
        [1.0, 0.0, -1.0],
        [1.0, 0.0, -1.0]
    ]
)

proj = SharedProjection(pre=pre, post=post, target='exc')
proj.convolve(weights=vertical_filter, method='filter', keep_last_dimension=True)
"""

# As the page prints it: four filters one after the other, without the brackets around them.
BANK = """
pre = Population(geometry=(100, 100), neuron = Whatever)
post = Population(geometry=(50, 50, 4), neuron = Whatever)

bank_filters = np.array(
    [
        [1.0, 0.0, -1.0],
        [1.0, 0.0, -1.0],
        [1.0, 0.0, -1.0]
    ],
    [
        [-1.0, 0.0, 1.0],
        [-1.0, 0.0, 1.0],
        [-1.0, 0.0, 1.0]
    ],
    [
        [-1.0, -1.0, -1.0],
        [ 0.0,  0.0,  0.0],
        [ 1.0,  1.0,  1.0]
    ],
    [
        [ 1.0,  1.0,  1.0],
        [ 0.0,  0.0,  0.0],
        [-1.0, -1.0, -1.0]
    ]
)

proj = SharedProjection(pre=pre, post=post, target='exc')
proj.convolve(weights=bank_filters, method='filter', multiple=True)
"""

POOLING = """
pre = Population(geometry=(100, 100), neuron = Whatever)
post = Population(geometry=(50, 50), neuron = Whatever)

proj = SharedProjection(pre=pre, post=post, target='exc', operation='max')
proj.pooling()
"""

POOLING_OVER_AN_AXIS = """
pre = Population(geometry=(100, 100, 10), neuron = Whatever)
post = Population(geometry=(50, 50), neuron = Whatever)

proj = SharedProjection(pre=pre, post=post, target='exc', operation='max')
proj.pooling(extent=(2, 2, 10))
"""

COPY = """
pop1 = Population(geometry=(30, 30), neuron=Whatever)
pop2 = Population(geometry=(20, 20), neuron=Whatever)
pop3 = Population(geometry=(20, 20), neuron=Whatever)


proj1 = Projection(pop1, pop2, 'exc').connect_gaussian(amp = 1.0, sigma=0.3, delays=2.0)
proj2 = SharedProjection(pop1, pop3, 'exc').copy(proj1)
"""

RATES = np.random.default_rng(3).random((100, 100, 3))


def run(*snippets, dtype="float64"):
    """Run snippets one after the other in a fresh default network; return their names."""
    weightsharing.clear()
    weightsharing.setup(dtype=dtype)
    names = {}
    for snippet in (IMPORTS, WHATEVER, *snippets):
        exec(compile(snippet, "snippet", "exec"), names)
    return names


def one_step(names, rates, steps=1):
    """Compile, show rates for one step, and return what arrives in post."""
    weightsharing.compile()
    # The rates of a population with equations hold until it is updated, after the projections have read them.
    names["pre"].r = rates
    weightsharing.simulate(float(steps))
    np.testing.assert_allclose(names["proj"](rates), names["post"].r, rtol=1e-12, atol=1e-12)
    return names["post"].r


def correlation(rates, weights, step=1):
    """Cross-correlation by slices, zeros outside, with an odd filter and centres `step` apart."""
    rows, columns = rates.shape[:2]
    up, left = weights.shape[0] // 2, weights.shape[1] // 2
    outside = np.pad(rates, ((up, up), (left, left), *((0, 0),) * (rates.ndim - 2)))
    shifted = (
        weights[i, j] * outside[i : i + rows, j : j + columns] for i, j in np.ndindex(weights.shape[:2])
    )
    offset = (step - 1) // 2
    return sum(shifted)[offset::step, offset::step]


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=0.0, atol=1e-12)


def test_simple_convolution():
    """The sum of filter[ci+1][cj+1] * pre[i-ci, j-cj] over ci and cj from -1 to 1, as the page writes it."""
    names = run(SAME_GEOMETRY, VERTICAL_FILTER, CONVOLVE)
    rates = RATES[..., 0]
    result = one_step(names, rates)
    for i, j in ((50, 50), (1, 1), (98, 17)):
        expected = sum(
            names["vertical_filter"][ci + 1][cj + 1] * rates[i - ci, j - cj]
            for ci in (-1, 0, 1)
            for cj in (-1, 0, 1)
        )
        close(result[i, j], expected)
    close(result, correlation(rates, names["vertical_filter"][::-1, ::-1]))


def test_method_filter_does_not_flip():
    names = run(SAME_GEOMETRY, VERTICAL_FILTER, CONVOLVE.replace("filter)", "filter, method='filter')"))
    rates = RATES[..., 0]
    close(one_step(names, rates), correlation(rates, names["vertical_filter"]))


def test_padding_with_a_value_and_with_the_border():
    """Elements outside have the value given, or the rate of the nearest unit inside: that of (0, 0) for (-1, -1)."""
    rates = RATES[..., 0]
    for padding, outside in (
        ("0.5", np.pad(rates, 1, constant_values=0.5)),
        ("'border'", np.pad(rates, 1, mode="edge")),
    ):
        connect = CONVOLVE.replace("filter)", f"filter, padding={padding})")
        names = run(SAME_GEOMETRY, VERTICAL_FILTER, connect)
        expected = correlation(outside, names["vertical_filter"][::-1, ::-1])[1:-1, 1:-1]
        close(one_step(names, rates), expected)


def test_center_as_the_comment_says():
    names = run(VERTICAL_FILTER, CENTER)
    assert names["pre_coordinates"] == (20, 20)
    assert names["proj"].center(names["post"].rank_from_coordinates((10, 10))) == (20, 20)
    rates = RATES[..., 0]
    close(one_step(names, rates), correlation(rates, names["vertical_filter"][::-1, ::-1], step=2))


@pytest.mark.parametrize("form", [list, np.array])
def test_subsampling_by_a_list_or_an_array(form):
    """A geometry that is no multiple needs the centres, indexed by the rank of the post unit."""
    populations = CENTER.split("proj =")[0].replace("(50, 50)", "(33, 40)")
    with pytest.raises(ValueError, match="subsampling"):
        run(VERTICAL_FILTER, populations, CONVOLVE)
    names = run(VERTICAL_FILTER, populations)
    post = names["post"]
    centres = [[0, 0]] * post.size
    for i, j in np.ndindex(post.geometry):
        centres[post.rank_from_coordinates((i, j))] = [3 * i, 2 * j + 1]
    names["proj"] = weightsharing.SharedProjection(pre=names["pre"], post=post, target="exc")
    names["proj"].convolve(weights=names["vertical_filter"], subsampling=form(centres))
    rates = RATES[..., 0]
    everywhere = correlation(rates, names["vertical_filter"][::-1, ::-1])
    close(one_step(names, rates), everywhere[:99:3, 1:81:2])


def test_filter_over_all_channels():
    names = run(RED_FILTER)
    close(one_step(names, RATES), 2.0 * RATES[..., 0] - RATES[..., 1] - RATES[..., 2])
    # The page calls a population (100, 100, 1) the same, and checks the channels.
    single = RED_FILTER.replace("geometry=(100, 100),", "geometry=(100, 100, 1),")
    assert one_step(run(single), RATES).shape == (100, 100, 1)
    with pytest.raises(ValueError, match=r"\(1, 1, 2\).*\(100, 100, 3\)"):
        run(RED_FILTER.replace("[2.0, -1.0, -1.0]", "[2.0, -1.0]"))


def test_nonlinear_psp():
    names = run(SAME_GEOMETRY, VERTICAL_FILTER, PSP, "proj.convolve(weights=vertical_filter)")
    rates = RATES[..., 0]
    close(one_step(names, rates), correlation(np.log(1.0 + rates), names["vertical_filter"][::-1, ::-1]))


@pytest.mark.parametrize("operation", ["max", "min", "mean"])
def test_operations(operation):
    snippet = OPERATION.replace("max", operation)
    names = run(SAME_GEOMETRY, VERTICAL_FILTER, snippet, "proj.convolve(weights=vertical_filter)")
    rates = RATES[..., 0]
    result = one_step(names, rates)
    flipped = names["vertical_filter"][::-1, ::-1]
    products = flipped * rates[40:43, 60:63]
    close(result[41, 61], getattr(products, operation)())


def test_layerwise_convolution():
    names = run(LAYERWISE)
    close(one_step(names, RATES), correlation(RATES, names["vertical_filter"], step=2))


def test_bank_of_filters():
    """The page's literal lacks the outer brackets, so NumPy refuses it; with them the snippet runs."""
    with pytest.raises(TypeError):
        run(BANK)
    head, literal, tail = BANK.partition("np.array(\n")
    names = run(head + literal + "[" + tail.replace("\n)\n\nproj", "\n])\n\nproj"))
    rates = RATES[..., 0]
    result = one_step(names, rates)
    assert names["bank_filters"].shape == (4, 3, 3)
    for number, weights in enumerate(names["bank_filters"]):
        close(result[..., number], correlation(rates, weights, step=2))


def test_pooling():
    names = run(POOLING)
    close(one_step(names, RATES[..., 0]), RATES[..., 0].reshape(50, 2, 50, 2).max(axis=(1, 3)))


def test_pooling_over_a_whole_axis():
    names = run(POOLING_OVER_AN_AXIS)
    rates = np.random.default_rng(4).random((100, 100, 10))
    close(one_step(names, rates), rates.reshape(50, 2, 50, 2, 10).max(axis=(1, 3, 4)))
    # The page: the extent must be given when the dimensions do not match; the default operation is a sum.
    with pytest.raises(ValueError, match="extent"):
        run(POOLING_OVER_AN_AXIS.replace("extent=(2, 2, 10)", ""))
    summed = run(POOLING.replace(", operation='max'", ""))
    assert summed["proj"].operation == "sum"
    close(one_step(summed, RATES[..., 0]), RATES[..., 0].reshape(50, 2, 50, 2).sum(axis=(1, 3)))


def test_sharing_weights_with_another_projection():
    """The copy sees changes of the original, and has its delay."""
    names = run(COPY)
    pop1, pop2, pop3, proj1, proj2 = (names[key] for key in ("pop1", "pop2", "pop3", "proj1", "proj2"))
    assert proj1.delays == proj2.delays == 2.0
    rates = RATES[:30, :30, 0]
    near, far = np.arange(20)[:, None] / 19, np.arange(30) / 29
    row_distance, column_distance = (near - far) ** 2, (near - far) ** 2
    squared = row_distance[:, None, :, None] + column_distance[None, :, None, :]
    weights = np.exp(-squared / (2.0 * 0.3**2))
    expected = (np.where(weights > 0.01, weights, 0.0) * rates).sum(axis=(2, 3))
    weightsharing.compile()
    pop1.baseline = rates
    # pop1 has these rates at the end of step 0, which a delay of two steps brings in step 2.
    weightsharing.simulate(2.0)
    assert not pop2.r.any()
    weightsharing.step()
    np.testing.assert_allclose(pop2.r, expected, rtol=1e-12)
    np.testing.assert_array_equal(pop3.r, pop2.r)
    proj1.weights = 2.0 * proj1.weights
    np.testing.assert_allclose(proj2(rates), 2.0 * expected, rtol=1e-12)
    with pytest.raises(ValueError, match="geometries"):
        run(COPY.replace("pop3 = Population(geometry=(20, 20)", "pop3 = Population(geometry=(20, 21)"))
