"""The specification in NumPy, as plain as the page reads: slow, and the judge of every other backend.

Nothing here looks at the compiled core. Centres, offsets and shapes are derived again from the descriptions,
so that a mistake in one of the two places shows as a difference. Every projection is a Python loop over its
taps; a tap is seen from all post units at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ..checks.shapes import Shape
from ..description.neuron import statistic
from ..description.projections import (
    Description,
    Operation,
    PoolingDescription,
    SharedDescription,
    SynapsesDescription,
)
from ..description.schedule import (
    CheckFinite,
    ClearSum,
    Combine,
    FillHistory,
    Frames,
    GatherHistory,
    HostRunner,
    NotFinite,
    Project,
    PushHistory,
    Recording,
    Reduce,
    Schedule,
    SetInput,
    Step,
    Update,
)
from ..language.expressions import Draw

Integers = NDArray[np.int64]
Array = NDArray[Any]

# Sums are added up wider than any result, so that their own rounding does not blur a judgement.
ACCUMULATOR = np.longdouble


# --- Specification section 2: where the filters lie ---------------------------------------------------------


def filter_rank(description: SharedDescription) -> int:
    """Return the number of pre axes that a filter extends over: all, or all but the last when layer-wise."""
    return len(description.pre) - (1 if description.keep_last_dimension else 0)


def unit_shape(description: SharedDescription) -> Shape:
    """Return the grid of post units that one filter feeds: `post`, of a bank without its filter axis."""
    return description.post[:-1] if description.bank else description.post


def is_collapsed(description: SharedDescription, axis: int, extent: Shape) -> bool:
    """Tell whether a filter of this extent spans the whole pre axis (never with listed centres)."""
    if description.centres is not None:
        return False
    post = unit_shape(description)
    return axis >= len(post) or (post[axis] == 1 and extent[axis] == description.pre[axis])


def tap_offsets(description: SharedDescription, axis: int, extent: Shape) -> Integers:
    """Return, for every element along one filter axis, the pre coordinate it reads minus that of the centre.

    Parameters
    ----------
    description
        The projection.
    axis
        Axis of the filter.
    extent
        Shape of the filter.

    Returns
    -------
    int64 array (extent[axis],)

    Raises
    ------
    ValueError
        If the axis is collapsed and the filter does not span it.
    """
    size, element = extent[axis], np.arange(extent[axis], dtype=np.int64)
    convolution = description.method == "convolution"
    if is_collapsed(description, axis, extent):
        if size != description.pre[axis]:
            raise ValueError(
                f"weights: post {description.post} lacks axis {axis} of pre {description.pre}, so the filter "
                f"{extent} must span it with {description.pre[axis]} elements"
            )
        return (element[::-1] if convolution else element) - (size - 1) // 2
    origin = size // 2 if size % 2 else size // 2 - 1
    if description.anchor is not None:
        origin = description.anchor[axis]
    dilation = 1 if description.dilation is None else description.dilation[axis]
    return (-1 if convolution else 1) * dilation * (element - origin)


def axis_centres(description: SharedDescription, axis: int, extent: Shape) -> Integers:
    """Return the regular centres along one axis of the filter, one per post unit along that axis.

    Raises
    ------
    ValueError
        If pre is no whole multiple of post and nothing else places the centres, if a centre is outside pre, or
        if post does not have the size that ``padding='valid'`` gives.
    """
    pre, post = description.pre[axis], (*unit_shape(description), *description.pre)[axis]
    what = f"pre {description.pre}, post {description.post}, filter {extent}, axis {axis}"
    if is_collapsed(description, axis, extent):
        return np.array([(pre - 1) // 2], dtype=np.int64)
    if description.padding == "valid":
        if description.first is not None:
            raise ValueError(
                f"first={description.first}: padding='valid' places the first filter; leave first out"
            )
        stride = 1 if description.strides is None else description.strides[axis]
        offsets = tap_offsets(description, axis, extent)
        span = int(offsets.max() - offsets.min())
        units = (pre - span - 1) // stride + 1
        if pre <= span or units != post:
            raise ValueError(f"{what}: padding='valid' gives {max(units, 0)} units; give post that size")
        first = -int(offsets.min())
    elif description.strides is not None:
        stride = description.strides[axis]
        first = 0 if description.first is None else description.first[axis]
    else:
        stride = pre // post
        if stride * post != pre:
            raise ValueError(
                f"{what}: {pre} is no whole multiple of {post}; list the centres with subsampling"
            )
        first = (stride - 1) // 2 if description.first is None else description.first[axis]
    centres = first + stride * np.arange(post, dtype=np.int64)
    if centres.min() < 0 or centres.max() >= pre:
        raise ValueError(f"{what}: centres {centres.min()} to {centres.max()} must lie in 0 to {pre - 1}")
    return centres


def centres(description: SharedDescription, number: int = 0) -> Integers:
    """Return the pre coordinates that one filter is centred on.

    Parameters
    ----------
    description
        The projection.
    number
        Which filter of a bank. It matters only where filters of different extents have their own centres
        (``padding='valid'``).

    Returns
    -------
    int64 array (units, rank of pre)
        One row per post unit (of a bank: without the filter axis), in rank order. The centre of a collapsed
        axis is the middle, ``(P - 1) // 2``.

    Raises
    ------
    ValueError
        If the shapes of pre, post and the filter do not fit together.
    """
    pre, post, extent = description.pre, unit_shape(description), description.extents[number]
    if description.centres is not None:
        listed = np.asarray(description.centres, dtype=np.int64)
        if listed.shape != (prod(post), len(pre)):
            raise ValueError(f"subsampling: got shape {listed.shape}, expected {(prod(post), len(pre))}")
        if (listed < 0).any() or (listed >= pre).any():
            raise ValueError(f"subsampling: every centre must lie inside pre {pre}")
        return listed
    if len(post) > len(pre):
        raise ValueError(
            f"post {description.post} has more axes than pre {pre}: use a bank or list the centres"
        )
    along = [axis_centres(description, axis, extent) for axis in range(filter_rank(description))]
    if description.keep_last_dimension:
        if len(post) != len(pre) or post[-1] != pre[-1]:
            raise ValueError(
                f"keep_last_dimension: post {post} must have as many axes and slices as pre {pre}"
            )
        along.append(np.arange(pre[-1], dtype=np.int64))
    return np.stack(np.meshgrid(*along, indexing="ij"), axis=-1).reshape(-1, len(pre))


def locate(coordinates: Integers, pre: Shape, padding: float | str) -> tuple[Integers, NDArray[np.bool_]]:
    """Return the pre elements at some coordinates, as the padding continues pre beyond its borders.

    Parameters
    ----------
    coordinates
        int64 array (units, rank of pre), anywhere.
    pre
        Geometry of pre.
    padding
        A number or one of the specification's words.

    Returns
    -------
    rank : int64 array (units,)
        Rank of the pre unit; 0 where there is none.
    inside : bool array (units,)
        Whether there is one.
    """
    index = np.empty_like(coordinates)
    inside = np.ones(len(coordinates), dtype=np.bool_)
    for axis, size in enumerate(pre):
        x = coordinates[:, axis]
        if padding == "border":
            x = np.clip(x, 0, size - 1)
        elif padding == "wrap":
            x = x % size
        elif padding == "reflect":
            period = max(2 * (size - 1), 1)
            x = x % period
            x = np.where(x < size, x, period - x)
        index[:, axis] = x
        inside &= (x >= 0) & (x < size)
    index[~inside] = 0
    return np.ravel_multi_index(tuple(index.T), pre).astype(np.int64), inside


# --- Taps: what every post unit reads, one element at a time ------------------------------------------------


@dataclass(frozen=True)
class Tap:
    """One element of a filter, a box or a row of synapses, seen from every post unit at once.

    Attributes
    ----------
    rank
        int64 array (units,): the pre unit read.
    inside
        bool array (units,): False where there is no such pre unit.
    weight
        A number, an array (units,), or None where there are no weights.
    """

    rank: Integers
    inside: NDArray[np.bool_]
    weight: Array | None = None


def shared_taps(description: SharedDescription, number: int, weights: Array) -> Iterator[Tap]:
    """Yield the taps of one filter, last axis fastest (specification section 2)."""
    centre, extent = centres(description, number), description.extents[number]
    offsets = [tap_offsets(description, axis, extent) for axis in range(len(extent))]
    for element in np.ndindex(*extent):
        coordinates = centre.copy()
        for axis, k in enumerate(element):
            coordinates[:, axis] += offsets[axis][k]
        rank, inside = locate(coordinates, description.pre, description.padding)
        yield Tap(rank, inside, weights[element])


def pooling_corners(description: PoolingDescription) -> Integers:
    """Return the first pre element of every box, (post size, rank of pre); 0 along the axes that post lacks.

    Raises
    ------
    ValueError
        If a box is wholly outside pre, or does not cover an axis that post lacks.
    """
    pre, post, extent = description.pre, description.post, description.extent
    if len(post) > len(pre):
        raise ValueError(f"post {post} has more axes than pre {pre}")
    along = []
    for axis, size in enumerate(pre):
        if axis >= len(post) and extent[axis] < size:
            raise ValueError(
                f"extent {extent}: post {post} lacks axis {axis} of pre {pre}, the box must cover it"
            )
        count = post[axis] if axis < len(post) else 1
        corner = description.stride[axis] * np.arange(count, dtype=np.int64)
        if corner[-1] >= size:
            raise ValueError(
                f"extent {extent}, stride {description.stride}: the last box is outside pre {pre}"
            )
        along.append(corner)
    return np.stack(np.meshgrid(*along, indexing="ij"), axis=-1).reshape(-1, len(pre))


def pooling_taps(description: PoolingDescription) -> Iterator[Tap]:
    """Yield the elements of the pooling box, last axis fastest (specification section 3)."""
    corner = pooling_corners(description)
    for element in np.ndindex(*description.extent):
        yield Tap(*locate(corner + np.array(element, dtype=np.int64), description.pre, "ignore"))


def synapse_taps(description: SynapsesDescription, weights: Array) -> Iterator[Tap]:
    """Yield the first synapse of every post unit, then the second, ... (specification section 4)."""
    start, count = description.row_start[:-1], np.diff(description.row_start)
    for number in range(int(count.max(initial=0))):
        inside = number < count
        synapse = np.where(inside, start + number, 0)
        yield Tap(description.column[synapse], inside, weights[synapse])


# --- The one equation ---------------------------------------------------------------------------------------


class Reduction:
    """The contributions of the taps, reduced as they come; NaN propagates.

    Parameters
    ----------
    operation
        'sum', 'mean', 'max' or 'min'.
    shape
        (batch, units).
    dtype
        Type of the contributions and of the result.
    """

    def __init__(self, operation: Operation, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        start = {"sum": 0.0, "mean": 0.0, "max": -np.inf, "min": np.inf}[operation]
        self.operation, self.dtype = operation, dtype
        self.value = np.full(shape, start, dtype=ACCUMULATOR if operation in ("sum", "mean") else dtype)
        self.count = np.zeros(shape[1], dtype=np.int64)

    def add(self, contribution: Array, takes_part: NDArray[np.bool_]) -> None:
        """Take one tap's contributions (batch, units), where it takes part (units,)."""
        combine = {"sum": np.add, "mean": np.add, "max": np.maximum, "min": np.minimum}[self.operation]
        self.value = np.where(takes_part, combine(self.value, contribution), self.value)
        self.count += takes_part

    def result(self) -> Array:
        """Return the reduced values (batch, units); 0 for a unit without any tap."""
        value = self.value
        if self.operation == "mean":
            value = value / np.maximum(self.count, 1)
        return np.where(self.count > 0, value, 0).astype(self.dtype)


