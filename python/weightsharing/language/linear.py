"""A tree as a*x + b."""

from __future__ import annotations

from .tree import ONE, ZERO, Node, build


class NotLinear(Exception):
    """The tree is not linear in the variable."""


# A term that is not there is None, so that no 0 + x or 0 * x, which are wrong for NaN and inf, is ever
# written.
Term = Node | None


def linear(tree: Node, variable: str) -> tuple[Term, Term]:
    """Return a and b of tree = a*variable + b, or raise NotLinear."""
    if variable not in tree.names:
        return None, None if tree == ZERO else tree
    if tree.operation == "name":
        return ONE, None
    if tree.operation == "negate":
        a, b = linear(tree.arguments[0], variable)
        return subtract(None, a), subtract(None, b)
    if tree.operation == "select" and variable not in tree.arguments[0].names:
        condition = tree.arguments[0]
        yes, no = (linear(argument, variable) for argument in tree.arguments[1:])
        slope = build("select", condition, yes[0] or ZERO, no[0] or ZERO)
        return slope, build("select", condition, yes[1] or ZERO, no[1] or ZERO)
    if tree.operation in ("add", "subtract", "multiply", "divide"):
        (a1, b1), (a2, b2) = (linear(argument, variable) for argument in tree.arguments)
        if tree.operation == "add":
            return add(a1, a2), add(b1, b2)
        if tree.operation == "subtract":
            return subtract(a1, a2), subtract(b1, b2)
        if a2 is None:
            return scale(tree.operation, a1, b2), scale(tree.operation, b1, b2)
        if a1 is None and tree.operation == "multiply":
            return scale("multiply", a2, b1), scale("multiply", b2, b1)
    raise NotLinear


def add(first: Term, second: Term) -> Term:
    """Add what may be zero."""
    if first is None or second is None:
        return second if first is None else first
    return build("add", first, second)


def subtract(first: Term, second: Term) -> Term:
    """Subtract what may be zero."""
    if second is None:
        return first
    return build("negate", second) if first is None else build("subtract", first, second)


def scale(operation: str, term: Term, factor: Term) -> Term:
    """Multiply or divide a term by what may be zero."""
    return None if term is None else build(operation, term, factor or ZERO)
