"""Projections: what all have in common, and the two that use individual weights (`Projection` and `Copy`)."""

from __future__ import annotations

import dataclasses
from math import prod
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .backends import core
from .backends.cuda import CudaExecutor
from .backends.device_modules import capturing, device_array_view
from .backends.making import make_executor
from .backends.targets import (
    Target,
    backend_on_gpu,
    check_stream_device,
    checked_target,
    usable_gpus,
    why_not_on_gpu,
)
from .checks.arrays import check_output, converted, frozen, real_array, shaped_array
from .checks.device_arrays import current_stream, device_stream, empty_like, is_device_array
from .checks.errors import NotCopyable, StateError
from .checks.numbers import finite_number, positive_number, whole_number
from .checks.porting import ported
from .checks.reports import Report
from .checks.shapes import Array
from .description import connectors
from .description.delays import delay_steps, spelled_delays
from .description.histories import HISTORIES
from .description.lattice import axis_centres, locate, tap_offsets, unit_shape
from .description.projections import (
    OPERATIONS,
    Description,
    Operation,
    PoolingDescription,
    SharedDescription,
    SynapsesDescription,
)
from .description.schedule import Executor
from .language.distributions import Normal, Uniform
from .language.expression import Expression, parse_psp
from .network import Network
from .population import Population

Self = TypeVar("Self", bound="BaseProjection")

DEFAULT_PSP = "w*pre.r"

# Backend, threads or device, and whether for calls on a device.
ExecutorKey = tuple[str | None, int, bool]


class Weights:
    """Values that a projection and its copies use.

    Attributes
    ----------
    arrays
        Read-only, C-contiguous, of the network's dtype: one per filter, or one with a value per synapse.
    version
        Changes with every assignment, so that each executor takes the new values before its next run.
    """

    def __init__(self, arrays: list[Array]) -> None:
        self.arrays = [frozen(array) for array in arrays]
        self.version = 0

    def assign(self, arrays: list[Array]) -> None:
        self.arrays = [frozen(array) for array in arrays]
        self.version += 1


