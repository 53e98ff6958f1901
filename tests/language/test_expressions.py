"""The language of psps and equations: what it means, what is refused, and the programs made from it."""

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.programs import run_program, same
from weightsharing.checks.errors import ExpressionError
from weightsharing.language.evaluation import evaluate_tree
from weightsharing.language.expression import Expression, parse_psp
from weightsharing.language.operations import OPCODES
from weightsharing.language.program import MAXIMUM_SLOTS, emit_program
from weightsharing.language.reader import FUNCTIONS
from weightsharing.language.tree import build, constant, name

pytestmark = pytest.mark.python_only

SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -2.5, 0.3, 7.0])
INPUTS = ("w", "pre.r")


def grid(dtype=np.float64, values=SPECIAL):
    """Every pair of values, as w and pre.r."""
    pairs = np.array(list(itertools.product(values, values)), dtype=dtype)
    return pairs[:, 0].copy(), pairs[:, 1].copy()


MEANINGS = {
    "w*pre.r": lambda w, r: w * r,
    "pre.r": lambda w, r: r,
    "1": lambda w, r: np.ones_like(w),
    "w*log(1+pre.r)": lambda w, r: w * np.log(1 + r),
    "w * pre.r ^ 2": lambda w, r: w * (r * r),
    "-w**2": lambda w, r: -(w * w),
    "w**-1": lambda w, r: np.power(w, w.dtype.type(-1)),
    "2^3^2 + 0*w": lambda w, r: 512 + 0 * w,
    "exp(-(w-pre.r)**2)": lambda w, r: np.exp(-((w - r) * (w - r))),
    "1.0 if pre.r > w else 0.0": lambda w, r: np.where(r > w, 1, 0),
    "if pre.r > w: 1.0 else: 0.0": lambda w, r: np.where(r > w, 1, 0),
    "if w < 1: if w > 0.: w else: 0. else: 1.": lambda w, r: np.where(w < 1, np.where(w > 0, w, 0), 1),
    "if w < 1: 1. else: if w > 5: w else: 2.": lambda w, r: np.where(w < 1, 1, np.where(w > 5, w, 2)),
    "if if w < 1: 0 else: 1: 3 else: 4": lambda w, r: np.where(w < 1, 4, 3),
    "if w < 1: 2 if pre.r < 1 else 3 else: 4": lambda w, r: np.where(w < 1, np.where(r < 1, 2, 3), 4),
    "1 + (if w: 2 else: 3)*w": lambda w, r: 1 + np.where(w != 0, 2, 3) * w,
    "max(if w: 2 else: 3, pre.r, w)": lambda w, r: np.maximum(np.maximum(np.where(w != 0, 2, 3), r), w),
    "ite(w >= pre.r, w, -1)": lambda w, r: np.where(w >= r, w, -1),
    "w is 1 or w is not pre.r": lambda w, r: (w == 1) | (w != r),
    "0 < w <= 1": lambda w, r: (w > 0) & (w <= 1),
    "not w and pre.r": lambda w, r: (w == 0) & (r != 0),
    "(w > 0) & (pre.r > 0) | (w < -1)": lambda w, r: (w > 0) & (r > 0) | (w < -1),
    "w + 1 > 0 | not w & pre.r > 2": lambda w, r: (w + 1 > 0) | (w == 0) & (r > 2),
    "(w == 1) + (w != 1)": lambda w, r: np.ones_like(w),
    "pos(w) + neg(pre.r)": lambda w, r: np.maximum(w, 0) + np.minimum(r, 0),
    "clip(w, -1, pre.r)": lambda w, r: np.minimum(np.maximum(w, -1), r),
    "w % 2 + modulo(pre.r, 2)": lambda w, r: np.fmod(w, 2) + np.fmod(r, 2),
    "atan2(w, pre.r) + pow(w, pre.r)": lambda w, r: np.arctan2(w, r) + np.power(w, r),
    "round(2.5*w) + sign(pre.r)": lambda w, r: np.rint(w.dtype.type(2.5) * w) + np.sign(r),
    "w*pi*True + False": lambda w, r: w * w.dtype.type(np.pi) + 0,
    "abs(w) + fabs(pre.r) + ln(w)": lambda w, r: np.abs(w) + np.abs(r) + np.log(w),
    "w # the weight\n * pre.r": lambda w, r: w * r,
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("text", MEANINGS)
def test_meaning(text, dtype):
    w, r = grid(dtype)
    with np.errstate(all="ignore"):
        expected = np.asarray(MEANINGS[text](w, r), dtype=dtype)
    expression = parse_psp(text)
    got = expression.evaluate(w=w, r=r)
    assert got.dtype == dtype
    same(got, expected)
    program = expression.program(INPUTS)
    assert program.inputs == INPUTS and len(program.outputs) == 1
    same(run_program(program, {"w": w, "pre.r": r}, dtype)["result"], expected)


def test_every_function_is_accepted_and_named_by_an_opcode():
    w, r = grid()
    for function, ((least, _), _) in FUNCTIONS.items():
        arguments = ", ".join(("w", "pre.r", "2")[:least])
        expression = parse_psp(f"{function}({arguments})")
        same(run_program(expression.program(INPUTS), {"w": w, "pre.r": r}, np.float64)["result"],
             expression.evaluate(w=w, r=r))  # fmt: skip


def test_evaluate_broadcasts_and_keeps_the_floating_type():
    psp = parse_psp("2.5*w*exp(pre.r)")
    w = np.ones((3, 1), dtype=np.float32)
    got = psp.evaluate(w=w, r=np.zeros((1, 4), dtype=np.float32))
    assert got.shape == (3, 4) and got.dtype == np.float32
    assert psp.evaluate(w=w, r=np.zeros(4)).dtype == np.float64
    assert psp.evaluate(w=[1, 2], r=[0, 0]).dtype == np.float64
    assert parse_psp("3.0").evaluate(w=w).shape == (3, 1)
    # An array of its own, also where the result is an input.
    assert not np.shares_memory(parse_psp("w").evaluate(w=w), w)
    with pytest.raises(TypeError, match=r"pre\.r"):
        psp.evaluate(w=w)


def test_constants_are_folded_in_double_precision():
    tree = parse_psp("w*(2*pi/sqrt(4) + (1 if 2 > 1 else 0))").tree
    assert tree == build("multiply", name("w"), constant(2 * np.pi / 2 + 1))
    assert parse_psp("1*w/1").tree == name("w")
    assert build("divide", constant(1.0), constant(0.0)).value == np.inf
    # x + 0 and x * 0 are not what they seem: -0.0 + 0 is 0, NaN * 0 is NaN.
    assert parse_psp("w + 0").tree != name("w")
    assert parse_psp("w * 0").tree.names == {"w"}


def test_equality_hash_and_repr():
    first, second = parse_psp("w*pre.r"), parse_psp(" w *\tpre.r")
    assert first == second and hash(first) == hash(second) and first != parse_psp("pre.r*w")
    assert repr(first) == "Expression('w*pre.r')"
    assert first.names == {"w", "pre.r"}
    assert first.is_default and parse_psp("pre.r*w").is_default and not parse_psp("2*w*pre.r").is_default
    assert parse_psp("pre.r").is_identity and not first.is_identity
    assert pickle.loads(pickle.dumps(first)) == first
    assert constant(0.0) != constant(-0.0) and constant(float("nan")) == constant(float("nan"))
    with pytest.raises(AttributeError):
        first.text = "w"
    # What a tree is shown as can be read again.
    for text in MEANINGS:
        expression = parse_psp(text)
        assert parse_psp(repr(expression.tree)) == expression


# -------------------------------------------------------------------------------------------------- splitting

HUGE = [1e200, -1e-200]
SPLIT = [
    "w*pre.r", "pre.r*w", "w*log(1+pre.r)", "-w*pre.r/2", "w*w*pre.r", "w/pre.r", "pre.r/w", "1/(w*pre.r)",
    "-(w/pre.r)", "w*pre.r*pre.r", "(w*pre.r)^2", "(w/pre.r)**3", "(w*pre.r)/(pre.r/w)", "w/(w*pre.r)",
    "w*(1.0 if pre.r > 0 else 0.0)", "pre.r", "w", "2", "w+2*w", "exp(pre.r)", "w*abs(pre.r)/(1+pre.r*pre.r)",
    "3*(w*(2*pre.r))", "-w*-pre.r", "w*max(pre.r, 0)", "w/w*pre.r", "(pre.r/pre.r)/w", "w*(pre.r - pre.r)",
]  # fmt: skip


@pytest.mark.parametrize("text", SPLIT)
def test_split_is_right_for_every_value(text):
    parts = parse_psp(text).split()
    assert parts is not None
    f, g = parts
    assert f.names <= {"w"} and g.names <= {"pre.r"}
    # With more than one factor of w or pre.r a partial product may overflow, which the documentation excepts.
    single = text.count("w") <= 1 and text.count("pre.r") <= 1 and "^" not in text and "*" * 2 not in text
    w, r = grid(values=[*SPECIAL, *HUGE] if single else SPECIAL)
    with np.errstate(all="ignore"):
        got, expected = f.evaluate(w=w) * g.evaluate(r=r), parse_psp(text).evaluate(w=w, r=r)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    np.testing.assert_allclose(got, expected, rtol=4 * np.finfo(float).eps)


@pytest.mark.parametrize(
    "text",
    [
        "exp(-(w-pre.r)**2)", "1.0 if pre.r > w else 0.0", "w*pre.r + w", "w + pre.r", "abs(w*pre.r)",
        "w % pre.r",
        "(w*pre.r)^0.5", "(w*pre.r)^w", "(w*pre.r)**-1", "max(w*pre.r, 0)", "w*log(w + pre.r)", "w**pre.r",
    ],
)  # fmt: skip
def test_does_not_split(text):
    assert parse_psp(text).split() is None


def test_split_of_the_plain_cases_needs_no_work():
    f, g = parse_psp("w*pre.r").split()
    assert f.is_identity and g.is_identity
    f, g = parse_psp("pre.r").split()
    assert f.tree == constant(1.0) and g.is_identity
    f, g = parse_psp("w*log(1+pre.r)").split()
    assert f.is_identity and g == parse_psp("log(1+pre.r)")


# --------------------------------------------------------------------------------------------------- programs

LEAVES = st.sampled_from(["w", "pre.r", "1", "0.5", "-2", "3.7", "pi"])


def combine(inner):
    binary = st.sampled_from(["+", "-", "*", "/", "%", "^", "<", ">=", "==", " and ", " or "])
    return st.one_of(
        st.tuples(inner, binary, inner).map(lambda parts: f"({parts[0]}{parts[1]}{parts[2]})"),
        st.tuples(st.sampled_from(["-", "not ", "exp", "abs", "tanh", "pos"]), inner).map(
            "({0[0]}({0[1]}))".format
        ),
        st.tuples(inner, inner, inner).map("(if {0[0]}: {0[1]} else: {0[2]})".format),
        st.tuples(st.sampled_from(["min", "max", "atan2"]), inner, inner).map(
            "{0[0]}({0[1]}, {0[2]})".format
        ),
    )


@given(st.recursive(LEAVES, combine, max_leaves=30), st.sampled_from([np.float32, np.float64]))
def test_programs_compute_what_the_tree_says(text, dtype):
    expression = parse_psp(text)
    w, r = grid(dtype)
    expected = expression.evaluate(w=w, r=r)
    same(run_program(expression.program(INPUTS), {"w": w, "pre.r": r}, dtype)["result"], expected)
    parts = expression.split()
    if parts is not None:
        assert parts[0].names <= {"w"} and parts[1].names <= {"pre.r"}


def test_programs_are_short():
    program = parse_psp("w*pre.r").program(INPUTS)
    assert [OPCODES[row[0]] for row in program.code] == ["load", "load", "multiply", "store"]
    assert program.slots == 2 and not program.code.flags.writeable
    # Equal parts are computed once, squares need no power.
    program = parse_psp("exp(w*pre.r) + exp(w*pre.r)^2").program(INPUTS)
    assert [OPCODES[row[0]] for row in program.code].count("exp") == 1
    assert "power" not in [OPCODES[row[0]] for row in program.code]
    # Horner's rule needs no slot for each level.
    assert parse_psp("1+w*(2+w*(3+w*(4+w*(5+w*(6+w*7)))))").program(("w",)).slots <= 3
    with pytest.raises(ValueError, match=r"pre\.r"):
        parse_psp("w*pre.r").program(("w",))


def test_more_slots_than_there_are_is_an_error():
    # Each of 65 sums is needed again at the end.
    sums = [(f"x{i}", build("add", name("w"), constant(i))) for i in range(MAXIMUM_SLOTS + 1)]
    with pytest.raises(ExpressionError, match="at most 64"):
        emit_program(sums, tuple(target for target, _ in sums), ("w",), "many")
    program = emit_program(sums[:60], tuple(target for target, _ in sums[:60]), ("w",), "many")
    assert program.slots <= MAXIMUM_SLOTS
    # Where keeping shared constants would take too many, they are written again.
    steps = [
        ("y", build("add", build("multiply", name("y"), constant(i / 7)), constant(i))) for i in range(2, 60)
    ]
    program = emit_program(steps * 2, ("y",), ("y",), "long")
    values = {"y": np.linspace(-1, 1, 5)}
    result = run_program(program, values, np.float64)["y"]
    for _, tree in steps * 2:
        values["y"] = evaluate_tree(tree, values, np.dtype(float))
    same(result, values["y"])


# ----------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("w*x", 2, "unknown name 'x'"),
        ("w.real", 0, "unknown name 'w.real'"),
        ("w*pre.x", 2, "unknown name 'pre.x'"),
        ("w*pre.r.real", 2, "unknown name"),
        ("post.r", 0, "unknown name"),
        ("exp", 0, "unknown name 'exp'"),
        ("w*sigmoid(w)", 2, "unknown function 'sigmoid'"),
        ("__import__('os')", 11, "unexpected character"),
        ("w.__class__()", 0, "unknown function"),
        ("Uniform(0, 1)", 0, "unknown function"),
        ("sum(w)", 0, "unknown function"),
        ("w[0]", 1, "unexpected character '['"),
        ("w if pre.r", None, "not an expression"),
        ("w not w", None, "not an expression"),
        ("w is w not w", None, "not an expression"),
        ("w +", 3, "operand is missing"),
        ("(w + )", 4, "operand is missing"),
        ("w and or w", 6, "operand is missing"),
        ("exp(w)w", 6, "operator is missing"),
        ("w if else 2", 5, "operand is missing"),
        ("w + * 2", 4, "operand is missing"),
        ("w && w", 3, "operand is missing"),
        ("w + | w", 4, "operand is missing"),
        ("2 w", 2, "operator is missing"),
        ("exp(, w)", None, "not an expression"),
        ("w//2", 2, "operand is missing"),
        ("f(w)(w)", 0, "not allowed"),
        ("(w, w)", 0, "not allowed"),
        ("exp(*w)", 4, "operand is missing"),
        ("exp(**w)", 4, "operand is missing"),
        ("w, w", 1, "unexpected ','"),
        ("(w", 0, "not closed"),
        ("w)", 1, "unexpected ')'"),
        ("w = 2", 2, "compare with =="),
        ("exp(x=2)", 5, "compare with =="),
        ("w; w", 1, "unexpected ';'"),
        ("lambda w: w", 7, "operator is missing"),
        ("w: w", 1, "unexpected ':'"),
        ("if w: 2", 0, "if condition: value else: value"),
        ("if w 2 else: 3", 5, "operator is missing"),
        ("if w else: 3", 0, "if condition: value else: value"),
        ("2*if w: if w: 2 else: 3", 2, "if condition: value else: value"),
        ("exp(w, w)", 0, "takes 1 argument, not 2"),
        ("max(w)", 0, "takes 2 or more arguments, not 1"),
        ("clip(w, 1)", 0, "takes 3 arguments, not 2"),
        ("w*1e999", 2, "too large"),
        ("w*é", 2, "unexpected character"),
        ("'w'", 0, "unexpected character"),
        ("", 0, "empty"),
        ("# nothing", 0, "empty"),
        ("w*()", 2, "not allowed"),
    ],
)
def test_errors_show_the_place(text, column, message):
    with pytest.raises(ExpressionError) as caught:
        parse_psp(text)
    said = str(caught.value)
    assert isinstance(caught.value, ValueError) and message in said
    first, shown, caret = said.split("\n")[:3]
    assert first.startswith("psp: ") and shown == f"    {text}"
    # Where None stands Python's parser decides, which versions of Python do differently.
    assert caret == " " * (len(caret) - 1) + "^" if column is None else caret == " " * (4 + column) + "^"