def family(description: Description) -> str:
    """Return the name of the kernel family that the other backends compute this projection with."""
    if isinstance(description, PoolingDescription):
        return "pool"
    if isinstance(description, SynapsesDescription):
        return "synapses"
    if description.centres is not None:
        return "gather"
    return "bank" if description.bank else "window"


def least_work(description: Description, dtype: np.dtype[Any]) -> tuple[int, int]:
    """Return the bytes that one trial moves and the flops that it computes at least, tap by tap."""
    if isinstance(description, PoolingDescription):
        weights, flops = 0, prod(description.post) * prod(description.extent)
    elif isinstance(description, SynapsesDescription):
        weights = len(description.column)
        flops = 2 * weights
    else:
        weights = sum(prod(extent) for extent in description.extents)
        flops = 2 * prod(unit_shape(description)) * weights
    return dtype.itemsize * (prod(description.pre) + prod(description.post) + weights), flops


class ReferenceExecutor:
    """A connected projection, computed as the specification reads.

    Parameters
    ----------
    description
        What is connected.
    dtype
        float32 or float64: the type that contributions are computed in and results rounded to, whatever the
        type of the weights and rates. float64 makes the judge of a float32 backend; sums are added up in
        extended precision in any case.

    Raises
    ------
    ValueError
        If the shapes of the description do not fit together.
    """

    def __init__(self, description: Description, dtype: DTypeLike) -> None:
        self.description = description
        self.dtype = np.dtype(dtype)
        self._weights: list[Array] | None = None
        if isinstance(description, SharedDescription):
            self._check_filters(description)
        elif isinstance(description, PoolingDescription):
            pooling_corners(description)

    @staticmethod
    def _check_filters(description: SharedDescription) -> None:
        filters = description.post[-1] if description.bank else 1
        if len(description.extents) != filters:
            raise ValueError(
                f"weights: {len(description.extents)} filters, expected {filters} for post {description.post}"
            )
        for number, extent in enumerate(description.extents):
            if len(extent) != filter_rank(description):
                raise ValueError(
                    f"weights: filter {extent} has {len(extent)} axes, expected {filter_rank(description)} for pre "
                    f"{description.pre} with keep_last_dimension={description.keep_last_dimension}"
                )
            centre = centres(description, number)
            for axis, size in enumerate(description.pre[: len(extent)]):
                offsets = tap_offsets(description, axis, extent)
                first, last = centre[:, axis].min() + offsets.min(), centre[:, axis].max() + offsets.max()
                if description.padding == "valid" and (first < 0 or last >= size):
                    raise ValueError(
                        f"padding='valid': filter {extent} reaches {first} to {last} along axis {axis} of pre "
                        f"{description.pre}; move the centres inside or choose another padding"
                    )

    def set_weights(self, weights: Sequence[ArrayLike] | Array) -> None:
        """Take a copy of the weights.

        Parameters
        ----------
        weights
            Shared: one array per filter, shaped as `description.extents`. Synapses: one value per synapse, in
            the order of `description.column`.

        Raises
        ------
        ValueError
            If a shape differs.
        TypeError
            If the projection is a pooling, which has no weights.
        """
        if isinstance(self.description, PoolingDescription):
            raise TypeError("weights: pooling has none, do not set any")
        if isinstance(self.description, SynapsesDescription):
            taken = [np.array(weights, dtype=self.dtype).reshape(-1)]
            expected: tuple[Shape, ...] = (self.description.column.shape,)
        else:
            taken = [np.array(one, dtype=self.dtype) for one in weights]
            expected = self.description.extents
        shapes = tuple(one.shape for one in taken)
        if shapes != expected:
            raise ValueError(f"weights: got shapes {shapes}, expected {expected}")
        self._weights = taken

    def run(self, rates: Array, out: Array, accumulate: bool) -> None:
        """Compute every post unit.

        Parameters
        ----------
        rates
            Array (batch, \\*pre).
        out
            Array (batch, \\*post). Overwritten, or added to with `accumulate`.
        accumulate
            Whether `out` holds the contributions of other projections.

        Raises
        ------
        ValueError
            If a shape differs, or there are no weights yet.
        """
        result = self._reduced(rates, self.description.operation, absolute=False)
        if out.shape != result.shape:
            raise ValueError(f"out: got shape {out.shape}, expected {result.shape}")
        if accumulate:
            with np.errstate(all="ignore"):
                out += result
        else:
            out[...] = result

    def magnitude(self, rates: Array) -> Array:
        """Return the scale of each post unit's rounding error, (batch, \\*post).

        The absolute values of the contributions (with the default psp ``|w * r|``): their sum for 'sum', their
        mean for 'mean', their maximum for 'max' and 'min'.
        """
        operation = self.description.operation
        return self._reduced(rates, "max" if operation == "min" else operation, absolute=True)

    def describe(self) -> dict[str, object]:
        """Return which algorithm runs, why, and what one trial moves (bytes) and computes (flops) at least."""
        moved, computed = least_work(self.description, self.dtype)
        return {
            "backend": "reference",
            "family": family(self.description),
            "algorithm": "direct",
            "reason": "the reference computes tap by tap, as the specification reads",
            "bytes": moved,
            "flops": computed,
        }

    def _taps(self) -> list[Iterator[Tap]]:
        """Return the taps of each filter; pooling and synapses count as one."""
        if isinstance(self.description, PoolingDescription):
            return [pooling_taps(self.description)]
        if self._weights is None:
            raise ValueError("weights: call set_weights first")
        if isinstance(self.description, SynapsesDescription):
            return [synapse_taps(self.description, self._weights[0])]
        return [shared_taps(self.description, number, one) for number, one in enumerate(self._weights)]

    def _contribution(self, rate: Array, weight: Array | None) -> Array:
        """Return the psp of one tap, (batch, units)."""
        inputs = {"r": rate} if weight is None else {"w": weight, "r": rate}
        return np.broadcast_to(
            np.asarray(self.description.psp.evaluate(**inputs), dtype=self.dtype), rate.shape
        )

    def _reduced(self, rates: Array, operation: Operation, absolute: bool) -> Array:
        description = self.description
        if rates.shape[1:] != description.pre:
            raise ValueError(f"rates: got shape {rates.shape}, expected (batch, *{description.pre})")
        batch = rates.shape[0]
        flat = rates.reshape(batch, prod(description.pre)).astype(self.dtype)
        padding = description.padding if isinstance(description, SharedDescription) else "ignore"
        units = prod(
            unit_shape(description) if isinstance(description, SharedDescription) else description.post
        )
        columns = []
        # NaN, infinity and overflow are data.
        with np.errstate(all="ignore"):
            for taps in self._taps():
                reduction = Reduction(operation, (batch, units), self.dtype)
                for tap in taps:
                    rate, takes_part = flat[:, tap.rank], tap.inside
                    if not isinstance(padding, str):
                        rate = np.where(tap.inside, rate, np.asarray(padding, dtype=self.dtype))
                        takes_part = np.ones_like(tap.inside)
                    contribution = self._contribution(rate, tap.weight)
                    reduction.add(np.abs(contribution) if absolute else contribution, takes_part)
                columns.append(reduction.result())
        return np.stack(columns, axis=-1).reshape(batch, *description.post)


