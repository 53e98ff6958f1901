"""Weight-sharing projections for rate-coded populations: convolution, pooling, banks of filters, copy."""

from importlib import import_module as _import_module

# Before the lazy names: the function takes the name of the folder that it comes from.
from .backends.targets import backends as backends
from .backends.targets import get_num_threads as get_num_threads
from .backends.targets import set_num_threads as set_num_threads
from .state.session import session as _session
from .version import __version__ as __version__

# Where each public name is defined. A module is imported when one of its names is first used (PEP 562), so that
# projections on arrays need nothing of simulation; `__init__.pyi` says the same to type checkers.
_MODULES = {
    "checks.errors": ("ExpressionError", "MovieError", "StateError"),
    "description.models": ("LeakyIntegrator",),
    "description.neuron": ("Neuron",),
    "language.attributes": ("Parameter", "Variable"),
    "language.constants": ("Constant",),
    "language.distributions": ("Normal", "Uniform"),
    "language.functions": ("add_function",),
    "network.default": (
        "clear",
        "clear_all_callbacks",
        "compile",
        "disable_callbacks",
        "dt",
        "enable_callbacks",
        "every",
        "get_current_step",
        "get_population",
        "get_projection",
        "get_time",
        "load",
        "populations",
        "projections",
        "reset",
        "save",
        "set_seed",
        "setup",
        "simulate",
        "step",
    ),
    "network.monitors": ("Monitor",),
    "network.network": ("Network",),
    "population.images": ("ImagePopulation",),
    "population.inputs": ("InputArray", "TimedArray"),
    "population.movies": ("MoviePopulation",),
    "population.population": ("Population", "PopulationView"),
    "population.videos": ("VideoPopulation",),
    "projection.convolution": ("Convolution",),
    "projection.copies": ("Copy",),
    "projection.pointwise": ("PointwiseProjection",),
    "projection.pooling": ("Pooling",),
    "projection.shared": ("SharedProjection",),
    "projection.synapses": ("Projection", "Synapse"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}
_SUBMODULES = ("filters", "samples", "temporal")

__all__ = sorted(("__version__", "backends", "get_num_threads", "set_num_threads", *_HOMES, *_SUBMODULES))


def __getattr__(name: str) -> object:
    if name in _SUBMODULES:
        return _import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(_import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


_session.make_holder = lambda assembly: _import_module(f"{__name__}.network.network").network_of(assembly)
