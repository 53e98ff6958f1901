"""Equations, read and reduced to plain assignments."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..checks.errors import ExpressionError
from . import attributes
from .constants import Constant
from .declarations import Assignment, Declaration, Initial, Locality
from .definitions import Numbers, check_initial, initial_value, kind_of, locality_of
from .functions import Functions
from .integration import Equation, integrate, solve
from .operations import ALL_TARGETS, STATISTICS
from .reader import Reader, Token
from .scope import Scope
from .statements import (
    INCREMENTS,
    METHODS,
    Statement,
    check_attribute,
    end_of,
    is_sign,
    joined,
    read_statements,
)
from .tree import build, name, names_in_order


@dataclass(frozen=True)
class Equations:
    """What a text of equations comes to.

    Attributes
    ----------
    variables
        In the order in which the equations declare them, then `r`, if no equation does.
    steps
        Assignments, to be executed in order.
    targets
        In the order in which they are first read.
    """

    variables: Mapping[str, Declaration]
    steps: tuple[Assignment, ...]
    targets: tuple[str, ...]


def equations_text(given: str | attributes.Variable | Sequence[str | attributes.Variable]) -> str:
    """Return one text, of what a user gave as equations."""
    entries = [given] if isinstance(given, attributes.Variable) else given
    if isinstance(entries, (list, tuple)):
        entries = [entry.text if isinstance(entry, attributes.Variable) else entry for entry in entries]
    return joined("equations", entries)  # type: ignore[arg-type]


def visible_constants(constants: Mapping[str, Constant], equations: str) -> dict[str, Constant]:
    """Return the constants whose names the equations do not use for variables."""
    own = set()
    tokens = [Token("newline", "\n", 0), *Reader("equations", equations).tokens()]
    for first, second, third in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if first.kind == "newline" and is_sign(third):
            own.add(second.text)
        if first.text[0] == "d" and (second.text, third.text) == ("/", "dt"):
            own.add(first.text[1:])
    return {key: value for key, value in constants.items() if key not in own}


def read_equations(
    text: str, parameters: Mapping[str, Declaration], functions: Functions, constants: Numbers
) -> Equations:
    """Read equations, which may use what is given, and reduce them to assignments."""
    reader = Reader("equations", text)
    statements = read_statements(reader)
    assigned = {statement.left[0].text for statement in statements if len(statement.left) == 1}
    fixed = {*parameters, *constants}
    derivatives = [_derivative(reader, statement, fixed | assigned, fixed) for statement in statements]
    variables: dict[str, Declaration] = {}
    for statement, derivative in zip(statements, derivatives, strict=True):
        declared = _declared(reader, statement, derivative, variables, parameters, constants)
        variables.setdefault(declared.name, declared)
    scope = Scope(reader, variables, parameters, constants, functions)
    steps = tuple(_steps(scope, statements, derivatives))
    if not _defines_rate(reader, {**parameters, **variables}, steps):
        variables["r"] = Declaration("r", 0.0, "local")
    targets = _targets(steps)
    _check_localities({**parameters, **variables}, variables, steps, targets)
    return Equations(variables, steps, targets)


def _derivative(
    reader: Reader, statement: Statement, declared: Collection[str], fixed: Collection[str]
) -> Token | None:
    """The ``dx/dt`` of a differential equation as one token, or None.

    A name alone on the left that is not `fixed` (a parameter or constant) is what the equation is for:
    there only its own derivative makes it a differential equation.
    """
    left = statement.left
    tokens = [*left, *statement.right]
    alone = left[0].text if len(left) == 1 and left[0].kind == "name" else None
    found = [
        Token("name", f"{first.text}/dt", first.position)
        for first, second, third in zip(tokens, tokens[1:], tokens[2:], strict=False)
        if first.kind == "name" and first.text[0] == "d" and first.text[1:] and first.text not in declared
        if (second.text, third.text) == ("/", "dt")
        if alone is None or alone in fixed or first.text == f"d{alone}"
    ]
    if not found:
        if len(left) != 1:
            raise reader.error(
                "the left side must be a variable, or the equation contain its derivative, such as dr/dt",
                left[0].position,
            )
        return None
    if any(token.text != found[0].text for token in found):
        raise reader.error("an equation may contain one derivative only", found[1].position)
    if statement.sign.text != "=":
        raise reader.error("a differential equation needs =", statement.sign.position)
    return found[0]


# --- Declarations ---


def _declared(
    reader: Reader,
    statement: Statement,
    derivative: Token | None,
    variables: Mapping[str, Declaration],
    parameters: Mapping[str, Declaration],
    constants: Numbers,
) -> Declaration:
    """The variable that an equation is for, declared by this equation or by one above."""
    place = statement.left[0] if derivative is None else derivative
    variable = place.text if derivative is None else place.text[1:-3]
    if place.kind != "name":
        raise reader.error("expected the name of a variable", place.position)
    check_attribute(reader, Token("name", variable, place.position))
    if variable in parameters or variable in constants:
        what = "parameter" if variable in parameters else "constant"
        raise reader.error(f"{variable!r} is a {what} already", place.position)
    _check_flags(reader, statement, derivative)
    if variable in variables:
        _check_repeated(reader, statement, variables[variable])
        return variables[variable]
    return _first_declaration(reader, statement, variable, place, parameters, constants)


def _check_flags(reader: Reader, statement: Statement, derivative: Token | None) -> None:
    """Raise at flags that no variable has, or a method that does not belong here."""
    if "filter" in statement.flags:
        flag = statement.flags["filter"][0]
        raise reader.error("filter belongs to parameters; a variable has a value per unit", flag.position)
    methods = [flag for key, (flag, _) in statement.flags.items() if key in METHODS]
    if methods and (derivative is None or len(methods) > 1):
        raise reader.error("a method belongs to a differential equation, and only one", methods[-1].position)


def _check_repeated(reader: Reader, statement: Statement, declared: Declaration) -> None:
    """Raise if a further equation of a variable says what belongs to its first one."""
    if statement.types and kind_of(reader, statement) != declared.type:
        raise reader.error(
            f"the type belongs to the first equation of {declared.name!r}", statement.types[0].position
        )
    for key in ("init", "population", "constant"):
        if key in statement.flags:
            flag = statement.flags[key][0]
            raise reader.error(f"{key} belongs to the first equation of {declared.name!r}", flag.position)


def _first_declaration(
    reader: Reader,
    statement: Statement,
    variable: str,
    place: Token,
    parameters: Mapping[str, Declaration],
    constants: Numbers,
) -> Declaration:
    kind, locality = kind_of(reader, statement), locality_of(reader, statement)
    initial: Initial = 0.0
    position = place.position
    if "init" in statement.flags:
        flag, tokens = statement.flags["init"]
        position = flag.position
        initial = _initial(reader, tokens, position, locality, parameters, constants)
    declared = Declaration(variable, initial, locality, kind)
    if not isinstance(initial, str):
        check_initial(reader, declared, position)
    elif kind not in ("float", parameters[initial].type):
        raise reader.error(f"{variable!r} is flagged {kind}, but {initial!r} is not", position)
    return declared


def _initial(
    reader: Reader,
    tokens: Sequence[Token],
    position: int,
    locality: Locality,
    parameters: Mapping[str, Declaration],
    constants: Numbers,
) -> Initial:
    """What a variable starts with; a parameter alone may be drawn or assigned until compile()."""
    parameter = parameters.get(tokens[0].text) if len(tokens) == 1 else None
    if parameter is not None:
        if parameter.locality in ("local", "filter") and locality != "local":
            raise reader.error(
                f"{parameter.name!r} differs between units, which a variable of the population cannot",
                tokens[0].position,
            )
        return parameter.name
    numbers = {key: entry.initial for key, entry in parameters.items() if isinstance(entry.initial, float)}
    return initial_value(reader, tokens, position, {**constants, **numbers})


# --- Steps ---


def _steps(
    scope: Scope, statements: Sequence[Statement], derivatives: Sequence[Token | None]
) -> Iterator[Assignment]:
    """The steps of all statements; consecutive differential equations are integrated together."""
    waiting: list[Equation] = []
    for statement, derivative in zip(statements, derivatives, strict=True):
        if derivative is None:
            yield from integrate(scope, waiting)
            waiting = []
            yield _assignment(scope, statement)
        else:
            waiting.append(solve(scope, statement, derivative))
    yield from integrate(scope, waiting)


def _assignment(scope: Scope, statement: Statement) -> Assignment:
    variable = statement.left[0].text
    tree = scope.parse(statement.right, end_of(statement), variable)
    if statement.sign.text in INCREMENTS:
        tree = build(INCREMENTS[statement.sign.text], name(variable), tree)
    return scope.bounded(statement, variable, tree)


def _targets(steps: Sequence[Assignment]) -> tuple[str, ...]:
    words = [word for step in steps for word in names_in_order(step.tree)]
    read = dict.fromkeys(word for word in words if word.startswith("sum(") and word != ALL_TARGETS)
    return tuple(word[4:-1] for word in read)


# --- What they must fulfil together ---


def _defines_rate(reader: Reader, declared: Mapping[str, Declaration], steps: Sequence[Assignment]) -> bool:
    """Whether a parameter or variable is the rate; raise unless it is one of each unit, or is read at least."""
    if "r" in declared:
        if not declared["r"].local:
            raise ExpressionError("r: each unit has its own rate; drop the flag population or constant.")
        return True
    readings = {"r", *(f"{which}(r)" for which in STATISTICS)}
    if steps and not any(readings & step.tree.names for step in steps):
        raise reader.error(
            "no equation defines or reads r, the rate that projections transmit; add one, such as r = v",
            len(reader.text),
        )
    return False


def _check_localities(
    declared: Mapping[str, Declaration],
    variables: Collection[str],
    steps: Sequence[Assignment],
    targets: Sequence[str],
) -> None:
    """A variable of the whole population must not depend on the unit."""
    local = {key for key, one in declared.items() if one.locality in ("local", "filter")}
    local |= {ALL_TARGETS, *(f"sum({target})" for target in targets)}
    for step in steps:
        differing = [word for word in names_in_order(step.tree) if word in local]
        if step.name not in variables:
            local |= {step.name} if differing else set()
        elif step.name not in local and differing:
            raise ExpressionError(
                f"equations: {step.name!r} is flagged population, but its equation "
                f"{step.expression.text!r} reads {differing[0]}, "
                "which differs between units; drop the flag."
            )
