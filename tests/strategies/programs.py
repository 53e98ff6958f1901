"""Register code, executed the way a compiled backend does."""

import numpy as np

from weightsharing.language.operations import OPCODES
from weightsharing.language.program import MAXIMUM_SLOTS

NUMPY = {
    **{opcode: getattr(np, opcode) for opcode in OPCODES if hasattr(np, opcode)},
    "modulo": np.fmod,
    "negate": np.negative,
    "round": np.rint,
    "select": lambda condition, yes, no: np.where(condition != 0, yes, no),
}


def run_program(program, inputs, dtype, draw=None):
    """Execute register code the way a compiled backend does, one whole array per slot."""
    assert (
        program.code.dtype == np.int32 and program.code.shape[1:] == (5,) and program.slots <= MAXIMUM_SLOTS
    )
    shape = np.broadcast_shapes(*(np.shape(inputs[key]) for key in inputs))
    slots = [None] * program.slots
    outputs = {}
    with np.errstate(all="ignore"):
        for number, destination, *operands in program.code.tolist():
            opcode = OPCODES[number]
            if opcode == "store":
                outputs[program.outputs[destination]] = slots[operands[0]].copy()
                continue
            assert not outputs, "stores come last"
            if opcode == "constant":
                value = dtype(program.constants[operands[0]])
            elif opcode == "load":
                value = np.asarray(inputs[program.inputs[operands[0]]], dtype=dtype)
            elif opcode in ("uniform", "normal"):
                value = np.asarray(draw(opcode, operands[0]), dtype=dtype)
            else:
                count = 3 if opcode == "select" else 2 if takes_two(opcode) else 1
                value = NUMPY[opcode](*[slots[operand] for operand in operands[:count]])
            slots[destination] = np.broadcast_to(np.asarray(value, dtype=dtype), shape)
    return outputs


def takes_two(opcode):
    two = "add subtract multiply divide modulo power less less_equal greater greater_equal equal not_equal "
    return opcode in (two + "logical_and logical_or minimum maximum arctan2").split()


def same(got, expected):
    np.testing.assert_array_equal(got, expected)
    zero = np.asarray(expected) == 0
    np.testing.assert_array_equal(np.signbit(got)[zero], np.signbit(expected)[zero])
