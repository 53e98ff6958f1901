"""An expression as a small tree: made with constants folded, compared, and names replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .operations import NOISE, OPCODES, SPELLING, SYMBOLS

# Meaning of every opcode that computes; comparisons are brought to 1.0 / 0.0 in `compute`.
_NUMPY: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(np, name)
        for name in OPCODES
        if name not in ("constant", "load", "store", "modulo", "negate", "round", "select", *NOISE)
    },
    "modulo": np.fmod,
    "negate": np.negative,
    "round": np.rint,
    "select": lambda condition, yes, no: np.where(condition != 0, yes, no),
}


@dataclass(frozen=True, eq=False, repr=False)
class Node:
    """One operation of an expression, with its operands. Made by `build`, `constant` and `name`.

    Attributes
    ----------
    operation
        ``'constant'``, ``'name'``, or the name of an opcode.
    arguments
        Operands.
    value
        The number of a constant, the spelling of a name, the occurrence of a draw (`NOISE`).
    names
        Every name that the tree below reads.
    size, depth
        Number of nodes and of levels, operands that are shared counted each time.
    """

    operation: str
    arguments: tuple[Node, ...] = ()
    value: float | int | str | None = None
    names: frozenset[str] = field(init=False)
    size: int = field(init=False)
    depth: int = field(init=False)

    def __post_init__(self) -> None:
        own = frozenset((str(self.value),)) if self.operation == "name" else frozenset[str]()
        object.__setattr__(self, "names", own.union(*(node.names for node in self.arguments)))
        object.__setattr__(self, "size", 1 + sum(node.size for node in self.arguments))
        object.__setattr__(self, "depth", 1 + max((node.depth for node in self.arguments), default=0))

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        # The spelling of a value tells 0.0 from -0.0 and finds NaN equal to itself.
        return (
            isinstance(other, Node)
            and self.operation == other.operation
            and repr(self.value) == repr(other.value)
            and self.arguments == other.arguments
        )

    def __hash__(self) -> int:
        return hash((self.operation, repr(self.value), self.arguments))

    def __repr__(self) -> str:
        """Spell the tree in the language it was read from, with every bracket written."""
        words = [repr(argument) for argument in self.arguments]
        if self.operation in ("constant", "name"):
            return str(self.value)
        if self.operation in NOISE:
            return f"{self.operation}#{self.value}"
        if self.operation == "negate":
            return f"(-{words[0]})"
        if self.operation == "logical_not":
            return f"(not {words[0]})"
        if self.operation == "select":
            return f"({words[1]} if {words[0]} else {words[2]})"
        if self.operation in SYMBOLS:
            return f"({words[0]} {SYMBOLS[self.operation]} {words[1]})"
        return f"{SPELLING[self.operation]}({', '.join(words)})"


def constant(value: float) -> Node:
    """Return the node of a number."""
    return Node("constant", value=float(value))


def name(spelling: str) -> Node:
    """Return the node of a name."""
    return Node("name", value=spelling)


ZERO, ONE = constant(0.0), constant(1.0)


def build(operation: str, *arguments: Node) -> Node:
    """Return the node of an operation.

    Constant operands are folded in double precision. Otherwise only what changes no bit of any result is
    simplified: a factor or divisor of 1, and a double negation.
    """
    if all(argument.operation == "constant" for argument in arguments):
        with np.errstate(all="ignore"):
            return constant(compute(operation, [np.float64(argument.value) for argument in arguments]))
    if operation == "multiply" and ONE in arguments:
        return arguments[1] if arguments[0] == ONE else arguments[0]
    if operation == "divide" and arguments[1] == ONE:
        return arguments[0]
    if operation == "negate" and arguments[0].operation == "negate":
        return arguments[0].arguments[0]
    return Node(operation, arguments)


def substitute(tree: Node, replacements: Mapping[str, Node]) -> Node:
    """Return `tree` with names replaced by trees."""
    if not tree.names & replacements.keys():
        return tree
    if tree.operation == "name":
        return replacements[str(tree.value)]
    return build(tree.operation, *[substitute(argument, replacements) for argument in tree.arguments])


def compute(operation: str, operands: Sequence[Any]) -> Any:
    """Compute one operation with NumPy; comparisons give 1.0 or 0.0 in the type of their first operand."""
    # x*x is correctly rounded and needs no logarithm; programs do the same.
    if operation == "power" and np.ndim(operands[1]) == 0 and operands[1] == 2.0:
        return operands[0] * operands[0]
    result = _NUMPY[operation](*operands)
    if operation == "power":
        # NumPy takes the square root for an exponent of 0.5, but C's pow(-inf, 0.5) is inf, pow(-0.0, 0.5) 0.0.
        base, exponent = operands
        result = np.where(exponent == 0.5, np.where(np.isneginf(base), -base, result + 0.0), result)
    return result.astype(operands[0].dtype) if result.dtype == bool else result


def names_in_order(tree: Node) -> Iterator[str]:
    """Names that a tree reads, from left to right, each as often as it is read."""
    if tree.operation == "name":
        yield str(tree.value)
    for argument in tree.arguments:
        yield from names_in_order(argument)


def numbers_of(arguments: Sequence[Node]) -> list[float | None]:
    """Values of the arguments that are numbers, None for others."""
    return [float(node.value) if node.operation == "constant" else None for node in arguments]  # type: ignore[arg-type]


SMALL_POWERS = tuple(constant(exponent) for exponent in (2.0, 3.0, 4.0))
