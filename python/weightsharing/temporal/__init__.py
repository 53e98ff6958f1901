"""Filters of movies with convis' names: thin builders of populations and projections.

A layer takes movies (batch, channel, time, x, y) or (time, x, y), builds a feedforward network for them when it is
first run, and remembers earlier frames from run to run::

    conv = temporal.Conv3d(bias=False)
    conv.set_weight(w)          # (time, x, y)
    conv.run(movie, dt=100)

A chain of layers has no latency. "Differences from convis" in the documentation says how to port a model.
"""

from .chains import LNCascade, Sequential, SmoothConv, Sum, sum
from .convolutions import Conv1d, Conv2d, Conv3d
from .delays import Delay, Diff, TimePadding, VariableDelay
from .layer import Layer
from .nonlinearities import (
    NLRectify,
    NLRectifyScale,
    NLRectifySquare,
    NLSquare,
    Nonlinearity,
    TemporalLowPassFilterRecursive,
)
from .receptive_field import LN, RF, L
from .responses import (
    ExponentialKernel,
    Resolution,
    exponential_filter_1d,
    exponential_highpass_filter_1d,
    gauss_filter_2d,
)

__all__ = [
    "LN",
    "RF",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "Delay",
    "Diff",
    "ExponentialKernel",
    "L",
    "LNCascade",
    "Layer",
    "NLRectify",
    "NLRectifyScale",
    "NLRectifySquare",
    "NLSquare",
    "Nonlinearity",
    "Resolution",
    "Sequential",
    "SmoothConv",
    "Sum",
    "TemporalLowPassFilterRecursive",
    "TimePadding",
    "VariableDelay",
    "exponential_filter_1d",
    "exponential_highpass_filter_1d",
    "gauss_filter_2d",
    "sum",
]
