"""Neurons: parameters and equations in ANNarchy's language, reduced to a list of plain assignments."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, NoReturn, cast

import numpy as np
from numpy.typing import NDArray

from ..checks.arrays import real_array
from ..checks.errors import ExpressionError
from ..checks.numbers import finite_number
from ..language import attributes
from ..language.constants import Constant, known_constants
from ..language.distributions import Normal, Uniform
from ..language.expressions import (
    ALL_TARGETS,
    FUNCTIONS,
    ONE,
    STATISTICS,
    ZERO,
    Draw,
    Expression,
    Function,
    Node,
    Program,
    Reader,
    Token,
    build,
    constant,
    emit_program,
    evaluate_tree,
    floating_dtype,
    name,
    substitute,
)

Locality = Literal["local", "filter", "population", "constant"]
Kind = Literal["float", "int", "bool"]
# A string is the name of a parameter that a variable starts from.
Initial = float | Uniform | Normal | str

_INCREMENTS = {"+=": "add", "-=": "subtract", "*=": "multiply", "/=": "divide"}
_METHODS = ("explicit", "exponential", "midpoint")
_OTHER_METHODS = ("implicit", "semiimplicit", "exact", "rk4", "event")
_VALUED_FLAGS = ("init", "min", "max")
_TYPES = ("float", "int", "bool")
_FLAGS = (*_VALUED_FLAGS, "filter", "population", "constant", *_TYPES, *_METHODS, *_OTHER_METHODS)
_RESERVED = (
    "t", "dt", "pi", "True", "False", "true", "false", "sum", "Uniform", "Normal", *_VALUED_FLAGS, *_TYPES,
)  # fmt: skip
_SPIKING = ("spike", "axon_spike", "reset", "axon_reset", "refractory")


@dataclass(frozen=True)
class Parameter:
    """A number, or one per unit, that equations read and only the user changes.

    Attributes
    ----------
    name
        As in the equations.
    initial
        Its value at first: a number, or a distribution that each unit draws from; of a variable also the name
        of a parameter, whose value it starts with.
    locality
        ``'local'``: each unit has its own. ``'filter'``: one for each place on the last axis, which units of the
        same filter of a bank share. ``'population'`` and ``'constant'``: one for all units.
    type
        Which numbers it takes: any, whole ones, or 0 and 1.
    """

    name: str
    initial: Initial
    locality: Locality
    type: Kind = "float"

    @property
    def local(self) -> bool:
        """Whether each unit has its own value."""
        return self.locality == "local"

    def check_type(self, values: Any) -> None:
        """Raise ValueError unless it takes these values: numbers, or a distribution of them."""
        if self.type == "float":
            return
        expected = "a whole number" if self.type == "int" else "0 or 1 (False or True)"
        if isinstance(values, (Uniform, Normal)):
            raise ValueError(f"{self.name!r} is flagged {self.type}, and {values} draws other numbers.")
        array = real_array(self.name, values)
        right = (
            np.isin(array, (0, 1)) if self.type == "bool" else np.isfinite(array) & (array == np.floor(array))
        )
        if not right.all():
            wrong = array[~right].flat[0]
            raise ValueError(
                f"{self.name!r} is flagged {self.type}, but its value is {wrong}; expected {expected}."
            )


@dataclass(frozen=True)
class Variable(Parameter):
    """A value that the equations change; described like a parameter."""


@dataclass(frozen=True)
class Assignment:
    """One step of an update: ``name = expression``, then the bounds, which keep NaN.

    Attributes
    ----------
    name
        A variable, or an intermediate value, spelled with brackets as in ``increment(v)``, that lives during
        the update only.
    expression
        Reads variables, parameters, constants, ``sum(target)``, ``t``, ``dt`` and intermediate values as they
        are when the step is executed. Its text is the equation the step comes from.
    minimum, maximum
        Bounds, which read the same.
    """

    name: str
    expression: Expression
    minimum: Expression | None = None
    maximum: Expression | None = None

    @cached_property
    def tree(self) -> Node:
        """Expression and bounds as one tree."""
        tree = self.expression.tree
        if self.minimum is not None:
            tree = build("maximum", tree, self.minimum.tree)
        if self.maximum is not None:
            tree = build("minimum", tree, self.maximum.tree)
        return tree


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
    parameters: Mapping[str, Parameter]
    variables: Mapping[str, Variable]
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
        text, own = _equations_text(equations), _joined("functions", functions)
        functions = "\n".join([*_used_functions(own, text), own])
        given = {key: finite_number(f"constants: {key}", value) for key, value in (constants or {}).items()}
        fixed: dict[str, float | Constant] = {**_visible(known_constants(), text), **given}
        quoted: dict[str, float | Uniform | Normal] = {}
        declared = _read_parameters(parameters, fixed, extra_values or {}, quoted)
        fixed = {key: value for key, value in fixed.items() if key not in declared}
        block = _Equations(text, declared, _read_functions(functions, tuple(fixed)), fixed)
        read = {word for step in block.steps for word in step.tree.names}
        used = {key: value for key, value in fixed.items() if key in read}
        self.__dict__.update(
            name=name,
            description=description,
            parameters=MappingProxyType(declared),
            constants=MappingProxyType(used),
            variables=MappingProxyType(block.variables),
            targets=block.targets,
            steps=tuple(block.steps),
            _source=(
                dict(parameters) if isinstance(parameters, Mapping) else _joined("parameters", parameters),
                text, functions, name, description, {**fixed, **given}, quoted,
            ),
        )  # fmt: skip

    def __reduce__(self) -> tuple[Any, ...]:
        *texts, constants, quoted = self._source
        numbers = {key: float(value) for key, value in constants.items()}
        return _read_again, (type(self), (*texts, numbers, quoted))

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
    def attributes(self) -> Mapping[str, Parameter]:
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


def statistic(which: str, values: NDArray[Any]) -> NDArray[Any]:
    """Reduce all axes but the first, with double precision: what equations read of a population."""
    trials = values.reshape(len(values), -1).astype(np.float64)
    with np.errstate(all="ignore"):
        if which == "norm2":
            return np.asarray(np.sqrt(np.square(trials).sum(axis=1)))
        if which == "norm1":
            return np.asarray(np.abs(trials).sum(axis=1))
        return np.asarray(getattr(trials, which)(axis=1))


def _read_again(kind: type[Neuron], source: tuple[Any, ...]) -> Neuron:
    """Make a neuron of a class, whose own arguments may be others, from what `Neuron` was given."""
    neuron = object.__new__(kind)
    Neuron.__init__(neuron, *source)
    return neuron


def _divisors(tree: Node) -> Iterable[Node]:
    """Divisors of a tree, without those that a condition may keep from counting."""
    if tree.operation in ("divide", "modulo"):
        yield tree.arguments[1]
    guards = tree.operation in ("select", "logical_and", "logical_or")
    for argument in tree.arguments[:1] if guards else tree.arguments:
        yield from _divisors(argument)


# ------------------------------------------------------------------------------------- text to statements


@dataclass(frozen=True)
class _Statement:
    """``left sign right : flags``; a flag's value is its tokens, none for a word alone.

    `types` are the flags that name one, as often and in the order in which they are given.
    """

    left: Sequence[Token]
    sign: Token
    right: Sequence[Token]
    flags: Mapping[str, tuple[Token, Sequence[Token]]]
    types: Sequence[Token]


def _joined(argument: str, given: str | Sequence[str]) -> str:
    if isinstance(given, str):
        return given
    if isinstance(given, Sequence) and all(isinstance(line, str) for line in given):
        return "\n".join(given)
    raise TypeError(
        f"{argument} is {given!r} ({type(given).__name__}); expected a string or a list of strings."
    )


def _equations_text(given: str | attributes.Variable | Sequence[str | attributes.Variable]) -> str:
    entries = [given] if isinstance(given, attributes.Variable) else given
    if isinstance(entries, (list, tuple)):
        entries = [entry.text if isinstance(entry, attributes.Variable) else entry for entry in entries]
    return _joined("equations", entries)  # type: ignore[arg-type]


def _visible(constants: Mapping[str, Constant], equations: str) -> dict[str, Constant]:
    """Constants whose names the equations do not use for variables."""
    own = set()
    tokens = [Token("newline", "\n", 0), *Reader("equations", equations).tokens()]
    for first, second, third in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if first.kind == "newline" and _is_sign(third):
            own.add(second.text)
        if first.text[0] == "d" and (second.text, third.text) == ("/", "dt"):
            own.add(first.text[1:])
    return {key: value for key, value in constants.items() if key not in own}


def _split(tokens: Sequence[Token], separators: str) -> list[list[Token]]:
    """Cut at separators outside of brackets; an empty piece stays."""
    pieces: list[list[Token]] = [[]]
    nesting = 0
    for token in tokens:
        nesting += (token.text == "(") - (token.text == ")")
        if nesting <= 0 and token.text in separators:
            pieces.append([])
        elif token.text != "\n":
            pieces[-1].append(token)
    return pieces


def _is_sign(token: Token) -> bool:
    return token.text == "=" or token.text in _INCREMENTS


def _statements(reader: Reader) -> list[_Statement]:
    """Cut a block into statements: a line with an assignment begins one, others go on with the one above."""
    groups: list[list[Token]] = []
    for line in _split(reader.tokens(), "\n;"):
        body, _ = _without_flags(line)
        begun = bool(groups) and any(map(_is_sign, _without_flags(groups[-1])[0]))
        if groups and (not begun or not any(map(_is_sign, body))):
            groups[-1] += line
        elif line:
            groups.append(line)
    return [_statement(reader, group) for group in groups]


def _without_flags(tokens: Sequence[Token]) -> tuple[Sequence[Token], Sequence[Token]]:
    """Tokens before and after the colon that begins the flags."""
    for at, token in enumerate(tokens):
        if token.text != ":" or (at and tokens[at - 1].text == "else"):
            continue
        if at + 1 < len(tokens) and tokens[at + 1].text in _FLAGS:
            after = tokens[at + 2].text if at + 2 < len(tokens) else ","
            # `rk4` and the like are followed by a comma or nothing, `event-driven` by more.
            if after in ("=", ",") or tokens[at + 1].text in _OTHER_METHODS:
                return tokens[:at], tokens[at + 1 :]
    return tokens, ()


def _statement(reader: Reader, tokens: list[Token]) -> _Statement:
    opened: list[Token] = []
    for token in tokens:
        if token.text == "(":
            opened.append(token)
        elif token.text == ")" and opened:
            opened.pop()
    if opened:
        raise reader.error("this bracket is not closed", opened[-1].position)
    body, flag_tokens = _without_flags(tokens)
    flags: dict[str, tuple[Token, Sequence[Token]]] = {}
    types: list[Token] = []
    for piece in _split(flag_tokens, ","):
        if not piece:
            continue
        key = piece[0]
        has_value = len(piece) > 1 and piece[1].text == "="
        if key.text in _OTHER_METHODS:
            raise reader.error(
                f"the method {key.text!r} is not available; use one of {', '.join(_METHODS)}", key.position
            )
        if (
            key.text not in _FLAGS
            or has_value != (key.text in _VALUED_FLAGS)
            or (len(piece) > 1 and not has_value)
        ):
            raise _unknown_flag(reader, key)
        # The types of a function's value and arguments come in a row.
        if key.text in flags and key.text not in _TYPES:
            raise reader.error(f"the flag {key.text!r} is given twice", key.position)
        flags.setdefault(key.text, (key, piece[2:]))
        types += [key] if key.text in _TYPES else []
    colon = _colon_of_flags(body)
    if colon + 1 < len(body):
        raise _unknown_flag(reader, body[colon + 1])
    signs = [at for at, token in enumerate(body) if _is_sign(token)]
    if len(signs) != 1 or signs[0] == 0:
        place = body[signs[1]] if len(signs) > 1 else (body or tokens)[0]
        raise reader.error("each definition needs one = with something before it", place.position)
    at = signs[0]
    return _Statement(body[:at], body[at], body[at + 1 :], flags, types)


def _colon_of_flags(tokens: Sequence[Token]) -> int:
    """Position of the first colon that belongs to no conditional, or the number of tokens."""
    open_conditions = 0
    for at, token in enumerate(tokens):
        if token.text == "if":
            open_conditions += 1
        elif token.text == "else" and tokens[at + 1 : at + 2] and tokens[at + 1].text != ":":
            open_conditions -= 1  # `a if c else b` has no colon
        elif token.text == ":" and tokens[at - 1].text != "else":
            if open_conditions <= 0:
                return at
            open_conditions -= 1
    return len(tokens)


def _unknown_flag(reader: Reader, key: Token) -> ExpressionError:
    return reader.error(
        f"unexpected flag {key.text!r}; there are init=, min=, max=, filter, population, constant, float, int, "
        "bool, explicit, exponential and midpoint, separated by commas",
        key.position,
    )


def _only_name(reader: Reader, statement: _Statement) -> Token:
    """The name that a definition is for, or an error."""
    first = statement.left[0]
    if len(statement.left) != 1 or first.kind != "name" or statement.sign.text != "=":
        raise reader.error("expected 'name = value'", first.position)
    _check_attribute(reader, first)
    return first


def _check_name(reader: Reader, token: Token) -> None:
    if token.text in _RESERVED or "." in token.text:
        raise reader.error(f"{token.text!r} cannot be used as a name", token.position)


def _check_attribute(reader: Reader, token: Token) -> None:
    """Raise unless a parameter or variable, which is an attribute of populations, can have this name."""
    _check_name(reader, token)
    if token.text.startswith("_"):
        raise reader.error(
            f"{token.text!r} begins with '_', as internal attributes of a population do; choose another name",
            token.position,
        )


def check_constant_name(argument: str, key: Any) -> None:
    """Raise unless a constant can have this name."""
    _check_key(argument, key)
    if key == "r":
        raise ExpressionError(f"{argument}: r is the rate of a unit; choose another name.")


def _check_key(argument: str, key: Any, check: Callable[[Reader, Token], None] = _check_name) -> None:
    """Raise unless the key of a dict can be written in an equation."""
    if not isinstance(key, str):
        raise TypeError(f"{argument}: {key!r} is a {type(key).__name__}; expected a name.")
    reader = Reader(argument, key)
    tokens = reader.tokens()
    if len(tokens) != 1 or tokens[0].kind != "name" or tokens[0].text != key:
        raise reader.error("expected a name", 0)
    check(reader, tokens[0])


def _end(statement: _Statement) -> int:
    return statement.sign.position + len(statement.sign.text)


def _text(reader: Reader, statement: _Statement) -> str:
    last = (statement.right or (statement.sign,))[-1]
    text = reader.text[statement.left[0].position : last.position + len(last.text)]
    return " ".join(re.sub(r"#[^\n]*", "", text).split())


_Numbers = Mapping[str, float | Constant]


def _initial(
    reader: Reader, tokens: Sequence[Token], position: int, known: _Numbers
) -> float | Uniform | Normal:
    """Arithmetic of numbers and known names, or a distribution of such."""
    if len(tokens) > 2 and tokens[0].text in ("Uniform", "Normal") and tokens[-1].text == ")":
        numbers = [_number(reader, piece, tokens[1].position, known) for piece in _split(tokens[2:-1], ",")]
        try:
            return Uniform(*numbers) if tokens[0].text == "Uniform" else Normal(*numbers)
        except (TypeError, ValueError) as error:
            raise reader.error(str(error), tokens[0].position) from None
    return _number(reader, tokens, position, known)


def _number(reader: Reader, tokens: Sequence[Token], position: int, known: _Numbers) -> float:
    tree = Reader(reader.label, reader.text, tuple(known)).parse(tokens, position)
    return float(evaluate_tree(tree, known, np.dtype(np.float64)))


def _read_parameters(
    given: str | Sequence[str] | Mapping[str, Any],
    constants: _Numbers,
    extra_values: Mapping[str, Any],
    quoted: dict[str, float | Uniform | Normal],
) -> dict[str, Parameter]:
    """Read definitions; `quoted` is filled with those of `extra_values` that they name."""
    found: dict[str, Parameter] = {}
    if isinstance(given, Mapping):
        for key, value in given.items():
            _check_key("parameters", key, _check_attribute)
            locality = "local" if key == "r" or isinstance(value, (Uniform, Normal)) else "population"
            kind: Kind = "float"
            if isinstance(value, attributes.Parameter):
                (locality, kind), value = value.flags, value.value
            if isinstance(value, str):
                if value not in constants:
                    raise TypeError(
                        f"parameters: {key} is {value!r}; expected a number, a distribution or the name of a "
                        f"constant ({', '.join(constants) or 'there is none'})."
                    )
                value = float(constants[value])
            elif not isinstance(value, (Uniform, Normal)):
                value = (
                    float(value) if isinstance(value, bool) else finite_number(f"parameters: {key}", value)
                )
            found[key] = Parameter(key, value, "local" if locality == "local" else "population", kind)
            try:
                found[key].check_type(value)
            except ValueError as error:
                raise ExpressionError(f"parameters: {error}") from None
        return found
    reader = Reader("parameters", _joined("parameters", given), quotes=True)
    for statement in _statements(reader):
        token = _only_name(reader, statement)
        if token.text in found:
            raise reader.error(f"{token.text!r} is defined twice", token.position)
        for key, (place, _) in statement.flags.items():
            if key not in ("filter", "population", "constant", *_TYPES):
                raise reader.error(
                    f"a parameter has no {key!r}; use filter, population, constant, float, int, bool",
                    place.position,
                )
        # Many scripts end the lines of their parameters with commas.
        value = (
            statement.right[:-1] if statement.right and statement.right[-1].text == "," else statement.right
        )
        if [one.kind for one in value] == ["quoted"]:
            initial = quoted[value[0].text[1:-1]] = _extra_value(reader, value[0], extra_values)
        else:
            initial = _initial(reader, value, _end(statement), constants)
        parameter = Parameter(token.text, initial, _locality(reader, statement), _kind(reader, statement))
        _check_initial(reader, parameter, token.position)
        found[token.text] = parameter
    return found


def _extra_value(reader: Reader, token: Token, extra_values: Mapping[str, Any]) -> float | Uniform | Normal:
    """What stands for a name in quotes."""
    key = token.text[1:-1]
    if key not in extra_values:
        words = [*map(repr, extra_values)]
        listed = ", ".join([*words[:20], *["..."][: len(words) > 20]]) or "nothing"
        raise reader.error(f"extra_values has no {key!r}; it has {listed}", token.position)
    value = extra_values[key]
    if isinstance(value, (Uniform, Normal)):
        return value
    if isinstance(value, (bool, np.bool_)):
        return float(value)
    return finite_number(f"extra_values: {key}", value)


def _check_initial(reader: Reader, parameter: Parameter, position: int) -> None:
    try:
        parameter.check_type(parameter.initial)
    except ValueError as error:
        raise reader.error(str(error), position) from None


def _kind(reader: Reader, statement: _Statement) -> Kind:
    if len(statement.types) > 1:
        names = " and ".join(token.text for token in statement.types)
        raise reader.error(f"one type is expected, not {names}", statement.types[1].position)
    return cast(Kind, statement.types[0].text) if statement.types else "float"


def _locality(reader: Reader, statement: _Statement) -> Locality:
    given = [key for key in ("filter", "population", "constant") if key in statement.flags]
    if len(given) > 1 and "filter" in given:
        place = statement.flags[given[1]][0].position
        raise reader.error(f"the flags {' and '.join(given)} contradict each other", place)
    if "constant" in statement.flags:
        return "constant"
    if "population" in statement.flags:
        return "population"
    return "filter" if "filter" in statement.flags else "local"


_added_functions: dict[str, str] = {}
_Functions = dict[str, tuple[tuple[int, int | None], Function]]


def _read_functions(given: str | Sequence[str], constants: tuple[str, ...]) -> _Functions:
    found: _Functions = dict(FUNCTIONS)
    reader = Reader("functions", _joined("functions", given))
    for statement in _statements(reader):
        left = statement.left
        pieces = _split(left[2:-1], ",")
        names = [left[0], *(piece[0] for piece in pieces if len(piece) == 1)]
        brackets = [token.text for token in (*left[1:2], left[-1])]
        named = len(names) == len(pieces) + 1 and all(token.kind == "name" for token in names)
        if not named or brackets != ["(", ")"] or statement.sign.text != "=":
            raise reader.error("expected a definition such as 'f(x, y) = x*y'", left[0].position)
        for token in names:
            # Functions see nothing but their arguments and constants, so that t may be one of them.
            if token.text != "t" or token is names[0]:
                _check_name(reader, token)
        function, *arguments = (token.text for token in names)
        if len(set(arguments)) < len(arguments):
            raise reader.error("an argument is named twice", left[2].position)
        for key, (place, _) in statement.flags.items():
            if key not in _TYPES:
                raise reader.error(f"a function has no {key!r}, only types", place.position)
        types = [token.text for token in statement.types] or ["float"] * len(names)
        if len(types) != len(names):
            raise reader.error(
                f"expected {len(names)} types, of the value and of each argument, or none",
                statement.types[-1].position,
            )
        scope = Reader("functions", reader.text, (*arguments, *constants), found)
        body = scope.parse(statement.right, _end(statement))
        found[function] = ((len(arguments), len(arguments)), _inlined(arguments, types, body))
    return found


def add_function(function: str) -> None:
    """Define a function for the equations and functions of all neurons that are defined afterwards.

    Parameters
    ----------
    function : str
        Such as ``'sigmoid(x) = 1/(1 + exp(-x))'``; it may use constants and functions that were added before.
        A neuron's own function of the same name goes first, and so does one that is added later. ``clear()``
        takes it away.

    Raises
    ------
    TypeError
        If this is no string.
    ExpressionError
        If it is not the definition of one function.
    """
    if not isinstance(function, str):
        raise TypeError(f"function is {function!r} ({type(function).__name__}); expected text.")
    statements = _statements(Reader("functions", function))
    if len(statements) != 1:
        raise ExpressionError(
            f"functions: {function!r} has {len(statements)} definitions; add one at a time."
        )
    _read_functions("\n".join([*_added_functions.values(), function]), tuple(known_constants()))
    defined = statements[0].left[0].text
    _added_functions.pop(defined, None)
    _added_functions[defined] = function


def forget_functions() -> None:
    """Take all added functions away from neurons that are defined from now on."""
    _added_functions.clear()


def _used_functions(own: str, equations: str) -> list[str]:
    """Added functions that a neuron's texts call, in the order in which they were added."""
    used: list[str] = []
    for function, text in reversed(_added_functions.items()):
        if any(re.search(rf"\b{function}\s*\(", caller) for caller in (own, equations, *used)):
            used.insert(0, text)
    return used


