"""Convolutions in time and space: `Conv1d`, `Conv2d`, `Conv3d`, `RF`, and the models `L` and `LN`."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from typing import Any, ClassVar

import numpy as np

from ..checks.arrays import converted, frozen, real_array, whole_tuple
from ..checks.shapes import Array
from ..description.neuron import Neuron
from ..population.population import Population
from ..projection.convolution import Convolution
from .delays import TimePadding
from .extents import checked_extents, checked_flag, checked_spatial_extents, positive_whole, with_time
from .layer import Built, Layer
from .responses import Resolution, exponential_filter_1d, exponential_highpass_filter_1d, gauss_filter_2d

_PADDINGS: dict[str, float | str] = {
    "replicate": "border",
    "constant": 0.0,
    "reflect": "reflect",
    "circular": "wrap",
}
_ALL, _NEW = slice(None), None


class Conv3d(Layer):
    """Bank of filters in time and space, over all channels.

    ::

        r(t)[o, x, y] = bias[o] + sum over c, k, i, j of
            weight[o, c, k, i, j] * movie(t - (T-1-k))[c, stride*x + dilation*i - H//2, ...]

    where (T, H, V) is the extent of the filters in time, x and y. Weights and bias are 0 at first.

    Parameters
    ----------
    in_channels, out_channels : int
        Number of channels of the movie and of the result.
    kernel_size : int or (int, int, int)
        Extent of the filters in time, x and y.
    bias : bool
        Whether there is a bias for each channel of the result.
    stride, dilation : int or (int, int, int)
        Distance between pixels of the result, and between those that neighbouring weights meet; 1 in time.
        With a dilation d the result has (d-1)*(H-1) pixels less along x.
    groups : int
        The channels fall into so many groups that do not mix. They are computed like a filter of all channels
        with weights 0 between the groups, so that infinity and NaN in one become NaN in all.
    time_pad : bool
        False: results that would need a frame before those of the piece are left out, and nothing is
        remembered from one piece to the next.
    autopad : bool
        False: results that would need a pixel outside the image are left out.

    Attributes
    ----------
    time_pad : TimePadding
        Its `mode` says what stands before the first frame; its length is not used.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Examples
    --------
    >>> import numpy as np
    >>> from weightsharing import temporal
    >>> change = temporal.Conv3d()
    >>> change.set_weight([1.0, -1.0])
    >>> change.run(np.arange(4.0).reshape(4, 1, 1) ** 2).ravel()
    array([0., 1., 3., 5.], dtype=float32)
    """

    # For each number of dimensions that weights may have: how they become (out, in, time, x, y).
    _dimensions: ClassVar[dict[int, tuple[Any, ...]]] = {
        1: (_NEW, _NEW, _ALL, _NEW, _NEW),
        2: (_NEW, _NEW, _NEW, _ALL, _ALL),
        3: (_NEW, _NEW, _ALL, _ALL, _ALL),
        5: (_ALL, _ALL, _ALL, _ALL, _ALL),
    }
    _without_channels: tuple[int, ...] = (1, 2, 3)
    _own: tuple[Any, ...] = (_ALL,) * 5  # how they are handed out
    _bounds = ""

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        kernel_size: int | Sequence[int] = (1, 1, 1),
        bias: bool = True,
        stride: int | Sequence[int] = 1,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        *,
        time_pad: bool = True,
        autopad: bool = True,
    ) -> None:
        super().__init__()
        self._groups = positive_whole("groups", groups)
        channels = positive_whole("out_channels", out_channels), positive_whole("in_channels", in_channels)
        extent = checked_extents("kernel_size", kernel_size)
        self._check_groups(channels)
        self._stride, self._dilation = (
            checked_spatial_extents("stride", stride),
            checked_spatial_extents("dilation", dilation),
        )
        self._time_pad = TimePadding()
        self.do_time_pad, self.autopad, self.autopad_mode = time_pad, autopad, "replicate"
        has_bias = checked_flag("bias", bias)
        self._weight: Array = frozen(np.zeros((channels[0], channels[1] // self._groups, *extent)))
        self._bias: Array | None = frozen(np.zeros(channels[0])) if has_bias else None

    # --- Settings ---

    @property
    def time_pad(self) -> TimePadding:
        """What stands before the first frame: its `mode`."""
        return self._time_pad

    @property
    def do_time_pad(self) -> bool:
        """Whether earlier frames are remembered."""
        return self._do_time_pad

    @do_time_pad.setter
    def do_time_pad(self, flag: bool) -> None:
        self._do_time_pad = checked_flag("time_pad", flag)

    @property
    def autopad(self) -> bool:
        """Whether the result is as large as the image."""
        return self._autopad

    @autopad.setter
    def autopad(self, flag: bool) -> None:
        self._autopad = checked_flag("autopad", flag)

    @property
    def autopad_mode(self) -> str:
        """Pixels outside the image: ``'replicate'``, ``'constant'`` (0), ``'reflect'`` or ``'circular'``."""
        return self._autopad_mode

    @autopad_mode.setter
    def autopad_mode(self, mode: str) -> None:
        if mode not in _PADDINGS:
            raise ValueError(f"autopad_mode is {mode!r}; expected one of {', '.join(map(repr, _PADDINGS))}.")
        self._autopad_mode = mode

    @property
    def in_channels(self) -> int:
        """Channels of the movie."""
        return int(self._weight.shape[1]) * self._groups

    @property
    def out_channels(self) -> int:
        """Channels of the result."""
        return len(self._weight)

    @property
    def kernel_size(self) -> tuple[int, ...]:
        """Extent of the filters in time, x and y."""
        return self._weight.shape[2:]

    # --- Weights ---

    @property
    def weight(self) -> Array:
        """Weights (out, in, time, x, y) as they meet the movie, the last along time the newest frame.

        Read-only; assign others, or use `set_weight`.
        """
        weight: Array = self._present_weight()[self._own]
        return weight

    @weight.setter
    def weight(self, weight: Any) -> None:
        self.set_weight(weight, flip=False)

    @property
    def bias(self) -> Array | None:
        """Added to each channel of the result, (out,), or None; assign numbers or one for all."""
        return self._bias

    @bias.setter
    def bias(self, bias: Any) -> None:
        if bias is None:
            self._bias = None
            return
        values = real_array("bias", bias)
        if values.shape not in ((), (1,), (self.out_channels,)):
            raise ValueError(
                f"bias has the shape {values.shape}; expected one number, or one for each of the "
                f"{self.out_channels} channels of the result."
            )
        self._bias = frozen(converted("bias", np.broadcast_to(values, (self.out_channels,)), np.float64))

    def set_weight(
        self, w: Any, normalize: bool = False, preserve_channels: bool = False, flip: bool = True
    ) -> None:
        """Assign weights, of any extent.

        While there is memory of earlier frames, the next run accepts weights of the present extent only.

        Parameters
        ----------
        w : array_like or float
            One number for all weights, or an array: of `Conv3d` (time,), (x, y), (time, x, y) or (out, in, time,
            x, y); of `Conv2d` (x, y), (in, x, y) or (out, in, x, y); of `Conv1d` (time,) or (out, in, time).
            Without channels it makes the layer one of a single channel. Of several `groups`, ``in`` counts the
            channels of one.
        normalize : bool
            Divide by the sum of all weights.
        preserve_channels : bool
            Use an array without channels for all pairs of channels there are.
        flip : bool
            Mirror an array along time, x and y: a true convolution, whose impulse response is `w`; its first
            frame meets the newest one. False: the weights lie on the movie as they are, the last frame on the
            newest one.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described, or the sum is 0. Nothing has changed then.
        """
        flags = {"normalize": normalize, "preserve_channels": preserve_channels, "flip": flip}
        for name, flag in flags.items():
            checked_flag(name, flag)
        weight = self._full(real_array("w", w), bool(preserve_channels))
        if normalize:
            total = float(weight.sum())
            if total == 0.0:
                raise ValueError("w sums to 0, so it cannot be normalised; leave out normalize.")
            weight = weight / total
        if flip:
            weight = weight[:, :, ::-1, ::-1, ::-1]
        self._weight = frozen(np.ascontiguousarray(weight))
        if self._bias is not None and len(self._bias) != len(weight):
            self._bias = frozen(np.zeros(len(weight)))

    def _full(self, given: Array, preserve_channels: bool) -> Array:
        """Weights with all axes, (out, in, time, x, y)."""
        if given.ndim == 0:
            return np.full(self._weight.shape, given, dtype=np.float64)
        if given.ndim not in self._dimensions or 0 in given.shape:
            expected = ", ".join(map(str, (0, *self._dimensions)))
            raise ValueError(
                f"w has the shape {given.shape}; expected {expected} dimensions, none of them empty."
            )
        weight: Array = converted("w", given, np.float64)[self._dimensions[given.ndim]]
        if preserve_channels and given.ndim in self._without_channels:
            return np.broadcast_to(weight, (*self._weight.shape[:2], *weight.shape[2:]))
        self._check_groups((weight.shape[0], weight.shape[1] * self._groups))
        return weight

    def _check_groups(self, channels: tuple[int, int]) -> None:
        if channels[0] % self._groups or channels[1] % self._groups:
            raise ValueError(
                f"groups is {self._groups}; expected a divisor of the {channels[1]} channels of the movie and the "
                f"{channels[0]} of the result."
            )

    def exponential(self, tau: float, **options: Any) -> None:
        """Make it an exponential low-pass filter in time.

        Parameters
        ----------
        tau : float
            Time constant in seconds.
        **options
            As for `exponential_filter_1d`.
        """
        self.set_weight(exponential_filter_1d(tau, **options))

    def highpass_exponential(self, tau: float, **options: Any) -> None:
        """Make it an exponential high-pass filter in time.

        Parameters
        ----------
        tau : float
            Time constant in seconds.
        **options
            As for `exponential_highpass_filter_1d`.
        """
        self.set_weight(exponential_highpass_filter_1d(tau, **options))

    def gaussian(self, sig: float, resolution: Resolution | None = None) -> None:
        """Make it a Gaussian filter in space.

        Parameters
        ----------
        sig : float
            Standard deviation in degrees.
        resolution : Resolution, optional
            Default: ``Resolution()``.
        """
        self.set_weight(gauss_filter_2d(sig, sig, resolution))

    # --- The network ---

    @property
    def _remembers(self) -> bool:  # type: ignore[override]
        return self._do_time_pad and self._weight.shape[2] > 1

    @property
    def _history(self) -> str:  # type: ignore[override]
        return self._time_pad.mode if self._remembers else ""

    @property
    def _dropped_frames(self) -> int:  # type: ignore[override]
        return 0 if self._do_time_pad else self._weight.shape[2] - 1

    def _structure(self) -> Hashable:
        return (
            (self._weight.shape, self._bias is None, self._history, self._do_time_pad),
            (self._autopad, self._autopad_mode, self._stride, self._dilation, self._groups),
        )

    def _build(self, pre: Population) -> Built:
        weight = self._weight_for(pre)
        if pre.geometry[2] != self.in_channels:
            raise ValueError(
                f"{type(self).__name__}: the weights {self.weight.shape} are for {self.in_channels} channels, the "
                f"movie has {pre.geometry[2]} there."
            )
        extent, options = self._placed(pre.geometry)
        if self._bias is None:
            neuron = Neuron(equations=f"r = sum(exc){self._bounds}")
        else:
            neuron = Neuron("bias = 0.0 : filter", f"r = sum(exc) + bias{self._bounds}")
        post = Population((*extent, len(weight)), neuron)
        projection = Convolution(pre, post, "exc").connect_filters(
            self._filters(weight), time_axis=True, history=self._history or "zeros", **options
        )
        assigned = self._weight

        def refresh() -> None:
            nonlocal assigned
            if self._weight is not assigned:
                projection.weights = self._filters(self._weight_for(pre))
                assigned = self._weight
            if self._bias is not None:
                post.set({"bias": self._bias})

        return Built(post, refresh)

    def _present_weight(self) -> Array:
        return self._weight

    def _weight_for(self, pre: Population) -> Array:
        """Weights for a population of this image size."""
        return self._weight

    def _filters(self, weight: Array) -> Array:
        """Weights as a projection takes them: (out, time, x, y, in), the newest frame first."""
        if self._groups > 1:
            out, per_group = weight.shape[:2]
            spread = np.zeros((out, self.in_channels, *weight.shape[2:]))
            for one in range(out):
                first = one * self._groups // out * per_group
                spread[one, first : first + per_group] = weight[one]
            weight = spread
        return np.moveaxis(weight[:, :, ::-1], 1, -1)

    def _placed(self, geometry: tuple[int, ...]) -> tuple[tuple[int, ...], dict[str, Any]]:
        """Image size of the result, and where the filters lie."""
        extents, stride, dilation = self._weight.shape[3:], self._stride, self._dilation
        sizes, first = [], []
        for size, k, s, d in zip(geometry, extents, stride, dilation, strict=False):
            outside = k - 1 if self._autopad else 0
            sizes.append((size + outside - d * (k - 1) - 1) // s + 1)
            first.append((d - 1) * (k // 2))
        if min(sizes) < 1:
            raise ValueError(
                f"{type(self).__name__}: filters of the extent {extents}, dilation {dilation}, do not fit into an "
                f"image of the size {geometry[:2]}; give a larger image."
            )
        if not self._autopad:
            return tuple(sizes), {"padding": "valid", "strides": (*stride, 1), "dilation": (*dilation, 1)}
        middle = geometry[2] // 2
        options: dict[str, Any] = {
            "padding": _PADDINGS[self._autopad_mode],
            "dilation": (*dilation, 1),
            "anchor": (*(k // 2 for k in extents), middle),
        }
        if any(n == 1 and k == p > 1 for n, k, p in zip(sizes, extents, geometry, strict=False)):
            # A filter as long as the image would be laid onto all of it.
            along = [range(f, f + n * s, s) for f, n, s in zip(first, sizes, stride, strict=True)]
            options["subsampling"] = [(*place, middle) for place in itertools.product(*along)]
        else:
            options |= {"strides": (*stride, 1), "first": (*first, 0)}
        return tuple(sizes), options


class Conv2d(Conv3d):
    """`Conv3d` of a single frame, which remembers nothing.

    Parameters
    ----------
    in_channels, out_channels, bias, stride, dilation, groups, autopad
        As for `Conv3d`.
    kernel_size : int or (int, int)
        Extent of the filters in x and y.
    """

    _dimensions: ClassVar[dict[int, tuple[Any, ...]]] = {
        2: (_NEW, _NEW, _NEW, _ALL, _ALL),
        3: (_NEW, _ALL, _NEW, _ALL, _ALL),
        4: (_ALL, _ALL, _NEW, _ALL, _ALL),
    }
    _without_channels = (2,)
    _own = (_ALL, _ALL, 0)

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        kernel_size: int | Sequence[int] = (1, 1),
        bias: bool = True,
        stride: int | Sequence[int] = 1,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        *,
        autopad: bool = True,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            with_time("kernel_size", kernel_size),
            bias,
            with_time("stride", stride),
            with_time("dilation", dilation),
            groups,
            autopad=autopad,
        )


class Conv1d(Conv3d):
    """`Conv3d` of a single pixel: filters in time.

    Parameters
    ----------
    in_channels, out_channels, bias, groups, time_pad
        As for `Conv3d`.
    kernel_size : int
        Extent of the filters in time.
    """

    _dimensions: ClassVar[dict[int, tuple[Any, ...]]] = {
        1: (_NEW, _NEW, _ALL, _NEW, _NEW),
        3: (_ALL, _ALL, _ALL, _NEW, _NEW),
    }
    _without_channels = (1,)
    _own = (_ALL, _ALL, _ALL, 0, 0)

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        kernel_size: int | Sequence[int] = 1,
        bias: bool = True,
        groups: int = 1,
        *,
        time_pad: bool = True,
    ) -> None:
        length = whole_tuple("kernel_size", kernel_size, 1, "one entry")
        super().__init__(in_channels, out_channels, (*length, 1, 1), bias, groups=groups, time_pad=time_pad)
