"""Functions that equations may call: a neuron's own, and those that were added for all."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..checks.errors import ExpressionError
from .constants import known_constants
from .reader import FUNCTIONS, Arity, Function, Reader
from .statements import TYPES, Statement, check_name, end_of, joined, read_statements, split
from .tree import ZERO, Node, build, substitute

_added_functions: dict[str, str] = {}
Functions = dict[str, tuple[Arity, Function]]


def read_functions(given: str | Sequence[str], constants: Sequence[str]) -> Functions:
    """Read definitions; return them together with the functions that the language has."""
    found: Functions = dict(FUNCTIONS)
    reader = Reader("functions", joined("functions", given))
    for statement in read_statements(reader):
        function, *arguments = _heading(reader, statement)
        types = _types(reader, statement, len(arguments) + 1)
        scope = Reader("functions", reader.text, (*arguments, *constants), found)
        body = scope.parse(statement.right, end_of(statement))
        found[function] = ((len(arguments), len(arguments)), _inlined(arguments, types, body))
    return found


def _heading(reader: Reader, statement: Statement) -> list[str]:
    """Name of the function, then those of its arguments."""
    left = statement.left
    pieces = split(left[2:-1], ",")
    names = [left[0], *(piece[0] for piece in pieces if len(piece) == 1)]
    brackets = [token.text for token in (*left[1:2], left[-1])]
    named = len(names) == len(pieces) + 1 and all(token.kind == "name" for token in names)
    if not named or brackets != ["(", ")"] or statement.sign.text != "=":
        raise reader.error("expected a definition such as 'f(x, y) = x*y'", left[0].position)
    for token in names:
        # Functions see nothing but their arguments and constants, so that t may be one of them.
        if token.text != "t" or token is names[0]:
            check_name(reader, token)
    function, *arguments = (token.text for token in names)
    if len(set(arguments)) < len(arguments):
        raise reader.error("an argument is named twice", left[2].position)
    return [function, *arguments]


def _types(reader: Reader, statement: Statement, count: int) -> list[str]:
    """Types of the value and of each argument."""
    for key, (place, _) in statement.flags.items():
        if key not in TYPES:
            raise reader.error(f"a function has no {key!r}, only types", place.position)
    types = [token.text for token in statement.types] or ["float"] * count
    if len(types) != count:
        raise reader.error(
            f"expected {count} types, of the value and of each argument, or none",
            statement.types[-1].position,
        )
    return types


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
    statements = read_statements(Reader("functions", function))
    if len(statements) != 1:
        raise ExpressionError(
            f"functions: {function!r} has {len(statements)} definitions; add one at a time."
        )
    read_functions("\n".join([*_added_functions.values(), function]), tuple(known_constants()))
    defined = statements[0].left[0].text
    _added_functions.pop(defined, None)
    _added_functions[defined] = function


def forget_functions() -> None:
    """Take all added functions away from neurons that are defined from now on."""
    _added_functions.clear()


def used_functions(own: str, equations: str) -> list[str]:
    """Added functions that a neuron's texts call, in the order in which they were added."""
    used: list[str] = []
    for function, text in reversed(_added_functions.items()):
        if any(re.search(rf"\b{function}\s*\(", caller) for caller in (own, equations, *used)):
            used.insert(0, text)
    return used


def _inlined(arguments: Sequence[str], types: Sequence[str], body: Node) -> Function:
    def call(values: Sequence[Node]) -> Node:
        given = [typed(kind, value) for kind, value in zip(types[1:], values, strict=True)]
        return typed(types[0], substitute(body, dict(zip(arguments, given, strict=True))))

    return call


def typed(kind: str, tree: Node) -> Node:
    """Bring a value to a type, as C does."""
    if kind == "int":
        return build("select", build("less", tree, ZERO), build("ceil", tree), build("floor", tree))
    return build("not_equal", tree, ZERO) if kind == "bool" else tree
