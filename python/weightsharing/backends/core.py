"""The one door to the compiled core: descriptions, expressions and the number of threads, handed over to C++."""

from __future__ import annotations

from math import prod

from .. import _core
from .._core import Engine, PoolingGeometry, Schedule, SharedGeometry, SynapsesGeometry
from ..checks.shapes import Shape
from ..description.projections import Description, PoolingDescription, SharedDescription
from ..language.expression import Expression
from ..language.program import Program

Geometry = SharedGeometry | PoolingGeometry | SynapsesGeometry

__all__ = [
    "Engine",
    "Geometry",
    "PoolingGeometry",
    "Schedule",
    "SharedGeometry",
    "SynapsesGeometry",
    "core_geometry",
    "core_program",
    "core_psp",
    "pooling_geometry",
    "set_thread_count",
    "shared_geometry",
    "thread_count",
]


def shared_geometry(description: SharedDescription) -> SharedGeometry:
    """Check the shapes of a filter or bank; raises ValueError that names them and the remedy."""
    padding = description.padding if isinstance(description.padding, str) else "constant"
    return SharedGeometry(
        pre=description.pre,
        post=description.post,
        extents=list(description.extents),
        bank=description.bank,
        keep_last_dimension=description.keep_last_dimension,
        flip=description.method == "convolution",
        padding=padding,
        strides=description.strides,
        dilation=description.dilation,
        first=description.first,
        anchor=description.anchor,
        centres=description.centres,
    )


def pooling_geometry(
    pre: Shape, post: Shape, extent: Shape | None = None, stride: Shape | None = None
) -> PoolingGeometry:
    """Check the shapes of a pooling, and find those that are left out; raises ValueError as above."""
    return PoolingGeometry(pre=pre, post=post, extent=extent, stride=stride)


def core_geometry(description: Description) -> Geometry:
    """Check the shapes of any description; raises ValueError that names them and the remedy."""
    if isinstance(description, SharedDescription):
        return shared_geometry(description)
    if isinstance(description, PoolingDescription):
        return pooling_geometry(description.pre, description.post, description.extent, description.stride)
    return SynapsesGeometry(
        pre=prod(description.pre),
        post=prod(description.post),
        row_start=description.row_start,
        column=description.column,
    )


def core_program(program: Program) -> _core.Program:
    """Hand bytecode to the core, which checks it."""
    return _core.Program(
        code=program.code,
        constants=list(program.constants),
        slots=program.slots,
        inputs=len(program.inputs),
        outputs=len(program.outputs),
    )


def core_psp(description: Description) -> _core.Psp:
    """Split the psp into f(w) * g(pre.r) where that is possible; the identity needs no program."""
    psp = description.psp
    if isinstance(description, PoolingDescription):
        return _core.Psp(rate=_one_sided(psp, "pre.r"))
    parts = psp.split()
    if parts is None:
        return _core.Psp(general=core_program(psp.program(("w", "pre.r"))))
    of_weight, of_rate = parts
    return _core.Psp(weight=_one_sided(of_weight, "w"), rate=_one_sided(of_rate, "pre.r"))


def _one_sided(expression: Expression, name: str) -> _core.Program | None:
    return None if expression.is_identity else core_program(expression.program((name,)))


def thread_count() -> int:
    """Return how many threads the CPU backend uses where nothing else is asked for."""
    return _core.thread_count()


def set_thread_count(threads: int) -> None:
    """Set how many threads the CPU backend uses where nothing else is asked for."""
    _core.set_thread_count(threads)
