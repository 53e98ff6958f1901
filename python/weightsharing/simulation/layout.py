"""Networks in files: what `Network.save` writes and `Network.load` accepts.

A file is an uncompressed ``.npz`` archive, readable by ``numpy.load``, of little-endian arrays in format version
1.0 of ``.npy``:

====================================  ==================================================================
``header``                            UTF-8 text in bytes: JSON, see `saving.header_of`
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

import hashlib
import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..checks.shapes import Array
from ..description.projections import PoolingDescription, SharedDescription, SynapsesDescription
from ..state.links import Link
from .placement import run_dtype
from .simulation import Simulation

KIND = "weightsharing network"
FORMAT = 1

Path = str | os.PathLike[str]
# Name of an array in the file, and the array.
Arrays = dict[str, Array]


def structure(simulation: Simulation) -> dict[str, Any]:
    """Everything that two networks must have in common, as JSON gives it back."""
    sharing = _first_with_same(simulation, lambda one: one.weights)
    joined = _first_with_same(simulation, lambda one: getattr(one.description, "column", None))
    said = {
        "dt": simulation.context.dt,
        "dtype": run_dtype(simulation.assembly).name,
        "batch": simulation.context.batch,
        "update": simulation.context.update,
        "populations": [
            {
                "name": one.name,
                "geometry": one.geometry,
                "values": {name: one.locality(name) for name in one.declared},
                "targets": targets(simulation, number),
                "constants": {
                    name: float(value) for name, value in (one.neuron.constants if one.neuron else {}).items()
                },
            }
            for number, one in enumerate(simulation.assembly.units)
        ],
        "projections": [
            {
                "name": one.name,
                "kind": one.kind,
                "pre": one.pre.name,
                "post": one.post.name,
                "target": one.target,
                "delays": "one for each unit" if np.ndim(one.delays) else one.delays,
                "weights": _weight_shapes(one),
                "shares the weights of": sharing[one],
                "shares the synapses of": joined[one],
            }
            for one in simulation.assembly.links
        ],
        "histories": [
            {
                "population": one.units.name,
                "before the start": one.policy if isinstance(one.policy, str) else "an array",
                "moment": one.moment,
                "early": one.early,
                "depth": one.depth,
            }
            for one in simulation.histories
        ],
    }
    plain: dict[str, Any] = json.loads(json.dumps(said))
    return plain


def meaning(simulation: Simulation) -> dict[str, Any]:
    """What is computed with the arrays, as JSON gives it back; files of earlier versions do not say it."""

    populations = [
        {
            "name": one.name,
            "equations": [
                f"{step.name} = {step.tree!r}" for step in (one.neuron.steps if one.neuron else ())
            ],
        }
        for one in simulation.assembly.units
    ]
    projections = []
    for one in simulation.assembly.links:
        description = one.description
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


def targets(simulation: Simulation, number: int) -> list[str]:
    """Targets of a population that a step computes."""
    population = simulation.assembly.units[number]
    fed = [one.target for one in simulation.assembly.links if one.post is population]
    read = population.neuron.targets if population.neuron is not None else ()
    return list(dict.fromkeys([*fed, *read]))


def _first_with_same(simulation: Simulation, part: Any) -> dict[Link, str | None]:
    """Name of the first projection that has the very same part; None for itself and for no part."""
    first: dict[int, str] = {}
    found: dict[Link, str | None] = {}
    for one in simulation.assembly.links:
        key = part(one)
        name = one.name if key is None else first.setdefault(id(key), one.name)
        found[one] = None if name == one.name else name
    return found


def _weight_shapes(projection: Link) -> Any:
    if projection.weights is None:
        return "none"
    if isinstance(projection.description, SynapsesDescription):
        return "one for each synapse"
    return [array.shape for array in projection.weights.arrays]


def own_parts(simulation: Simulation, part: str) -> Iterator[tuple[int, Link]]:
    """Projections whose weights or synapses are not those of an earlier one."""
    for number, entry in enumerate(structure(simulation)["projections"]):
        if entry[f"shares the {part} of"] is None:
            yield number, simulation.assembly.links[number]


def state_arrays(simulation: Simulation) -> Arrays:
    """The arrays that a run changes, by their names in the file."""
    arrays: Arrays = {}
    for number, population in enumerate(simulation.assembly.units):
        for name in population.declared:
            arrays[f"population/{number}/{name}"] = population.array(name)
        for target in targets(simulation, number):
            arrays[f"population/{number}/sum({target})"] = population.sum_array(target)
    for number, history in enumerate(simulation.histories):
        arrays[f"history/{number}"] = history.array
    return arrays


def synapse_arrays(simulation: Simulation) -> Iterator[tuple[int, SynapsesDescription]]:
    """Individual connections that are not those of an earlier projection, with the number of theirs."""
    for number, projection in own_parts(simulation, "synapses"):
        if isinstance(projection.description, SynapsesDescription):
            yield number, projection.description
