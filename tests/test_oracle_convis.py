"""Arrays that convis produced, through the layers of the same names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import weightsharing as ws
from weightsharing import temporal

FOLDER = Path(__file__).parent / "oracle" / "convis"
NAMES = sorted(path.stem for path in FOLDER.glob("*.npz"))
BACKENDS = [name for name, state in ws.backends().items() if state == "usable"]


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


def model_of(params, arrays):
    if " -> " in params["class"]:
        first, middle, last = (getattr(temporal, kind) for kind in params["class"].split(" -> "))
        first, middle, last = first(bias=False), middle(), last(bias=False)
        first.set_weight(arrays["weight1"])
        last.set_weight(arrays["weight2"])
        set_attributes(middle, params, arrays)
        return temporal.Sequential(first, middle, last)
    layer = constructed(params, arrays)
    set_attributes(layer, params, arrays)
    set_filters(layer, params, arrays)
    return layer


def pieces_of(movie, params):
    chunks = params.get("chunks") or [movie.shape[2]]
    ends = np.cumsum(chunks)
    assert ends[-1] == movie.shape[2]
    return [movie[:, :, end - length : end] for length, end in zip(chunks, ends, strict=True)]


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
    model.compile(backend=backend)
    movie, tolerance = arrays["input"], params["tolerance"]
    if "weight_stored" in arrays and isinstance(model, temporal.Conv3d) and model.weight.any():
        np.testing.assert_allclose(model.weight, arrays["weight_stored"], **tolerance)
    pieces = [model.run(piece) for piece in pieces_of(movie, params)]
    lengths = params.get("output_chunk_lengths")
    assert lengths is None or [piece.shape[2] for piece in pieces] == lengths
    computed = np.concatenate(pieces, axis=2)
    assert computed.dtype == np.float32
    np.testing.assert_allclose(computed, arrays["output"], **tolerance)

    # The same by a single call, which cuts the movie itself.
    chunks = params.get("chunks") or [movie.shape[2]]
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
