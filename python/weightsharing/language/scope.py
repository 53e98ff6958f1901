"""What the expressions of equations may read, and the noise that they draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from .declarations import Assignment, Declaration
from .definitions import Numbers
from .distributions import Normal, Uniform
from .expression import Expression
from .functions import Functions, typed
from .reader import Reader, Token
from .statements import Statement, text_of
from .tree import Node, build, numbers_of


class Scope:
    """Reads the expressions of equations; numbers their draws of noise in the order in which they are read.

    Attributes
    ----------
    reader
        Of the whole text.
    variables
        All that the equations declare.
    """

    def __init__(
        self,
        reader: Reader,
        variables: Mapping[str, Declaration],
        parameters: Mapping[str, Declaration],
        constants: Numbers,
        functions: Functions,
    ) -> None:
        self.reader, self.variables = reader, variables
        self._draws = 0
        attributes = {**parameters, **variables}
        units = [] if "r" in attributes else ["r"]
        units += [key for key, one in attributes.items() if one.local]
        # Equations of the whole population draw once for all units.
        self._readers = {
            once: replace(
                reader,
                names=(*parameters, *constants, *({"r": None} | dict(variables)), "t", "dt"),
                functions={
                    **functions,
                    "Uniform": ((2, 2), partial(self._uniform, once)),
                    "Normal": ((2, 4), partial(self._normal, once)),
                },
                targets=True,
                units=tuple(units),
            )
            for once in (False, True)
        }

    def parse(
        self, tokens: Sequence[Token], position: int, variable: str, derivative: Token | None = None
    ) -> Node:
        """Read one side of the equation of a variable; its derivative becomes a name of its own."""
        reader = self._readers[not self.variables[variable].local]
        if derivative is None:
            return reader.parse(tokens, position)
        first, words = derivative.text.split("/")[0], list(tokens)
        for at in range(len(words) - 2):
            if [token.text for token in words[at : at + 3]] == [first, "/", "dt"]:
                words[at : at + 3] = [Token("name", derivative.text, words[at].position)]
        return replace(reader, names=(*reader.names, derivative.text)).parse(words, position)

    def bounded(self, statement: Statement, variable: str, tree: Node) -> Assignment:
        """The assignment of a statement, with its type and bounds."""
        text = text_of(self.reader, statement)
        tree = typed(self.variables[variable].type, tree)
        bounds = {
            key: Expression(text, self.parse(tokens, flag.position, variable))
            for key, (flag, tokens) in statement.flags.items()
            if key in ("min", "max")
        }
        if len(bounds) == 2:
            least, most = numbers_of([bounds["min"].tree, bounds["max"].tree])
            if least is not None and most is not None and least > most:
                raise self.reader.error(
                    f"min is {least} and max is {most}; expected min <= max",
                    statement.flags["min"][0].position,
                )
        return Assignment(variable, Expression(text, tree), bounds.get("min"), bounds.get("max"))

    def _uniform(self, once: bool, arguments: Sequence[Node]) -> Node:
        low, high = arguments
        least, most = numbers_of(arguments)
        if least is not None and most is not None:
            # A distribution that cannot be is an error at once.
            Uniform(least, most)
        return build("add", low, build("multiply", build("subtract", high, low), self._draw("uniform", once)))

    def _normal(self, once: bool, arguments: Sequence[Node]) -> Node:
        mu, sigma, least, most = (*numbers_of(arguments), None, None)[:4]
        # A distribution that cannot be is an error at once.
        Normal(0.0 if mu is None else mu, 0.0 if sigma is None else sigma, least, most)
        tree = build("add", arguments[0], build("multiply", arguments[1], self._draw("normal", once)))
        for operation, bound in zip(("maximum", "minimum"), arguments[2:], strict=False):
            tree = build(operation, tree, bound)
        return tree

    def _draw(self, kind: str, once: bool) -> Node:
        self._draws += 1
        return Node(f"population_{kind}" if once else kind, value=self._draws - 1)
