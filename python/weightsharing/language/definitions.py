"""Definitions of parameters, in a text or a dict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from ..checks.errors import ExpressionError
from ..checks.numbers import finite_number
from . import attributes
from .constants import Constant
from .declarations import Declaration, Kind, Locality
from .distributions import Normal, Uniform
from .evaluation import evaluate_tree
from .reader import Reader, Token
from .statements import (
    TYPES,
    Statement,
    check_attribute,
    check_key,
    end_of,
    joined,
    only_name,
    read_statements,
    split,
)

Numbers = Mapping[str, float | Constant]
Quoted = dict[str, float | Uniform | Normal]


def read_parameters(
    given: str | Sequence[str] | Mapping[str, Any], constants: Numbers, extra_values: Mapping[str, Any]
) -> tuple[dict[str, Declaration], Quoted]:
    """Read definitions; return them, and the `extra_values` that they name."""
    if isinstance(given, Mapping):
        return {key: _from_value(key, value, constants) for key, value in given.items()}, {}
    found: dict[str, Declaration] = {}
    quoted: Quoted = {}
    reader = Reader("parameters", joined("parameters", given), quotes=True)
    for statement in read_statements(reader):
        token = only_name(reader, statement)
        if token.text in found:
            raise reader.error(f"{token.text!r} is defined twice", token.position)
        for key, (place, _) in statement.flags.items():
            if key not in ("filter", "population", "constant", *TYPES):
                raise reader.error(
                    f"a parameter has no {key!r}; use filter, population, constant, float, int, bool",
                    place.position,
                )
        value = statement.right
        # Many scripts end the lines of their parameters with commas.
        if value and value[-1].text == ",":
            value = value[:-1]
        if [one.kind for one in value] == ["quoted"]:
            initial = quoted[value[0].text[1:-1]] = _extra_value(reader, value[0], extra_values)
        else:
            initial = initial_value(reader, value, end_of(statement), constants)
        parameter = Declaration(
            token.text, initial, locality_of(reader, statement), kind_of(reader, statement)
        )
        check_initial(reader, parameter, token.position)
        found[token.text] = parameter
    return found, quoted


def _from_value(key: Any, value: Any, constants: Numbers) -> Declaration:
    """One entry of a dict of parameters."""
    check_key("parameters", key, check_attribute)
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
        value = float(value) if isinstance(value, bool) else finite_number(f"parameters: {key}", value)
    parameter = Declaration(key, value, "local" if locality == "local" else "population", kind)
    try:
        parameter.check_type(value)
    except ValueError as error:
        raise ExpressionError(f"parameters: {error}") from None
    return parameter


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


def initial_value(
    reader: Reader, tokens: Sequence[Token], position: int, known: Numbers
) -> float | Uniform | Normal:
    """Arithmetic of numbers and known names, or a distribution of such."""
    if len(tokens) > 2 and tokens[0].text in ("Uniform", "Normal") and tokens[-1].text == ")":
        numbers = [_number(reader, piece, tokens[1].position, known) for piece in split(tokens[2:-1], ",")]
        try:
            return Uniform(*numbers) if tokens[0].text == "Uniform" else Normal(*numbers)
        except (TypeError, ValueError) as error:
            raise reader.error(str(error), tokens[0].position) from None
    return _number(reader, tokens, position, known)


def _number(reader: Reader, tokens: Sequence[Token], position: int, known: Numbers) -> float:
    tree = Reader(reader.label, reader.text, tuple(known)).parse(tokens, position)
    return float(evaluate_tree(tree, known, np.dtype(np.float64)))


def check_initial(reader: Reader, parameter: Declaration, position: int) -> None:
    """Raise unless the declared type takes the initial value."""
    try:
        parameter.check_type(parameter.initial)
    except ValueError as error:
        raise reader.error(str(error), position) from None


def kind_of(reader: Reader, statement: Statement) -> Kind:
    """The type that flags name."""
    if len(statement.types) > 1:
        names = " and ".join(token.text for token in statement.types)
        raise reader.error(f"one type is expected, not {names}", statement.types[1].position)
    return cast(Kind, statement.types[0].text) if statement.types else "float"


def locality_of(reader: Reader, statement: Statement) -> Locality:
    """Who shares the value, as flags say."""
    given = [key for key in ("filter", "population", "constant") if key in statement.flags]
    if len(given) > 1 and "filter" in given:
        place = statement.flags[given[1]][0].position
        raise reader.error(f"the flags {' and '.join(given)} contradict each other", place)
    if "constant" in statement.flags:
        return "constant"
    if "population" in statement.flags:
        return "population"
    return "filter" if "filter" in statement.flags else "local"
