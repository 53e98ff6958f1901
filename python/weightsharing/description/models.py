"""Ready-made neurons with ANNarchy's names and definitions."""

from __future__ import annotations

from ..checks.numbers import finite_number
from ..language.attributes import Parameter, Variable
from ..language.distributions import Normal, Uniform
from .neuron import Neuron


class LeakyIntegrator(Neuron):
    """Units that integrate their inputs, with a threshold; ANNarchy's only ready-made rate-coded neuron.

    ::

        tau*dv/dt + v = sum(exc) - sum(inh) + B + noise : exponential
        r = pos(v - T)

    Parameters
    ----------
    tau : float
        Time constant in ms, one for the population; as the others also the name of a `Constant`.
    B : float, Uniform or Normal
        Baseline, one per unit.
    T : float
        Threshold, one for the population.
    sum : str
        Input: an expression of sums, such as ``'sum(ampa) - sum(gaba)'``.
    noise : str, optional
        Added to the input, for example ``'Normal(0.0, 1.0)'``, drawn once per unit and step.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    """

    def __init__(
        self,
        tau: float | str = 10.0,
        B: float | str | Uniform | Normal = 0.0,
        T: float | str = 0.0,
        sum: str = "sum(exc) - sum(inh)",
        noise: str | None = None,
    ) -> None:
        for argument, text in (("sum", sum), ("noise", noise)):
            if not isinstance(text, str) and not (text is None and argument == "noise"):
                raise TypeError(f"{argument} is {text!r} ({type(text).__name__}); expected an expression.")
        if not isinstance(B, (str, Uniform, Normal)):
            B = finite_number("B", B)
        inputs = f"({sum}) + B" + (f" + ({noise})" if noise else "")
        super().__init__(
            {"tau": tau, "B": Parameter(B, "local"), "T": T},
            [Variable(f"tau*dv/dt + v = {inputs}", method="exponential"), "r = pos(v - T)"],
            name="LeakyIntegrator",
            description="Leaky integrator with a threshold.",
        )
