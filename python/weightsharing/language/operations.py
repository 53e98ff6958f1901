"""The operations of programs, compared by a test with primitives/opcodes.h, and how texts spell them."""

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
# Draws: one per unit, or one for all units of a trial.
NOISE = ("uniform", "normal", "population_uniform", "population_normal")

# What equations read of a whole population, and the sum over all targets.
STATISTICS = ("mean", "max", "min", "norm1", "norm2")
ALL_TARGETS = "sum()"

# Functions of one argument.
UNARY = {
    "exp": "exp", "log": "log", "ln": "log", "sqrt": "sqrt", "abs": "absolute", "fabs": "absolute",
    "sin": "sin", "cos": "cos", "tan": "tan", "asin": "arcsin", "acos": "arccos", "atan": "arctan",
    "sinh": "sinh", "cosh": "cosh", "tanh": "tanh",
    "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh",
    "log2": "log2", "log10": "log10", "log1p": "log1p", "expm1": "expm1", "exp2": "exp2", "cbrt": "cbrt",
    "floor": "floor", "ceil": "ceil", "round": "round", "sign": "sign",
}  # fmt: skip
SPELLING = {
    **{operation: spelling for spelling, operation in reversed(UNARY.items())},
    "arctan2": "atan2",
    "minimum": "min",
    "maximum": "max",
}
SYMBOLS = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "modulo": "%", "power": "**",
    "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=", "equal": "==", "not_equal": "!=",
    "logical_and": "and", "logical_or": "or",
}  # fmt: skip
