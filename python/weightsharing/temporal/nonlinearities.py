"""Units of their own: rectifiers, squares, and the recursive low-pass filter."""

from __future__ import annotations

import math
from collections.abc import Hashable

from ..checks.numbers import finite_number, positive_number
from ..description.neuron import Neuron
from ..population.population import Population
from .layer import Built, Layer, one_to_one
from .responses import Resolution, checked_resolution

# convis' ceiling of rectified rates.
_CEILING = "min=0.0, max=1000000.0"


class Nonlinearity(Layer):
    """Any function of each pixel, as equations of a neuron; what it remembers is part of the memory.

    Parameters
    ----------
    equations : str
        Of a `Neuron`, in which ``sum(exc)`` is the pixel: ``'r = sum(exc)^2'``.

    Raises
    ------
    TypeError, ValueError
        If the equations are not as described.
    """

    _parameters = ""
    _remembers = True  # equations may have a state

    def __init__(self, equations: str) -> None:
        super().__init__()
        self._equations = equations
        Neuron(self._parameters, equations)  # raises if they are wrong

    def _structure(self) -> Hashable:
        return self._equations

    def _build(self, pre: Population) -> Built:
        post = Population(pre.geometry, Neuron(self._parameters, self._equations))
        one_to_one(pre, post)
        return Built(post)


class NLRectify(Nonlinearity):
    """``min(max(x, 0), 1e6)``."""

    _remembers = False

    def __init__(self) -> None:
        super().__init__(f"r = sum(exc) : {_CEILING}")


class _Scaled(Nonlinearity):
    """A function of ``bias + scale * x``."""

    _remembers = False
    _parameters = "scale = 1.0 : population\nbias = 0.0 : population"

    def __init__(self, equations: str) -> None:
        super().__init__(equations)
        self.scale, self.bias = 1.0, 0.0

    @property
    def scale(self) -> float:
        """Factor of the pixels, 1 at first."""
        return self._scale

    @scale.setter
    def scale(self, scale: float) -> None:
        self._scale = finite_number("scale", scale)

    @property
    def bias(self) -> float:
        """Added to the scaled pixels, 0 at first."""
        return self._bias

    @bias.setter
    def bias(self, bias: float) -> None:
        self._bias = finite_number("bias", bias)

    def _build(self, pre: Population) -> Built:
        built = super()._build(pre)
        built.refresh = lambda: built.post.set({"scale": self._scale, "bias": self._bias})
        return built


class NLRectifyScale(_Scaled):
    """``min(max(bias + scale*x, 0), 1e6)``, with the attributes `scale` and `bias`."""

    def __init__(self) -> None:
        super().__init__(f"r = bias + scale*sum(exc) : {_CEILING}")


class NLSquare(_Scaled):
    """``(bias + scale*x)**2``, with the attributes `scale` and `bias`."""

    def __init__(self) -> None:
        super().__init__("r = (bias + scale*sum(exc))^2")


class NLRectifySquare(_Scaled):
    """``min(max(bias + scale*x, 0), 1e6)**2``, with the attributes `scale` and `bias`."""

    def __init__(self) -> None:
        super().__init__(f"rectified = bias + scale*sum(exc) : {_CEILING}\nr = rectified^2")


class TemporalLowPassFilterRecursive(Layer):
    """Exponential low-pass filter with a state per pixel.

    With ``e = exp(-1 / T)`` and ``T = tau * steps_per_second``::

        s = (1 + e)*x + e*s
        r = s / (2*T)

    Parameters
    ----------
    tau : float
        Time constant in seconds.
    resolution : Resolution, optional
        Default: ``Resolution()``.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    """

    _remembers = True

    def __init__(self, tau: float = 0.01, resolution: Resolution | None = None) -> None:
        super().__init__()
        self._resolution = checked_resolution(resolution)
        self.tau = tau

    @property
    def tau(self) -> float:
        """Time constant in seconds."""
        return self._tau

    @tau.setter
    def tau(self, tau: float) -> None:
        self._tau = positive_number("tau", tau)

    def _build(self, pre: Population) -> Built:
        neuron = Neuron(
            "decay = 0.0 : population\nentry = 0.0 : population\ngain = 0.0 : population",
            "s = entry*sum(exc) + decay*s\nr = gain*s",
        )
        post = Population(pre.geometry, neuron)
        one_to_one(pre, post)

        def refresh() -> None:
            steps = self._tau * self._resolution.steps_per_second
            decay = math.exp(-1.0 / steps)
            post.set({"decay": decay, "entry": 1.0 + decay, "gain": 0.5 / steps})

        return Built(post, refresh)
