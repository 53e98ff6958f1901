"""Neurons: parameters and equations in ANNarchy's language, reduced to a list of plain assignments."""

from __future__ import annotations

import copyreg
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..checks.numbers import finite_number
from ..language import attributes
from ..language.constants import Constant, known_constants
from ..language.declarations import Assignment, Declaration
from ..language.definitions import read_parameters
from ..language.equations import equations_text, read_equations, visible_constants
from ..language.evaluation import Draw, evaluate_tree, floating_dtype, statistic
from ..language.functions import read_functions, used_functions
from ..language.operations import ALL_TARGETS, STATISTICS
from ..language.program import Program, emit_program
from ..language.statements import check_constant_name, joined
from ..language.tree import Node

_SPIKING = ("spike", "axon_spike", "reset", "axon_reset", "refractory")


class Neuron:
    """What the units of a population compute, as a rate-coded neuron of ANNarchy.

    Parameters
    ----------
    parameters : str, list of str, or dict
        One definition per line (or separated by ``;``), such as ``tau = 10.0 : population``. Values are
        numbers, arithmetic of numbers, ``Uniform(a, b)`` or ``Normal(mu, sigma)``. Flags after the colon:
        ``population`` or ``constant`` (one value for all units), ``filter`` (one for each place on the last
        axis, as the biases of a bank of filters), ``int`` (takes whole numbers only), ``bool`` (0 and 1 only).
        Names do not begin with ``_``. In a dict, numbers belong to the
        population, distributions to each unit, and `Parameter` says more.
    equations : str, Variable, or list of them
        One equation per line; a line without ``=`` goes on with the equation above. Forms:

        - ``r = sum(exc) - 0.5*sum(inh)``: assignment, executed in written order with the newest values.
        - ``x += 0.1*r``: increment, with ``+= -= *= /=``.
        - ``tau*dv/dt + v = sum(exc) + B``: differential equation, anything linear in ``dv/dt``. Of
          consecutive ones all increments are computed from the old values, then all are applied.

        Flags after a colon: ``init=`` (a number, a distribution or a parameter, default 0), ``min=``, ``max=``
        (expressions, applied after the equation), ``population``, ``int``, ``bool``, and for differential
        equations ``explicit`` (Euler, the default), ``exponential`` (exponential Euler; linear in the
        variable), or ``midpoint`` (sums, ``t`` and noise are held during the step).

        `r` is what projections transmit. Where no equation sets it, it holds what it is given.
    functions : str or list of str
        One function per line, such as ``sigmoid(x) = 1/(1 + exp(-x))``; they may use those above.
    name, description : str
        For people.
    constants : dict, optional
        Further names that equations may read, with their numbers. A parameter of the same name goes first.
        Every `Constant` can be read without being given here.
    extra_values : dict, optional
        Values of parameters that are written as names in quotes, such as ``tau = 'tau of layer 4' : population``:
        numbers or distributions. It may hold anything else, which is not looked at.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ExpressionError
        A ValueError that shows the offending place with a caret and lists what is allowed.

    Notes
    -----
    Expressions may use ``+ - * / % ^ **``, comparisons, ``and or not & |``, ``if c: a else: b``, ``sum(target)``,
    ``t`` and ``dt`` (in ms), ``pi``, the usual functions, and noise: every ``Uniform(a, b)`` and
    ``Normal(mu, sigma)`` written in an equation draws once per unit and step, in an equation flagged
    ``population`` once per step. ``sum()`` adds all targets. ``mean(v)``, ``max(v)``, ``min(v)``,
    ``norm1(v)`` (sum of magnitudes) and ``norm2(v)`` (root of the sum of squares) are those of a variable or
    parameter over all units of the population (of each trial), as it was before the update.

    A neuron cannot be changed and may be used by any number of populations.

    Examples
    --------
    >>> Neuron(
    ...     parameters="tau = 10.0 : population",
    ...     equations="tau*dr/dt + r = sum(exc) - sum(inh) : min=0.0",
    ... ).targets
    ('exc', 'inh')
    """

    name: str
    description: str
    parameters: Mapping[str, Declaration]
    variables: Mapping[str, Declaration]
    constants: Mapping[str, float | Constant]
    targets: tuple[str, ...]
    steps: tuple[Assignment, ...]
    _source: tuple[Any, ...]

    def __init__(
        self,
        parameters: str | Sequence[str] | Mapping[str, Any] = "",
        equations: str | attributes.Variable | Sequence[str | attributes.Variable] = "",
        functions: str | Sequence[str] = "",
        name: str = "",
        description: str = "",
        constants: Mapping[str, float] | None = None,
        extra_values: Mapping[str, Any] | None = None,
        **others: Any,
    ) -> None:
        for word in others:
            if word in _SPIKING:
                raise TypeError(f"{word}: spiking neurons are not available, all neurons are rate-coded.")
            raise TypeError(f"Neuron has no argument {word!r}.")
        for argument, value in (("name", name), ("description", description)):
            if not isinstance(value, str):
                raise TypeError(f"{argument} is {value!r} ({type(value).__name__}); expected a string.")
        for argument, mapping in (("constants", constants), ("extra_values", extra_values)):
            if mapping is not None and not isinstance(mapping, Mapping):
                raise TypeError(
                    f"{argument} is {mapping!r} ({type(mapping).__name__}); expected a dict of names and numbers."
                )
        for key in constants or {}:
            check_constant_name("constants", key)
        text, own = equations_text(equations), joined("functions", functions)
        functions = "\n".join([*used_functions(own, text), own])
        given = {key: finite_number(f"constants: {key}", value) for key, value in (constants or {}).items()}
        fixed: dict[str, float | Constant] = {**visible_constants(known_constants(), text), **given}
        declared, quoted = read_parameters(parameters, fixed, extra_values or {})
        fixed = {key: value for key, value in fixed.items() if key not in declared}
        block = read_equations(text, declared, read_functions(functions, tuple(fixed)), fixed)
        read = {word for step in block.steps for word in step.tree.names}
        used = {key: value for key, value in fixed.items() if key in read}
        self.__dict__.update(
            name=name,
            description=description,
            parameters=MappingProxyType(declared),
            constants=MappingProxyType(used),
            variables=MappingProxyType(block.variables),
            targets=block.targets,
            steps=block.steps,
            _source=(
                dict(parameters) if isinstance(parameters, Mapping) else joined("parameters", parameters),
                text, functions, name, description, {**fixed, **given}, quoted,
            ),
        )  # fmt: skip

    # A pickle names the class and nothing else of this package.
    def __reduce__(self) -> tuple[Any, ...]:
        *texts, constants, quoted = self._source
        numbers = {key: float(value) for key, value in constants.items()}
        return copyreg.__newobj__, (type(self),), (*texts, numbers, quoted)  # type: ignore[attr-defined]

    def __setstate__(self, source: tuple[Any, ...]) -> None:
        # Not the class' own constructor, whose arguments may be others.
        Neuron.__init__(self, *source)

    def __copy__(self) -> Neuron:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Neuron:
        return self

    def __setattr__(self, attribute: str, value: object) -> NoReturn:
        raise AttributeError(f"a Neuron cannot be changed ({attribute!r} was assigned); make another one.")

    def __repr__(self) -> str:
        words = [self.name] if self.name else []
        words += [f"{parameter} = {entry.initial}" for parameter, entry in self.parameters.items()]
        words += dict.fromkeys(" ".join(step.expression.text.split()) for step in self.steps)
        return f"Neuron({'; '.join(words)})"

    @cached_property
    def attributes(self) -> Mapping[str, Declaration]:
        """Parameters and variables together, by name; `r` is always among them."""
        return MappingProxyType({**self.parameters, **self.variables})

    @cached_property
    def statistics(self) -> tuple[tuple[str, str], ...]:
        """What equations read of the whole population, as (``'mean'``, variable) and the like."""
        read = {word for step in self.steps for word in step.tree.names}
        possible = ((which, variable) for which in STATISTICS for variable in self.attributes)
        return tuple(pair for pair in possible if "{}({})".format(*pair) in read)

    @cached_property
    def adds_all_targets(self) -> bool:
        """Whether equations read ``sum()``."""
        return any(ALL_TARGETS in step.tree.names for step in self.steps)

    def program(self) -> Program:
        """Emit one program for the whole update.

        Its inputs are the names that are read before they are written (variables, parameters, constants,
        ``sum(target)``, ``t``, ``dt``), its outputs the variables that are written. All inputs of a block may
        be read before any output is stored: stores come last.
        """
        return self._program

    @cached_property
    def _program(self) -> Program:
        written = dict.fromkeys(step.name for step in self.steps if step.name in self.variables)
        text = "; ".join(dict.fromkeys(step.expression.text for step in self.steps))
        return emit_program([(step.name, step.tree) for step in self.steps], tuple(written), None, text)

    def evaluate(
        self, values: Mapping[str, NDArray[Any]], dt: float, t: float, draw: Draw | None = None
    ) -> None:
        """Execute one update with NumPy, in place.

        Parameters
        ----------
        values
            Arrays of the variables (written to), parameters, constants, sums as ``sum(target)``, and values of
            the population as ``mean(v)``; a sum that is not there is 0, ``sum()`` that of the sums that are, a
            constant that is not there has the value given to the neuron, and what is read of the population is
            computed over all elements of its array. Shapes broadcast.
        dt, t
            Duration of a step and time at its beginning, in ms.
        draw
            ``draw(kind, occurrence)`` gives the raw noise of one occurrence, in [0, 1) for the kinds
            ``'uniform'`` and ``'population_uniform'`` (one for all units), standard normal for ``'normal'`` and
            ``'population_normal'``; called once for each. Needed if the equations contain noise.
        """
        dtype = floating_dtype(np.asarray(array) for array in values.values())
        known: dict[str, Any] = {f"sum({target})": 0.0 for target in self.targets}
        known |= {**self.constants, **values, "t": t, "dt": dt}
        if self.adds_all_targets and ALL_TARGETS not in values:
            known[ALL_TARGETS] = sum(known[key] for key in known if key.startswith("sum("))
        for which, variable in self.statistics:
            if f"{which}({variable})" not in values:
                whole = np.asarray(values[variable])[np.newaxis]
                known[f"{which}({variable})"] = statistic(which, whole).item()
        drawn: dict[tuple[str, int], Any] = {}

        def draw_once(kind: str, occurrence: int) -> Any:
            if (kind, occurrence) not in drawn:
                if draw is None:
                    raise ValueError("draw: the equations contain noise; pass a function that draws it.")
                drawn[kind, occurrence] = draw(kind, occurrence)
            return drawn[kind, occurrence]

        for step in self.steps:
            result = evaluate_tree(step.tree, known, dtype, draw_once)
            if step.name in self.variables:
                values[step.name][...] = result
            else:
                known[step.name] = result

    @cached_property
    def _divisors(self) -> tuple[tuple[Assignment, Node], ...]:
        """Divisors that read parameters and constants only, with the steps that divide."""
        fixed = {*self.parameters, *self.constants}
        return tuple(
            (step, divisor)
            for step in self.steps
            for divisor in _divisors(step.tree)
            if divisor.names and divisor.names <= fixed
        )

    def check_divisors(self, values: Mapping[str, Any], changed: Collection[str] | None = None) -> None:
        """Raise if an equation divides by parameters that make the divisor zero.

        Parameters
        ----------
        values
            Parameters (numbers or arrays) and constants by name; those that are not there have their initial
            or present value.
            Divisors that read anything but parameters and constants are not looked at, nor those in a branch
            of a conditional or behind ``and`` and ``or``, which need not count.
        changed
            Names of what is new; default: everything is.

        Raises
        ------
        ValueError
            Naming the parameter and the equation.
        """
        known: dict[str, Any] = {
            key: parameter.initial
            for key, parameter in self.parameters.items()
            if isinstance(parameter.initial, float)
        }
        known |= self.constants
        known |= {key: value for key, value in values.items() if key in {*self.parameters, *self.constants}}
        for step, divisor in self._divisors:
            new = changed is None or not divisor.names.isdisjoint(changed)
            if not new or not divisor.names <= known.keys():
                continue
            # As it is computed: what is not zero may become zero in float32.
            dtype = floating_dtype(np.asarray(known[key]) for key in divisor.names)
            result = evaluate_tree(divisor, known, dtype)
            if np.any(result == 0.0):
                words = " and ".join(
                    f"{key} = {np.asarray(known[key]).item()}"
                    if np.size(known[key]) == 1
                    else f"{key} (per unit)"
                    for key in sorted(divisor.names)
                )
                raise ValueError(
                    f"{words}: the equation {step.expression.text!r} would divide by zero; "
                    "assign another value."
                )


def _divisors(tree: Node) -> Iterable[Node]:
    """Divisors of a tree, without those that a condition may keep from counting."""
    if tree.operation in ("divide", "modulo"):
        yield tree.arguments[1]
    guards = tree.operation in ("select", "logical_and", "logical_or")
    for argument in tree.arguments[:1] if guards else tree.arguments:
        yield from _divisors(argument)
