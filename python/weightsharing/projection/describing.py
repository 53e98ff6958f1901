"""What a projection says about itself."""

from __future__ import annotations

import numpy as np

from ..checks.reports import Report
from ..description.delays import spelled_delays
from ..description.projections import PoolingDescription, SharedDescription
from ..state.links import Link
from .connecting import spelled_extents


def describe(link: Link) -> Report:
    """Say what is connected and how it is computed; see `BaseProjection.describe`."""
    connection = link.connected()
    description = connection.description
    report = Report(
        name=link.name,
        kind=link.kind,
        pre=description.pre,
        post=description.post,
        target=link.target,
        psp=description.psp.text,
        operation=description.operation,
        delays=connection.delays if np.ndim(connection.delays) == 0 else spelled_delays(connection.delays),
        dtype=link.dtype.name,
        weights=connection.n_weights,
    )
    if isinstance(description, SharedDescription):
        report["filters"] = spelled_extents(description.extents)
        report["method"] = description.method
        report["padding"] = description.padding
        if connection.time_taps is not None:
            report["time_taps"] = connection.time_taps
    if isinstance(description, PoolingDescription):
        report["extent"], report["stride"] = description.extent, description.stride
    for key, value in link.executor_to_describe().describe().items():
        report.setdefault(key, value)
    report["backend_reason"] = link.reason()
    return report
