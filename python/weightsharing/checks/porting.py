"""Arguments that scripts for ANNarchy pass and that calls here do not have: ignored, or refused with what to do."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# Values that ask for nothing, and what to do instead of others. None: no result depends on the argument, which is
# about the code that ANNarchy generates, how it stores synapses, or what people read.
_Meaning = tuple[tuple[Any, ...], str] | None


def _ignored(*words: str) -> dict[str, _Meaning]:
    return dict.fromkeys(words)


_NET_ID: dict[str, _Meaning] = {
    "net_id": ((0,), "a Network has methods of the same names; build in it with 'with network:'")
}
_STOP: dict[str, _Meaning] = {
    "stop_condition": ((None,), "no condition ends a simulation; look at the values after each step()")
}
_MEMORY: dict[str, _Meaning] = {
    "show_monitor_memory_estimate": ((False,), "read size_in_bytes of the monitors")
}
_PLASTIC = "synapses have a psp and an operation only; learning and structural plasticity are not available"
_ALL_OF_IT = "everything is written and read; leave it out"
_CONNECT = _ignored("storage_format", "storage_order", "force_multiple_weights")
_POPULATION = {**_STOP, **_NET_ID, **_ignored("storage_order", "copied")}
_PROJECTION = {**_NET_ID, **_ignored("disable_omp", "copied")}
_FILE: dict[str, _Meaning] = {
    **_NET_ID,
    "populations": ((True,), _ALL_OF_IT),
    "projections": ((True,), _ALL_OF_IT),
    "pickle_encoding": ((None,), "files hold no pickles"),
}
_PROJECTIONS: dict[str, _Meaning] = {**_NET_ID, **_ignored("suppress_error")}
_MEANINGS: dict[str, Mapping[str, _Meaning]] = {
    "setup": {
        "visible_cores": (([],), "use compile(threads=...), and tools of the system such as taskset"),
        "paradigm": (("openmp",), "use compile(backend='cuda'); backends() lists those that can be used"),
        "precision": ((), "use dtype='float32' or dtype='float64'"),
        "method": (("explicit",), "write it as a flag of each equation, as in 'dr/dt = -r : midpoint'"),
        "structural_plasticity": ((False,), "synapses are neither made nor removed during a simulation"),
        **_ignored(
            "suppress_warnings", "show_time", "sparse_matrix_format", "sparse_matrix_storage_order",
            "only_int_idx_type", "verbose", "debug", "trace_calls", "profiling", "profile_out",
            "disable_shared_library_time_offset", "disable_parallel_rng", "use_seed_seq", "use_cpp_connectors",
            "disable_split_matrix", "disable_SIMD_SpMV", "disable_SIMD_Eq", "disable_bitmask",
        ),
    },
    "compile": {
        **_NET_ID,
        "add_sources": (("",), "C++ cannot be added; define functions with add_function()"),
        "cuda_config": ((None, {"device": 0}), "use compile(backend='cuda', device=...)"),
        "populations": ((None,), "the whole network is compiled"),
        "projections": ((None,), "the whole network is compiled"),
        **_ignored(
            "directory", "clean", "compiler", "compiler_flags", "extra_libs", "annarchy_json", "silent",
            "debug_build", "trace_calls", "profile_enabled",
        ),
    },
    "simulate": {
        **_NET_ID,
        **_MEMORY,
        "progress_bar": ((False,), "use progress=True"),
        "callbacks": ((True,), "call disable_callbacks() before, enable_callbacks() afterwards"),
    },
    "step": {**_NET_ID, **_MEMORY},
    "reset": {
        **_NET_ID,
        "populations": ((True,), "reset() restores all populations; assign values kept before to some of them"),
        "projections": ((False,), "reset() leaves projections; assign weights kept before"),
        "synapses": ((False,), "reset() leaves weights; assign those kept before"),
        "monitors": ((True,), "reset() empties monitors; get() what they hold before"),
        "reseed_rng": ((True,), "reset() restores the source of random numbers; use another seed"),
    },
    "clear": dict.fromkeys(("functions", "neurons", "synapses"), ((True,), "clear() forgets everything")),
    "save": _FILE,
    "load": _FILE,
    "every": {**_NET_ID, "network": ((None,), "use network.every(...)")},
    "projections": _PROJECTIONS,
    "get_projections": _PROJECTIONS,
    "set_seed": {**_NET_ID, **_ignored("use_seed_seq")},
    "Constant": _NET_ID,
    "Monitor": _NET_ID,
    "Network": {"everything": ((False,), "make its populations in it: network.create(), or 'with network:'")},
    "Population": _POPULATION,
    "ImagePopulation": _POPULATION,
    "InputArray": _POPULATION,
    "TimedArray": _POPULATION,
    "update": {"reset": ((False,), "times go on counting; call reset() too to begin at the first frame")},
    "create": _POPULATION,
    "BaseProjection": _PROJECTION,
    "Projection": _PROJECTION,
    "Pooling": _PROJECTION,
    "connect": _PROJECTION,
    "Synapse": {
        **_ignored("name", "description"),
        **dict.fromkeys(("parameters", "equations", "functions", "extra_values"), (("", None, [], {}), _PLASTIC)),
        **dict.fromkeys(
            ("pre_spike", "post_spike", "pre_axon_spike"), ((None,), "all synapses are rate-coded")
        ),
        **dict.fromkeys(("pruning", "creating"), ((None,), _PLASTIC)),
    },
}  # fmt: skip


def ported(function: Callable[P, R]) -> Callable[P, R]:
    """Let a call take the arguments that only ANNarchy has, as far as they ask for nothing that is missing here.

    Others raise TypeError with what to do instead; so do those that neither of the two knows.
    """
    known = inspect.signature(function).parameters.keys()
    constructs = function.__name__ == "__init__"
    key = function.__qualname__.split(".")[-2 if constructs else -1]
    meanings = _CONNECT if key.startswith("connect_") else _MEANINGS.get(key, _NET_ID)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if not kwargs.keys() <= known:
            name = type(args[0]).__name__ if constructs else key
            for word in kwargs.keys() - known:
                _check(name, word, kwargs.pop(word), meanings, [one for one in known if one != "self"])
        return function(*args, **kwargs)

    return call


def _check(call: str, word: str, value: Any, meanings: Mapping[str, _Meaning], known: list[str]) -> None:
    """Raise unless the value asks for nothing."""
    if word not in meanings:
        raise TypeError(f"{call} has no argument {word!r}; it takes {', '.join(known) or 'none'}.")
    meaning = meanings[word]
    if meaning is None:
        return
    harmless, advice = meaning
    if not any(type(value) is type(one) and value == one for one in harmless):
        raise TypeError(f"{call}: {word}={value!r} of ANNarchy is not available here: {advice}.")
