"""Layers made of layers: `Sequential`, `LNCascade`, `SmoothConv`, `Sum`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from ..checks.arrays import real_array, whole_tuple
from ..checks.numbers import whole_number
from ..checks.shapes import Array
from ..population.population import Population
from ..projection.convolution import Convolution
from .convolutions import Conv3d
from .layer import Built, Layer, build, dropped_frames, linear, one_to_one, parts_of, structures_of
from .nonlinearities import NLRectify, TemporalLowPassFilterRecursive


class Sequential(Layer):
    """Layers one after the other, in one network and without latency.

    Only where the number of frames changes on the way (`TimePadding`, `Delay` with a length, ``time_pad=False``),
    or a layer but the first makes its history from the first piece, the networks are several.

    Parameters
    ----------
    *layers : Layer
        The first one sees the movie.

    Raises
    ------
    TypeError
        If one of them is no layer.
    """

    def __init__(self, *layers: Layer) -> None:
        super().__init__()
        self._layers = [checked_layer(f"layers[{i}]", layer) for i, layer in enumerate(layers)]

    def append(self, layer: Layer) -> Sequential:
        """Add a layer behind the last one, and return this model.

        Raises
        ------
        TypeError
            If it is no layer.
        """
        self._layers.append(checked_layer("layer", layer))
        return self

    def __getitem__(self, index: int) -> Layer:
        return self._layers[index]

    def _parts(self) -> list[Layer]:
        return parts_of(self._layers)


class LNCascade(Layer):
    """Filters and nonlinearities in turn.

    Parameters
    ----------
    n : int
        Number of pairs at first.
    kernel_dim : (int, int, int)
        Extent of their filters in time, x and y.
    bias, autopad : bool
        As for `Conv3d`, for their filters.
    nonlinearity : Layer, optional
        What follows a filter where nothing else is said, default `NLRectify`.

    Attributes
    ----------
    linearities, nonlinearities : list
        The layers; entries may be replaced. None stands for no filter, and for the default nonlinearity.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    """

    def __init__(
        self,
        n: int = 0,
        kernel_dim: Sequence[int] = (1, 1, 1),
        bias: bool = False,
        autopad: bool = True,
        nonlinearity: Layer | None = None,
    ) -> None:
        super().__init__()
        self._default = NLRectify() if nonlinearity is None else checked_layer("nonlinearity", nonlinearity)
        self._linearities: list[Layer | None] = []
        self._nonlinearities: list[Layer | None] = []
        for _ in range(_positive_or_zero("n", n)):
            self.add_layer(kernel_dim=kernel_dim, bias=bias, autopad=autopad)

    @property
    def linearities(self) -> list[Layer | None]:
        """The filters."""
        return self._linearities

    @property
    def nonlinearities(self) -> list[Layer | None]:
        """What follows each of them."""
        return self._nonlinearities

    def add_layer(
        self,
        linear: Layer | None = None,
        nonlinear: Layer | None = None,
        kernel_dim: Sequence[int] = (1, 1, 1),
        bias: bool = False,
        autopad: bool = True,
    ) -> None:
        """Add a filter and a nonlinearity behind the last ones.

        Parameters
        ----------
        linear : Layer, optional
            Default: a `Conv3d` of the arguments that follow.
        nonlinear : Layer, optional
            Default: the nonlinearity of the cascade.
        kernel_dim, bias, autopad
            As for `LNCascade`.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.
        """
        if nonlinear is not None:
            checked_layer("nonlinear", nonlinear)
        if linear is None:
            linear = Conv3d(1, 1, kernel_dim, bias, autopad=autopad)
        self._linearities.append(checked_layer("linear", linear))
        self._nonlinearities.append(nonlinear)

    def _parts(self) -> list[Layer]:
        layers: list[Layer] = []
        for i, (filters, nonlinear) in enumerate(zip_longest(self._linearities, self._nonlinearities)):
            if filters is not None:
                layers.append(checked_layer(f"linearities[{i}]", filters))
            layers.append(
                self._default if nonlinear is None else checked_layer(f"nonlinearities[{i}]", nonlinear)
            )
        return parts_of(layers)


class SmoothConv(Layer):
    """Sum of `n` filters in space, each of a movie that is smoother in time than the one before.

    ``y[0]`` is the movie, ``y[i+1]`` what the low-pass filter ``e[i]`` makes of ``y[i]``; the result is the sum of
    ``g[i](y[i+1])``. The filters ``g[i]`` are `Conv3d` of a single frame without bias, 0 at first.

    Parameters
    ----------
    n : int
        Number of filters, 1 or more.
    tau : float
        Time constant of all ``e[i]`` in seconds.
    spatial_filter : (int, int)
        Extent of all ``g[i]`` in x and y.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    """

    _remembers = True

    def __init__(self, n: int = 3, tau: float = 0.1, spatial_filter: Sequence[int] = (10, 10)) -> None:
        super().__init__()
        if _positive_or_zero("n", n) == 0:
            raise ValueError("n is 0; expected at least one filter.")
        extent = (1, *whole_tuple("spatial_filter", spatial_filter, 2, "one for x and y"))
        self._e = tuple(TemporalLowPassFilterRecursive(tau) for _ in range(n))
        self._g = tuple(Conv3d(1, 1, extent, bias=False) for _ in range(n))

    @property
    def e(self) -> tuple[TemporalLowPassFilterRecursive, ...]:
        """Low-pass filters, one after the other."""
        return self._e

    @property
    def g(self) -> tuple[Conv3d, ...]:
        """Filters in space."""
        return self._g

    def get_all_components(self, movie: Any, dt: int | None = None) -> Array:
        """Run as `run` does, and return the ``g[i](y[i+1])`` whose sum that would return.

        Parameters
        ----------
        movie, dt
            As for `run`.

        Returns
        -------
        ndarray (batch, n * channels, time, x, y)
        """
        return self._run(movie, dt, components=True)

    @property
    def _dropped_frames(self) -> int:  # type: ignore[override]
        return max(dropped_frames(filters) for filters in self._g)

    def _structure(self) -> Hashable:
        return tuple(structure for _, structure in structures_of((*self._e, *self._g)))

    def _build(self, pre: Population) -> Built:
        built, components, smooth = [], [], pre
        for low_pass, filters in zip(self._e, self._g, strict=True):
            built += [build(low_pass, smooth)]
            smooth = built[-1].post
            built += [build(filters, smooth)]
            components.append(built[-1].post)
        post = Population(components[0].geometry, linear())
        for component in components:
            one_to_one(component, post)
        return Built(post, _all_of([one.refresh for one in built]), tuple(components))


class Sum(Layer):
    """Sum over the channels, which leaves one.

    Parameters
    ----------
    dim : {1}
        Axis of the channels.

    Raises
    ------
    ValueError
        If it is another one.
    """

    def __init__(self, dim: int = 1) -> None:
        super().__init__()
        if whole_number("dim", dim) != 1:
            raise ValueError(
                f"dim is {dim}; expected 1, the channels: within a model trials are independent of each other. The "
                "function sum() adds up arrays along any axis."
            )

    def _build(self, pre: Population) -> Built:
        post = Population((*pre.geometry[:2], 1), linear())
        Convolution(pre, post, "exc").connect_filters(np.ones((1, 1, 1, pre.geometry[2])))
        return Built(post)


def sum(*xs: Any, dim: int = 1) -> Array:
    """Return the sum of movies over one axis: that of all of them, put one behind the other along it.

    Parameters
    ----------
    *xs : array_like (batch, channel, time, x, y)
        Equal but for the extent of that axis.
    dim : int
        Axis, 0 to 4; default that of the channels.

    Returns
    -------
    ndarray (batch, channel, time, x, y)
        float32, 1 along `dim`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    """
    axis = whole_number("dim", dim)
    if not 0 <= axis < 5:
        raise ValueError(f"dim is {dim}; expected an axis of (batch, channel, time, x, y), 0 to 4.")
    movies = [real_array(f"xs[{i}]", x) for i, x in enumerate(xs)]
    shapes = [movie.shape for movie in movies]
    if (
        not movies
        or any(len(shape) != 5 for shape in shapes)
        or len({_without(shape, axis) for shape in shapes}) > 1
    ):
        raise ValueError(
            f"xs have the shapes {shapes}; expected at least one movie (batch, channel, time, x, y), and all of them "
            f"equal but for axis {axis}."
        )
    return Sum().run(np.concatenate(movies, axis).swapaxes(axis, 1)).swapaxes(axis, 1)


def checked_layer(name: str, layer: Any) -> Layer:
    """Return a layer, or raise TypeError."""
    if not isinstance(layer, Layer):
        raise TypeError(
            f"{name} is a {type(layer).__name__}; expected a layer of weightsharing.temporal. Nonlinearity('r = ...') "
            "makes one from an equation."
        )
    return layer


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


def _positive_or_zero(name: str, value: Any) -> int:
    number = whole_number(name, value)
    if number < 0:
        raise ValueError(f"{name} is {number}; expected 0 or more.")
    return number


def _all_of(functions: Sequence[Callable[[], None]]) -> Callable[[], None]:
    def call() -> None:
        for function in functions:
            function()

    return call
