"""The numbers of two teaching notebooks about convolutional networks, out of banks, poolings and neurons."""

from __future__ import annotations

import json

import numpy as np
import pytest

import weightsharing as ws
from strategies.backends import BACKENDS
from strategies.folders import ORACLE

FOLDER = ORACLE / "torch"

each_backend = pytest.mark.parametrize("backend", BACKENDS)


def load(name):
    with np.load(FOLDER / f"{name}.npz") as file:
        return json.loads(str(file["params"])), {key: file[key] for key in file.files}


def step_through(image, neuron, filters, backend, dtype="float64"):
    """Rates of a population that sees an image through a bank, as far as the filters stay inside."""
    rows, columns = np.array(image.shape[:2]) - filters.shape[1:3] + 1
    network = ws.Network(dtype=dtype)
    pre, post = network.create(image.shape), network.create((int(rows), int(columns), len(filters)), neuron)
    projection = ws.Convolution(pre, post, "exc")
    projection.connect_filters(filters, padding="valid")
    network.compile(backend)
    pre.r = image
    network.step()
    return projection, post.r


@each_backend
@pytest.mark.parametrize(
    ("key", "equations"), [("linear", "r = sum(exc)"), ("output", "r = 1 / (1 + exp(-sum(exc)))")]
)
def test_convolution_by_hand(backend, key, equations):
    _, arrays = load("byhand_sigmoid")
    filters = np.moveaxis(arrays["filters"], -1, 0)
    _, rates = step_through(arrays["image"][0], ws.Neuron(equations=equations), filters, backend)
    np.testing.assert_allclose(rates, arrays[key][0], rtol=0.0, atol=1e-12)
    if key == "output":
        # The notebook prints 8 digits.
        np.testing.assert_allclose(rates, arrays["printed"][0], rtol=0.0, atol=1e-7)


@each_backend
def test_image_to_columns(backend):
    _, arrays = load("byhand_im2col")
    filters = np.moveaxis(arrays["filters"], -1, 0)
    image = arrays["image"][0]
    projection, rates = step_through(image, ws.Neuron(equations="r = sum(exc)"), filters, backend)
    np.testing.assert_allclose(rates, arrays["output"][0], rtol=0.0, atol=1e-12)
    np.testing.assert_allclose(rates[..., 0], arrays["printed_filter0"], rtol=0.0, atol=1e-8)
    # The columns of the notebook are the receptive fields of the units.
    columns = arrays["im2col"][0]
    for row, column in np.ndindex(columns.shape[:2]):
        coordinates, weights = projection.receptive_field(row, column, 1)
        np.testing.assert_array_equal(image[tuple(coordinates.T)], columns[row, column])
        np.testing.assert_array_equal(weights, filters[1].ravel())


@each_backend
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_convolution_rectification_and_max_pooling(backend, dtype):
    params, arrays = load("conv_relu_maxpool")
    image, filters = arrays["image"], arrays["filters"]
    conv, relu, pool = (np.moveaxis(arrays[key], 0, -1) for key in ("conv", "relu", "pool"))
    with ws.Network(dtype=dtype) as network:
        pre = ws.Population(image.shape)
        rectified = ws.Population(relu.shape, ws.Neuron(equations="r = sum(exc) : min=0.0"))
        pooled = ws.Population(pool.shape, ws.Neuron(equations="r = sum(exc)"))
        ws.Convolution(pre, rectified, "exc").connect_filters(filters, padding="valid")
        size = params["pool"]
        # Regions that the last row and column of post do not need are dropped, as in the notebook.
        ws.Pooling(rectified, pooled, "exc", operation="max").connect_pooling(extent=(size, size, 1))
    network.compile(backend)
    pre.r = image
    network.simulate(2.0)
    tolerance = params["tolerance"]
    np.testing.assert_allclose(rectified.sum("exc"), conv, **tolerance)
    np.testing.assert_allclose(rectified.r, relu, **tolerance)
    np.testing.assert_allclose(pooled.r, pool, **tolerance)
