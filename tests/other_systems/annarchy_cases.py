"""Runs the networks that ANNarchy ran, through the public classes: one `Case` per golden file."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import weightsharing as ws
from strategies.folders import ORACLE

Array = NDArray[Any]

OWN_FOLDER = ORACLE / "annarchy"
# Another folder of files of the same format may be named; its files run beside those of the repository.
OTHER_FOLDER = os.environ.get("WEIGHTSHARING_ORACLE")
FOLDERS = (OWN_FOLDER, *([Path(OTHER_FOLDER)] if OTHER_FOLDER else []))


@dataclass(frozen=True)
class Call:
    """One projection of a case: the connect method and its arguments.

    `term` says what the projection contributes to its target, with ``{sum}`` for what it computes and the
    names of `parameters`, arrays over post.
    """

    name: str
    pre: str
    post: str
    pre_geometry: tuple[int, ...]
    post_geometry: tuple[int, ...]
    target: str
    api: str
    operation: str
    psp: str
    kwargs: Mapping[str, Any]
    weights: Array | None
    coordinates: Array | None
    term: str = "{sum}"
    parameters: Mapping[str, Array] = field(default_factory=dict)

    @property
    def is_filter(self) -> bool:
        return self.api.startswith("Convolution.") or self.api == "SharedProjection.convolve"

    @property
    def is_pooling(self) -> bool:
        return self.api in ("Pooling.connect_pooling", "SharedProjection.pooling")

    @property
    def is_bank(self) -> bool:
        return self.api == "Convolution.connect_filters" or bool(self.kwargs.get("multiple"))

    @property
    def sign(self) -> int:
        flipped = self.api == "SharedProjection.convolve" and self.kwargs.get("method", "convolution")
        return -1 if flipped == "convolution" else 1

    @property
    def filter_extent(self) -> tuple[int, ...]:
        assert self.weights is not None
        return self.weights.shape[1:] if self.is_bank else self.weights.shape

    @property
    def pooling_extent(self) -> tuple[int, ...]:
        given = self.kwargs.get("extent")
        if given is not None:
            return tuple(given)
        return tuple(p // q for p, q in zip(self.pre_geometry, self.post_geometry, strict=True))

    @property
    def taps(self) -> int:
        """Elements that one post unit reads."""
        if self.is_pooling:
            return prod(self.pooling_extent)
        return prod(self.filter_extent) if self.is_filter else prod(self.pre_geometry)

    def connect(self, pre: ws.Population, post: ws.Population, target: str) -> Any:
        class_name, method = self.api.split(".")
        if class_name == "Projection":
            projection = ws.Projection(pre, post, target, ws.Synapse(self.psp, self.operation))
        else:
            projection = getattr(ws, class_name)(pre, post, target, psp=self.psp, operation=self.operation)
        if class_name == "Copy":
            # The original joins two populations of its own, so that the copy is seen to use its own pre.
            originals = [ws.Population(one.geometry, network=pre.network) for one in (pre, post)]
            original = ws.Projection(*originals, target).connect_from_matrix(self.weights)
            return projection.connect_copy(original, **self.kwargs)
        if self.is_pooling:
            return getattr(projection, method)(**self.kwargs)
        return getattr(projection, method)(self.weights, **self.kwargs)


class Case:
    """A golden file: populations, projections, inputs of every step, and what ANNarchy computed."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            self.arrays = {key: file[key] for key in file.files}
        self.meta = json.loads(str(self.arrays["meta"]))
        self.quirks: list[str] = self.meta["quirks"]
        self.expected = {
            name: self.arrays[f"out_{name}"]
            for name in self.meta["populations"]
            if f"out_{name}" in self.arrays
        }
        self.calls = {name: self._call(name) for name in self.meta["order"]}

    def _call(self, name: str) -> Call:
        wanted = self.meta["projections"][name]
        kwargs = {
            key: self.arrays[value[1:]] if isinstance(value, str) and value.startswith("@") else value
            for key, value in wanted["kwargs"].items()
        }
        if "extent" in kwargs:
            kwargs["extent"] = tuple(kwargs["extent"])
        geometry = {key: tuple(value["geometry"]) for key, value in self.meta["populations"].items()}
        pre, post = wanted["pre"], wanted["post"]
        return Call(
            name,
            pre,
            post,
            geometry[pre],
            geometry[post],
            wanted["target"],
            wanted["api"],
            wanted["operation"],
            wanted["psp"],
            kwargs,
            None if wanted["weights"] is None else self.arrays[wanted["weights"]],
            self.arrays.get(f"coords_{name}"),
        )

    def changed(self, change: Callable[[Call], Call]) -> dict[str, Call]:
        return {name: change(call) for name, call in self.calls.items()}

    def tolerance(self, dtype: str) -> float:
        """Absolute, from the error bound of a sum of n products."""
        if dtype == "float64":
            return 1e-12 * max(1.0, *(float(np.abs(values).max()) for values in self.expected.values()))
        taps = max((call.taps for call in self.calls.values()), default=1)
        largest = max(1.0, self._largest("w_")) * max(1.0, self._largest("in_", "out_"))
        return 4.0 * float(np.finfo(dtype).eps) * taps * largest

    def _largest(self, *prefixes: str) -> float:
        found = [values for key, values in self.arrays.items() if key.startswith(prefixes)]
        return max((float(np.nanmax(np.abs(values))) for values in found), default=0.0)

    def build(
        self, dtype: str, calls: Mapping[str, Call] | None = None, backend: str = "auto"
    ) -> tuple[ws.Network, dict[str, ws.Population], dict[str, Any]]:
        """Build the network as the file says, or with other `calls`, whose terms then enter the equations."""
        network = ws.Network(dt=self.meta["dt"], dtype=dtype, backend=backend)
        used = self.calls if calls is None else calls
        populations: dict[str, ws.Population] = {}
        for name, wanted in self.meta["populations"].items():
            geometry = tuple(wanted["geometry"])
            if wanted["kind"] == "image":
                populations[name] = ws.ImagePopulation(geometry, network=network)
            elif wanted["kind"] == "input":
                populations[name] = ws.Population(geometry, network=network)
            else:
                feeding = [] if calls is None else [call for call in calls.values() if call.post == name]
                populations[name] = ws.Population(
                    geometry, _neuron(wanted["equations"], feeding), network=network
                )
                for call in feeding:
                    for parameter, values in call.parameters.items():
                        setattr(populations[name], f"{parameter}_{call.name}", values)
        projections = {}
        for name, call in used.items():
            target = call.target if calls is None else f"{call.target}_{name}"
            projections[name] = call.connect(populations[call.pre], populations[call.post], target)
        return network, populations, projections

    def run(self, backend: str, dtype: str, calls: Mapping[str, Call] | None = None) -> dict[str, Array]:
        """Return the rates after every step, for the populations that the file has results of."""
        network, populations, _ = self.build(dtype, calls, backend)
        network.compile()
        for name, population in populations.items():
            if isinstance(population, ws.ImagePopulation):
                pixels = self.arrays[f"image_{name}"]
                _show(population, pixels)
                rates = self.arrays.get(f"in_{name}", pixels[np.newaxis] / 255.0)
                np.testing.assert_allclose(population.r, rates[0], atol=self.tolerance(dtype))
        results: dict[str, list[Array]] = {name: [] for name in self.expected}
        for step in range(self.meta["n_steps"]):
            for name, population in populations.items():
                if self.meta["populations"][name]["kind"] == "input":
                    population.r = self.arrays[f"in_{name}"][step]
            network.simulate(self.meta["dt"])
            for name, seen in results.items():
                seen.append(populations[name].r)
        return {name: np.array(seen, dtype=np.float64) for name, seen in results.items()}


