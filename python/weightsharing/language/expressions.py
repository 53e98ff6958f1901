"""Expressions of a psp or an equation: checked, kept as a small tree, evaluated, split, made a program.

A text is cut into tokens, a small rewriter brings ``if c: a else: b``, ``^``, ``&`` and ``|`` into Python's
form, Python's `ast` reads the result, and a whitelist turns it into a tree of `Node`. Every name and number
reaches `ast` as a numbered placeholder, so that nothing a user types is evaluated by Python.
"""

from __future__ import annotations

import ast
import bisect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks.errors import ExpressionError

# The index of a name is its number in programs.
# fmt: off
OPCODES = (
    "constant", "load", "store", "add", "subtract", "multiply", "divide", "modulo", "power", "negate",
    "less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "logical_and", "logical_or",
    "logical_not", "select", "minimum", "maximum", "exp", "log", "sqrt", "absolute", "sin", "cos", "tan",
    "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "log2", "log10",
    "log1p", "expm1", "exp2", "cbrt", "floor", "ceil", "round", "sign", "arctan2", "uniform", "normal",
    "population_uniform", "population_normal",
)
# fmt: on
_CODE = {name: code for code, name in enumerate(OPCODES)}
# Draws: one per unit, or one for all units of a trial.
NOISE = ("uniform", "normal", "population_uniform", "population_normal")

MAXIMUM_LENGTH = 4000  # characters of one expression
MAXIMUM_NESTING = 50  # brackets and conditionals; Python's parser takes 200 brackets, a conditional needs 3
MAXIMUM_DEPTH = 100  # levels of the tree, well below Python's recursion limit
MAXIMUM_SIZE = 10_000  # nodes of the tree, functions written out
MAXIMUM_SLOTS = 64  # registers of a program

# Meaning of every opcode that computes; comparisons are brought to 1.0 / 0.0 in `_compute`.
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


# --------------------------------------------------------------------------------------------------- the tree


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
        if self.operation in _SYMBOLS:
            return f"({words[0]} {_SYMBOLS[self.operation]} {words[1]})"
        return f"{_SPELLING[self.operation]}({', '.join(words)})"


_SYMBOLS = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "modulo": "%", "power": "**",
    "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=", "equal": "==", "not_equal": "!=",
    "logical_and": "and", "logical_or": "or",
}  # fmt: skip


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
            return constant(_compute(operation, [np.float64(argument.value) for argument in arguments]))
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


Draw = Callable[[str, int], ArrayLike]


def _compute(operation: str, operands: Sequence[Any]) -> Any:
    # x*x is correctly rounded and needs no logarithm; programs do the same.
    if operation == "power" and np.ndim(operands[1]) == 0 and operands[1] == 2.0:
        return operands[0] * operands[0]
    result = _NUMPY[operation](*operands)
    if operation == "power":
        # NumPy takes the square root for an exponent of 0.5, but C's pow(-inf, 0.5) is inf, pow(-0.0, 0.5) 0.0.
        base, exponent = operands
        result = np.where(exponent == 0.5, np.where(np.isneginf(base), -base, result + 0.0), result)
    return result.astype(operands[0].dtype) if result.dtype == bool else result


def evaluate_tree(
    tree: Node, values: Mapping[str, Any], dtype: np.dtype[Any], draw: Draw | None = None
) -> NDArray[Any]:
    """Compute a tree with plain NumPy, every operation in `dtype`.

    Parameters
    ----------
    values
        An array or number for every name that the tree reads.
    draw
        ``draw(kind, occurrence)`` gives the raw noise of a kind of `NOISE`: evenly in [0, 1), or standard
        normal.
    """
    known: dict[int, Any] = {}

    # One frame per level, so that the deepest tree stays far from Python's recursion limit.
    def value(node: Node) -> Any:
        if id(node) in known:
            return known[id(node)]
        result: Any
        if node.operation == "constant":
            result = dtype.type(node.value)
        elif node.operation == "name":
            result = np.asarray(values[str(node.value)], dtype=dtype)
        elif node.operation in NOISE:
            if draw is None:
                raise ValueError("draw: the expression contains noise; pass a function that draws it.")
            result = np.asarray(draw(node.operation, int(node.value or 0)), dtype=dtype)
        else:
            operands = []
            for argument in node.arguments:
                operands.append(value(argument))
            result = _compute(node.operation, operands)
        known[id(node)] = result
        return result

    with np.errstate(all="ignore"):
        return np.asarray(value(tree))


