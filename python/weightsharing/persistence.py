"""Networks in files: what `Network.save` writes and `Network.load` accepts.

A file is an uncompressed ``.npz`` archive, readable by ``numpy.load``, of little-endian arrays in format version
1.0 of ``.npy``:

====================================  ==================================================================
``header``                            UTF-8 text in bytes: JSON, see `_header`
``population/<number>/<name>``        variable or parameter, (B, \\*own shape)
``population/<number>/sum(<target>)`` sum of a target, (B, \\*geometry)
``projection/<number>/weights/<n>``   filter n, or the weights of all synapses; once for all that share them
``projection/<number>/row_start``     of individual weights: which synapses belong to which post unit, int64
``projection/<number>/column``        of individual weights: pre unit of each synapse, int64
``projection/<number>/delays``        in ms, float64, where there is one for each unit
``history/<number>``                  (depth, B, \\*geometry)
====================================  ==================================================================

Numbers count populations and projections in the order of their creation. Nothing in a file is executed: arrays
of Python objects are refused, and no array is read before its shape and type are known to be those that the
network has.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from .backends.core import core_geometry
from .checks.errors import StateError
from .checks.numbers import whole_number
from .checks.shapes import Array, Shape
from .description.projections import PoolingDescription, SharedDescription, SynapsesDescription

if TYPE_CHECKING:
    from .network import Network
    from .projection import BaseProjection

KIND = "weightsharing network"
FORMAT = 1

# More than any network needs: names, shapes and a few numbers for each part.
_LARGEST_HEADER = 2**28
# Bytes that are read at once.
_PIECE = 2**24

Path = str | os.PathLike[str]
# Name of an array in the file, and the array.
Arrays = dict[str, Array]


# --- What a network is, and what is in it ------------------------------------------------------------------


def _structure(network: Network) -> dict[str, Any]:
    """Everything that two networks must have in common, as JSON gives it back."""
    sharing = _first_with_same(network, lambda one: one._weights)
    joined = _first_with_same(network, lambda one: getattr(one._description, "column", None))
    structure = {
        "dt": network.dt,
        "dtype": network._run_dtype().name,
        "batch": network.batch,
        "update": network.update,
        "populations": [
            {
                "name": one.name,
                "geometry": one.geometry,
                "values": {name: one._locality(name) for name in one._declared()},
                "targets": _targets(network, number),
                "constants": {
                    name: float(value)
                    for name, value in (one._neuron.constants if one._neuron else {}).items()
                },
            }
            for number, one in enumerate(network.populations)
        ],
        "projections": [
            {
                "name": one.name,
                "kind": type(one).__name__,
                "pre": one.pre.name,
                "post": one.post.name,
                "target": one.target,
                "delays": "one for each unit" if np.ndim(one.delays) else one.delays,
                "weights": _weight_shapes(one),
                "shares the weights of": sharing[one],
                "shares the synapses of": joined[one],
            }
            for one in network.projections
        ],
        "histories": [
            {
                "population": one.population.name,
                "before the start": one.policy if isinstance(one.policy, str) else "an array",
                "moment": one.moment,
                "early": one.early,
                "depth": one.depth,
            }
            for one in network._histories
        ],
    }
    plain: dict[str, Any] = json.loads(json.dumps(structure))
    return plain


def _meaning(network: Network) -> dict[str, Any]:
    """What is computed with the arrays, as JSON gives it back; files of earlier versions do not say it."""

    populations = [
        {
            "name": one.name,
            "equations": [
                f"{step.name} = {step.tree!r}" for step in (one._neuron.steps if one._neuron else ())
            ],
        }
        for one in network.populations
    ]
    projections = []
    for one in network.projections:
        description = one._connected()
        said: dict[str, Any] = {
            "name": one.name,
            "psp": repr(description.psp.tree),
            "operation": description.operation,
        }
        if isinstance(description, SharedDescription):
            parts = ("method", "padding", "keep_last_dimension", "strides", "dilation", "first", "anchor")
            said |= {part: getattr(description, part) for part in parts}
            if description.padding != description.padding:  # NaN, which differs from itself
                said["padding"] = "nan"
            centres = description.centres
            said["subsampling"] = None if centres is None else hashlib.sha256(centres.tobytes()).hexdigest()
        elif isinstance(description, PoolingDescription):
            said |= {"extent": description.extent, "stride": description.stride}
        projections.append(said)
    plain: dict[str, Any] = json.loads(json.dumps({"populations": populations, "projections": projections}))
    return plain


def _targets(network: Network, number: int) -> list[str]:
    """Targets of a population that a step computes."""
    population = network.populations[number]
    fed = [one.target for one in network.projections if one.post is population]
    read = population._neuron.targets if population._neuron is not None else ()
    return list(dict.fromkeys([*fed, *read]))


def _first_with_same(network: Network, part: Any) -> dict[BaseProjection, str | None]:
    """Name of the first projection that has the very same part; None for itself and for no part."""
    first: dict[int, str] = {}
    found: dict[BaseProjection, str | None] = {}
    for one in network.projections:
        key = part(one)
        name = one.name if key is None else first.setdefault(id(key), one.name)
        found[one] = None if name == one.name else name
    return found


def _weight_shapes(projection: BaseProjection) -> Any:
    if projection._weights is None:
        return "none"
    if isinstance(projection._description, SynapsesDescription):
        return "one for each synapse"
    return [array.shape for array in projection._weights.arrays]


@dataclass
class _Synapses:
    """Which units are connected, for all projections that share one such list."""

    projections: list[BaseProjection]
    description: SynapsesDescription
    row_start: Array
    column: Array


def _own_parts(network: Network, part: str) -> Iterator[tuple[int, BaseProjection]]:
    """Projections whose weights or synapses are not those of an earlier one."""
    for number, entry in enumerate(_structure(network)["projections"]):
        if entry[f"shares the {part} of"] is None:
            yield number, network.projections[number]


def _state_arrays(network: Network) -> Arrays:
    """The arrays that a run changes, by their names in the file."""
    arrays: Arrays = {}
    for number, population in enumerate(network.populations):
        for name in population._declared():
            arrays[f"population/{number}/{name}"] = population._array(name)
        for target in _targets(network, number):
            arrays[f"population/{number}/sum({target})"] = population._sum_array(target)
    for number, history in enumerate(network._histories):
        arrays[f"history/{number}"] = history.array
    return arrays


def _synapse_arrays(network: Network) -> Iterator[tuple[int, BaseProjection, SynapsesDescription]]:
    for number, projection in _own_parts(network, "synapses"):
        if isinstance(projection._description, SynapsesDescription):
            yield number, projection, projection._description


# --- Saving ------------------------------------------------------------------------------------------------


def save(network: Network, path: Path) -> None:
    """Write a compiled network to a file; see `Network.save`."""
    if network._compiled_for is None:
        raise StateError(
            "save: the network is not compiled, so that it has no state yet; call compile() first."
        )
    arrays = {name: network._fetch(array) for name, array in _state_arrays(network).items()}
    for number, projection in _own_parts(network, "weights"):
        weights = [] if projection._weights is None else projection._weights.arrays
        arrays |= {f"projection/{number}/weights/{n}": array for n, array in enumerate(weights)}
    for number, _, description in _synapse_arrays(network):
        arrays[f"projection/{number}/row_start"] = description.row_start
        arrays[f"projection/{number}/column"] = description.column
    for number, projection in enumerate(network.projections):
        if np.ndim(projection.delays):
            arrays[f"projection/{number}/delays"] = np.asarray(projection.delays)
    text = json.dumps(_header(network), indent=1).encode()
    target = os.path.realpath(_checked_path("save", path))
    if os.path.isdir(target) or not os.path.isdir(os.path.dirname(target)):
        raise FileNotFoundError(
            f"save: {os.fspath(path)!r} is a folder, or lies in none; give the path of a file."
        )
    with _replacing(target) as file, zipfile.ZipFile(file, "w") as archive:
        _write(archive, "header", np.frombuffer(text, dtype=np.uint8))
        for name, array in arrays.items():
            _write(archive, name, array)


def _header(network: Network) -> dict[str, Any]:
    from . import __version__

    return {
        "kind": KIND,
        "format": FORMAT,
        "weightsharing": __version__,
        "network": _structure(network),
        "meaning": _meaning(network),
        "steps done": network._steps_done,
        "seed": network._seed,
        "first trial": network._first_trial,
        "random generator": network._random_generator.bit_generator.state,
        # Number of synapses, by number of the projection.
        "synapses": {str(number): len(one.column) for number, _, one in _synapse_arrays(network)},
        # Step that the frames of a timed input are counted from, by number of the population.
        "shown from": {
            str(number): one._frames.origin
            for number, one in enumerate(network.populations)
            if one._frames is not None
        },
    }


def _write(archive: zipfile.ZipFile, name: str, array: Array) -> None:
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    # A fixed date: the same state gives the same bytes.
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
        np.lib.format.write_array(member, little, version=(1, 0), allow_pickle=False)


def _checked_path(action: str, path: Path) -> str:
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


# --- Loading -----------------------------------------------------------------------------------------------


@dataclass
class _Loaded:
    """What a file holds, checked, before anything of it is used."""

    steps_done: int
    seed: int
    first_trial: int
    generator: Any
    shown_from: dict[int, int]
    state: list[tuple[Array, Array]] = field(default_factory=list)
    weights: list[tuple[BaseProjection, list[Array]]] = field(default_factory=list)
    synapses: list[tuple[Array, SynapsesDescription]] = field(default_factory=list)


def load(network: Network, path: Path) -> None:
    """Take the state of a file; see `Network.load`."""
    if network._compiled_for is None:
        raise StateError("load: the network is not compiled; call compile() first.")
    if network._run_end is not None:
        raise StateError(
            "load: a run is under way; a function that is called between the steps cannot do this."
        )
    file = _checked_path("load", path)
    if not os.path.isfile(file):
        raise FileNotFoundError(f"load: there is no file {file!r}.")
    loaded = _read(network, file)
    anew = bool(loaded.synapses) or (loaded.seed, loaded.first_trial) != (network._seed, network._first_trial)
    for projection, weights in loaded.weights:
        assert projection._weights is not None
        projection._weights.assign(weights)
    for column, description in loaded.synapses:
        for projection in network.projections:
            present = projection._description
            if isinstance(present, SynapsesDescription) and present.column is column:
                same = dataclasses.replace(
                    present, row_start=description.row_start, column=description.column
                )
                projection._reconnect(same)
    network._seed, network._first_trial = loaded.seed, loaded.first_trial
    for array, values in loaded.state:
        network._fill(array, values)
    for number, origin in loaded.shown_from.items():
        frames = network.populations[number]._frames
        assert frames is not None
        frames.origin = origin
    network._steps_done = loaded.steps_done
    network._random_generator.bit_generator.state = loaded.generator
    if anew:
        # Seed and synapses are part of the schedule; the histories move to new arrays.
        histories = [network._fetch(one.array).copy() for one in network._histories]
        network._prepare(network._compiled_for)
        for history, values in zip(network._histories, histories, strict=True):
            network._fill(history.array, values)


def _read(network: Network, path: str) -> _Loaded:
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return _Reader(network, path, archive).read()
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
    def __init__(self, network: Network, path: str, archive: zipfile.ZipFile) -> None:
        self.network, self.path, self.archive = network, path, archive
        self.unread = set(archive.namelist())

    def read(self) -> _Loaded:
        header = self._header()
        structure = _structure(self.network)
        _compare("", header["network"], structure)
        if "meaning" in header:
            _compare("", header["meaning"], _meaning(self.network))
        try:
            counts = {int(number): whole_number("synapses", n) for number, n in header["synapses"].items()}
            loaded = self._numbers(header)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise _Refused(f"has a damaged header ({type(error).__name__}: {error}).") from None
        for number, projection in enumerate(self.network.projections):
            if np.ndim(projection.delays):
                self._check_delays(number, projection)
        structures = {
            number: self._synapses(number, description, counts)
            for number, _, description in _synapse_arrays(self.network)
        }
        for name, array in _state_arrays(self.network).items():
            loaded.state.append((array, self._array(name, array.shape, array.dtype)))
        for number, projection in _own_parts(self.network, "weights"):
            self._weights(number, projection, structures, loaded)
        for number, _, description in _synapse_arrays(self.network):
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
        missing = [key for key in _header(self.network) if key not in header and key != "meaning"]
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
        generator = type(self.network._random_generator.bit_generator)()
        generator.state = header["random generator"]
        shown = {int(number): whole_number("shown from", n) for number, n in header["shown from"].items()}
        showing = {n for n, one in enumerate(self.network.populations) if one._frames is not None}
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

    def _check_delays(self, number: int, projection: BaseProjection) -> None:
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
        projection: BaseProjection,
        structures: dict[int, SynapsesDescription],
        loaded: _Loaded,
    ) -> None:
        if projection._weights is None:
            return
        shapes = [array.shape for array in projection._weights.arrays]
        if number in structures:
            shapes = [(len(structures[number].column),)]
        arrays = [
            self._array(f"projection/{number}/weights/{n}", shape, projection.dtype)
            for n, shape in enumerate(shapes)
        ]
        loaded.weights.append((projection, arrays))

    def _check_divisors(self, loaded: _Loaded) -> None:
        """Equations of the network must not divide by a value of the file that is zero."""
        values = {id(array): found for array, found in loaded.state}
        for one in self.network.populations:
            if one._neuron is not None:
                try:
                    one._neuron.check_divisors(
                        {name: values[id(one._array(name))] for name in one._neuron.parameters}
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
