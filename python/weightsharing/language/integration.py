"""Differential equations: solved for their derivatives, and integrated over one step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .declarations import Assignment
from .expression import Expression
from .linear import NotLinear, linear, scale, subtract
from .reader import Reader, Token
from .scope import Scope
from .statements import Statement, end_of, text_of
from .tree import ONE, ZERO, Node, build, constant, name, substitute


@dataclass(frozen=True)
class Equation:
    """A differential equation solved for its derivative.

    Attributes
    ----------
    variable, derivative
        Whose, and what it is.
    place
        Where the text writes it.
    statement, text
        The equation as it was read, and as messages show it.
    """

    variable: str
    derivative: Node
    place: Token
    statement: Statement
    text: str


def solve(scope: Scope, statement: Statement, place: Token) -> Equation:
    """Isolate the derivative: a1*x' + b1 = a2*x' + b2 gives x' = (b2 - b1) / (a1 - a2)."""
    reader, variable = scope.reader, place.text[1:-3]
    left = scope.parse(statement.left, 0, variable, place)
    right = scope.parse(statement.right, end_of(statement), variable, place)
    try:
        (a1, b1), (a2, b2) = linear(left, place.text), linear(right, place.text)
    except NotLinear:
        raise reader.error(f"the equation is not linear in {place.text}", place.position) from None
    factor = subtract(a1, a2)
    if factor is None or factor == ZERO:
        raise reader.error(f"{place.text} cancels out of the equation", place.position)
    tree = scale("divide", subtract(b2, b1), factor) or ZERO
    return Equation(variable, tree, place, statement, text_of(reader, statement))


def integrate(scope: Scope, block: Sequence[Equation]) -> list[Assignment]:
    """Return the steps of consecutive differential equations: all increments from the old values, then all applied."""
    _check_distinct(scope.reader, block)
    middle = {e.variable: name(f"midpoint({e.variable})") for e in block if "midpoint" in e.statement.flags}
    steps = [_midpoint(equation) for equation in block if equation.variable in middle]
    increments = []
    for equation in block:
        if "exponential" in equation.statement.flags:
            before, increment = _exponential(scope.reader, equation)
            steps += before
        else:
            derivative = equation.derivative
            if equation.variable in middle:
                derivative = substitute(derivative, middle)
            increment = build("multiply", name("dt"), derivative)
        if len(block) > 1:
            spelling = f"increment({equation.variable})"
            steps.append(Assignment(spelling, Expression(equation.text, increment)))
            increment = name(spelling)
        increments.append(increment)
    for equation, increment in zip(block, increments, strict=True):
        tree = build("add", name(equation.variable), increment)
        steps.append(scope.bounded(equation.statement, equation.variable, tree))
    return steps


def _check_distinct(reader: Reader, block: Sequence[Equation]) -> None:
    for at, later in enumerate(block):
        if later.variable in {earlier.variable for earlier in block[:at]}:
            raise reader.error(f"{later.variable!r} has two differential equations", later.place.position)


def _midpoint(equation: Equation) -> Assignment:
    """The value of a variable in the middle of the step, by Euler."""
    half = build("multiply", build("multiply", constant(0.5), name("dt")), equation.derivative)
    tree = build("add", name(equation.variable), half)
    return Assignment(f"midpoint({equation.variable})", Expression(equation.text, tree))


def _exponential(reader: Reader, equation: Equation) -> tuple[list[Assignment], Node]:
    """The increment (1 - exp(-dt/tau)) * (x_inf - x) of x' = (x_inf - x)/tau, and the steps that it reads."""
    variable = equation.variable
    tree, factor, divisor = _factored(equation.derivative, variable)
    try:
        slope, rest = linear(tree, variable)
    except NotLinear:
        raise reader.error(
            f"the equation is not linear in {variable}, as exponential needs; use explicit or midpoint",
            equation.place.position,
        ) from None
    # Without decay the exact step is Euler's.
    straight = build("multiply", name("dt"), equation.derivative)
    if slope is None or slope == ZERO:
        return [], straight
    exponent = build("divide", build("multiply", build("multiply", factor, slope), name("dt")), divisor)
    limit = build("divide", rest or ZERO, build("negate", slope))
    # expm1 keeps its accuracy where dt is much smaller than tau.
    portion = build("negate", build("expm1", exponent))
    increment = build("multiply", portion, build("subtract", limit, name(variable)))
    if slope.operation == "constant":
        return [], increment
    # A conductance, for example, may be zero now and then. The straight increment is a step of its own,
    # so that its divisors count as written by the user and not as guarded by this conditional.
    spelling = f"straight({variable})"
    before = Assignment(spelling, Expression(equation.text, straight))
    return [before], build("select", build("equal", slope, ZERO), name(spelling), increment)


def _factored(tree: Node, variable: str) -> tuple[Node, Node, Node]:
    """Take factors and divisors out of the whole right side: what is left, the factors, the divisors.

    So (I - x)/tau gives x_inf = I exactly.
    """
    factor, divisor = ONE, ONE
    while tree.operation in ("multiply", "divide"):
        first, second = tree.arguments
        if variable not in second.names:
            if tree.operation == "divide":
                divisor = build("multiply", divisor, second)
            else:
                factor = build("multiply", factor, second)
            tree = first
        elif tree.operation == "multiply" and variable not in first.names:
            factor, tree = build("multiply", factor, first), second
        else:
            break
    return tree, factor, divisor