# ------------------------------------------------------------------------------------------------ the reading


@dataclass(frozen=True)
class Token:
    """A word of the text; its kind is number, name, quoted, keyword, operator or newline (which ``;`` is too)."""

    kind: str
    text: str
    position: int


_TOKEN = re.compile(
    r"(?P<space>[ \t\r\f]+|\#[^\n]*)"
    r"|(?P<newline>[\n;])"
    r"|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)"
    r"|(?P<quoted>'[^'\n]*'|\"[^\"\n]*\")"
    r"|(?P<operator>\*\*|[-+*/]=|[<>=!]=|[-+*/%^&|()<>,:=])",
    re.ASCII,
)
_Word = tuple[str | None, Token]  # spelling for Python, None for an operand
_PREFIXES = ("+", "-", "not")
_PYTHON = {"^": "**", "&": "and", "|": "or"}  # how Python spells an operator of the same rank
_KEYWORDS = ("if", "else", "and", "or", "not", "is")

Function = Callable[[Sequence[Node]], Node]
_Arity = tuple[int, int | None]


def _chain(operation: str) -> Function:
    def reduce(arguments: Sequence[Node]) -> Node:
        tree = arguments[0]
        for argument in arguments[1:]:
            tree = build(operation, tree, argument)
        return tree

    return reduce


def _direct(operation: str) -> Function:
    return lambda arguments: build(operation, *arguments)


_UNARY = {
    "exp": "exp", "log": "log", "ln": "log", "sqrt": "sqrt", "abs": "absolute", "fabs": "absolute",
    "sin": "sin", "cos": "cos", "tan": "tan", "asin": "arcsin", "acos": "arccos", "atan": "arctan",
    "sinh": "sinh", "cosh": "cosh", "tanh": "tanh", 
    "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh",
    "log2": "log2", "log10": "log10", "log1p": "log1p", "expm1": "expm1", "exp2": "exp2", "cbrt": "cbrt",
    "floor": "floor", "ceil": "ceil", "round": "round", "sign": "sign",
}  # fmt: skip
_SPELLING = {
    **{operation: spelling for spelling, operation in reversed(_UNARY.items())},
    "arctan2": "atan2",
    "minimum": "min",
    "maximum": "max",
}

