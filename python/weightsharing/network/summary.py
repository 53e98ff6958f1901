"""`Network.summary`: what a network consists of, and how many weights it has, as tables."""

from __future__ import annotations

import math
from typing import Any

from ..backends.targets import get_num_threads
from ..checks.reports import Report
from ..projection.describing import describe
from ..simulation.placement import run_dtype
from ..state.assembly import Assembly
from ..state.connection import Connection
from ..state.links import Link
from ..state.units import Units

_LONGEST_CELL = 40


class Summary:
    """Tables of the populations and projections of a network; print it, or read the rows.

    Attributes
    ----------
    settings : Report
        Backend (``'auto'`` where the choice is still open), threads, dtype, dt, batch, update order, and whether
        the network is compiled.
    populations : list of Report
        For each: name, geometry, units, names of its parameters and variables, `weights` (parameters that are
        shared per filter, one value for each place on the last axis; those of single units and of the whole
        population are no weights) and `bytes` of all its values.
    projections : list of Report
        For each: name, kind, pre, post and target, geometries, filters, how it is computed, `weights`, and the
        `bytes` moved and `flops` done in one step of one trial as `describe` says. Weights that are those of
        another projection are not counted again. One that is not connected has neither.
    weights, bytes, flops : int
        Sums: weights of populations and projections; bytes and flops of the projections.
    """

    def __init__(self, assembly: Assembly) -> None:
        context = assembly.context
        target = context.placed or context.asked
        self.settings = Report(
            backend=target.backend,
            dtype=run_dtype(assembly).name,
            dt=context.dt,
            batch=context.batch,
            update=context.update,
            compiled=context.placed is not None,
        )
        if target.backend == "cpu":
            self.settings["threads"] = target.threads or get_num_threads()
        owners: dict[int, str] = {}
        self.populations = [_population(one) for one in assembly.units]
        self.projections = [_projection(one, owners) for one in assembly.links]
        self.weights = self._total("weights", self.populations) + self._total("weights", self.projections)
        self.bytes = self._total("bytes", self.projections)
        self.flops = self._total("flops", self.projections)

    @property
    def rows(self) -> list[Report]:
        """All populations, then all projections."""
        return [*self.populations, *self.projections]

    @staticmethod
    def _total(key: str, rows: list[Report]) -> int:
        return sum(_number(row[key]) for row in rows)

    def __str__(self) -> str:
        settings = ", ".join(
            f"{key} {value}" for key, value in self.settings.items() if key not in ("compiled", "batch")
        )
        batch = "" if self.settings["batch"] is None else f", batch {self.settings['batch']}"
        state = "compiled" if self.settings["compiled"] else "not compiled"
        total = (
            f"{self.weights:,} weights in all; {self.flops:,} flops and {self.bytes:,} bytes moved by the projections "
            "in one step" + (" of each trial" if batch else "")
        )
        return "\n".join(
            [
                f"{settings}{batch}, {state}",
                "",
                *_table("population", ("geometry", "units", "values", "weights", "bytes"), self.populations),
                "",
                *_table(
                    "projection",
                    ("kind", "from -> to", "geometry", "filters", "computed", "weights", "bytes", "flops"),
                    self.projections,
                ),
                "",
                total,
            ]
        )

    __repr__ = __str__


def _population(population: Units) -> Report:
    declared = population.declared
    return Report(
        name=population.name,
        geometry=population.geometry,
        units=population.size,
        values=", ".join(declared),
        weights=sum(
            population.geometry[-1]
            for name, one in declared.items()
            if one is not None and one.locality == "filter" and name in population.parameters
        ),
        bytes=sum(math.prod(population.shape(name)) for name in declared) * population.dtype.itemsize,
    )


def _projection(projection: Link, owners: dict[int, str]) -> Report:
    row = Report(
        name=projection.name,
        kind=projection.kind,
        geometry=f"{projection.pre.geometry} -> {projection.post.geometry}",
        filters="not connected",
        computed="",
        weights=0,
        bytes=0,
        flops=0,
    )
    row["from -> to"] = f"{projection.pre.name} -> {projection.post.name}.{projection.target}"
    connection = projection.connection
    if connection is None:
        return row
    said = describe(projection)
    owner = owners.setdefault(id(connection.weights), projection.name)
    row["filters"] = _filters(projection.operation, connection, said)
    if connection.weights is not None and owner != projection.name:
        row["filters"] = f"those of {owner}"
    else:
        row["weights"] = connection.n_weights
    row["computed"] = f"{said['backend']}: {said.get('family', '')} {said.get('algorithm', '')}".strip(": ")
    for key in ("bytes", "flops"):
        row[key] = connection.taps * _number(said.get(key, 0))
    return row


def _filters(operation: str, connection: Connection, said: Report) -> str:
    if "filters" in said:
        time = "" if connection.time_taps is None else f" over {connection.time_taps} steps"
        return f"{said['filters']}{time}"
    if "extent" in said:
        return f"{operation} of {said['extent']} every {said['stride']}"
    return "one for each synapse"


def _number(value: Any) -> int:
    return int(value)


def _table(title: str, columns: tuple[str, ...], rows: list[Report]) -> list[str]:
    """Lines of a table; numbers are aligned to the right."""
    cells = [[title, *columns]] + [
        [_cell(row["name"]), *(_cell(row[column]) for column in columns)] for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = [False, *(bool(rows) and isinstance(rows[0][column], int) for column in columns)]
    return [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in cells
    ]


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    text = str(value)
    return text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 3]}..."