def _inlined(arguments: Sequence[str], types: Sequence[str], body: Node) -> Function:
    def call(values: Sequence[Node]) -> Node:
        typed = [_typed(kind, value) for kind, value in zip(types[1:], values, strict=True)]
        return _typed(types[0], substitute(body, dict(zip(arguments, typed, strict=True))))

    return call


def _typed(kind: str, tree: Node) -> Node:
    """Bring a value to a type, as C does."""
    if kind == "int":
        return build("select", build("less", tree, ZERO), build("ceil", tree), build("floor", tree))
    return build("not_equal", tree, ZERO) if kind == "bool" else tree


# ------------------------------------------------------------------------------------ statements to steps


@dataclass(frozen=True)
class _Equation:
    """A differential equation solved for its derivative, waiting for the others of its block."""

    variable: str
    derivative: Node
    place: Token
    statement: _Statement
    text: str


class _Equations:
    """Reads the equations and reduces them to assignments."""

    def __init__(
        self,
        text: str,
        parameters: Mapping[str, Parameter],
        functions: _Functions,
        constants: _Numbers,
    ) -> None:
        self.reader = Reader("equations", text)
        self.parameters = parameters
        self.constants = constants
        self.draws = 0
        self.draws_once = False  # in an equation of the whole population
        statements = _statements(self.reader)
        assigned = [statement.left[0] for statement in statements if len(statement.left) == 1]
        fixed = {*parameters, *constants}
        declared = fixed | {token.text for token in assigned}
        derivatives = [self.derivative(statement, declared, fixed) for statement in statements]
        self.variables: dict[str, Variable] = {}
        for statement, derivative in zip(statements, derivatives, strict=True):
            self.declare(statement, derivative)
        self.scope = Reader(
            "equations",
            text,
            (*parameters, *constants, *({"r": None} | self.variables), "t", "dt"),
            {**functions, "Uniform": ((2, 2), self.uniform), "Normal": ((2, 4), self.normal)},
            targets=True,
            units=tuple(
                dict.fromkeys(
                    ["r"] * ("r" not in parameters and "r" not in self.variables)
                    + [key for key, one in {**parameters, **self.variables}.items() if one.local]
                )
            ),
        )
        self.steps: list[Assignment] = []
        waiting: list[_Equation] = []
        for statement, derivative in zip(statements, derivatives, strict=True):
            if derivative is None:
                self.integrate(waiting)
                waiting = []
                self.assign(statement)
            else:
                waiting.append(self.solve(statement, derivative))
        self.integrate(waiting)
        self.check_rate()
        self.check_localities()

    @property
    def targets(self) -> tuple[str, ...]:
        """Targets in the order in which they are first read."""
        words = [word for step in self.steps for word in _names(step.tree)]
        read = dict.fromkeys(word for word in words if word.startswith("sum(") and word != ALL_TARGETS)
        return tuple(word[4:-1] for word in read)

    def derivative(self, statement: _Statement, declared: set[str], fixed: set[str]) -> Token | None:
        """The ``dx/dt`` of a differential equation as one token, or None.

        A name alone on the left that is not `fixed` (a parameter or constant) is what the equation is for:
        there only its own derivative makes it a differential equation.
        """
        reader = self.reader
        tokens = [*statement.left, *statement.right]
        alone = (
            statement.left[0].text if len(statement.left) == 1 and statement.left[0].kind == "name" else None
        )
        found = [
            Token("name", f"{first.text}/dt", first.position)
            for first, second, third in zip(tokens, tokens[1:], tokens[2:], strict=False)
            if first.kind == "name" and first.text[0] == "d" and first.text[1:] and first.text not in declared
            if (second.text, third.text) == ("/", "dt")
            if alone is None or alone in fixed or first.text == f"d{alone}"
        ]
        if not found:
            if len(statement.left) != 1:
                raise reader.error(
                    "the left side must be a variable, or the equation contain its derivative, such as dr/dt",
                    statement.left[0].position,
                )
            return None
        if any(token.text != found[0].text for token in found):
            raise reader.error("an equation may contain one derivative only", found[1].position)
        if statement.sign.text != "=":
            raise reader.error("a differential equation needs =", statement.sign.position)
        return found[0]

    def declare(self, statement: _Statement, derivative: Token | None) -> None:
        reader = self.reader
        place = statement.left[0] if derivative is None else derivative
        variable = place.text if derivative is None else place.text[1:-3]
        if place.kind != "name":
            raise reader.error("expected the name of a variable", place.position)
        _check_attribute(reader, Token("name", variable, place.position))
        if variable in self.parameters or variable in self.constants:
            kind = "parameter" if variable in self.parameters else "constant"
            raise reader.error(f"{variable!r} is a {kind} already", place.position)
        if "filter" in statement.flags:
            flag = statement.flags["filter"][0]
            raise reader.error("filter belongs to parameters; a variable has a value per unit", flag.position)
        methods = [flag for key, (flag, _) in statement.flags.items() if key in _METHODS]
        if methods and (derivative is None or len(methods) > 1):
            raise reader.error(
                "a method belongs to a differential equation, and only one", methods[-1].position
            )
        kind = _kind(reader, statement)
        if variable not in self.variables:
            initial: Initial = 0.0
            locality, position = _locality(reader, statement), place.position
            if "init" in statement.flags:
                flag, tokens = statement.flags["init"]
                position = flag.position
                initial = self.initial(tokens, position, locality)
            declared = Variable(variable, initial, locality, kind)
            if not isinstance(initial, str):
                _check_initial(reader, declared, position)
            elif kind not in ("float", self.parameters[initial].type):
                raise reader.error(f"{variable!r} is flagged {kind}, but {initial!r} is not", position)
            self.variables[variable] = declared
            return
        if statement.types and kind != self.variables[variable].type:
            raise reader.error(
                f"the type belongs to the first equation of {variable!r}", statement.types[0].position
            )
        for key in ("init", "population", "constant"):
            if key in statement.flags:
                flag = statement.flags[key][0]
                raise reader.error(f"{key} belongs to the first equation of {variable!r}", flag.position)

    def initial(self, tokens: Sequence[Token], position: int, locality: Locality) -> Initial:
        """What a variable starts with; a parameter alone may be drawn or assigned until compile()."""
        parameter = self.parameters.get(tokens[0].text) if len(tokens) == 1 else None
        if parameter is not None:
            if parameter.locality in ("local", "filter") and locality != "local":
                raise self.reader.error(
                    f"{parameter.name!r} differs between units, which a variable of the population cannot",
                    tokens[0].position,
                )
            return parameter.name
        numbers = {
            key: entry.initial for key, entry in self.parameters.items() if isinstance(entry.initial, float)
        }
        return _initial(self.reader, tokens, position, {**self.constants, **numbers})

    def uniform(self, arguments: Sequence[Node]) -> Node:
        low, high = arguments
        numbers = _literals(arguments)
        if None not in numbers:
            Uniform(*numbers)  # type: ignore[arg-type]  # raises if there is none
        return build("add", low, build("multiply", build("subtract", high, low), self.draw("uniform")))

    def normal(self, arguments: Sequence[Node]) -> Node:
        mu, sigma, least, most = (*_literals(arguments), None, None)[:4]
        Normal(
            0.0 if mu is None else mu, 0.0 if sigma is None else sigma, least, most
        )  # raises if there is none
        tree = build("add", arguments[0], build("multiply", arguments[1], self.draw("normal")))
        for operation, bound in zip(("maximum", "minimum"), arguments[2:], strict=False):
            tree = build(operation, tree, bound)
        return tree

    def draw(self, kind: str) -> Node:
        self.draws += 1
        return Node(f"population_{kind}" if self.draws_once else kind, value=self.draws - 1)

    def parse(
        self, tokens: Sequence[Token], position: int, variable: str, derivative: Token | None = None
    ) -> Node:
        """Read one side of the equation of a variable; its derivative becomes a name of its own."""
        self.draws_once = not self.variables[variable].local
        if derivative is None:
            return self.scope.parse(tokens, position)
        first, words = derivative.text.split("/")[0], list(tokens)
        for at in range(len(words) - 2):
            if [token.text for token in words[at : at + 3]] == [first, "/", "dt"]:
                words[at : at + 3] = [Token("name", derivative.text, words[at].position)]
        return replace(self.scope, names=(*self.scope.names, derivative.text)).parse(words, position)

    def bounded(self, statement: _Statement, variable: str, tree: Node) -> Assignment:
        """The assignment of a statement, with its type and bounds."""
        text = _text(self.reader, statement)
        tree = _typed(self.variables[variable].type, tree)
        bounds = {
            key: Expression(text, self.parse(tokens, flag.position, variable))
            for key, (flag, tokens) in statement.flags.items()
            if key in ("min", "max")
        }
        if len(bounds) == 2:
            least, most = _literals([bounds["min"].tree, bounds["max"].tree])
            if least is not None and most is not None and least > most:
                raise self.reader.error(
                    f"min is {least} and max is {most}; expected min <= max",
                    statement.flags["min"][0].position,
                )
        return Assignment(variable, Expression(text, tree), bounds.get("min"), bounds.get("max"))

    def assign(self, statement: _Statement) -> None:
        variable = statement.left[0].text
        tree = self.parse(statement.right, _end(statement), variable)
        if statement.sign.text in _INCREMENTS:
            tree = build(_INCREMENTS[statement.sign.text], name(variable), tree)
        self.steps.append(self.bounded(statement, variable, tree))

    def solve(self, statement: _Statement, place: Token) -> _Equation:
        """Isolate the derivative: a1*x' + b1 = a2*x' + b2 gives x' = (b2 - b1) / (a1 - a2)."""
        variable = place.text[1:-3]
        left = self.parse(statement.left, 0, variable, place)
        right = self.parse(statement.right, _end(statement), variable, place)
        try:
            (a1, b1), (a2, b2) = _linear(left, place.text), _linear(right, place.text)
        except _NotLinear:
            raise self.reader.error(f"the equation is not linear in {place.text}", place.position) from None
        factor = _subtract(a1, a2)
        if factor is None or factor == ZERO:
            raise self.reader.error(f"{place.text} cancels out of the equation", place.position)
        tree = _scale("divide", _subtract(b2, b1), factor) or ZERO
        return _Equation(variable, tree, place, statement, _text(self.reader, statement))

    def integrate(self, block: list[_Equation]) -> None:
        """Append the steps of consecutive differential equations."""
        twice = [
            later for at, later in enumerate(block) if later.variable in {e.variable for e in block[:at]}
        ]
        if twice:
            raise self.reader.error(
                f"{twice[0].variable!r} has two differential equations", twice[0].place.position
            )
        middle = {
            e.variable: name(f"midpoint({e.variable})") for e in block if "midpoint" in e.statement.flags
        }
        for equation in block:
            if equation.variable in middle:
                half = build("multiply", build("multiply", constant(0.5), name("dt")), equation.derivative)
                tree = build("add", name(equation.variable), half)
                self.steps.append(
                    Assignment(f"midpoint({equation.variable})", Expression(equation.text, tree))
                )
        increments = []
        for equation in block:
            derivative = equation.derivative
            if equation.variable in middle:
                derivative = substitute(derivative, middle)
            exponential = "exponential" in equation.statement.flags
            increment = (
                self.exponential(equation) if exponential else build("multiply", name("dt"), derivative)
            )
            if len(block) > 1:
                spelling = f"increment({equation.variable})"
                self.steps.append(Assignment(spelling, Expression(equation.text, increment)))
                increment = name(spelling)
            increments.append(increment)
        for equation, increment in zip(block, increments, strict=True):
            tree = build("add", name(equation.variable), increment)
            self.steps.append(self.bounded(equation.statement, equation.variable, tree))

    def exponential(self, equation: _Equation) -> Node:
        """The increment (1 - exp(-dt/tau)) * (x_inf - x) of x' = (x_inf - x)/tau."""
        tree, variable = equation.derivative, equation.variable
        scale, divisor = ONE, ONE
        # Factors of the whole right side are taken out first, so that (I - x)/tau gives x_inf = I exactly.
        while tree.operation in ("multiply", "divide"):
            first, second = tree.arguments
            if variable not in second.names:
                if tree.operation == "divide":
                    divisor = build("multiply", divisor, second)
                else:
                    scale = build("multiply", scale, second)
                tree = first
            elif tree.operation == "multiply" and variable not in first.names:
                scale, tree = build("multiply", scale, first), second
            else:
                break
        try:
            slope, rest = _linear(tree, variable)
        except _NotLinear:
            raise self.reader.error(
                f"the equation is not linear in {variable}, as exponential needs; use explicit or midpoint",
                equation.place.position,
            ) from None
        # Without decay the exact step is Euler's.
        straight = build("multiply", name("dt"), equation.derivative)
        if slope is None or slope == ZERO:
            return straight
        exponent = build("divide", build("multiply", build("multiply", scale, slope), name("dt")), divisor)
        limit = build("divide", rest or ZERO, build("negate", slope))
        # expm1 keeps its accuracy where dt is much smaller than tau.
        portion = build("negate", build("expm1", exponent))
        increment = build("multiply", portion, build("subtract", limit, name(variable)))
        if slope.operation == "constant":
            return increment
        # A conductance, for example, may be zero now and then. The straight increment is a step of its own,
        # so that its divisors count as written by the user and not as guarded by this conditional.
        spelling = f"straight({variable})"
        self.steps.append(Assignment(spelling, Expression(equation.text, straight)))
        return build("select", build("equal", slope, ZERO), name(spelling), increment)

    def check_rate(self) -> None:
        defined = self.variables.get("r") or self.parameters.get("r")
        if defined is not None:
            if not defined.local:
                raise ExpressionError("r: each unit has its own rate; drop the flag population or constant.")
            return
        readings = {"r", *(f"{which}(r)" for which in STATISTICS)}
        if self.steps and not any(readings & step.tree.names for step in self.steps):
            raise self.reader.error(
                "no equation defines or reads r, the rate that projections transmit; add one, such as r = v",
                len(self.reader.text),
            )
        self.variables["r"] = Variable("r", 0.0, "local")

    def check_localities(self) -> None:
        """A variable of the whole population must not depend on the unit."""
        attributes = {**self.parameters, **self.variables}
        local = {key for key, attribute in attributes.items() if attribute.locality in ("local", "filter")}
        local |= {ALL_TARGETS, *(f"sum({target})" for target in self.targets)}
        for step in self.steps:
            differing = [word for word in _names(step.tree) if word in local]
            if step.name not in self.variables:
                local |= {step.name} if differing else set()
            elif step.name not in local and differing:
                raise ExpressionError(
                    f"equations: {step.name!r} is flagged population, but its equation "
                    f"{step.expression.text!r} reads {differing[0]}, "
                    "which differs between units; drop the flag."
                )