FUNCTIONS: dict[str, tuple[_Arity, Function]] = {
    **{spelling: ((1, 1), _direct(operation)) for spelling, operation in _UNARY.items()},
    "atan2": ((2, 2), _direct("arctan2")),
    "modulo": ((2, 2), _direct("modulo")),
    "pow": ((2, 2), _direct("power")),
    "power": ((2, 2), _direct("power")),
    "min": ((2, None), _chain("minimum")),
    "minimum": ((2, None), _chain("minimum")),
    "max": ((2, None), _chain("maximum")),
    "maximum": ((2, None), _chain("maximum")),
    "pos": ((1, 1), lambda x: build("maximum", x[0], ZERO)),
    "positive": ((1, 1), lambda x: build("maximum", x[0], ZERO)),
    "neg": ((1, 1), lambda x: build("minimum", x[0], ZERO)),
    "negative": ((1, 1), lambda x: build("minimum", x[0], ZERO)),
    "clip": ((3, 3), lambda x: build("minimum", build("maximum", x[0], x[1]), x[2])),
    "ite": ((3, 3), _direct("select")),
}
_CONSTANTS = {"pi": constant(np.pi), "True": ONE, "False": ZERO, "true": ONE, "false": ZERO}
# What ANNarchy has and this language has not, and what to do.
_NOT_AVAILABLE = {
    **{
        word: f"{word} of a population is for the equations of a neuron only"
        for word in ("mean", "norm1", "norm2")
    },
    **{
        word: f"the distribution {word} is not available; use Uniform or Normal"
        for word in ("DiscreteUniform", "LogNormal", "Exponential", "Gamma", "Binomial")
    },
}
ALL_TARGETS = "sum()"
STATISTICS = ("mean", "max", "min", "norm1", "norm2")
_BINARY = {
    ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide", ast.Mod: "modulo",
    ast.Pow: "power", ast.And: "logical_and", ast.Or: "logical_or",
    ast.Lt: "less", ast.LtE: "less_equal", ast.Gt: "greater", ast.GtE: "greater_equal",
    ast.Eq: "equal", ast.NotEq: "not_equal", ast.Is: "equal", ast.IsNot: "not_equal",
}  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """Reads expressions of one text, in one scope; its errors show the place in that text.

    Parameters
    ----------
    label
        The argument the text was given for, which errors start with.
    text
        The whole text, of which tokens know their position.
    names
        Names in scope.
    functions
        Functions in scope: number of arguments (least, most or None) and what the call means.
    targets
        Whether ``sum(target)`` may be read, and ``sum()``, which adds all targets.
    units
        Names whose ``mean``, ``max``, ``min``, ``norm1`` and ``norm2`` over the population may be read.
    quotes
        Whether there may be names in quotes, which no expression can contain.
    """

    label: str
    text: str
    names: tuple[str, ...] = ()
    functions: Mapping[str, tuple[_Arity, Function]] = field(default_factory=lambda: FUNCTIONS)
    targets: bool = False
    units: tuple[str, ...] = ()
    quotes: bool = False

    def error(self, message: str, position: int, allowed: bool = False) -> ExpressionError:
        """Return an error that shows the line of `position` with a caret below it."""
        position = min(position, len(self.text))
        start = self.text.rfind("\n", 0, position) + 1
        end = self.text.find("\n", position)
        first, last = max(start, position - 60), min(len(self.text) if end < 0 else end, position + 60)
        shown = self.text[first:last].expandtabs(1)
        lines = [f"{self.label}: {message}", f"    {shown}", "    " + " " * (position - first) + "^"]
        if allowed:
            words = [*self.names, *(["sum(target)"] if self.targets else []), *_CONSTANTS]
            lines.append(f"Allowed names: {', '.join(dict.fromkeys(words))}.")
            lines.append(f"Allowed functions: {', '.join(sorted(self.functions))}.")
            if self.units:
                over = ", ".join(f"{word}({self.units[0]})" for word in STATISTICS)
                lines.append(f"Allowed over the population: {over}.")
            lines.append("Allowed operators: + - * / % ^ ** < <= > >= == != and or not & |, if c: a else: b.")
        return ExpressionError("\n".join(lines))

    def tokens(self) -> list[Token]:
        """Cut the whole text into tokens; raise at a character that belongs to no word."""
        found, position = [], 0
        while position < len(self.text):
            match = _TOKEN.match(self.text, position)
            if match is None or (match.lastgroup == "quoted" and not self.quotes):
                raise self.error(f"unexpected character {self.text[position]!r}", position, allowed=True)
            kind = str(match.lastgroup)
            if kind == "name" and match[0] in _KEYWORDS:
                kind = "keyword"
            if kind != "space":
                found.append(Token(kind, match[0], position))
            position = match.end()
        return found

    def parse(self, tokens: Sequence[Token], position: int = 0) -> Node:
        """Turn the tokens of one expression into a tree; `position` is where an empty one would stand."""
        tokens = [token for token in tokens if token.text != "\n"]
        if not tokens:
            raise self.error("the expression is empty", position, allowed=True)
        length = tokens[-1].position + len(tokens[-1].text) - tokens[0].position
        if length > MAXIMUM_LENGTH:
            raise self.error(
                f"the expression is {length} characters long; at most {MAXIMUM_LENGTH} are allowed",
                tokens[0].position,
            )
        words: list[_Word] = []
        end = self._rewrite(tokens, 0, words, 0)
        if end < len(tokens):
            raise self.error(f"unexpected {tokens[end].text!r}", tokens[end].position, allowed=True)
        return _Conversion(self, words).tree()

    def _rewrite(self, tokens: list[Token], at: int, out: list[_Word], nesting: int) -> int:
        """Copy tokens to `out` in Python's form, up to a bracket, comma or colon of the caller."""
        if nesting > MAXIMUM_NESTING:
            raise self.error(
                f"brackets and conditionals are nested more than {MAXIMUM_NESTING} deep",
                tokens[at - 1].position,
            )
        start, operand_before = at, False
        while at < len(tokens):
            token = tokens[at]
            if token.text in (")", ",", ":") or self._is_else(tokens, at):
                break
            if token.text == "=" or token.kind == "newline" or token.text in ("+=", "-=", "*=", "/="):
                raise self.error(
                    f"unexpected {token.text!r} in an expression (compare with ==)", token.position
                )
            if token.kind == "quoted":
                raise self.error("a name in quotes must be the whole value of a parameter", token.position)
            if token.text == "(":
                out.append(("(", token))
                at = self._rewrite(tokens, at + 1, out, nesting + 1)
                while at < len(tokens) and tokens[at].text == ",":
                    out.append((",", tokens[at]))
                    at = self._rewrite(tokens, at + 1, out, nesting + 1)
                if at == len(tokens) or tokens[at].text != ")":
                    raise self.error("this bracket is not closed", token.position)
                out.append((")", tokens[at]))
                operand_before = True
            elif token.text == "if" and not operand_before:
                at = self._rewrite_conditional(tokens, at, out, nesting + 1) - 1
                operand_before = True
            else:
                operand = token.kind in ("name", "number")
                if operand and operand_before:
                    raise self.error("an operator is missing here", token.position, allowed=True)
                if not operand and not operand_before and token.text not in _PREFIXES:
                    raise self.error("an operand is missing here", token.position, allowed=True)
                out.append((None if operand else _PYTHON.get(token.text, token.text), token))
                operand_before = operand
            at += 1
        if at > start and not operand_before:
            last = tokens[at - 1]
            raise self.error("an operand is missing here", last.position + len(last.text), allowed=True)
        return at

    def _rewrite_conditional(self, tokens: list[Token], at: int, out: list[_Word], nesting: int) -> int:
        """Turn ``if c: a else: b`` at `at` into ``((a) if (c) else (b))``; return where it ends."""
        start = tokens[at]
        condition: list[_Word] = []
        then: list[_Word] = []
        at = self._rewrite(tokens, at + 1, condition, nesting)
        if at < len(tokens) and tokens[at].text == ":":
            at = self._rewrite(tokens, at + 1, then, nesting)
            if self._is_else(tokens, at):
                out += [("(", start), ("(", start), *then, (")", start), ("if", start)]
                out += [("(", start), *condition, (")", start), ("else", start), ("(", start)]
                at = self._rewrite(tokens, at + 2, out, nesting)
                out += [(")", start), (")", start)]
                return at
        raise self.error("a conditional must be written 'if condition: value else: value'", start.position)

    @staticmethod
    def _is_else(tokens: list[Token], at: int) -> bool:
        return [token.text for token in tokens[at : at + 2]] == ["else", ":"]


