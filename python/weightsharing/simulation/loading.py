"""Networks from files: what is read, and what is refused; `layout` says what is in them."""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..backends.core import core_geometry
from ..checks.errors import StateError
from ..checks.numbers import whole_number
from ..checks.shapes import Array, Shape
from ..description.projections import SynapsesDescription
from ..state.connection import Weights
from ..state.links import Link
from .layout import FORMAT, KIND, Path, meaning, own_parts, state_arrays, structure, synapse_arrays
from .saving import checked_path, header_of
from .simulation import Simulation

# More than any network needs: names, shapes and a few numbers for each part.
_LARGEST_HEADER = 2**28
# Bytes that are read at once.
_PIECE = 2**24


@dataclass
class _Loaded:
    """What a file holds, checked, before anything of it is used."""

    steps_done: int
    seed: int
    first_trial: int
    generator: Any
    shown_from: dict[int, int]
    state: list[tuple[Array, Array]] = field(default_factory=list)
    weights: list[tuple[Weights, list[Array]]] = field(default_factory=list)
    synapses: list[tuple[Array, SynapsesDescription]] = field(default_factory=list)


def load(simulation: Simulation | None, path: Path) -> None:
    """Take the state of a file; see `Network.load`."""
    if simulation is None:
        raise StateError("load: the network is not compiled; call compile() first.")
    context, links = simulation.context, simulation.assembly.links
    if context.clock.run_end is not None:
        raise StateError(
            "load: a run is under way; a function that is called between the steps cannot do this."
        )
    file = checked_path("load", path)
    if not os.path.isfile(file):
        raise FileNotFoundError(f"load: there is no file {file!r}.")
    loaded = _read(simulation, file)
    anew = bool(loaded.synapses) or (loaded.seed, loaded.first_trial) != (
        context.source.seed,
        context.first_trial,
    )
    for weights, arrays in loaded.weights:
        weights.assign(arrays)
    for column, description in loaded.synapses:
        for link in links:
            connection, present = link.connected(), link.description
            if isinstance(present, SynapsesDescription) and present.column is column:
                same = dataclasses.replace(
                    present, row_start=description.row_start, column=description.column
                )
                link.reconnect(dataclasses.replace(connection, description=same, geometry=None))
    context.source.seed, context.first_trial = loaded.seed, loaded.first_trial
    for array, values in loaded.state:
        context.storage.fill(array, values)
    for number, origin in loaded.shown_from.items():
        shown = simulation.assembly.units[number].shown
        assert shown is not None
        shown.frames.origin = origin
    context.clock.steps_done = loaded.steps_done
    context.source.state = loaded.generator
    if anew:
        # Seed and synapses are part of the schedule; the histories move to new arrays.
        histories = [context.storage.fetch(one.array).copy() for one in simulation.histories]
        assert context.placed is not None
        simulation.prepare(context.placed)
        for history, values in zip(simulation.histories, histories, strict=True):
            context.storage.fill(history.array, values)


def _read(simulation: Simulation, path: str) -> _Loaded:
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return _Reader(simulation, path, archive).read()
        except _Refused as refused:
            raise ValueError(f"load: {path!r} {refused}") from None
        except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, OverflowError, ValueError) as error:
            raise ValueError(
                f"load: {path!r} is no complete file of a network ({error}): it was cut off or damaged, or is "
                "something else. Expected a file that save() wrote."
            ) from error


class _Refused(Exception):
    """Why a file is not taken; the end of a sentence that begins with its path."""