def _literals(arguments: Sequence[Node]) -> list[float | None]:
    """Values of the arguments that are numbers, None for others."""
    return [float(node.value) if node.operation == "constant" else None for node in arguments]  # type: ignore[arg-type]


def _names(tree: Node) -> Iterable[str]:
    """Names that a tree reads, from left to right."""
    if tree.operation == "name":
        yield str(tree.value)
    for argument in tree.arguments:
        yield from _names(argument)


# ---------------------------------------------------------------------------------------- linear equations


class _NotLinear(Exception):
    pass


# A term that is not there is None, so that no 0 + x or 0 * x, which are wrong for NaN and inf, is ever
# written.
_Term = Node | None


def _linear(tree: Node, variable: str) -> tuple[_Term, _Term]:
    """Return a and b of tree = a*variable + b, or raise _NotLinear."""
    if variable not in tree.names:
        return None, None if tree == ZERO else tree
    if tree.operation == "name":
        return ONE, None
    if tree.operation == "negate":
        a, b = _linear(tree.arguments[0], variable)
        return _subtract(None, a), _subtract(None, b)
    if tree.operation == "select" and variable not in tree.arguments[0].names:
        condition = tree.arguments[0]
        yes, no = (_linear(argument, variable) for argument in tree.arguments[1:])
        slope = build("select", condition, yes[0] or ZERO, no[0] or ZERO)
        return slope, build("select", condition, yes[1] or ZERO, no[1] or ZERO)
    if tree.operation in ("add", "subtract", "multiply", "divide"):
        (a1, b1), (a2, b2) = (_linear(argument, variable) for argument in tree.arguments)
        if tree.operation == "add":
            return _add(a1, a2), _add(b1, b2)
        if tree.operation == "subtract":
            return _subtract(a1, a2), _subtract(b1, b2)
        if a2 is None:
            return _scale(tree.operation, a1, b2), _scale(tree.operation, b1, b2)
        if a1 is None and tree.operation == "multiply":
            return _scale("multiply", a2, b1), _scale("multiply", b2, b1)
    raise _NotLinear


def _add(first: _Term, second: _Term) -> _Term:
    if first is None or second is None:
        return second if first is None else first
    return build("add", first, second)


def _subtract(first: _Term, second: _Term) -> _Term:
    if second is None:
        return first
    return build("negate", second) if first is None else build("subtract", first, second)


def _scale(operation: str, term: _Term, factor: _Term) -> _Term:
    """Multiply or divide a term by what may be zero."""
    return None if term is None else build(operation, term, factor or ZERO)