class _Conversion:
    """From rewritten words through Python's `ast` to a tree."""

    def __init__(self, reader: Reader, words: list[_Word]) -> None:
        self.reader = reader
        self.operands: dict[str, Token] = {}
        self.starts: list[int] = []
        self.words: list[Token] = []
        pieces: list[str] = []
        length = 0
        for word, token in words:
            if word is None:
                word = f"n{len(self.operands)}"
                self.operands[word] = token
            self.starts.append(length)
            self.words.append(token)
            pieces.append(word)
            length += len(word) + 1
        self.source = " ".join(pieces)

    def position(self, column: int) -> int:
        if column >= len(self.source):
            return self.words[-1].position + len(self.words[-1].text)
        return self.words[max(bisect.bisect_right(self.starts, column) - 1, 0)].position

    def tree(self) -> Node:
        try:
            body = ast.parse(self.source, mode="eval").body
        except SyntaxError as error:
            # Python counts from 1, and where the text ends too early from nowhere.
            place = self.position(error.offset - 1 if error.offset else len(self.source))
            raise self.reader.error("this is not an expression", place, allowed=True) from None
        except (RecursionError, MemoryError):
            raise self.too_deep(self.words[0].position) from None
        return self.convert(body, MAXIMUM_DEPTH)

    def too_deep(self, position: int) -> ExpressionError:
        return self.reader.error(
            f"the expression is nested too deeply or too long (at most {MAXIMUM_DEPTH} levels and "
            f"{MAXIMUM_SIZE} operations, functions written out)",
            position,
        )

    def convert(self, syntax: ast.expr, levels: int) -> Node:
        place = self.position(syntax.col_offset)
        if levels == 0:
            raise self.too_deep(place)
        tree = self._convert(syntax, levels - 1, place)
        if tree.depth > MAXIMUM_DEPTH or tree.size > MAXIMUM_SIZE:
            raise self.too_deep(place)
        return tree

    def _convert(self, syntax: ast.expr, levels: int, place: int) -> Node:
        match syntax:
            case ast.Name(id=word):
                return self.operand(self.operands[word])
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return build("negate", self.convert(operand, levels))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.convert(operand, levels)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return build("logical_not", self.convert(operand, levels))
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _BINARY:
                operands = self.convert(left, levels), self.convert(right, levels)
                result = build(_BINARY[type(operator)], *operands)
                if result.operation == "constant" and not np.isfinite(float(result.value or 0.0)):
                    raise self.reader.error(
                        "this is no finite number (a division by zero, or too large)", place, allowed=False
                    )
                return result
            case ast.BoolOp(op=operator, values=values):
                return _chain(_BINARY[type(operator)])([self.convert(value, levels) for value in values])
            case ast.Compare(left=left, ops=operators, comparators=comparators):
                terms = [self.convert(term, levels) for term in (left, *comparators)]
                pairs = zip(operators, terms, terms[1:], strict=False)
                return _chain("logical_and")([build(_BINARY[type(op)], a, b) for op, a, b in pairs])
            case ast.IfExp(test=test, body=body, orelse=other):
                return build("select", *[self.convert(part, levels) for part in (test, body, other)])
            case ast.Call(func=ast.Name(id=word), args=arguments, keywords=[]):
                return self.call(self.operands[word], arguments, levels)
        raise self.reader.error("this is not allowed in an expression", place, allowed=True)

    def operand(self, token: Token) -> Node:
        if token.kind == "number":
            number = float(token.text)
            if number == np.inf:
                raise self.reader.error("this number is too large", token.position)
            return constant(number)
        if token.text in self.reader.names:
            return name(token.text)
        if token.text in _CONSTANTS:
            return _CONSTANTS[token.text]
        raise self.reader.error(f"unknown name {token.text!r}", token.position, allowed=True)

    def call(self, token: Token, arguments: list[ast.expr], levels: int) -> Node:
        if self.reader.targets and token.text == "sum":
            match arguments:
                case []:
                    return name(ALL_TARGETS)
                case [ast.Name(id=word)] if self.operands[word].kind == "name":
                    return name(f"sum({self.operands[word].text})")
            raise self.reader.error(
                "sum takes the name of one target, as in sum(exc), or nothing for all; add the sums of several",
                token.position,
            )
        if self.is_statistic(token, arguments):
            return self.statistic(token, arguments[0])
        if token.text not in self.reader.functions:
            if token.text in _NOT_AVAILABLE:
                raise self.reader.error(_NOT_AVAILABLE[token.text], token.position)
            raise self.reader.error(f"unknown function {token.text!r}", token.position, allowed=True)
        (least, most), function = self.reader.functions[token.text]
        if len(arguments) < least or (most is not None and len(arguments) > most):
            expected = (
                f"{least}" if most == least else f"{least} or more" if most is None else f"{least} to {most}"
            )
            raise self.reader.error(
                f"{token.text} takes {expected} argument{'s' * (expected != '1')}, not {len(arguments)}",
                token.position,
            )
        operands = [self.convert(argument, levels) for argument in arguments]
        try:
            return function(operands)
        except ExpressionError:
            raise
        except ValueError as error:  # of numbers that no distribution has
            raise self.reader.error(str(error), token.position) from None

    def is_statistic(self, token: Token, arguments: list[ast.expr]) -> bool:
        """Whether a call means a whole population: one argument, and no function of one argument by that name."""
        if not self.reader.units or token.text not in STATISTICS or len(arguments) != 1:
            return False
        return token.text not in self.reader.functions or self.reader.functions[token.text][0][0] > 1

    def statistic(self, token: Token, argument: ast.expr) -> Node:
        word = self.operands[argument.id].text if isinstance(argument, ast.Name) else ""
        if word not in self.reader.units:
            raise self.reader.error(
                f"{token.text} over the population takes the name of what has a value per unit "
                f"({', '.join(self.reader.units)}); assign an expression to a variable first",
                token.position,
            )
        return name(f"{token.text}({word})")


