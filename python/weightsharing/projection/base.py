"""`BaseProjection`: what all projections have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backends.targets import checked_target
from ..checks.arrays import frozen
from ..checks.errors import NotCopyable
from ..checks.porting import ported
from ..checks.reports import Report
from ..checks.shapes import Array
from ..description.projections import Operation, SynapsesDescription
from ..language.expression import Expression, parse_psp
from ..population.model import Model
from ..population.population import Population
from ..state.assembly import Assembly
from ..state.connection import DEFAULT_PSP
from ..state.links import Link
from .calls import call
from .connecting import check_operation, filter_arrays, spelled_extents, synapse_rows, synapse_values
from .describing import describe
from .receptive_fields import filter_centre, receptive_field


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

    _assembly: Assembly
    _link: Link

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
        if pre._assembly is not post._assembly:
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
        check_operation(operation)
        parsed = self._parse_psp(psp)
        given = checked_target(backend, threads, device, None)
        # The device must fit the backend of the network too.
        checked_target(given.over(pre._assembly.context.asked).backend, None, device, None)
        self._assembly, self._pre, self._post = pre._assembly, pre, post
        self._link = Link(
            pre._units, post._units, target, parsed, operation, given, kind=type(self).__name__, handle=self
        )
        self._assembly.add_link(self._link, name)

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
        return self._link.target

    @property
    def psp(self) -> str:
        """Contribution of one element, as text."""
        return self._link.psp.text

    @property
    def operation(self) -> Operation:
        """How the contributions are reduced."""
        return self._link.operation

    @property
    def name(self) -> str:
        """Name of the projection."""
        return self._link.name

    @property
    def network(self) -> Model:
        """Network that the projection belongs to."""
        return self._pre.network

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64, that of the populations."""
        return self._link.dtype

    @property
    def delays(self) -> float | Array:
        """Delay in ms, the same for all elements; of a `PointwiseProjection` perhaps one per post unit."""
        return self._link.delays

    @property
    def connected(self) -> bool:
        """Whether a connect method was called."""
        return self._link.connection is not None

    def __repr__(self) -> str:
        return self._link.spelled()

    @property
    def n_weights(self) -> int:
        """Number of weights: elements of all filters, or synapses; 0 for pooling."""
        return self._link.connected().n_weights

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
        description, weights = self._link.with_weights()
        if isinstance(description, SynapsesDescription):
            matrix = np.full((self.post.size, self.pre.size), np.nan, dtype=self.dtype)
            matrix[synapse_rows(description), description.column] = weights.arrays[0]
            return frozen(matrix)
        if not description.bank:
            return weights.arrays[0]
        if len(set(description.extents)) > 1:
            return tuple(weights.arrays)
        return frozen(np.stack(weights.arrays))

    @weights.setter
    def weights(self, values: Any) -> None:
        description, weights = self._link.with_weights()
        if isinstance(description, SynapsesDescription):
            weights.assign([synapse_values(self._link, description, values, exact=True)])
            return
        arrays = filter_arrays(values, description.bank, self.dtype)
        taps = self._link.connected().time_taps
        time = () if taps is None else (taps,)
        shapes = tuple(array.shape for array in arrays)
        expected = tuple((*time, *extent) for extent in description.extents)
        if shapes != expected:
            raise ValueError(
                f"weights: the new filters have the shapes {spelled_extents(shapes)}; expected those connected, "
                f"{spelled_extents(expected)}."
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
        description = self._link.description
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
        return filter_centre(self._link, self._post, position)

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
        return receptive_field(self._link, self._post, position)

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
        return describe(self._link)

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
        return call(self._link, r, out, stream)
