"""A tree as register code: what the compiled backends run."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks.errors import ExpressionError
from .operations import NOISE, OPCODES
from .tree import SMALL_POWERS, Node

MAXIMUM_SLOTS = 64  # registers of a program
_CODE = {name: code for code, name in enumerate(OPCODES)}


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
        if tree.operation == "power" and tree.arguments[1] == SMALL_POWERS[0]:
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
