"""Expressions of a psp or an equation, read and checked.

A text is cut into tokens, a small rewriter brings ``if c: a else: b``, ``^``, ``&`` and ``|`` into Python's
form, Python's `ast` reads the result, and a whitelist turns it into a tree of `Node`. Every name and number
reaches `ast` as a numbered placeholder, so that nothing a user types is evaluated by Python.
"""

from __future__ import annotations

import ast
import bisect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..checks.errors import ExpressionError
from .operations import ALL_TARGETS, STATISTICS, UNARY
from .tree import ONE, ZERO, Node, build, constant, name

MAXIMUM_LENGTH = 4000  # characters of one expression
MAXIMUM_NESTING = 50  # brackets and conditionals; Python's parser takes 200 brackets, a conditional needs 3
MAXIMUM_DEPTH = 100  # levels of the tree, well below Python's recursion limit
MAXIMUM_SIZE = 10_000  # nodes of the tree, functions written out


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
Arity = tuple[int, int | None]


def _chain(operation: str) -> Function:
    def reduce(arguments: Sequence[Node]) -> Node:
        tree = arguments[0]
        for argument in arguments[1:]:
            tree = build(operation, tree, argument)
        return tree

    return reduce


def _direct(operation: str) -> Function:
    return lambda arguments: build(operation, *arguments)


FUNCTIONS: dict[str, tuple[Arity, Function]] = {
    **{spelling: ((1, 1), _direct(operation)) for spelling, operation in UNARY.items()},
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
    functions: Mapping[str, tuple[Arity, Function]] = field(default_factory=lambda: FUNCTIONS)
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
            self._check_token(token)
            if token.text == "(":
                at = self._rewrite_bracket(tokens, at, out, nesting + 1)
                operand_before = True
            elif token.text == "if" and not operand_before:
                at = self._rewrite_conditional(tokens, at, out, nesting + 1) - 1
                operand_before = True
            else:
                operand_before = self._rewrite_word(token, operand_before, out)
            at += 1
        if at > start and not operand_before:
            last = tokens[at - 1]
            raise self.error("an operand is missing here", last.position + len(last.text), allowed=True)
        return at

    def _check_token(self, token: Token) -> None:
        """Raise at a token that no expression can contain."""
        if token.text in ("=", "+=", "-=", "*=", "/=") or token.kind == "newline":
            raise self.error(f"unexpected {token.text!r} in an expression (compare with ==)", token.position)
        if token.kind == "quoted":
            raise self.error("a name in quotes must be the whole value of a parameter", token.position)

    def _rewrite_word(self, token: Token, operand_before: bool, out: list[_Word]) -> bool:
        """Copy an operand or an operator; return whether it is an operand."""
        operand = token.kind in ("name", "number")
        if operand and operand_before:
            raise self.error("an operator is missing here", token.position, allowed=True)
        if not operand and not operand_before and token.text not in _PREFIXES:
            raise self.error("an operand is missing here", token.position, allowed=True)
        out.append((None if operand else _PYTHON.get(token.text, token.text), token))
        return operand

    def _rewrite_bracket(self, tokens: list[Token], at: int, out: list[_Word], nesting: int) -> int:
        """Copy the bracket that opens at `at`, with its commas; return where it closes."""
        opened = tokens[at]
        out.append(("(", opened))
        at = self._rewrite(tokens, at + 1, out, nesting)
        while at < len(tokens) and tokens[at].text == ",":
            out.append((",", tokens[at]))
            at = self._rewrite(tokens, at + 1, out, nesting)
        if at == len(tokens) or tokens[at].text != ")":
            raise self.error("this bracket is not closed", opened.position)
        out.append((")", tokens[at]))
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
                return self.finite(build(_BINARY[type(operator)], *operands), place)
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

    def finite(self, result: Node, place: int) -> Node:
        if result.operation == "constant" and not np.isfinite(float(result.value or 0.0)):
            raise self.reader.error("this is no finite number (a division by zero, or too large)", place)
        return result

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