# --- Specification section 5: networks ---------------------------------------------------------------------


class ReferenceRunner(HostRunner):
    """A network's step, repeated in a plain Python loop.

    Parameters
    ----------
    schedule
        What one step does.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule

    def run(self, first: int, steps: int, recordings: Sequence[Recording] = ()) -> None:
        """Run steps ``first`` to ``first + steps - 1``."""
        self.done = 0
        with interrupts_between_steps() as check:
            for number in range(first, first + steps):
                for step in self.schedule.steps:
                    self._run(step, number)
                for recording in recordings:
                    self._keep(recording, number)
                self.done += 1
                for step in self.schedule.steps:
                    if isinstance(step, CheckFinite) and not np.isfinite(step.values).all():
                        element = int(np.argmin(np.isfinite(step.values)))
                        raise NotFinite(step, element, float(step.values.flat[element]), self.done)
                check()

    def _run(self, step: Step, number: int) -> None:
        if isinstance(step, ClearSum):
            step.out[...] = 0.0
        elif isinstance(step, Project):
            rates = step.rates
            if step.history is not None:
                rates = step.history[(number - step.delay) % len(step.history)]
            step.executor.run(rates, step.out, step.accumulate)
        elif isinstance(step, Combine):
            with np.errstate(all="ignore"):
                if step.operation == "sum":
                    step.out[...] += step.values / step.out.dtype.type(step.divisor)
                else:
                    combine = np.maximum if step.operation == "max" else np.minimum
                    combine(step.out, step.values, out=step.out)
        elif isinstance(step, GatherHistory):
            self._gather(step, number)
        elif isinstance(step, Reduce):
            step.out[...] = statistic(step.which, step.values).reshape(step.out.shape)
        elif isinstance(step, Update):
            draw = self._noise(step, number)
            step.neuron.evaluate(step.arrays, self.schedule.dt, number * self.schedule.dt, draw)
        elif isinstance(step, PushHistory):
            step.history[number % len(step.history)] = step.rates
        elif isinstance(step, FillHistory):
            if number == 0:
                step.history[...] = step.rates
        elif isinstance(step, SetInput):
            self._show(step.input, step.rates, number)

    @staticmethod
    def _gather(step: GatherHistory, number: int) -> None:
        delays = step.delays.reshape(step.rates.shape[1:])
        step.out[...] = step.rates
        for delay in np.unique(delays[delays > 0]):
            past = step.history[(number - delay) % len(step.history)]
            step.out[:, delays == delay] = past[:, delays == delay]

    @staticmethod
    def _show(shown: Frames, rates: Array, number: int) -> None:
        place = number - shown.origin
        if shown.frames is None or place < 0:
            return
        if shown.period:
            place %= shown.period
        found = np.flatnonzero(shown.starts == place)
        if found.size:
            rates[...] = shown.frames[found[0]]

    @staticmethod
    def _keep(recording: Recording, number: int) -> None:
        row, rest = divmod(number - recording.first, recording.period)
        if rest == 0 and 0 <= row < len(recording.rows):
            values = recording.values.reshape(len(recording.values), -1)
            recording.rows[row] = values if recording.ranks is None else values[:, recording.ranks]

    def _noise(self, step: Update, number: int) -> Draw:
        """Return what draws the noise of one population in one step."""
        rates = step.arrays["r"]
        trials = len(rates)
        double = rates.dtype == np.float64

        def draw(kind: str, occurrence: int) -> Array:
            once = kind.startswith("population_")
            shape = (1,) * (rates.ndim - 1) if once else rates.shape[1:]
            values = np.empty((trials, *shape), dtype=rates.dtype)
            for trial in range(trials):
                key = noise_key(self.schedule.seed, step.population, self.schedule.first_trial + trial)
                drawn = noise(kind.removeprefix("population_"), key, prod(shape), number, occurrence, double)
                values[trial] = drawn.reshape(shape)
            return values

        return draw


# --- Specification section 6: noise ------------------------------------------------------------------------


def philox(counter: Sequence[ArrayLike], key: tuple[int, int]) -> list[NDArray[np.uint64]]:
    """Philox4x32-10 (Salmon et al. 2011): four 32-bit words, in arrays of uint64, of four counter words."""
    low = np.uint64(0xFFFFFFFF)
    c = [np.asarray(word, dtype=np.uint64) for word in counter]
    k = [int(word) for word in key]
    for _ in range(10):
        first, second = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [
            (second >> np.uint64(32)) ^ c[1] ^ np.uint64(k[0]),
            second & low,
            (first >> np.uint64(32)) ^ c[3] ^ np.uint64(k[1]),
            first & low,
        ]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


def noise_key(seed: int, population: int, trial: int) -> tuple[int, int]:
    """Return the key of the noise of one trial of one population."""
    words = philox((population, trial, 0x6E6F6973, 0), (seed % 2**32, seed >> 32))
    return int(words[0]), int(words[1])


def noise(kind: str, key: tuple[int, int], units: int, step: int, occurrence: int, double: bool) -> Array:
    """Return one raw draw per unit: 'uniform' in [0, 1), or standard 'normal' by Box and Muller.

    A group of four neighbouring units of float32, two of float64, shares the four words of one counter.
    """
    per_group = 2 if double else 4
    group = np.arange(-(-units // per_group), dtype=np.uint64)
    high = (group >> np.uint64(32)) | np.uint64((step >> 32) << 16)
    words = philox((group & np.uint64(0xFFFFFFFF), high, step % 2**32, occurrence), key)
    if double:
        pairs = [words[1] << np.uint64(32) | words[0], words[3] << np.uint64(32) | words[2]]
        even = [(pair >> np.uint64(11)).astype(np.float64) * 2.0**-53 for pair in pairs]
        if kind == "uniform":
            return np.stack(even, axis=-1).ravel()[:units]
        return _box_muller(even[0] + 2.0**-53, even[1])[:units]
    single = [word.astype(np.uint32) for word in words]
    evenly = [(word >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24) for word in single]
    if kind == "uniform":
        return np.stack(evenly, axis=-1).ravel()[:units]
    positive = [word.astype(np.float32) * np.float32(2.0**-32) + np.float32(2.0**-33) for word in single]
    radius_from = np.stack([positive[0], positive[2]], axis=-1).ravel()
    return _box_muller(radius_from, np.stack([evenly[1], evenly[3]], axis=-1).ravel())[:units]


def _box_muller(radius_from: Array, turn: Array) -> Array:
    real = radius_from.dtype.type
    radius = np.sqrt(real(-2) * np.log(radius_from))
    angle = real(2 * np.pi) * turn
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1).ravel()


@contextmanager
def interrupts_between_steps() -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C back, and give a function that raises KeyboardInterrupt if it was pressed."""
    pressed: list[int] = []

    def check() -> None:
        if pressed:
            pressed.clear()
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # somebody else's, who decides what it means
        yield check
        return
    signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)
    check()
