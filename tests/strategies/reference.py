"""Executors of the reference for small cases."""

from __future__ import annotations

import numpy as np

from weightsharing.backends.reference.executor import ReferenceExecutor
from weightsharing.description.projections import PoolingDescription, SharedDescription, SynapsesDescription
from weightsharing.language.expression import parse_psp

NAN, INF = np.nan, np.inf


def shared(pre, post, weights, psp="w*pre.r", bank=False, **options):
    """Return an executor in float64 with its weights set; `weights` is one array, or a list for a bank."""
    filters = [np.asarray(one, dtype=float) for one in (weights if bank else [weights])]
    if options.get("centres") is not None:
        options["centres"] = np.asarray(options["centres"], dtype=np.int64)
    description = SharedDescription(
        pre=pre,
        post=post,
        extents=tuple(one.shape for one in filters),
        bank=bank,
        psp=parse_psp(psp),
        **options,
    )
    executor = ReferenceExecutor(description, np.float64)
    executor.set_weights(filters)
    return executor


def pooling(pre, post, extent, stride=None, operation="max", psp="pre.r"):
    description = PoolingDescription(
        pre, post, extent, stride or extent, operation, psp=parse_psp(psp, allow_weight=False)
    )
    return ReferenceExecutor(description, np.float64)


def synapses(pre, post, matrix, operation="sum", psp="w*pre.r"):
    """Return an executor for a matrix (post size, pre size) where NaN means no synapse."""
    matrix = np.asarray(matrix, dtype=float)
    present = ~np.isnan(matrix)
    row_start = np.concatenate([[0], np.cumsum(present.sum(axis=1))]).astype(np.int64)
    column = np.nonzero(present)[1].astype(np.int64)
    description = SynapsesDescription(pre, post, row_start, column, operation, psp=parse_psp(psp))
    executor = ReferenceExecutor(description, np.float64)
    executor.set_weights(matrix[present])
    return executor


def once(executor, rates):
    """Run one trial that must overwrite whatever the output held."""
    out = np.full((1, *executor.description.post), NAN)
    executor.run(np.asarray(rates, dtype=float)[None], out, accumulate=False)
    return out[0]


RAMP = [1, 2, 3, 4]
