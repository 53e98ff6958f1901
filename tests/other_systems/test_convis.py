"""Arrays that convis produced, through the layers of the same names."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import weightsharing as ws
from other_systems.convis_choices import CHOICES
from other_systems.convis_defects import DEFECTS
from other_systems.convis_page import MARK, PAGE, rendering
from other_systems.convis_same import SAME
from strategies.backends import BACKENDS
from strategies.folders import ORACLE
from weightsharing import temporal

FOLDER = ORACLE / "convis"
NAMES = sorted(path.stem for path in FOLDER.glob("*.npz"))


def load(name):
    with np.load(FOLDER / f"{name}.npz") as file:
        return json.loads(str(file["params"])), {key: file[key] for key in file.files if key != "params"}


def resolution_of(params):
    return temporal.Resolution(**params.get("resolution", {}))


def with_resolution(arguments, params):
    """Arguments of a function, in which 'default' stands for the resolution of the file."""
    if "resolution" in arguments:
        return {**arguments, "resolution": resolution_of(params)}
    return arguments


def constructed(params, arrays):
    kind, arguments = params["class"], dict(params.get("constructor") or {})
    if kind == "VariableDelay":
        # convis was given the transpose.
        return temporal.VariableDelay(arrays["delays"])
    if kind == "RF" and "weight" not in arrays and "kernel_size" not in arguments:
        arguments["kernel_size"] = (arrays["weight_stored"].shape[2], 1, 1)
    return getattr(temporal, kind)(**arguments)


def set_attributes(layer, params, arrays):
    for name, value in (params.get("attributes") or {}).items():
        if value is None:
            continue
        if name == "e[i].tau":
            for low_pass, tau in zip(layer.e, value, strict=True):
                low_pass.tau = tau
        elif name == "g[i]":
            for filters, weight in zip(layer.g, arrays["weight"], strict=True):
                filters.set_weight(weight)
        else:
            *path, last = name.split(".")
            owner = layer
            for step in path:
                owner = getattr(owner, step)
            setattr(owner, last, value)


def set_filters(layer, params, arrays):
    """By the method that convis' layer was set up with."""
    for method in ("exponential", "gaussian", "highpass_exponential"):
        if params.get(method) is not None:
            value = params[method]
            arguments = with_resolution(value, params) if isinstance(value, dict) else {"sig": value}
            getattr(layer, method)(**arguments)
    if params.get("kernel_method") is not None:
        method, arguments = params["kernel_method"]
        getattr(layer, method)(**with_resolution(arguments, params))
    elif "weight" in arrays and isinstance(layer, temporal.Conv3d):
        layer.set_weight(arrays["weight"], **(params.get("set_weight") or {}))
    if "bias" in arrays:
        layer.bias = arrays["bias"]


def cascade_of(params, arrays):
    """Filters and nonlinearities, whose attributes are those of the file."""
    cascade, filters = temporal.Sequential(), 0
    for kind in params["class"].split(" -> "):
        if kind.startswith("Conv"):
            filters += 1
            layer = getattr(temporal, kind)(bias=False)
            layer.set_weight(arrays[f"weight{filters}"], **(params.get("set_weight") or {}))
        else:
            layer = getattr(temporal, kind)()
            set_attributes(layer, params, arrays)
        cascade.append(layer)
    return cascade


def model_of(params, arrays):
    if " -> " in params["class"]:
        return cascade_of(params, arrays)
    layer = constructed(params, arrays)
    set_attributes(layer, params, arrays)
    set_filters(layer, params, arrays)
    return layer


def pieces_of(movie, params):
    """The movie, (batch, channel, time, x, y) or (time, x, y), in the pieces of the file."""
    chunks = params.get("chunks") or [movie.shape[-3]]
    ends = np.cumsum(chunks)
    assert ends[-1] == movie.shape[-3]
    return [movie[..., end - length : end, :, :] for length, end in zip(chunks, ends, strict=True)]


