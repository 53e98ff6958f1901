"""The specification in NumPy, as plain as the page reads: slow, and the judge of every other backend.

Nothing here looks at the compiled core. Centres, offsets and shapes are derived again from the descriptions,
so that a mistake in one of the two places shows as a difference. Every projection is a Python loop over its
taps; a tap is seen from all post units at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ...checks.shapes import Array, Shape
from ...description.lattice import centres, filter_rank, pooling_corners, tap_offsets, unit_shape
from ...description.projections import (
    Description,
    PoolingDescription,
    SharedDescription,
    SynapsesDescription,
)
from ..choice import least_work
from ..host import HostExecutor
from .taps import Reduction, Tap, pooling_taps, shared_taps, synapse_taps


class ReferenceExecutor(HostExecutor):
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
        self.weights: list[Array] | None = None
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
        self.weights = taken

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
        result = self._reduced(rates)
        if out.shape != result.shape:
            raise ValueError(f"out: got shape {out.shape}, expected {result.shape}")
        if accumulate:
            with np.errstate(all="ignore"):
                out += result
        else:
            out[...] = result

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
        if self.weights is None:
            raise ValueError("weights: call set_weights first")
        if isinstance(self.description, SynapsesDescription):
            return [synapse_taps(self.description, self.weights[0])]
        return [shared_taps(self.description, number, one) for number, one in enumerate(self.weights)]

    def _contribution(self, rate: Array, weight: Array | None) -> Array:
        """Return the psp of one tap, (batch, units)."""
        inputs = {"r": rate} if weight is None else {"w": weight, "r": rate}
        return np.broadcast_to(
            np.asarray(self.description.psp.evaluate(**inputs), dtype=self.dtype), rate.shape
        )

    def _reduced(self, rates: Array) -> Array:
        """Return the result of every post unit, (batch, \\*post)."""
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
                reduction = Reduction(description.operation, (batch, units), self.dtype)
                for tap in taps:
                    rate, takes_part = flat[:, tap.rank], tap.inside
                    if not isinstance(padding, str):
                        rate = np.where(tap.inside, rate, np.asarray(padding, dtype=self.dtype))
                        takes_part = np.ones_like(tap.inside)
                    reduction.add(self._contribution(rate, tap.weight), takes_part)
                columns.append(reduction.result())
        return np.stack(columns, axis=-1).reshape(batch, *description.post)


def family(description: Description) -> str:
    """Return the name of the kernel family that the other backends compute this projection with."""
    if isinstance(description, PoolingDescription):
        return "pool"
    if isinstance(description, SynapsesDescription):
        return "synapses"
    if description.centres is not None:
        return "gather"
    return "bank" if description.bank else "window"