# --------------------------------------------------------------------------------------------- the expression


@dataclass(frozen=True, eq=False)
class Program:
    """Register code for blocks of values: what the compiled backends run.

    Attributes
    ----------
    code
        int32 array (instructions, 5), read-only, of rows (opcode, destination, a, b, c). An opcode is an
        index into `OPCODES`. Destination, a, b, c are slots, with these exceptions: a ``constant`` has an
        index into `constants` as a, a ``load`` one into `inputs`, those of `NOISE` the occurrence
        of the draw; a ``store`` writes slot a to the output with index destination. The destination may be
        the slot of an operand. Unused entries are 0. All stores come last.
    constants
        Numbers, in double precision.
    slots
        How many slots the code uses, at most 64.
    inputs, outputs
        Names of the arrays read and written.
    """

    code: NDArray[np.int32]
    constants: tuple[float, ...]
    slots: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


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


def floating_dtype(arrays: Iterable[NDArray[Any]]) -> np.dtype[Any]:
    """Return the common type of `arrays` if it is a floating one, else float64."""
    dtypes = [array.dtype for array in arrays]
    dtype = np.result_type(*dtypes) if dtypes else np.dtype(np.float64)
    return dtype if dtype.kind == "f" else np.dtype(np.float64)


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
    elif tree.operation == "power" and tree.arguments[1] in _SMALL_POWERS:
        inner = _factors(tree.arguments[0])
        if inner is not None:
            return build("power", inner[0], tree.arguments[1]), build("power", inner[1], tree.arguments[1])
    return None