class _Reader:
    def __init__(self, simulation: Simulation, path: str, archive: zipfile.ZipFile) -> None:
        self.simulation, self.path, self.archive = simulation, path, archive
        self.unread = set(archive.namelist())

    def read(self) -> _Loaded:
        header = self._header()
        _compare("", header["network"], structure(self.simulation))
        if "meaning" in header:
            _compare("", header["meaning"], meaning(self.simulation))
        try:
            counts = {int(number): whole_number("synapses", n) for number, n in header["synapses"].items()}
            loaded = self._numbers(header)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise _Refused(f"has a damaged header ({type(error).__name__}: {error}).") from None
        for number, projection in enumerate(self.simulation.assembly.links):
            if np.ndim(projection.delays):
                self._check_delays(number, projection)
        structures = {
            number: self._synapses(number, description, counts)
            for number, description in synapse_arrays(self.simulation)
        }
        for name, array in state_arrays(self.simulation).items():
            loaded.state.append((array, self._array(name, array.shape, array.dtype)))
        for number, projection in own_parts(self.simulation, "weights"):
            self._weights(number, projection, structures, loaded)
        for number, description in synapse_arrays(self.simulation):
            found = structures[number]
            if found is not description:
                loaded.synapses.append((description.column, found))
        if self.unread:
            raise _Refused(f"holds {min(self.unread)!r}, which no network of this kind has.")
        self._check_divisors(loaded)
        return loaded

    # --- The header ---

    def _header(self) -> dict[str, Any]:
        if "header.npy" not in self.unread:
            raise _Refused(
                "is not the file of a network: it has no header. Expected a file that save() wrote."
            )
        size = self.archive.getinfo("header.npy").file_size
        text = self._array("header", (None,), np.dtype(np.uint8), most=min(size, _LARGEST_HEADER))
        try:
            header = json.loads(text.tobytes())
        except (ValueError, RecursionError) as error:
            raise _Refused(f"has a damaged header ({error}).") from None
        if not isinstance(header, dict) or header.get("kind") != KIND:
            raise _Refused("is not the file of a network. Expected a file that save() wrote.")
        number = header.get("format")
        if not isinstance(number, int) or number < 1:
            raise _Refused(f"has a damaged header (format {number!r}).")
        if number > FORMAT:
            raise _Refused(
                f"has format {number}, written by weightsharing {header.get('weightsharing')}; this version reads "
                f"formats up to {FORMAT}. Install a newer one."
            )
        missing = [key for key in header_of(self.simulation) if key not in header and key != "meaning"]
        if missing:
            raise _Refused(f"has a damaged header (without {missing[0]!r}).")
        return header

    def _numbers(self, header: dict[str, Any]) -> _Loaded:
        """The numbers of the state; any error means a damaged header."""
        steps, seed, first_trial = (
            whole_number(name, header[name]) for name in ("steps done", "seed", "first trial")
        )
        if not (0 <= steps < 2**62 and 0 <= seed < 2**64 and 0 <= first_trial < 2**31):
            raise ValueError("a number is out of range")
        generator = type(self.simulation.context.source.generator.bit_generator)()
        generator.state = header["random generator"]
        shown = {int(number): whole_number("shown from", n) for number, n in header["shown from"].items()}
        showing = {n for n, one in enumerate(self.simulation.assembly.units) if one.shown is not None}
        if set(shown) != showing or not all(abs(origin) < 2**62 for origin in shown.values()):
            raise ValueError(f"timed inputs {sorted(shown)}, this network has {sorted(showing)}")
        return _Loaded(steps, seed, first_trial, generator.state, shown)

    # --- Arrays ---

    def _array(
        self, name: str, shape: tuple[int | None, ...], dtype: np.dtype[Any], most: int | None = None
    ) -> Array:
        """Read an array that must have this shape and type; None stands for any length up to `most`."""
        member = f"{name}.npy"
        if member not in self.unread:
            raise _Refused(f"has no array {name!r}; the file is incomplete.")
        self.unread.remove(member)
        entry = self.archive.getinfo(member)
        if entry.compress_type != zipfile.ZIP_STORED:
            raise _Refused(f"holds {name!r} in compressed form; expected a file as save() wrote it.")
        with self.archive.open(entry) as file:
            found_shape, found_dtype = self._head(name, file)
            little = dtype.newbyteorder("<")
            if found_dtype.hasobject:
                raise _Refused(f"holds Python objects in {name!r}, which are never read; expected {dtype}.")
            fits = len(found_shape) == len(shape) and all(
                have == want if want is not None else most is not None and have <= most
                for have, want in zip(found_shape, shape, strict=True)
            )
            if not fits or found_dtype != little:
                wanted = tuple("any" if entry is None else entry for entry in shape)
                raise _Refused(
                    f"holds {name!r} with the shape {found_shape} and type {found_dtype}; expected {wanted}, {dtype}."
                )
            # The zip entry says as well how much is there; what is not there is not allocated.
            if entry.file_size - file.tell() != int(np.prod(found_shape, dtype=object)) * little.itemsize:
                raise _Refused(
                    f"holds {name!r} with {entry.file_size} bytes, which is not what its shape needs."
                )
            array = np.empty(found_shape, dtype=little)
            # Read to the end: only then the check sum is compared.
            rest = memoryview(array.reshape(-1).view(np.uint8).data)
            while rest.nbytes:
                piece = file.read(min(rest.nbytes, _PIECE))
                if not piece:
                    raise EOFError(f"{name!r} ends early")
                rest[: len(piece)] = piece
                rest = rest[len(piece) :]
            file.read(1)
        return array.astype(dtype, copy=False)

    @staticmethod
    def _head(name: str, file: Any) -> tuple[Shape, np.dtype[Any]]:
        """Shape and type that an array in the file claims to have."""
        try:
            if np.lib.format.read_magic(file) != (1, 0):
                raise ValueError("another version of npy")
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        except (ValueError, RecursionError, MemoryError) as error:
            raise _Refused(f"holds {name!r}, which is no array ({error}).") from None
        if fortran and len(shape) > 1:
            raise _Refused(f"holds {name!r} in Fortran order; expected C order.")
        return shape, dtype

    def _check_delays(self, number: int, projection: Link) -> None:
        present = np.asarray(projection.delays)
        found = self._array(f"projection/{number}/delays", present.shape, present.dtype)
        if not np.array_equal(found, present):
            raise _Refused(f"has other delays of {projection.name!r} than this network; create them alike.")

    def _synapses(
        self, number: int, present: SynapsesDescription, counts: dict[int, int]
    ) -> SynapsesDescription:
        """The synapses in the file: `present` itself if they are the same."""
        kind, whole = np.dtype(np.int64), int(np.prod(present.pre)) * int(np.prod(present.post))
        rows = self._array(f"projection/{number}/row_start", present.row_start.shape, kind)
        column = self._array(f"projection/{number}/column", (None,), kind, most=whole)
        if len(column) != counts.get(number):
            raise _Refused(
                f"has {len(column)} synapses of projection {number}, its header {counts.get(number)}."
            )
        if np.array_equal(rows, present.row_start) and np.array_equal(column, present.column):
            return present
        found = dataclasses.replace(present, row_start=rows, column=column)
        try:
            core_geometry(found)
        except ValueError as error:
            raise _Refused(f"holds impossible synapses of projection {number} ({error}).") from None
        return found

    def _weights(
        self,
        number: int,
        projection: Link,
        structures: dict[int, SynapsesDescription],
        loaded: _Loaded,
    ) -> None:
        if projection.weights is None:
            return
        shapes = [array.shape for array in projection.weights.arrays]
        if number in structures:
            shapes = [(len(structures[number].column),)]
        arrays = [
            self._array(f"projection/{number}/weights/{n}", shape, projection.dtype)
            for n, shape in enumerate(shapes)
        ]
        loaded.weights.append((projection.weights, arrays))

    def _check_divisors(self, loaded: _Loaded) -> None:
        """Equations of the network must not divide by a value of the file that is zero."""
        values = {id(array): found for array, found in loaded.state}
        for one in self.simulation.assembly.units:
            if one.neuron is not None:
                try:
                    one.neuron.check_divisors(
                        {name: values[id(one.array(name))] for name in one.neuron.parameters}
                    )
                except ValueError as error:
                    raise _Refused(f"does not suit this network: {error}") from None


def _compare(where: str, found: Any, expected: Any) -> None:
    """Raise with the first difference between the file's network and this one."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in [*expected, *(key for key in found if key not in expected)]:
            named = f"{where}: {key}" if where else key
            _compare(named, found.get(key, "nothing"), expected.get(key, "nothing"))
        return
    if isinstance(expected, list) and isinstance(found, list) and expected and isinstance(expected[0], dict):
        for number, (one, other) in enumerate(zip(found, expected, strict=False)):
            _compare(f"{where}[{number}]{_name_of(other)}", one, other)
        if len(found) == len(expected):
            return
        found, expected = len(found), len(expected)
    if found != expected:
        raise _Refused(
            f"is of another network: {where} is {_shown(found)} in the file, {_shown(expected)} in this network. "
            "Build the network as it was when it was saved."
        )


def _name_of(part: Any) -> str:
    return f" {part['name']!r}" if isinstance(part, dict) and "name" in part else ""


def _shown(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(entry, int) for entry in value):
        return str(tuple(value))
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
