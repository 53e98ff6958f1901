"""`Layer`: what all builders of `temporal` share: the networks they build, and their memory."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..checks.arrays import converted, real_array
from ..checks.errors import StateError
from ..checks.numbers import whole_number
from ..checks.shapes import Array
from ..description.neuron import Neuron
from ..network.network import Network
from ..population.movies import MoviePopulation
from ..population.population import Population
from ..projection.convolution import Convolution


@dataclass
class Built:
    """Part of a network that a layer has built.

    Attributes
    ----------
    post
        Population (x, y, channels) that holds the result.
    refresh
        Called before each run: assigns what may have changed without a change of the structure.
    components
        Of `SmoothConv`: populations whose sum `post` holds.
    """

    post: Population
    refresh: Callable[[], None] = lambda: None
    components: tuple[Population, ...] = ()


class Layer:
    """Model of a movie: a builder of populations and projections of a feedforward network.

    The network is built by the first `run`, and built anew when the shape of the movie or the structure of the
    model has changed since. What it remembers carries over from one run to the next; nothing but
    `clear_state` and `pop_state` drops it.

    A layer may be part of several models. The memory belongs to the layer whose `run` was called.
    """

    # What the class needs of its network, beyond being built.
    _remembers = False  # whether a result depends on earlier frames
    _history = ""  # of the frames before the start, where that matters
    _added_frames = 0  # before those of a piece
    _dropped_frames = 0  # at the start of a piece

    def __init__(self) -> None:
        self._settings: dict[str, Any] = {}
        self._stages: list[Stage] = []
        self._pushed: list[list[Stage]] = []

    def __setattr__(self, name: str, value: Any) -> None:
        # Own layers have no other attributes than those of their class; a subclass may have.
        own = type(self).__module__.startswith(__package__ or "")
        if own and not name.startswith("_") and not hasattr(type(self), name):
            raise AttributeError(f"a {type(self).__name__} has no attribute {name!r}.")
        object.__setattr__(self, name, value)

    # --- What a kind of layer defines ---

    def _parts(self) -> list[Layer]:
        """Layers that are applied one after the other."""
        return [self]

    def _structure(self) -> Hashable:
        """Everything about the layer that the shape of its network depends on."""
        return ()

    def _build(self, pre: Population) -> Built:
        """Add populations and projections to the network of `pre`, whose geometry is (x, y, channels)."""
        raise NotImplementedError

    # --- Running ---

    def run(self, movie: Any, dt: int | None = None) -> Array:
        """Return what the layer makes of a movie; memory carries over from the last run.

        Parameters
        ----------
        movie : array_like (batch, channel, time, x, y) or (time, x, y)
            Trials of a batch are independent.
        dt : int, optional
            Number of frames that are computed at once, default all. A result depends on it only where an
            attribute says so: histories that are made from the first piece (``'mean'``, ``'mirror'``,
            ``'full_copy'``), `TimePadding` and `Delay` with a length, and ``time_pad=False``.

        Returns
        -------
        ndarray (batch, channel, time, x, y) or (time, x, y)
            Of the dtype of `compile`, float32 by default.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described, or the movie does not fit the model.
        StateError
            If the movie has another shape than the one before, or the structure of the model has changed, and
            the memory of earlier frames would be lost. In all cases the memory is as it was.
        """
        return self._run(movie, dt, components=False)

    def __call__(self, movie: Any) -> Array:
        """Return ``run(movie)``."""
        return self.run(movie)

    def _run(self, movie: Any, dt: int | None, components: bool) -> Array:
        given = _checked_movie(movie)
        flat = given.ndim == 3
        frames = given[np.newaxis, np.newaxis] if flat else given
        ends = _ends(frames.shape[2], dt)
        stages = self._ready(frames.shape)
        channels = stages[-1].channels(components)
        if flat and channels != 1:
            raise ValueError(
                f"movie has the shape {given.shape}, and the result {channels} channels; give it as (batch, "
                "channel, time, x, y) to get all of them."
            )
        for start, end in ends[:1] + ends[-1:]:
            length = end - start
            for stage in stages:
                length = stage.frames(length)
        dtype = stages[0].network.dtype
        if frames.dtype != dtype:
            frames = converted("movie", frames, dtype)
        self._stages = stages
        for stage in stages:
            stage.refresh()
        pieces = []
        for start, end in ends:
            piece = frames[:, :, start:end]
            for stage in stages:
                piece = stage.run(piece, components and stage is stages[-1])
            pieces.append(piece)
        result = np.concatenate(pieces, axis=2)
        return result[0, 0] if flat else result

    def compile(
        self,
        backend: str = "auto",
        threads: int | None = None,
        device: int | None = None,
        dtype: DTypeLike = "float32",
    ) -> None:
        """Choose where and how precisely the layer runs from now on.

        Parameters
        ----------
        backend, threads, device, dtype
            As for `Network`.

        Raises
        ------
        TypeError, ValueError, IndexError
            If an argument is not as described.
        StateError
            If the memory of earlier frames, present or pushed, would be lost.
        """
        settings: dict[str, Any] = {"backend": backend, "threads": threads, "device": device, "dtype": dtype}
        Network(**settings)  # raises if one of them is wrong
        if self._has_memory():
            raise StateError(f"compile: {self._holds_memory()}")
        if self._pushed:
            raise StateError(
                f"compile: the {type(self).__name__} has pushed states, which belong to the present settings; call "
                "pop_state() and clear_state() first."
            )
        self._settings, self._stages = settings, []

    def _ready(self, shape: tuple[int, ...]) -> list[Stage]:
        """Return networks for the present structure and a movie (batch, channel, time, x, y)."""
        batch, channels, _, x, y = shape
        groups = _groups(self._parts())
        wanted = [structures_of(group) for group in groups]
        present = self._stages
        if present and present[0].shape == (batch, x, y, channels):
            if [stage.structure for stage in present] == wanted:
                return present
            changed = (
                "the structure of the model has changed (shape of weights, padding, histories or layers)"
            )
        else:
            changed = f"the movie has {_spelled(batch, x, y, channels)}"
            changed += f", the memory {_spelled(*present[0].shape)}" if present else ""
        if self._has_memory():
            raise StateError(f"{changed}. {self._holds_memory()}")
        built = []
        now: tuple[int, int, int, int] = (batch, x, y, channels)
        for group in groups:
            built.append(Stage(group, now, self._settings))
            width, height, depth = built[-1].built[-1].post.geometry
            now = (batch, width, height, depth)
        return built

    # --- Memory ---

    def clear_state(self) -> None:
        """Forget all earlier frames: the next run begins like the first one. Weights stay."""
        if any(stages is self._stages for stages in self._pushed):
            self._stages = []  # these networks are kept for pop_state()
        for stage in self._stages:
            stage.network.reset()

    def push_state(self) -> None:
        """Keep a copy of the memory on a stack."""
        for stage in self._stages:
            stage.network.push_state()
        self._pushed.append(self._stages)

    def pop_state(self) -> None:
        """Return to the memory that was pushed last, whatever ran since. Weights stay.

        Raises
        ------
        StateError
            If none is left.
        """
        if not self._pushed:
            raise StateError("pop_state: no state was pushed.")
        self._stages = self._pushed.pop()
        for stage in self._stages:
            stage.network.pop_state()

    def _has_memory(self) -> bool:
        return any(stage.remembers and stage.network.time > 0.0 for stage in self._stages)

    def _holds_memory(self) -> str:
        return f"The {type(self).__name__} holds memory of earlier frames; call clear_state() first."


class Stage:
    """Network of some layers, for movies of one shape.

    Attributes
    ----------
    shape
        (batch, x, y, channels).
    structure
        The layers, and the structure each had when it was built.
    remembers
        Whether results depend on earlier frames.
    """

    def __init__(
        self, layers: list[Layer], shape: tuple[int, int, int, int], settings: dict[str, Any]
    ) -> None:
        self.shape, self.structure = shape, structures_of(layers)
        self.remembers = any(layer._remembers for layer in layers)
        self._added = sum(layer._added_frames for layer in layers)
        self._dropped = sum(dropped_frames(layer) for layer in layers)
        self.network = Network(update="feedforward", batch=shape[0], **settings)
        self.movie = MoviePopulation(shape[1:], network=self.network)
        self.built = [Built(self.movie)]
        with self.network:
            for layer in layers:
                self.built.append(build(layer, self.built[-1].post))
        self.refresh()
        self.network.compile()

    def refresh(self) -> None:
        """Assign what may have changed without a change of the structure."""
        for built in self.built:
            built.refresh()

    def channels(self, components: bool) -> int:
        """Number of channels of the result."""
        return sum(one.geometry[-1] for one in self._outputs(components))

    def frames(self, length: int) -> int:
        """Return how many frames the result of so many frames has; raises if there is none."""
        if length <= self._dropped:
            raise ValueError(
                f"movie: a piece of it has {length} frames, and without time_pad a result needs {self._dropped + 1}; "
                "give a longer movie or a larger dt."
            )
        return length + self._added - self._dropped

    def run(self, frames: Array, components: bool) -> Array:
        """Return the result of frames (batch, channel, time, x, y)."""
        movie = np.ascontiguousarray(frames.transpose(2, 0, 3, 4, 1))
        outputs = self._outputs(components)
        rates = self.network.run(movie, outputs)
        if self._added:
            # What the delays still hold comes out behind a few more frames, whatever these are.
            self.network.push_state()
            try:
                more = self.network.run(np.zeros((self._added, *self.shape)), outputs)
            finally:
                self.network.pop_state()
            rates = [np.concatenate(pair) for pair in zip(rates, more, strict=True)]
        result = rates[0] if len(rates) == 1 else np.concatenate(rates, axis=-1)
        return result[self._dropped :].transpose(1, 4, 0, 2, 3)

    def _outputs(self, components: bool) -> Sequence[Population]:
        last = self.built[-1]
        return last.components if components else (last.post,)


def one_to_one(
    pre: Population, post: Population, weight: float = 1.0, delay: int = 0, history: str = "zeros"
) -> Convolution:
    """Connect each unit with the one at its place; the delay is in steps."""
    return Convolution(pre, post, "exc").connect_filter(
        np.full((1, 1, 1), weight), delays=delay * pre.network.dt, history=history
    )


def linear() -> Neuron:
    """Units that hold the sum of their inputs."""
    return Neuron(equations="r = sum(exc)")


def _groups(layers: list[Layer]) -> list[list[Layer]]:
    """Layers that one network can hold.

    Those whose result has another number of frames stand alone. What is made from a whole movie needs one, so
    such a layer comes first.
    """
    groups: list[list[Layer]] = []
    open_end = False
    for layer in layers:
        alone = bool(layer._added_frames or dropped_frames(layer))
        if not open_end or alone or layer._history in ("mean", "mirror", "full_copy"):
            groups.append([])
        groups[-1].append(layer)
        open_end = not alone
    return groups or [[]]


def parts_of(layers: Iterable[Layer]) -> list[Layer]:
    """Layers that are applied one after the other, those of chains one by one."""
    return [part for layer in layers for part in layer._parts()]


def structures_of(layers: Iterable[Layer]) -> list[tuple[Layer, Hashable]]:
    """The layers, and what the shape of each one's network depends on."""
    return [(layer, layer._structure()) for layer in layers]


def dropped_frames(layer: Layer) -> int:
    """Number of frames at the start of a piece that the result of a layer has not."""
    return layer._dropped_frames


def build(layer: Layer, pre: Population) -> Built:
    """Add what a layer is made of to the network of `pre`."""
    return layer._build(pre)


def _checked_movie(movie: Any) -> Array:
    frames = real_array("movie", movie)
    if frames.ndim not in (3, 5) or 0 in frames.shape:
        raise ValueError(
            f"movie has the shape {frames.shape}; expected (batch, channel, time, x, y), or (time, x, y), none of "
            "them 0."
        )
    return frames


def _ends(frames: int, dt: int | None) -> list[tuple[int, int]]:
    """First frame, and the one after the last, of each piece."""
    piece = frames if dt is None else whole_number("dt", dt)
    if piece < 1:
        raise ValueError(f"dt is {piece}; expected a number of frames, at least 1.")
    return [(start, min(start + piece, frames)) for start in range(0, frames, piece)]


def _spelled(batch: int, x: int, y: int, channels: int) -> str:
    return f"the image size ({x}, {y}), {channels} channels and a batch of {batch}"
