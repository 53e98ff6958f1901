"""Weight-sharing projections for rate-coded populations: convolution, pooling, banks of filters, copy."""

from .backends.targets import backends, get_num_threads, set_num_threads
from .checks.errors import ExpressionError, MovieError, StateError
from .convolution import Convolution
from .description.models import LeakyIntegrator
from .description.neuron import Neuron
from .images import ImagePopulation
from .inputs import InputArray, MoviePopulation, TimedArray
from .language.attributes import Parameter, Variable
from .language.constants import Constant
from .language.distributions import Normal, Uniform
from .language.functions import add_function
from .monitors import Monitor
from .network import (
    Network,
    clear,
    clear_all_callbacks,
    compile,
    disable_callbacks,
    dt,
    enable_callbacks,
    every,
    get_current_step,
    get_population,
    get_projection,
    get_time,
    load,
    populations,
    projections,
    reset,
    save,
    set_seed,
    setup,
    simulate,
    step,
)
from .pointwise import PointwiseProjection
from .pooling import Pooling
from .population import Population
from .projection import Copy, Projection, Synapse
from .shared_projection import SharedProjection
from .videos import VideoPopulation
from .views import PopulationView

__version__ = "0.1.0"

__all__ = [
    "Constant",
    "Convolution",
    "Copy",
    "ExpressionError",
    "ImagePopulation",
    "InputArray",
    "LeakyIntegrator",
    "Monitor",
    "MovieError",
    "MoviePopulation",
    "Network",
    "Neuron",
    "Normal",
    "Parameter",
    "PointwiseProjection",
    "Pooling",
    "Population",
    "PopulationView",
    "Projection",
    "SharedProjection",
    "StateError",
    "Synapse",
    "TimedArray",
    "Uniform",
    "Variable",
    "VideoPopulation",
    "__version__",
    "add_function",
    "backends",
    "clear",
    "clear_all_callbacks",
    "compile",
    "disable_callbacks",
    "dt",
    "enable_callbacks",
    "every",
    "filters",
    "get_current_step",
    "get_num_threads",
    "get_population",
    "get_projection",
    "get_time",
    "load",
    "populations",
    "projections",
    "reset",
    "samples",
    "save",
    "set_num_threads",
    "set_seed",
    "setup",
    "simulate",
    "step",
    "temporal",
]
