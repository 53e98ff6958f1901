from . import filters as filters
from . import samples as samples
from . import temporal as temporal
from .backends.targets import backends as backends
from .backends.targets import get_num_threads as get_num_threads
from .backends.targets import set_num_threads as set_num_threads
from .checks.errors import ExpressionError as ExpressionError
from .checks.errors import MovieError as MovieError
from .checks.errors import StateError as StateError
from .description.models import LeakyIntegrator as LeakyIntegrator
from .description.neuron import Neuron as Neuron
from .language.attributes import Parameter as Parameter
from .language.attributes import Variable as Variable
from .language.constants import Constant as Constant
from .language.distributions import Normal as Normal
from .language.distributions import Uniform as Uniform
from .language.functions import add_function as add_function
from .network.default import clear as clear
from .network.default import clear_all_callbacks as clear_all_callbacks
from .network.default import compile as compile
from .network.default import disable_callbacks as disable_callbacks
from .network.default import dt as dt
from .network.default import enable_callbacks as enable_callbacks
from .network.default import every as every
from .network.default import get_current_step as get_current_step
from .network.default import get_population as get_population
from .network.default import get_projection as get_projection
from .network.default import get_time as get_time
from .network.default import load as load
from .network.default import populations as populations
from .network.default import projections as projections
from .network.default import reset as reset
from .network.default import save as save
from .network.default import set_seed as set_seed
from .network.default import setup as setup
from .network.default import simulate as simulate
from .network.default import step as step
from .network.monitors import Monitor as Monitor
from .network.network import Network as Network
from .population.images import ImagePopulation as ImagePopulation
from .population.inputs import InputArray as InputArray
from .population.inputs import TimedArray as TimedArray
from .population.movies import MoviePopulation as MoviePopulation
from .population.population import Population as Population
from .population.population import PopulationView as PopulationView
from .population.videos import VideoPopulation as VideoPopulation
from .projection.convolution import Convolution as Convolution
from .projection.copies import Copy as Copy
from .projection.pointwise import PointwiseProjection as PointwiseProjection
from .projection.pooling import Pooling as Pooling
from .projection.shared import SharedProjection as SharedProjection
from .projection.synapses import Projection as Projection
from .projection.synapses import Synapse as Synapse
from .version import __version__ as __version__

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
