"""`RF`, `L` and `LN`: `Conv3d` at a single place, without a bias, and with a rectified result."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from ..checks.arrays import frozen
from ..checks.shapes import Array
from ..population.population import Population
from .convolutions import Conv3d


class RF(Conv3d):
    """Receptive field: `Conv3d` at a single place, the result has one pixel.

    The first weight along x and y lies on the first pixel. Pixels beyond the filter are not seen; where the
    filter is larger than the image, it sees 0. Mind that ``set_weight(w)`` lays `w` on the image rotated by 180
    degrees: a pattern to be found needs ``flip=False``.

    Until weights are set they are the mean over the image and the time of `kernel_size`; `weight` shows them
    after the first run.

    Parameters
    ----------
    in_channels, out_channels, bias
        As for `Conv3d`.
    kernel_size : int or (int, int, int)
        Extent in time, x and y; without weights only that in time counts.
    rf_mode : {'corner'}
        Where the filter lies.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        kernel_size: int | Sequence[int] = (1, 1, 1),
        bias: bool = True,
        rf_mode: str = "corner",
    ) -> None:
        if rf_mode != "corner":
            raise ValueError(f"rf_mode is {rf_mode!r}; expected 'corner'.")
        super().__init__(in_channels, out_channels, kernel_size, bias)
        self._mean: Array | None = self._weight  # used until weights are set

    def set_weight(
        self, w: Any, normalize: bool = False, preserve_channels: bool = False, flip: bool = True
    ) -> None:
        """Assign weights, see `Conv3d.set_weight`."""
        super().set_weight(w, normalize, preserve_channels, flip)
        self._mean = None

    def _structure(self) -> Hashable:
        return self._mean is None, super()._structure()

    def _present_weight(self) -> Array:
        return self._weight if self._mean is None else self._mean

    def _weight_for(self, pre: Population) -> Array:
        if self._mean is None:
            return self._weight
        shape = (*self._weight.shape[:3], *pre.geometry[:2])
        self._mean = frozen(np.full(shape, 1.0 / math.prod(shape[2:])))
        return self._mean

    def _placed(self, geometry: tuple[int, ...]) -> tuple[tuple[int, ...], dict[str, Any]]:
        return (1, 1), {"padding": 0.0, "strides": 1, "first": 0, "anchor": 0}


class L(Conv3d):
    """Linear model: `Conv3d` without a bias.

    Parameters
    ----------
    kernel_dim : (int, int, int) or (int, int, int, int, int)
        Extent in time, x and y; or the number of channels of the result and of the movie before it.
    bias : bool
        Whether there is one nevertheless.
    """

    def __init__(self, kernel_dim: Sequence[int] = (1, 1, 1), bias: bool = False) -> None:
        channels = (1, 1)
        if isinstance(kernel_dim, Sequence) and len(kernel_dim) == 5:
            channels, kernel_dim = (kernel_dim[1], kernel_dim[0]), kernel_dim[2:]
        super().__init__(*channels, kernel_dim, bias)

    @property
    def conv(self) -> Conv3d:
        """The filter: this layer itself."""
        return self


class LN(L):
    """Linear-nonlinear model: ``max(x, 0)`` of `L`.

    Parameters
    ----------
    kernel_dim, bias
        As for `L`.
    """

    _bounds = " : min=0.0"