def check_kernels(params, arrays, _backend):
    for key, entry in params["kernels"].items():
        computed = getattr(temporal, entry["function"])(**with_resolution(entry["arguments"], params))
        np.testing.assert_allclose(computed, arrays[key], **params["tolerance"])


def check_sum(params, arrays, _backend):
    inputs = [arrays[key] for key in sorted(arrays) if key.startswith("input")]
    computed = temporal.sum(*inputs, dim=params["dim"])
    np.testing.assert_allclose(computed, arrays["output"], **params["tolerance"])


def check_steps(params, arrays, backend):
    model = model_of(params, arrays)
    model.compile(backend=backend)
    for step in params["ops"]:
        if step["op"] != "run":
            getattr(model, step["op"])()
        elif step.get("raises"):
            with pytest.raises(ws.StateError):
                model.run(arrays[step["input"]])
        else:
            computed = model.run(arrays[step["input"]])
            np.testing.assert_allclose(computed, arrays[step["output"]], **params["tolerance"])


def check_model(params, arrays, backend):
    model = model_of(params, arrays)
    dtype = params.get("dtype", "float32")
    model.compile(backend=backend, dtype=dtype)
    movie, tolerance = arrays["input"], params["tolerance"]
    if "weight_stored" in arrays and isinstance(model, temporal.Conv3d) and model.weight.any():
        np.testing.assert_allclose(model.weight, arrays["weight_stored"], **tolerance)
    pieces = [model.run(piece) for piece in pieces_of(movie, params)]
    lengths = params.get("output_chunk_lengths")
    assert lengths is None or [piece.shape[-3] for piece in pieces] == lengths
    computed = np.concatenate(pieces, axis=-3)
    assert computed.dtype == dtype
    np.testing.assert_allclose(computed, arrays["output"], **tolerance)

    # The same by a single call, which cuts the movie itself.
    chunks = params.get("chunks") or [movie.shape[-3]]
    if set(chunks[:-1]) <= {chunks[0]} and chunks[-1] <= chunks[0]:
        model.clear_state()
        np.testing.assert_array_equal(model.run(movie, dt=chunks[0]), computed)
    if params.get("chunked_equals_one_shot"):
        model.clear_state()
        np.testing.assert_allclose(model.run(movie), arrays["output"], **tolerance)
    if "components_one_shot" in arrays:
        model.clear_state()
        np.testing.assert_allclose(
            model.get_all_components(movie), arrays["components_one_shot"], **tolerance
        )


CHECKS = {"kernels": check_kernels, "sum / Sum": check_sum}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", NAMES)
def test_convis(name, backend):
    params, arrays = load(name)
    check = check_steps if "ops" in params else CHECKS.get(params["class"], check_model)
    check(params, arrays, backend)


def test_there_are_files():
    assert len(NAMES) > 40


@pytest.mark.parametrize("row", [*DEFECTS, *CHOICES, *SAME], ids=lambda row: row.title)
def test_differences(row):
    row.check()


def test_the_page_says_what_the_table_says():
    """Run convis_page.py after a change of a table."""
    head, mark, tail = PAGE.read_text().partition(MARK)
    assert head.startswith("# Differences from convis\n") and mark + tail == rendering()


def test_the_ported_model_of_the_page():
    before, after = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert "import convis" in before and "convis" not in after
    names = {}
    exec(after, names)
    weight, movie, response = names["model"].linearities[0].weight, names["movie"], names["response"]
    # In plain NumPy: squares of five filters, then the mean over them and the last 10 frames.
    padded = np.pad(movie, [(0, 0), (5, 4), (5, 4)], mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (10, 10), axis=(1, 2))
    means = (np.einsum("txyij,oij->otxy", windows, weight[:, 0, 0]) ** 2).mean(axis=0)
    past = np.concatenate([means[:1].repeat(9, axis=0), means])
    expected = np.lib.stride_tricks.sliding_window_view(past, 10, axis=0).mean(axis=-1)
    np.testing.assert_allclose(response, expected, rtol=1e-3, atol=1e-3)