def cases() -> dict[str, Path]:
    """Names and paths of all golden files; those of another folder bear its name."""
    found = {}
    for folder in FOLDERS:
        for path in sorted(folder.glob("*.npz")):
            found[path.stem if folder == OWN_FOLDER else f"{folder.name}/{path.stem}"] = path
    return found


def error_records() -> dict[str, dict[str, Any]]:
    """All calls with wrong arguments that ANNarchy was seen to refuse or accept."""
    found = {}
    for folder in FOLDERS:
        for path in sorted(folder.glob("errors_*.json")):
            place = "" if folder == OWN_FOLDER else f"{folder.name}/"
            for record in json.loads(path.read_text()):
                found[f"{place}{path.stem[7:]}-{record['name']}"] = record
    return found


def attempt(record: Mapping[str, Any]) -> Any:
    """Make the call of an error record, and return the projection where it is accepted."""
    with ws.Network(dtype="float64"):
        pre = ws.Population(tuple(record["pre_geometry"]))
        post = ws.Population(tuple(record["post_geometry"]))
        legacy = record["annarchy_version"].startswith("4")
        weights = np.ones(record["weights_shape"] or ())
        if record["api"].startswith("copy_"):
            if record["api"] == "copy_of_shared":
                original: Any = ws.Convolution(pre, post, "exc").connect_filter(weights)
            else:
                original = ws.Projection(pre, ws.Population((3, 3)), "exc").connect_all_to_all(1.0)
            copy = (ws.SharedProjection if legacy else ws.Copy)(pre, post, "exc")
            return copy.copy(original)
        class_name, method = record["api"].split(".")
        options = {} if record["operation"] is None else {"operation": record["operation"]}
        projection = getattr(ws, class_name)(pre, post, "exc", **options)
        arguments = [] if record["weights_shape"] is None else [weights]
        return getattr(projection, method)(*arguments, **record["kwargs"])


def _neuron(equations: str, feeding: list[Call]) -> ws.Neuron:
    """The neuron as it is, or with every sum written as the terms of the projections that feed it."""
    if not feeding:
        return ws.Neuron(equations=equations)

    def written_out(found: re.Match[str]) -> str:
        terms = [_term(call) for call in feeding if call.target == found.group(1)]
        return f"({' + '.join(terms)})" if terms else found.group()

    parameters = [f"{name}_{call.name} = 0.0" for call in feeding for name in call.parameters]
    return ws.Neuron(
        parameters="\n".join(parameters), equations=re.sub(r"sum\((\w+)\)", written_out, equations)
    )


def _term(call: Call) -> str:
    names = {name: f"{name}_{call.name}" for name in call.parameters}
    return call.term.format(sum=f"sum({call.target}_{call.name})", **names)


def _show(population: ws.ImagePopulation, pixels: Array) -> None:
    """Give the image as a file, as ANNarchy got it."""
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.png"
        Image.fromarray(pixels).save(path)
        population.set_image(path)
