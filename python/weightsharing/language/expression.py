"""`Expression`: the text of a psp or an equation with its meaning; evaluated, split, made a program."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .evaluation import evaluate_tree, floating_dtype
from .program import Program, emit_program
from .reader import MAXIMUM_LENGTH, Reader
from .tree import ONE, SMALL_POWERS, Node, build, name


@dataclass(frozen=True)
class Expression:
    """A checked expression. Two are equal when their trees are, however they were written.

    Attributes
    ----------
    text
        As the user wrote it.
    tree
        Its meaning, constants folded.
    """

    text: str = field(compare=False)
    tree: Node

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    @cached_property
    def names(self) -> frozenset[str]:
        """Names the expression reads, as they are written: ``'w'``, ``'pre.r'``."""
        return self.tree.names

    @property
    def is_default(self) -> bool:
        """Whether this is ``w*pre.r`` (or ``pre.r*w``)."""
        return self.tree in _DEFAULTS

    @property
    def is_identity(self) -> bool:
        """Whether this is a name alone, such as ``pre.r``."""
        return self.tree.operation == "name"

    def evaluate(self, **arrays: ArrayLike) -> NDArray[Any]:
        """Compute the expression with NumPy.

        Parameters
        ----------
        **arrays
            A value for every name, ``pre.r`` spelled ``r``. All are broadcast together, also those that the
            expression does not read.

        Returns
        -------
        ndarray
            Of the common shape of the arrays and of their common floating type, in which all is computed.

        Raises
        ------
        TypeError
            If a name has no value.
        """
        rate = "r" if "r" in self.names else "pre.r"
        given = {(rate if key == "r" else key): np.asarray(value) for key, value in arrays.items()}
        missing = sorted(self.names - given.keys())
        if missing:
            raise TypeError(f"evaluate: no value for {', '.join(missing)} of {self.text!r}.")
        dtype = floating_dtype(given.values())
        shape = np.broadcast_shapes(*(array.shape for array in given.values()))
        result = evaluate_tree(self.tree, given, dtype)
        return np.array(np.broadcast_to(result, shape), dtype=dtype)

    def split(self) -> tuple[Expression, Expression] | None:
        """Write the expression as f(w) * g(pre.r).

        Only factors are gathered: products, quotients, negation and small powers of what reads one name only.
        So f*g is NaN, infinite and zero where the expression is, and differs by rounding alone, as long as no
        partial product of either overflows or underflows (``w*pre.r*pre.r`` needs pre.r**2).

        Returns
        -------
        tuple of Expression, or None
            f, which reads at most ``w``, and g, which reads at most ``pre.r``; None if there is no such
            product.
        """
        factors = _factors(self.tree)
        if factors is None:
            return None
        f, g = factors
        return Expression(repr(f), f), Expression(repr(g), g)

    def program(self, inputs: tuple[str, ...]) -> Program:
        """Emit register code with one output.

        Parameters
        ----------
        inputs
            Every name the expression may read, in the order in which the executor gives the arrays.

        Raises
        ------
        ExpressionError
            If the expression needs more than 64 slots.
        ValueError
            If it reads a name that is not among `inputs`.
        """
        missing = sorted(self.names - set(inputs))
        if missing:
            raise ValueError(f"inputs: {inputs} lacks {', '.join(missing)}, which {self.text!r} reads.")
        return emit_program([("result", self.tree)], ("result",), inputs, self.text)


_DEFAULTS = (
    build("multiply", name("w"), name("pre.r")),
    build("multiply", name("pre.r"), name("w")),
)


def _factors(tree: Node) -> tuple[Node, Node] | None:
    if "pre.r" not in tree.names:
        return tree, ONE
    if "w" not in tree.names:
        return ONE, tree
    if tree.operation in ("multiply", "divide"):
        left, right = _factors(tree.arguments[0]), _factors(tree.arguments[1])
        if left is not None and right is not None:
            return build(tree.operation, left[0], right[0]), build(tree.operation, left[1], right[1])
    elif tree.operation == "negate":
        inner = _factors(tree.arguments[0])
        if inner is not None:
            return build("negate", inner[0]), inner[1]
    elif tree.operation == "power" and tree.arguments[1] in SMALL_POWERS:
        inner = _factors(tree.arguments[0])
        if inner is not None:
            return build("power", inner[0], tree.arguments[1]), build("power", inner[1], tree.arguments[1])
    return None


def parse_psp(text: str, allow_weight: bool = True) -> Expression:
    """Read what one tap contributes: an expression of ``w`` and ``pre.r``.

    Parameters
    ----------
    text
        For example ``'w*pre.r'``, ``'w*log(1+pre.r)'`` or ``'1.0 if pre.r > w else 0.0'``.
    allow_weight
        False where there are no weights (pooling): ``w`` is an error then.

    Raises
    ------
    TypeError
        If `text` is not a string.
    ExpressionError
        A ValueError that shows the offending place and lists what is allowed.
    """
    if not isinstance(text, str):
        raise TypeError(f"psp is {text!r} ({type(text).__name__}); expected a string such as 'w*pre.r'.")
    reader = Reader("psp", text, ("w", "pre.r") if allow_weight else ("pre.r",))
    if len(text) > MAXIMUM_LENGTH:
        raise reader.error(
            f"the expression is {len(text)} characters long; at most {MAXIMUM_LENGTH} are allowed", 0
        )
    tokens = reader.tokens()
    if not allow_weight:
        for token in tokens:
            if token.text == "w":
                raise reader.error(
                    "there are no weights here, w cannot be used", token.position, allowed=True
                )
    return Expression(text, reader.parse(tokens))