def test_errors_list_what_is_allowed():
    with pytest.raises(ExpressionError, match=r"(?s)Allowed names: w, pre\.r, .*functions: .*exp.*operators"):
        parse_psp("w*x")
    with pytest.raises(ExpressionError, match="no weights") as caught:
        parse_psp("w*pre.r", allow_weight=False)
    assert "Allowed names: pre.r," in str(caught.value)
    assert parse_psp("pre.r*pre.r", allow_weight=False).names == {"pre.r"}
    # The line at fault alone is shown, and of a long one the part at fault.
    with pytest.raises(ExpressionError, match=r"\n    \+q\n     \^\n"):
        parse_psp("w\n+q\n+w")
    with pytest.raises(ExpressionError) as caught:
        parse_psp("w+" * 300 + "q")
    assert max(map(len, str(caught.value).split("\n")[:3])) < 130
    for wrong in (None, 3, b"w", ["w"]):
        with pytest.raises(TypeError, match="expected a string"):
            parse_psp(wrong)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000 + "w" + ")" * 10_000, "(" * 1500 + "w" + ")" * 1500, "(" * 60 + "w" + ")" * 60,
        "(" * 3000, "-" * 3000 + "w", "not " * 900 + "w", "w**" * 900 + "w", "w+" * 1500 + "w",
        "exp(" * 51 + "w" + ")" * 51, "if w: " * 200 + "1" + " else: 2" * 200,
        "if w: 1 else: " * 200 + "2", "w if w else " * 300 + "w", "w<" * 1900 + "w", "1" * 5000,
        "w and " * 600 + "w", "w " * 100_000, "\n" * 100_000 + "w", "max(" + "w," * 1500 + "w)",
    ],
)  # fmt: skip
def test_depth_and_length_are_bounded(text):
    with pytest.raises(ExpressionError) as caught:
        parse_psp(text)
    assert len(str(caught.value)) < 2000


def test_what_is_within_the_bounds_works():
    texts = [
        "(" * 45 + "w" + ")" * 45, "w+" * 90 + "w", "-" * 90 + "w", "if w: " * 40 + "1" + " else: 2" * 40,
        "exp(" * 45 + "w" + ")" * 45,
    ]  # fmt: skip
    for text in texts:
        assert isinstance(parse_psp(text), Expression)
        parse_psp(text).program(INPUTS)
        repr(parse_psp(text).tree)


@given(st.text(alphabet="w r.pe()+-*/^%<>=!:,;ifelsn01#\n", max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        expression = parse_psp(text)
    except ExpressionError:
        return
    expression.evaluate(w=1.0, r=2.0)
