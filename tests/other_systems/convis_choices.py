"""Calls of convis that mean something else here or are refused, with a check of every row."""

from __future__ import annotations

import numpy as np
import pytest

import weightsharing as ws
from other_systems.convis_layers import close, conv, random_movie
from other_systems.differences import Difference
from weightsharing import samples, temporal


def _check_arrays() -> None:
    layer = temporal.Conv3d()
    for shape in ((1, 1, 3, 2, 2), (3, 2, 2)):
        result = layer.run(np.ones(shape))
        assert isinstance(result, np.ndarray) and result.shape == shape and result.dtype == np.float32


def _check_read_only() -> None:
    layer = temporal.Conv3d(1, 2)
    with pytest.raises(ValueError, match="read-only"):
        layer.bias[0] = 1.0
    layer.bias = [1.0, 2.0]
    with pytest.raises(AttributeError, match="autopad_mod"):
        layer.autopad_mod = "circular"


def _check_adjust_padding() -> None:
    with pytest.raises(TypeError, match="adjust_padding"):
        temporal.Conv3d(adjust_padding=True)
    with pytest.raises(TypeError, match="adjust_padding"):
        temporal.Conv3d().exponential(0.01, adjust_padding=True)


def _check_time_steps() -> None:
    for name in ("stride", "dilation"):
        with pytest.raises(ValueError, match="1 along time"):
            temporal.Conv3d(**{name: (2, 1, 1)})


def _check_longer_filter() -> None:
    layer = conv([1.0, 1.0])
    layer.run(random_movie(3, 2, 2))
    layer.set_weight([1.0, 1.0, 1.0])
    with pytest.raises(ws.StateError, match="clear_state"):
        layer.run(random_movie(3, 2, 2))


def _check_rf_size() -> None:
    layer = temporal.RF()
    layer.set_weight(np.ones((2, 2, 2)))
    layer.run(random_movie(3, 4, 4))
    with pytest.raises(ws.StateError, match="clear_state"):
        layer.run(random_movie(3, 5, 5))


def _check_inner_memory() -> None:
    inner, movie = temporal.Diff(), random_movie(4, 2, 2)
    chain = temporal.Sequential(inner)
    whole = chain.run(movie)
    chain.clear_state()
    chain.run(movie[:2])
    inner.run(movie)
    inner.clear_state()
    np.testing.assert_array_equal(chain.run(movie[2:]), whole[2:])


def _check_nonlinearities() -> None:
    with pytest.raises(TypeError, match=r"Nonlinearity\('r = ...'\)"):
        temporal.LNCascade(nonlinearity=np.abs)
    cascade = temporal.LNCascade(1, nonlinearity=temporal.Nonlinearity("r = abs(sum(exc))"))
    cascade.linearities[0].set_weight(-1.0)
    np.testing.assert_array_equal(cascade.run(np.ones((1, 1, 1))), np.ones((1, 1, 1)))


def _check_sum_axes() -> None:
    movies = [random_movie(2, 3, 4, 2, 2), random_movie(2, 1, 4, 2, 2)]
    close(temporal.sum(*movies), np.concatenate(movies, axis=1).sum(axis=1, keepdims=True))
    for dim in range(5):
        close(temporal.sum(movies[0], movies[0], dim=dim), 2.0 * movies[0].sum(axis=dim, keepdims=True))
    with pytest.raises(ValueError, match="trials are independent"):
        temporal.Sum(dim=0)


def _check_gauss_arguments() -> None:
    with pytest.raises(TypeError, match="normalize"):
        temporal.gauss_filter_2d(0.1, 0.1, normalize=True)
    with pytest.raises(TypeError, match="'p'"):
        samples.moving_grating(p=1.0)


def _check_absent() -> None:
    for name in ("TemporalHighPassFilterRecursive", "SpatialRecursiveFilter"):
        assert not hasattr(temporal, name)


CHOICES = (
    Difference(
        "What goes in and comes out",
        "Tensors of torch with gradients; 5 dimensions, without `dt`.",
        "NumPy arrays, float32 unless `compile(dtype='float64')`; 5 dimensions or 3. There are no gradients.",
        _check_arrays,
    ),
    Difference(
        "Weights and biases",
        "`conv.bias.data[0] = 1.0`",
        "Read-only arrays, so that no change is lost: `conv.bias = 1.0`, `conv.set_weight(w)`. Assigning an attribute "
        "that a layer does not have is an error.",
        _check_read_only,
    ),
    Difference(
        "`adjust_padding`",
        "Pads with zeros as well; the result is larger than the image.",
        "There is no such argument.",
        _check_adjust_padding,
    ),
    Difference(
        "Stride and dilation in time",
        "Applied to each piece by itself, so results depend on `dt`.",
        "An error. In space both work.",
        _check_time_steps,
    ),
    Difference(
        "Weights of another extent, while there is memory",
        "The history becomes longer.",
        "The next run is an error that names `clear_state()`.",
        _check_longer_filter,
    ),
    Difference(
        "`RF`: another image size, while there is memory",
        "Goes on.",
        "An error, as for all layers with memory.",
        _check_rf_size,
    ),
    Difference(
        "The memory of a layer within a model",
        "Belongs to the layer: run alone, it changes the model.",
        "Belongs to the model whose `run` is called, and so do `clear_state`, `push_state` and `pop_state`.",
        _check_inner_memory,
    ),
    Difference(
        "Functions as nonlinearities",
        "`LNCascade(nonlinearity=lambda x: x**2)`",
        "A layer, or an equation: `LNCascade(nonlinearity=Nonlinearity('r = sum(exc)^2'))`.",
        _check_nonlinearities,
    ),
    Difference(
        "`sum(*xs, dim)`",
        "By default the sum over the trials, `dim=0`.",
        "By default the sum over the channels, `dim=1`, which is all that the layer `Sum` can do.",
        _check_sum_axes,
    ),
    Difference(
        "Arguments without effect",
        "`normalize` of `gauss_filter_2d`, `p` of `moving_grating`.",
        "Left out.",
        _check_gauss_arguments,
    ),
    Difference(
        "`TemporalHighPassFilterRecursive`, `SpatialRecursiveFilter`, models of the retina",
        "Provided; the first loses a frame at the start of each piece.",
        "Not provided.",
        _check_absent,
    ),
)