_SMALL_POWERS = tuple(constant(exponent) for exponent in (2.0, 3.0, 4.0))


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


# ------------------------------------------------------------------------------------------------ the program


def emit_program(
    assignments: Sequence[tuple[str, Node]],
    outputs: tuple[str, ...],
    inputs: tuple[str, ...] | None,
    text: str,
) -> Program:
    """Turn assignments that run one after the other into one program.

    Parameters
    ----------
    assignments
        Names and trees. A name read after it was assigned has the new value, before that it is an input.
    outputs
        Assigned names that are stored at the end.
    inputs
        Names of the input arrays; None takes those that are read, in the order of their first use.
    text
        What errors show.
    """
    for shared in (True, False):
        emission = _Emission(inputs, shared)
        bound: dict[str, int] = {}
        for target, tree in assignments:
            bound[target] = emission.value(tree, bound)
        program = emission.finish([bound[output] for output in outputs], outputs)
        if program.slots <= MAXIMUM_SLOTS:
            return program
    raise ExpressionError(
        f"{text!r} needs {program.slots} intermediate values at a time; "
        f"at most {MAXIMUM_SLOTS} are possible. Use fewer variables or shorter equations."
    )


class _Emission:
    """Values numbered in the order of their computation, then put into as few slots as their lifetimes allow.

    `shared` computes equal values once. Where that keeps too many alive it is switched off.
    """

    def __init__(self, inputs: tuple[str, ...] | None, shared: bool) -> None:
        self.inputs = list(inputs or ())
        self.shared = shared
        self.constants: list[float] = []
        self.rows: list[tuple[str, tuple[int, ...]]] = []
        self.numbers: dict[tuple[str, tuple[int, ...]], int] = {}

    def value(self, tree: Node, bound: Mapping[str, int]) -> int:
        if tree.operation == "name":
            spelling = str(tree.value)
            if spelling in bound:
                return bound[spelling]
            return self.number("load", (self.index(self.inputs, spelling),))
        if tree.operation == "constant":
            return self.number("constant", (self.index(self.constants, tree.value),))
        if tree.operation in NOISE:
            return self.number(tree.operation, (int(tree.value or 0),))
        # The deepest operand first: the others need not wait in slots meanwhile.
        operands = [0] * len(tree.arguments)
        for position in sorted(range(len(operands)), key=lambda i: -tree.arguments[i].depth):
            operands[position] = self.value(tree.arguments[position], bound)
        if tree.operation == "power" and tree.arguments[1] == _SMALL_POWERS[0]:
            return self.number("multiply", (operands[0], operands[0]))
        return self.number(tree.operation, tuple(operands))

    @staticmethod
    def index(known: list[Any], item: Any) -> int:
        spellings = [repr(entry) for entry in known]
        if repr(item) not in spellings:
            known.append(item)
            return len(known) - 1
        return spellings.index(repr(item))

    def number(self, operation: str, arguments: tuple[int, ...]) -> int:
        row = (operation, arguments)
        if self.shared and row in self.numbers:
            return self.numbers[row]
        self.rows.append(row)
        self.numbers[row] = len(self.rows) - 1
        return len(self.rows) - 1

    def finish(self, results: list[int], outputs: tuple[str, ...]) -> Program:
        last_use = dict.fromkeys(results, len(self.rows))
        for index in reversed(range(len(self.rows))):
            if index in last_use:
                for operand in self.operands(index):
                    last_use.setdefault(operand, index)
        code: list[tuple[int, ...]] = []
        slot: dict[int, int] = {}
        free: list[int] = []
        slots = 0
        for index, (operation, arguments) in enumerate(self.rows):
            if index not in last_use:
                continue
            operands = self.operands(index)
            entries = tuple(slot[operand] for operand in operands) if operands else arguments
            for operand in set(operands):
                if last_use[operand] == index:
                    bisect.insort(free, slot[operand])
            if free:
                slot[index] = free.pop(0)
            else:
                slot[index] = slots
                slots += 1
            code.append((_CODE[operation], slot[index], *entries, *[0] * (3 - len(entries))))
        for output, result in enumerate(results):
            code.append((_CODE["store"], output, slot[result], 0, 0))
        array = np.array(code, dtype=np.int32).reshape(-1, 5)
        array.setflags(write=False)
        return Program(array, tuple(self.constants), slots, tuple(self.inputs), outputs)

    def operands(self, index: int) -> tuple[int, ...]:
        operation, arguments = self.rows[index]
        return () if operation in ("constant", "load", *NOISE) else arguments
