"""A block of text cut into statements ``left = right : flags``, and the checks of the names in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..checks.errors import ExpressionError
from .reader import Reader, Token

INCREMENTS = {"+=": "add", "-=": "subtract", "*=": "multiply", "/=": "divide"}
METHODS = ("explicit", "exponential", "midpoint")
_OTHER_METHODS = ("implicit", "semiimplicit", "exact", "rk4", "event")
_VALUED_FLAGS = ("init", "min", "max")
TYPES = ("float", "int", "bool")
_FLAGS = (*_VALUED_FLAGS, "filter", "population", "constant", *TYPES, *METHODS, *_OTHER_METHODS)
_RESERVED = (
    "t", "dt", "pi", "True", "False", "true", "false", "sum", "Uniform", "Normal", *_VALUED_FLAGS, *TYPES,
)  # fmt: skip


# A flag's word, and the tokens of its value.
Flags = dict[str, tuple[Token, Sequence[Token]]]


@dataclass(frozen=True)
class Statement:
    """``left sign right : flags``; a flag's value is its tokens, none for a word alone.

    `types` are the flags that name one, as often and in the order in which they are given.
    """

    left: Sequence[Token]
    sign: Token
    right: Sequence[Token]
    flags: Mapping[str, tuple[Token, Sequence[Token]]]
    types: Sequence[Token]


def joined(argument: str, given: str | Sequence[str]) -> str:
    """Return one text, of a text or a list of lines."""
    if isinstance(given, str):
        return given
    if isinstance(given, Sequence) and all(isinstance(line, str) for line in given):
        return "\n".join(given)
    raise TypeError(
        f"{argument} is {given!r} ({type(given).__name__}); expected a string or a list of strings."
    )


def split(tokens: Sequence[Token], separators: str) -> list[list[Token]]:
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


def is_sign(token: Token) -> bool:
    """Whether a token makes a statement an assignment or an increment."""
    return token.text == "=" or token.text in INCREMENTS


def read_statements(reader: Reader) -> list[Statement]:
    """Cut a block into statements: a line with an assignment begins one, others go on with the one above."""
    groups: list[list[Token]] = []
    for line in split(reader.tokens(), "\n;"):
        body, _ = _without_flags(line)
        begun = bool(groups) and any(map(is_sign, _without_flags(groups[-1])[0]))
        if groups and (not begun or not any(map(is_sign, body))):
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


def _statement(reader: Reader, tokens: list[Token]) -> Statement:
    _check_brackets(reader, tokens)
    body, flag_tokens = _without_flags(tokens)
    flags, types = _read_flags(reader, flag_tokens)
    colon = _colon_of_flags(body)
    if colon + 1 < len(body):
        raise _unknown_flag(reader, body[colon + 1])
    signs = [at for at, token in enumerate(body) if is_sign(token)]
    if len(signs) != 1 or signs[0] == 0:
        place = body[signs[1]] if len(signs) > 1 else (body or tokens)[0]
        raise reader.error("each definition needs one = with something before it", place.position)
    at = signs[0]
    return Statement(body[:at], body[at], body[at + 1 :], flags, types)


def _check_brackets(reader: Reader, tokens: Sequence[Token]) -> None:
    opened: list[Token] = []
    for token in tokens:
        if token.text == "(":
            opened.append(token)
        elif token.text == ")" and opened:
            opened.pop()
    if opened:
        raise reader.error("this bracket is not closed", opened[-1].position)


def _read_flags(reader: Reader, tokens: Sequence[Token]) -> tuple[Flags, list[Token]]:
    """Flags by name, and those that name a type in the order in which they are given."""
    flags: Flags = {}
    types: list[Token] = []
    for piece in split(tokens, ","):
        if not piece:
            continue
        key = piece[0]
        has_value = len(piece) > 1 and piece[1].text == "="
        if key.text in _OTHER_METHODS:
            raise reader.error(
                f"the method {key.text!r} is not available; use one of {', '.join(METHODS)}", key.position
            )
        takes_value = key.text in _VALUED_FLAGS
        if key.text not in _FLAGS or has_value != takes_value or (len(piece) > 1 and not has_value):
            raise _unknown_flag(reader, key)
        # The types of a function's value and arguments come in a row.
        if key.text in flags and key.text not in TYPES:
            raise reader.error(f"the flag {key.text!r} is given twice", key.position)
        flags.setdefault(key.text, (key, piece[2:]))
        types += [key] if key.text in TYPES else []
    return flags, types


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


def only_name(reader: Reader, statement: Statement) -> Token:
    """The name that a definition is for, or an error."""
    first = statement.left[0]
    if len(statement.left) != 1 or first.kind != "name" or statement.sign.text != "=":
        raise reader.error("expected 'name = value'", first.position)
    check_attribute(reader, first)
    return first


def check_name(reader: Reader, token: Token) -> None:
    """Raise unless something can have this name."""
    if token.text in _RESERVED or "." in token.text:
        raise reader.error(f"{token.text!r} cannot be used as a name", token.position)


def check_attribute(reader: Reader, token: Token) -> None:
    """Raise unless a parameter or variable, which is an attribute of populations, can have this name."""
    check_name(reader, token)
    if token.text.startswith("_"):
        raise reader.error(
            f"{token.text!r} begins with '_', as internal attributes of a population do; choose another name",
            token.position,
        )


def check_constant_name(argument: str, key: Any) -> None:
    """Raise unless a constant can have this name."""
    check_key(argument, key)
    if key == "r":
        raise ExpressionError(f"{argument}: r is the rate of a unit; choose another name.")


def check_key(argument: str, key: Any, check: Callable[[Reader, Token], None] = check_name) -> None:
    """Raise unless the key of a dict can be written in an equation."""
    if not isinstance(key, str):
        raise TypeError(f"{argument}: {key!r} is a {type(key).__name__}; expected a name.")
    reader = Reader(argument, key)
    tokens = reader.tokens()
    if len(tokens) != 1 or tokens[0].kind != "name" or tokens[0].text != key:
        raise reader.error("expected a name", 0)
    check(reader, tokens[0])


def end_of(statement: Statement) -> int:
    """Where the right side of a statement begins."""
    return statement.sign.position + len(statement.sign.text)


def text_of(reader: Reader, statement: Statement) -> str:
    """Return a statement without its flags, on one line."""
    last = (statement.right or (statement.sign,))[-1]
    text = reader.text[statement.left[0].position : last.position + len(last.text)]
    return " ".join(re.sub(r"#[^\n]*", "", text).split())
