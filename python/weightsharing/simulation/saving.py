"""Networks to files; `layout` says what is in them."""

from __future__ import annotations

import json
import os
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np

from ..checks.errors import StateError
from ..checks.shapes import Array
from ..version import __version__
from .layout import FORMAT, KIND, Path, meaning, own_parts, state_arrays, structure, synapse_arrays
from .simulation import Simulation


def save(simulation: Simulation | None, path: Path) -> None:
    """Write a compiled network to a file; see `Network.save`."""
    if simulation is None:
        raise StateError(
            "save: the network is not compiled, so that it has no state yet; call compile() first."
        )
    arrays = {
        name: simulation.context.storage.fetch(array) for name, array in state_arrays(simulation).items()
    }
    for number, projection in own_parts(simulation, "weights"):
        weights = [] if projection.weights is None else projection.weights.arrays
        arrays |= {f"projection/{number}/weights/{n}": array for n, array in enumerate(weights)}
    for number, description in synapse_arrays(simulation):
        arrays[f"projection/{number}/row_start"] = description.row_start
        arrays[f"projection/{number}/column"] = description.column
    for number, projection in enumerate(simulation.assembly.links):
        if np.ndim(projection.delays):
            arrays[f"projection/{number}/delays"] = np.asarray(projection.delays)
    text = json.dumps(header_of(simulation), indent=1).encode()
    target = os.path.realpath(checked_path("save", path))
    if os.path.isdir(target) or not os.path.isdir(os.path.dirname(target)):
        raise FileNotFoundError(
            f"save: {os.fspath(path)!r} is a folder, or lies in none; give the path of a file."
        )
    with _replacing(target) as file, zipfile.ZipFile(file, "w") as archive:
        _write(archive, "header", np.frombuffer(text, dtype=np.uint8))
        for name, array in arrays.items():
            _write(archive, name, array)


def header_of(simulation: Simulation) -> dict[str, Any]:
    """Everything about a network and its state that is no array."""
    return {
        "kind": KIND,
        "format": FORMAT,
        "weightsharing": __version__,
        "network": structure(simulation),
        "meaning": meaning(simulation),
        "steps done": simulation.context.clock.steps_done,
        "seed": simulation.context.source.seed,
        "first trial": simulation.context.first_trial,
        "random generator": simulation.context.source.state,
        # Number of synapses, by number of the projection.
        "synapses": {str(number): len(one.column) for number, one in synapse_arrays(simulation)},
        # Step that the frames of a timed input are counted from, by number of the population.
        "shown from": {
            str(number): one.shown.frames.origin
            for number, one in enumerate(simulation.assembly.units)
            if one.shown is not None
        },
    }


def _write(archive: zipfile.ZipFile, name: str, array: Array) -> None:
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    # A fixed date: the same state gives the same bytes.
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
        np.lib.format.write_array(member, little, version=(1, 0), allow_pickle=False)


def checked_path(action: str, path: Path) -> str:
    if isinstance(path, (str, os.PathLike)):
        text = os.fspath(path)
        if isinstance(text, str):
            return text
    raise TypeError(f"{action}: path is {path!r} ({type(path).__name__}); expected the path of a file.")


@contextmanager
def _replacing(path: str) -> Iterator[IO[bytes]]:
    """Write a file beside `path` that takes its place when it is complete and on the disk."""
    folder, name = os.path.split(path)
    unfinished = os.path.join(folder, f".{name}.{uuid.uuid4().hex}")
    try:
        with open(unfinished, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        if os.path.exists(unfinished):
            os.unlink(unfinished)
        raise
    if os.name == "posix":  # elsewhere folders cannot be opened
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