class BaseProjection(NotCopyable):
    """What all projections have in common; not connected by itself.

    Parameters
    ----------
    pre, post : Population
        Of one network and one dtype; they may be the same.
    target : str
        The projection adds to ``post.sum(target)``.
    psp : str
        Contribution of one element, an expression of ``w`` and ``pre.r``.
    operation : {'sum', 'max', 'min', 'mean'}
        How the contributions of one post unit are reduced.
    name : str, optional
        Shown by `describe`.
    backend : str, optional
        Where calls of the projection are computed; default: as its network.
    threads : int, optional
        For the CPU backend; default: as its network.
    device : int, optional
        For a GPU: its number; default: as its network, and in a call where the arrays lie.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described; nothing has changed then.
    StateError
        If the network is compiled already.
    """

    @ported
    def __init__(
        self,
        pre: Population,
        post: Population,
        target: str,
        psp: str = DEFAULT_PSP,
        operation: Operation = "sum",
        name: str | None = None,
        backend: str | None = None,
        threads: int | None = None,
        device: int | None = None,
    ) -> None:
        for role, population in (("pre", pre), ("post", post)):
            if not isinstance(population, Population):
                raise TypeError(f"{role} is a {type(population).__name__}; expected a Population.")
        if pre.network is not post.network:
            raise ValueError(
                f"pre {pre.name!r} and post {post.name!r} belong to different networks; create both in one."
            )
        if pre.dtype != post.dtype:
            raise ValueError(
                f"pre {pre.name!r} has dtype {pre.dtype} and post {post.name!r} {post.dtype}; "
                "create both with the same dtype."
            )
        if not isinstance(target, str):
            raise TypeError(f"target is a {type(target).__name__}; expected a name such as 'exc'.")
        if not target.isidentifier():
            raise ValueError(f"target is {target!r}; expected a name such as 'exc'.")
        if operation not in OPERATIONS:
            raise ValueError(
                f"operation is {operation!r}; expected one of {', '.join(map(repr, OPERATIONS))}."
            )
        self._psp = self._parse_psp(psp)
        self._given = checked_target(backend, threads, device, None)
        checked_target(self._given.over(pre.network._asked).backend, None, device, None)  # of the network
        self._pre, self._post, self._target, self._operation = pre, post, target, operation
        self._description: Description | None = None
        self._attempted = False  # a connect method was called; without a description, it raised
        self._weights: Weights | None = None
        self._geometry: core.SharedGeometry | None = None
        self._delays: float | Array = 0.0
        self._history: Any = "zeros"
        self._time_taps: int | None = None  # of weights with a time axis
        self._merged = (Target(), Target(), Target())  # see _asked
        self._executors: dict[
            ExecutorKey, tuple[list[Executor], int]
        ] = {}  # with the version of their weights
        self._in_graphs: list[Executor] = []  # whose memory graphs of callers name
        self._name = pre.network._register_projection(self, name)

    @staticmethod
    def _parse_psp(psp: str) -> Expression:
        return parse_psp(psp)

    def __setattr__(self, name: str, value: Any) -> None:
        defined = getattr(type(self), name, None)
        if not name.startswith("_") and not isinstance(defined, property):
            raise AttributeError(f"{self!r} has no attribute {name!r} to assign; it has weights.")
        if isinstance(defined, property) and defined.fset is None:
            raise AttributeError(
                f"{name!r} of {self!r} cannot be assigned: it is fixed when a projection is created or connected."
            )
        object.__setattr__(self, name, value)

    # --- What the user reads ---

    @property
    def pre(self) -> Population:
        """Population that is read."""
        return self._pre

    @property
    def post(self) -> Population:
        """Population that is fed."""
        return self._post

    @property
    def target(self) -> str:
        """Name of the sum that the projection adds to."""
        return self._target

    @property
    def psp(self) -> str:
        """Contribution of one element, as text."""
        return self._psp.text

    @property
    def operation(self) -> Operation:
        """How the contributions are reduced."""
        return self._operation

    @property
    def name(self) -> str:
        """Name of the projection."""
        return self._name

    @property
    def network(self) -> Network:
        """Network that the projection belongs to."""
        return self._pre.network

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64, that of the populations."""
        return self._pre.dtype

    @property
    def delays(self) -> float | Array:
        """Delay in ms, the same for all elements; of a `PointwiseProjection` perhaps one per post unit."""
        return self._delays

    @property
    def connected(self) -> bool:
        """Whether a connect method was called."""
        return self._description is not None

    def __repr__(self) -> str:
        state = "" if self.connected else ", not connected"
        return f"<{type(self).__name__} {self.pre.name} -> {self.post.name} ({self.target!r}{state})>"

    @property
    def n_weights(self) -> int:
        """Number of weights: elements of all filters, or synapses; 0 for pooling."""
        self._connected()
        return 0 if self._weights is None else sum(array.size for array in self._weights.arrays)

    @property
    def weights(self) -> Array | tuple[Array, ...]:
        """Weights, read-only; assign new ones of the same shape, they are used from the next step on.

        One filter: its shape. A bank: (filters, \\*filter), or a tuple of arrays when the extents differ. With
        a time axis it is the first axis of each filter, the newest step first.
        Individual weights: (post.size, pre.size) with NaN where there is no synapse.

        Raises
        ------
        StateError
            If the projection is not connected.
        ValueError
            If it has no weights (pooling), or those assigned have another shape or do not fit the dtype.
        TypeError
            If those assigned are no real numbers.
        """
        description, weights = self._with_weights()
        if isinstance(description, SynapsesDescription):
            matrix = np.full((self.post.size, self.pre.size), np.nan, dtype=self.dtype)
            matrix[_rows(description), description.column] = weights.arrays[0]
            return frozen(matrix)
        if not description.bank:
            return weights.arrays[0]
        if len(set(description.extents)) > 1:
            return tuple(weights.arrays)
        return frozen(np.stack(weights.arrays))

    @weights.setter
    def weights(self, values: Any) -> None:
        description, weights = self._with_weights()
        if isinstance(description, SynapsesDescription):
            weights.assign([self._synapse_values(description, values, exact=True)])
            return
        arrays = filter_arrays(values, description.bank, self.dtype)
        time = () if self._time_taps is None else (self._time_taps,)
        shapes = tuple(array.shape for array in arrays)
        expected = tuple((*time, *extent) for extent in description.extents)
        if shapes != expected:
            raise ValueError(
                f"weights: the new filters have the shapes {_brief(shapes)}; expected those connected, "
                f"{_brief(expected)}."
            )
        weights.assign(arrays)

    @property
    def w(self) -> Array | tuple[Array, ...]:
        """The same as `weights`."""
        return self.weights

    @w.setter
    def w(self, values: Any) -> None:
        self.weights = values

    @property
    def size(self) -> int:
        """Number of post units that read something of pre: without individual weights, all of them."""
        description = self._connected()
        if isinstance(description, SynapsesDescription):
            return int(np.count_nonzero(np.diff(description.row_start)))
        return self.post.size

    def center(self, *position: Any) -> tuple[int, ...]:
        """Return the pre coordinates that the filter of one post unit is centred on.

        Parameters
        ----------
        *position
            A rank, coordinates ``center(i, j)`` or a tuple of coordinates ``center((i, j))`` in post. Of a
            bank, the coordinate of the filter may be left out.

        Returns
        -------
        tuple of int
            As many as pre has dimensions; on an axis that the filter spans, its middle.

        Raises
        ------
        StateError
            If the projection is not connected.
        TypeError, ValueError
            If there is no such unit, or the projection has no filters.
        """
        self._connected()
        if self._geometry is None or not isinstance(self._description, SharedDescription):
            raise ValueError(f"{self!r} has no filters, so no centres; see receptive_field().")
        filters = len(self._description.extents)
        return tuple(self._geometry.centre(self._rank(position) // filters))

    centre = center

    def receptive_field(self, *position: Any) -> tuple[NDArray[np.int64], Array]:
        """Return which pre units one post unit reads, and with which weights.

        Parameters
        ----------
        *position
            Rank or coordinates of the post unit, as for `center`.

        Returns
        -------
        coordinates : int64 array (n, pre.dimension)
            In the order of the weights. Elements outside pre are left out, or listed where the padding finds
            them (``'border'``, ``'reflect'``, ``'wrap'``).
        weights : array (n,)
            Their weights; 1 for pooling. With a time axis (time, n), the newest step first.

        Raises
        ------
        StateError
            If the projection is not connected.
        TypeError, ValueError
            If there is no such unit.
        """
        description = self._connected()
        rank = self._rank(position)
        if isinstance(description, SynapsesDescription):
            row = slice(description.row_start[rank], description.row_start[rank + 1])
            coordinates = np.stack(np.unravel_index(description.column[row], description.pre), axis=-1)
            return coordinates.astype(np.int64), self._with_weights()[1].arrays[0][row]
        if isinstance(description, PoolingDescription):
            corner = np.zeros(len(description.pre), dtype=np.int64)
            corner[: len(description.post)] = np.unravel_index(rank, description.post)
            starts = corner * description.stride
            ends = np.minimum(starts + description.extent, description.pre)
            box = [np.arange(start, end) for start, end in zip(starts, ends, strict=True)]
            coordinates = _grid(box)
            return coordinates, np.ones(len(coordinates), dtype=self.dtype)
        unit, number = divmod(rank, len(description.extents))
        extent = description.extents[number]
        taps = [offsets + middle for offsets, middle in zip(*_taps(description, unit, number), strict=True)]
        ranks, inside = locate(_grid(taps), description.pre, description.padding)
        coordinates = np.stack(np.unravel_index(ranks[inside], description.pre), axis=-1)
        values = self._with_weights()[1].arrays[number]
        flat = values.reshape(*values.shape[: values.ndim - len(extent)], prod(extent))
        return coordinates.astype(np.int64), flat[..., inside]

    def describe(self) -> Report:
        """Say what is connected and how it is computed.

        Returns
        -------
        Report
            A dictionary (geometries, psp, operation, algorithm and why, bytes and flops per step, ...) that
            prints as a table.

        Raises
        ------
        StateError
            If the projection is not connected.
        """
        description = self._connected()
        report = Report(
            name=self.name,
            kind=type(self).__name__,
            pre=description.pre,
            post=description.post,
            target=self.target,
            psp=description.psp.text,
            operation=description.operation,
            delays=self.delays if np.ndim(self.delays) == 0 else spelled_delays(self.delays),
            dtype=self.dtype.name,
            weights=self.n_weights,
        )
        if isinstance(description, SharedDescription):
            report["filters"] = _brief(description.extents)
            report["method"] = description.method
            report["padding"] = description.padding
            if self._time_taps is not None:
                report["time_taps"] = self._time_taps
        if isinstance(description, PoolingDescription):
            report["extent"], report["stride"] = description.extent, description.stride
        for key, value in self._ready_executors()[0].describe().items():
            report.setdefault(key, value)
        report["backend_reason"] = self._reason()
        return report

    def _reason(self) -> str:
        """Why the executor that `describe` shows is on its backend."""
        if self.network._compiled_for is not None:
            return self.network._reason
        if self._asked().backend == "auto":
            return "'auto' takes the CPU for arrays of the host, which need no copies to a device there"
        return "asked for by name"

    def __call__(self, r: Any, out: Any = None, stream: Any = None) -> Any:
        """Compute the projection of plain arrays: no network, no delay, no compile() needed.

        Parameters
        ----------
        r : array_like
            Rates, (\\*pre) or (batch, \\*pre); converted as assigned rates are. Without a copy when they are
            C-contiguous and of the projection's dtype. An array on a CUDA device (CuPy, torch, anything with
            ``__cuda_array_interface__`` or DLPack) is computed there, without copies and without waiting; it
            must be C-contiguous and of the projection's dtype.
        out : ndarray, optional
            (\\*post) or (batch, \\*post): C-contiguous, writable, of the projection's dtype, apart from `r`, and
            where `r` lies. Overwritten.
        stream : int or stream, optional
            For arrays on a device: the CUDA stream to use, as for `Network`; default: the current one of the
            library that made `r`. While it is captured into a graph a call allocates nothing; call once before
            with arrays of the same shape. The graph keeps the weights of its capture, and needs the projection
            for as long as it is replayed.

        Returns
        -------
        ndarray
            `out`, or a new array. A unit without synapses is 0.

        Raises
        ------
        StateError
            If the projection is not connected.
        TypeError, ValueError
            If an array is not as described.
        """
        description = self._connected()
        if is_device_array(r):
            return self._call_on_device(description, r, out, stream)
        if stream is not None:
            raise ValueError(
                "stream is given, but r lies on the host; leave stream out, the call waits anyhow."
            )
        rates = real_array("r", r)
        batch = rates.shape[:1] if rates.ndim == len(description.pre) + 1 else ()
        if rates.shape != (*batch, *description.pre):
            raise ValueError(
                f"r has the shape {rates.shape}; expected that of pre, {description.pre}, or with a leading "
                f"batch axis (batch, {', '.join(map(str, description.pre))})."
            )
        shape = (*batch, *description.post)
        if out is None:
            out = np.empty(shape, dtype=self.dtype)
        else:
            check_output(out, shape, self.dtype, rates)
        trials = prod(batch)
        if trials:
            if rates.dtype != self.dtype:
                rates = converted("r", rates, self.dtype)
            rates = np.require(rates, requirements=("C_CONTIGUOUS", "ALIGNED"))
            self._ready_executor(self._target_on_host()).run(
                rates.reshape(trials, *description.pre), out.reshape(trials, *description.post), False
            )
        return out

    def _call_on_device(self, description: Description, r: Any, out: Any, stream: Any) -> Any:
        """Compute arrays that lie on a CUDA device, without waiting."""
        asked = self._asked()
        if asked.backend != "auto" and not asked.on_gpu:
            raise ValueError(
                f"r lies on a CUDA device, but the projection or its network asks for the backend "
                f"{asked.backend!r}; give it backend='cuda', 'cupy' or 'auto'."
            )
        backend = backend_on_gpu(asked)
        if backend is None:
            raise ValueError(f"r lies on a CUDA device, but CUDA cannot be used here: {why_not_on_gpu()}.")
        given = device_stream(stream)
        address = current_stream(r) if given is None else given.address
        rates = device_array_view("r", r, address, backend)
        if rates.dtype != self.dtype:
            raise TypeError(
                f"r has dtype {rates.dtype}; expected {self.dtype}, arrays on a device are not converted."
            )
        batch = rates.shape[:1] if len(rates.shape) == len(description.pre) + 1 else ()
        if rates.shape != (*batch, *description.pre):
            raise ValueError(
                f"r has the shape {rates.shape}; expected that of pre, {description.pre}, or with a leading "
                f"batch axis (batch, {', '.join(map(str, description.pre))})."
            )
        shape = (*batch, *description.post)
        out = empty_like(r, shape) if out is None else out
        if not is_device_array(out):
            raise TypeError(
                f"out is a {type(out).__name__} of the host; expected an array on the device, as r is."
            )
        result = device_array_view("out", out, address, backend)
        if (result.shape, result.dtype) != (shape, self.dtype) or result.read_only:
            kind = "read-only " if result.read_only else ""
            raise ValueError(
                f"out is a {kind}{result.dtype} array of the shape {result.shape}; expected a writable {self.dtype} "
                f"array of the shape {shape}."
            )
        device = next(one for one in (asked.device, rates.device, result.device, 0) if one is not None)
        for name, view in (("r", rates), ("out", result)):
            if view.device not in (None, device):
                raise ValueError(
                    f"{name} lies on device {view.device}; expected device {device}, where "
                    + ("the projection is." if asked.device is not None else "r lies.")
                )
        if given is not None:
            check_stream_device(given, device)
        extent = rates.dtype.itemsize
        if (
            rates.address < result.address + prod(shape) * extent
            and result.address < rates.address + prod(rates.shape) * extent
        ):
            raise ValueError("out overlaps r; give an array of its own.")
        if prod(batch):
            target = Target(backend, device=device)
            if capturing(address, device, backend) and not self._is_ready(target):
                raise StateError(
                    "the stream is captured, and the projection has nothing on the device yet or new weights: call "
                    "it once with arrays of this shape before the capture."
                )
            executor = self._ready_executor(target)
            assert isinstance(executor, CudaExecutor)
            executor.run_on_device(rates, result, prod(batch), address)
        return out

    def _asked(self) -> Target:
        """What was asked for here or for the network; the choice may be open."""
        of_network = self._pre._network._asked
        if self._merged[0] is not of_network:
            asked = on_host = self._given.over(of_network)
            if asked.backend == "auto":  # arrays of the host stay there, unless a device is named
                gpus = usable_gpus() if asked.device is not None else []
                on_host = Target(gpus[0] if gpus else "cpu").over(asked)
            self._merged = of_network, asked, on_host
        return self._merged[1]

    def _target_on_host(self) -> Target:
        """Where arrays of the host are computed."""
        self._asked()
        return self._merged[2]

    # --- What the connect methods and the network use ---

    def _connected(self) -> Description:
        if self._description is None:
            raise StateError(f"{self!r}: call one of its connect methods first.")
        return self._description

    def _with_weights(self) -> tuple[SharedDescription | SynapsesDescription, Weights]:
        description = self._connected()
        if self._weights is None or isinstance(description, PoolingDescription):
            raise ValueError(f"{self!r} is a pooling and has no weights.")
        return description, self._weights

    def _check_free(self) -> None:
        """Raise if the projection cannot be connected; the first thing a connect method does."""
        if self._description is not None:
            raise StateError(f"{self!r} is connected already; create another projection.")
        self.network._check_open("connect a projection")
        self._attempted = True

    def _connect(
        self: Self,
        description: Description,
        delays: float | Array,
        history: Any,
        weights: Weights | None = None,
        geometry: core.SharedGeometry | None = None,
        time_taps: int | None = None,
    ) -> Self:
        delay_steps(delays, self.pre.size, self.network.dt, self.network.update)  # raises for too long ones
        self._delays, self._history, self._time_taps = delays, history, time_taps
        self._weights, self._geometry, self._description = weights, geometry, description
        return self

    def _reconnect(self, description: Description) -> None:
        """Take another description of the same kind and geometries; executors are made anew."""
        for executors, _ in self._executors.values():
            self._in_graphs += [one for one in executors if isinstance(one, CudaExecutor) and one.in_graph]
        self._description, self._executors = description, {}

    def _of_own_threads(self, target: Target) -> Target:
        return dataclasses.replace(target, threads=self._given.threads or target.threads)

    def _key(self, target: Target, called: bool) -> ExecutorKey:
        """What tells executors apart. Calls on a GPU have their own: a step must not wait for their streams."""
        if target.on_gpu:
            return target.backend, target.device or 0, called
        return target.backend, self._given.threads or target.threads or 0, False

    def _is_ready(self, target: Target) -> bool:
        """Whether a call would find an executor with the present weights."""
        _, version = self._executors.get(self._key(target, True), (None, -2))
        return version == self._version

    @property
    def _version(self) -> int:
        return -1 if self._weights is None else self._weights.version

    def _ready_executor(self, target: Target) -> Executor:
        """Return the executor of a call with plain arrays."""
        if self._time_taps is not None:
            raise StateError(
                f"{self!r} has a time axis: it reads a history, which only a network has; use simulate() or run()."
            )
        return self._ready_executors(target, called=True)[0]

    def _ready_executors(self, target: Target | None = None, called: bool = False) -> list[Executor]:
        """Return executors with the present weights: one for each tap along time, the newest step first.

        Parameters
        ----------
        target
            Everything decided; default: that of the compiled network, before that the one of calls.
        called
            Whether for a call, not for a step.
        """
        description = self._connected()
        if target is None:
            target = self.network._compiled_for
            called = target is None
        target = target or self._target_on_host()
        key = self._key(target, called)
        executors, version = self._executors.get(key, ([], -1))
        if version != self._version and any(
            isinstance(one, CudaExecutor) and one.in_graph for one in executors
        ):
            self._in_graphs += executors  # the graph keeps the weights that it was captured with
            executors = []
        if not executors:
            target, version = self._of_own_threads(target), -1
            taps = range(self._time_taps or 1)
            executors = [make_executor(description, self.dtype, target) for _ in taps]
        if self._weights is not None and version != self._version:
            for lag, executor in enumerate(executors):
                executor.set_weights(self._weights_at(lag))
        self._executors[key] = executors, self._version
        return executors

    def _weights_at(self, lag: int) -> list[Array]:
        """The weights of one tap along time, or all of a projection without time axis."""
        assert self._weights is not None
        arrays = self._weights.arrays
        return arrays if self._time_taps is None else [array[lag] for array in arrays]

    def _forget_other_executors(self, target: Target) -> None:
        """Free what steps of an earlier compile used."""
        used = self._key(target, False)
        self._executors = {key: kept for key, kept in self._executors.items() if key == used or key[2]}

    def _synapse_values(self, synapses: SynapsesDescription, weights: Any, exact: bool) -> Array:
        """Return one weight per synapse: from a number, a distribution, one each, or a whole matrix.

        With `exact` the matrix may name no weight where there is no synapse.
        """
        count = len(synapses.column)
        if isinstance(weights, (Uniform, Normal)):
            with self.network._draws_undone_by_errors() as generator:
                return converted("weights", weights.sample(count, weights.rng or generator), self.dtype)
        array = real_array("weights", weights)
        if array.shape in ((), (count,)):
            return shaped_array("weights", array, (count,), self.dtype)
        whole = (self.post.size, self.pre.size)
        if array.shape != whole:
            raise ValueError(
                f"weights has the shape {array.shape}; expected one number, one weight per synapse "
                f"({count},), or the matrix (post.size, pre.size) = {whole}."
            )
        rows = _rows(synapses)
        if exact:
            elsewhere = np.ones(whole, dtype=bool)
            elsewhere[rows, synapses.column] = False
            named = elsewhere & ~np.isnan(array)
            if named.any():
                post, pre = (int(entry) for entry in np.argwhere(named)[0])
                raise ValueError(
                    f"weights names {np.count_nonzero(named)} weights where there is no synapse, the first from unit "
                    f"{pre} to unit {post}; put NaN there."
                )
        return converted("weights", array[rows, synapses.column], self.dtype)

    def _rank(self, position: tuple[Any, ...]) -> int:
        """Turn a rank, or coordinates of a post unit in either form, into a checked rank."""
        description, post = self._description, self.post
        if len(position) == 1 and np.ndim(position[0]) == 0:
            rank = whole_number("rank", position[0])
            if not 0 <= rank < post.size:
                raise ValueError(f"rank is {rank}; post {post.geometry} has ranks 0 to {post.size - 1}.")
            return rank
        coordinates = tuple(position[0]) if len(position) == 1 else position
        if (
            isinstance(description, SharedDescription)
            and description.bank
            and len(coordinates) == post.dimension - 1
        ):
            coordinates = (*coordinates, 0)
        return post.rank_from_coordinates(coordinates)


class Synapse:
    """How the individual weights of a `Projection` act.

    Parameters
    ----------
    psp : str
        Contribution of one synapse, an expression of ``w`` and ``pre.r``.
    operation : {'sum', 'max', 'min', 'mean'}
        How the contributions of one post unit are reduced; mean divides by its number of synapses.

    Raises
    ------
    ValueError
        If `psp` cannot be read or `operation` is another one.
    """

    @ported
    def __init__(self, psp: str = DEFAULT_PSP, operation: Operation = "sum") -> None:
        parse_psp(psp)
        if operation not in OPERATIONS:
            raise ValueError(
                f"operation is {operation!r}; expected one of {', '.join(map(repr, OPERATIONS))}."
            )
        self.psp = psp
        self.operation = operation


class Projection(BaseProjection):
    """Projection with a weight for every synapse.

    Every connect method has a second name without ``connect_``: `all_to_all` is `connect_all_to_all`.

    Parameters
    ----------
    pre, post, target, name, backend, threads, device
        As for `BaseProjection`.
    synapse : Synapse, optional
        Its psp and operation; default: the sum of ``w*pre.r``.
    """

    @ported
    def __init__(
        self,
        pre: Population,
        post: Population,
        target: str,
        synapse: Synapse | None = None,
        name: str | None = None,
        backend: str | None = None,
        threads: int | None = None,
        device: int | None = None,
    ) -> None:
        synapse = Synapse() if synapse is None else synapse
        if not isinstance(synapse, Synapse):
            raise TypeError(f"synapse is a {type(synapse).__name__}; expected a Synapse.")
        super().__init__(pre, post, target, synapse.psp, synapse.operation, name, backend, threads, device)

    @ported
    def connect_all_to_all(
        self, weights: Any, delays: float = 0.0, allow_self_connections: bool = False, history: Any = "zeros"
    ) -> Projection:
        """Connect every pre unit to every post unit.

        Parameters
        ----------
        weights : float, array_like, Uniform or Normal
            One for all, drawn for each synapse, or an array (post.size, pre.size) or (number of synapses,).
        delays : float
            In ms.
        history : str or array_like
            What a delay reads before the start, as for `Convolution.connect_filter`.
        allow_self_connections : bool
            Whether a unit may feed itself; matters only where pre is post.

        Returns
        -------
        Projection
            This one.

        Raises
        ------
        StateError
            If it is connected already, or its network compiled.
        TypeError, ValueError
            If an argument is not as described.
        """
        self._check_free()
        synapses = connectors.all_to_all(
            self.pre.size, self.post.size, self._skips_self(allow_self_connections)
        )
        return self._connect_synapses(synapses, weights, delays, history)

    @ported
    def connect_one_to_one(
        self, weights: Any = 1.0, delays: float = 0.0, history: Any = "zeros"
    ) -> Projection:
        """Connect every pre unit to the post unit of the same rank; the sizes must be equal.

        Parameters, result and errors as `connect_all_to_all`; an array of weights may have the shape
        (post.size,).
        """
        self._check_free()
        synapses = connectors.one_to_one(self.pre.size, self.post.size)
        return self._connect_synapses(synapses, weights, delays, history)

    @ported
    def connect_fixed_probability(
        self,
        probability: float,
        weights: Any,
        delays: float = 0.0,
        allow_self_connections: bool = False,
        history: Any = "zeros",
    ) -> Projection:
        """Connect each pair of units with a probability between 0 and 1, drawn from the network's seed.

        Other parameters, result and errors as `connect_all_to_all`.
        """
        self._check_free()
        synapses = connectors.fixed_probability(
            self.pre.size,
            self.post.size,
            probability,
            self._skips_self(allow_self_connections),
            self.network.random_generator,
        )
        return self._connect_synapses(synapses, weights, delays, history)

    @ported
    def connect_gaussian(
        self,
        amp: float,
        sigma: float,
        delays: float = 0.0,
        limit: float = 0.01,
        allow_self_connections: bool = False,
        history: Any = "zeros",
    ) -> Projection:
        """Connect with the weights ``amp * exp(-d**2 / (2 sigma**2))``.

        d is the distance between the normalised coordinates of the two units: each axis of a population runs
        from 0 to 1, ``coordinate / (size - 1)``, an axis of size 1 lies at 0.

        Parameters
        ----------
        amp : float
            Weight at distance 0.
        sigma : float
            Width in normalised coordinates, > 0.
        delays : float
            In ms.
        history : str or array_like
            What a delay reads before the start, as for `Convolution.connect_filter`.
        limit : float
            Only weights with ``abs(w) > limit * abs(amp)`` become synapses.
        allow_self_connections : bool
            Whether a unit may feed itself; matters only where pre is post.

        Returns
        -------
        Projection
            This one.

        Raises
        ------
        StateError
            If it is connected already, or its network compiled.
        TypeError, ValueError
            If an argument is not as described, or pre and post differ in their number of dimensions.
        """
        amp = finite_number("amp", amp)
        profile = [(amp, positive_number("sigma", sigma))]
        return self._connect_profile(profile, amp, delays, limit, allow_self_connections, history)

    @ported
    def connect_dog(
        self,
        amp_pos: float,
        sigma_pos: float,
        amp_neg: float,
        sigma_neg: float,
        delays: float = 0.0,
        limit: float = 0.01,
        allow_self_connections: bool = False,
        history: Any = "zeros",
    ) -> Projection:
        """Connect with a difference of Gaussians, as `connect_gaussian`: the one of `amp_pos` and `sigma_pos`
        less the one of `amp_neg` and `sigma_neg`.

        Only weights with ``abs(w) > limit * abs(amp_pos - amp_neg)`` become synapses.
        """
        amp_pos, amp_neg = finite_number("amp_pos", amp_pos), finite_number("amp_neg", amp_neg)
        profile = [
            (amp_pos, positive_number("sigma_pos", sigma_pos)),
            (-amp_neg, positive_number("sigma_neg", sigma_neg)),
        ]
        return self._connect_profile(
            profile, amp_pos - amp_neg, delays, limit, allow_self_connections, history
        )

    @ported
    def connect_from_matrix(
        self, weights: Any, delays: float = 0.0, pre_post: bool = False, history: Any = "zeros"
    ) -> Projection:
        """Connect as a matrix says.

        Parameters
        ----------
        weights : array_like
            (post.size, pre.size); NaN or None where there is no synapse.
        delays : float
            In ms.
        history : str or array_like
            What a delay reads before the start, as for `Convolution.connect_filter`.
        pre_post : bool
            Whether the matrix is (pre.size, post.size) instead.

        Returns
        -------
        Projection
            This one.

        Raises
        ------
        StateError
            If it is connected already, or its network compiled.
        TypeError, ValueError
            If an argument is not as described.
        """
        self._check_free()
        return self._connect_synapses(
            *connectors.from_matrix(weights, self.pre.size, self.post.size, pre_post), delays, history
        )

    @ported
    def connect_from_sparse(self, weights: Any, delays: float = 0.0, history: Any = "zeros") -> Projection:
        """Connect as a SciPy sparse matrix says.

        Parameters
        ----------
        weights : sparse matrix
            (pre.size, post.size): pre comes first here, as in ANNarchy. Every stored element is a synapse,
            also a stored 0.
        delays : float
            In ms.
        history : str or array_like
            What a delay reads before the start, as for `Convolution.connect_filter`.

        Returns
        -------
        Projection
            This one.

        Raises
        ------
        StateError
            If it is connected already, or its network compiled.
        TypeError, ValueError
            If an argument is not as described.
        """
        self._check_free()
        return self._connect_synapses(
            *connectors.from_sparse(weights, self.pre.size, self.post.size), delays, history
        )

    # ANNarchy 5 calls them so.
    all_to_all = connect_all_to_all
    one_to_one = connect_one_to_one
    fixed_probability = connect_fixed_probability
    gaussian = connect_gaussian
    dog = connect_dog
    from_matrix = connect_from_matrix
    from_sparse = connect_from_sparse

    def _skips_self(self, allow_self_connections: bool) -> bool:
        return self.pre is self.post and not allow_self_connections

    def _connect_profile(
        self,
        profile: list[tuple[float, float]],
        peak: float,
        delays: float,
        limit: float,
        allow_self_connections: bool,
        history: Any,
    ) -> Projection:
        self._check_free()
        return self._connect_synapses(
            *connectors.gaussians(
                self.pre.geometry,
                self.post.geometry,
                profile,
                peak,
                limit,
                self._skips_self(allow_self_connections),
            ),
            delays,
            history,
        )

    def _connect_synapses(
        self, synapses: connectors.Synapses, weights: Any, delays: Any, history: Any
    ) -> Projection:
        delays, history = uniform_delay(delays), checked_history(self, history)
        description = SynapsesDescription(
            self.pre.geometry, self.post.geometry, *synapses, self.operation, psp=self._psp
        )
        values = self._synapse_values(description, weights, exact=False)
        return self._connect(description, delays, history, Weights([values]))


class Copy(BaseProjection):
    """Projection that uses the weights of another one, with its own psp and operation."""

    def connect_copy(self, projection: BaseProjection) -> Copy:
        """Use the weights of `projection`: a change of the ones is seen in the other at once.

        Parameters
        ----------
        projection : BaseProjection
            Connected, with weights, and with the same geometries and dtype; a delay is taken over.

        Returns
        -------
        Copy
            This one.

        Raises
        ------
        StateError
            If one is connected already, the other not, or the network compiled.
        TypeError, ValueError
            If `projection` is not as described.
        """
        return connect_copy(self, projection)

    copy = connect_copy


def connect_copy(projection: Self, other: BaseProjection) -> Self:
    """Connect a projection with the weights of another one, by reference."""
    projection._check_free()
    if not isinstance(other, BaseProjection):
        raise TypeError(f"the projection to copy is a {type(other).__name__}; expected a projection.")
    description, weights = other._with_weights()
    if (projection.pre.geometry, projection.post.geometry) != (description.pre, description.post):
        raise ValueError(
            f"the projection to copy has pre {description.pre} and post {description.post}, this one pre "
            f"{projection.pre.geometry} and post {projection.post.geometry}; the geometries must be the same."
        )
    if projection.dtype != other.dtype:
        raise ValueError(
            f"the projection to copy has dtype {other.dtype}, this one {projection.dtype}; "
            "they must be the same."
        )
    copied = dataclasses.replace(description, psp=projection._psp, operation=projection.operation)
    return projection._connect(
        copied, other._delays, other._history, weights, other._geometry, other._time_taps
    )


def checked_history(projection: BaseProjection, history: Any) -> Any:
    """Check what stands for the rates before the start: a name, or frames of the pre population."""
    if isinstance(history, str):
        if history not in HISTORIES:
            raise ValueError(
                f"history is {history!r}; expected one of {', '.join(map(repr, HISTORIES))}, or an array."
            )
        return history
    pre, batch = projection.pre, projection.network.batch
    frames = converted("history", real_array("history", history), projection.dtype)
    expected = [pre.geometry, ("steps", *pre.geometry)]
    if batch is not None:
        expected.append(("steps", batch, *pre.geometry))
    if not any(
        len(shape) == frames.ndim
        and all(want in ("steps", have) for want, have in zip(shape, frames.shape, strict=True))
        for shape in expected
    ):
        raise ValueError(
            f"history has the shape {frames.shape}; expected one of {', '.join(map(_spelled, expected))}, the oldest "
            "step first."
        )
    return frozen(frames)


def _spelled(shape: tuple[Any, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def uniform_delay(delays: Any) -> float:
    """Check a delay in ms that holds for the whole projection."""
    if isinstance(delays, (Uniform, Normal)) or np.ndim(delays) > 0:
        raise TypeError(f"delays is {delays!r}; expected one number, the delay of the whole projection.")
    delay = finite_number("delays", delays)
    if delay < 0.0:
        raise ValueError(f"delays is {delay}; expected 0 or a positive number of ms.")
    return delay


def filter_arrays(weights: Any, bank: bool, dtype: DTypeLike) -> list[Array]:
    """Return one C-contiguous array per filter, copied; a bank is an array or a list of filters."""
    if isinstance(weights, (Uniform, Normal)):
        raise TypeError("weights: a distribution has no shape; draw an array with its sample() method.")
    if bank and isinstance(weights, (list, tuple)):
        filters = [real_array(f"weights[{number}]", one) for number, one in enumerate(weights)]
    elif bank:
        array = real_array("weights", weights)
        filters = list(array) if array.ndim else []
    else:
        filters = [real_array("weights", weights)]
    if not filters:
        raise ValueError("weights: expected a bank of at least one filter, filters on axis 0.")
    for number, array in enumerate(filters):
        name = f"weights[{number}]" if bank else "weights"
        if array.ndim == 0 or array.size == 0:
            raise ValueError(
                f"{name} has the shape {array.shape}; expected a filter with at least one dimension and "
                "one element."
            )
        if array.ndim != filters[0].ndim:
            raise ValueError(
                f"{name} has {array.ndim} dimensions and weights[0] {filters[0].ndim}; the filters of a bank "
                "may differ in extent, not in their number of dimensions."
            )
    names = [f"weights[{number}]" for number in range(len(filters))] if bank else ["weights"]
    return [converted(name, array, dtype) for name, array in zip(names, filters, strict=True)]


def _rows(synapses: SynapsesDescription) -> NDArray[np.int64]:
    """Rank of the post unit of every synapse."""
    return np.repeat(np.arange(len(synapses.row_start) - 1), np.diff(synapses.row_start))


def _grid(axes: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """All combinations of coordinates, last axis fastest, (n, number of axes)."""
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes)).astype(np.int64)


def _taps(
    description: SharedDescription, unit: int, number: int
) -> tuple[list[NDArray[np.int64]], list[int]]:
    """For each pre axis: the offsets of the taps of one filter, and its centre for one unit."""
    extent = description.extents[number]
    offsets = [tap_offsets(description, axis, extent) for axis in range(len(extent))]
    if description.keep_last_dimension:
        offsets.append(np.zeros(1, dtype=np.int64))
    if description.centres is not None:
        return offsets, description.centres[unit].tolist()
    place = np.unravel_index(unit, unit_shape(description))
    middles = []
    for axis in range(len(description.pre)):
        if axis == len(extent):  # the slice of a layer-wise filter
            middles.append(int(place[axis]))
            continue
        along = axis_centres(description, axis, extent)
        middles.append(int(along[place[axis] if axis < len(place) else 0]))
    return offsets, middles


def _brief(extents: tuple[tuple[int, ...], ...]) -> str:
    """Shapes of filters, those of a regular bank once."""
    if len(set(extents)) == 1:
        return f"{extents[0]}" if len(extents) == 1 else f"{len(extents)} x {extents[0]}"
    return ", ".join(map(str, extents))
