"""Descriptions drawn by Hypothesis, and the comparison of any executor with the reference."""

from __future__ import annotations

import dataclasses
import math
import re

import numpy as np
from hypothesis import strategies as st

from weightsharing.backends.reference.executor import ReferenceExecutor
from weightsharing.description.lattice import centres
from weightsharing.description.projections import PADDINGS as NAMED_PADDINGS
from weightsharing.description.projections import PoolingDescription, SharedDescription, SynapsesDescription
from weightsharing.language.expression import parse_psp

OPERATIONS = ("sum", "max", "min", "mean")
PADDINGS = (0.0, 0.0, 1.5, -0.75, *NAMED_PADDINGS)
# Text, and whether the rates must be positive.
PSPS = (
    ("w*pre.r", False),
    ("w*pre.r", False),
    ("w*pre.r", False),
    ("w*log(1+pre.r)", True),
    ("-w*w*pre.r/2", False),
    ("w", False),
    ("pre.r", False),
    ("exp(-(w-pre.r)**2)", False),
    ("1.0 if pre.r > w else 0.0", False),
    ("max(w, pre.r) + min(w*pre.r, 0.5)", False),
)
# Those whose contributions need no function: nothing but one product.
PLAIN = ("w*pre.r", "pre.r", "w")
# Errors of the specification (section 2) that were measured: of direct sums of random numbers, and c of the other
# algorithms. What is proved is in `roundings` and `lowrank_factor`.
MEASURED_DIRECT = 4
MEASURED = {"lowrank": 8, "winograd": 16, "3xtf32": 16}
# What rates and weights are drawn from. Random numbers round up as often as down, the others all in one direction.
DATA = ("random", "random", "random", "constant", "ramp", "one large")


@st.composite
def regular_axis(draw, largest, padding):
    """Geometry and filter along one axis: pre, post, taps, stride, dilation, first."""
    taps = draw(st.integers(1, 5) | st.integers(1, min(12, largest)))
    stride = draw(st.sampled_from((1, 1, 1, 2, 3, 5)))
    dilation = draw(st.sampled_from((1, 1, 1, 2, 3)))
    post = draw(st.integers(1, max(1, largest // stride)))
    if padding == "valid":
        pre = (post - 1) * stride + (taps - 1) * dilation + 1 + draw(st.integers(0, stride - 1))
        return pre, post, taps, stride, dilation, 0
    return post * stride, post, taps, stride, dilation, draw(st.integers(0, stride - 1))


@st.composite
def shared_descriptions(draw):
    rank = draw(st.integers(1, 4))
    largest = {1: 300, 2: 40, 3: 12, 4: 6}[rank]
    padding = draw(st.sampled_from(PADDINGS))
    operation = draw(st.sampled_from(OPERATIONS))
    method = draw(st.sampled_from(("filter", "convolution")))
    layers = rank > 1 and draw(st.booleans())
    collapsed = 0 if layers else draw(st.integers(0, rank - 1))
    bank = not layers and rank - collapsed < 4 and draw(st.booleans())
    listed = draw(st.sampled_from((False, False, False, True)))
    axes = [draw(regular_axis(largest, padding)) for _ in range(rank)]
    pre, post, extent, strides, dilation, first = (list(column) for column in zip(*axes, strict=True))
    for axis in range(rank - collapsed, rank):
        pre[axis] = extent[axis] = draw(st.integers(1, 6 if rank > 2 else 20))
    if layers:
        post[-1] = pre[-1] = draw(st.integers(1, 40))
        for column in (extent, strides, dilation, first):
            column.pop()
    else:
        post = post[: rank - collapsed]
        post = post or [1]
    style = draw(st.sampled_from(("regular", "explicit")))
    options = {}
    if style == "explicit":
        fill, fill_anchor = ([1], [0]) if layers else ([], [])
        options = {"strides": (*strides, *fill), "dilation": (*dilation, *fill)}
        if padding != "valid":
            options["first"] = (*first, *(0 for _ in fill))
        if draw(st.booleans()):
            options["anchor"] = (*(draw(st.integers(0, taps - 1)) for taps in extent), *fill_anchor)
    elif padding == "valid":  # without strides the step is 1
        for axis in range(len(post) - layers):
            if axis < rank - collapsed:
                post[axis] = pre[axis] - extent[axis] + 1
                if post[axis] < 1:
                    pre[axis], post[axis] = extent[axis], 1
    extents = [tuple(extent)]
    if bank:
        filters = draw(st.sampled_from((1, 2, 3, 5, 8, 17, 33)))
        extents = [tuple(extent)] * filters
        fixed = collapsed or padding == "valid" or 1 in post
        if not fixed and draw(st.booleans()):  # several scales
            scales = [tuple(draw(st.integers(1, 5)) for _ in extent) for _ in range(2)]
            extents = [scales[draw(st.integers(0, 1))] for _ in range(filters)]
            options.pop("anchor", None)
        post = [*post, filters]
    if listed and padding != "valid":
        for name in ("strides", "first"):
            options.pop(name, None)
        units = draw(st.integers(1, 30))
        post = [units, len(extents)] if bank else [units]
        centres = [[draw(st.integers(0, size - 1)) for size in pre] for _ in range(units)]
        options["centres"] = np.array(centres, dtype=np.int64)
    psp, positive = draw(st.sampled_from(PSPS))
    description = SharedDescription(
        tuple(pre),
        tuple(post),
        tuple(extents),
        bank=bank,
        keep_last_dimension=layers,
        method=method,
        operation=operation,
        padding=padding,
        algorithm=draw(st.sampled_from(("auto", "direct"))),
        psp=parse_psp(psp),
        **options,
    )
    return description, positive


@st.composite
def pooling_descriptions(draw):
    rank = draw(st.integers(1, 4))
    largest = {1: 300, 2: 40, 3: 12, 4: 6}[rank]
    pre, post, extent, stride = [], [], [], []
    for _ in range(rank):
        n = draw(st.integers(1, largest))
        s = draw(st.sampled_from((1, 1, 2, 3)))
        e = draw(st.integers(1, 4) | st.integers(1, n))
        pre.append(n)
        stride.append(s)
        extent.append(e)
        post.append(draw(st.integers(1, (n - 1) // s + 1)))
    for axis in range(draw(st.integers(1, rank)), rank):
        del post[axis:]
        for covered in range(axis, rank):
            extent[covered] = pre[covered] + draw(st.integers(0, 1))
        break
    psp = draw(st.sampled_from(("pre.r", "pre.r", "pre.r*pre.r", "exp(-pre.r)")))
    return PoolingDescription(
        tuple(pre),
        tuple(post),
        tuple(extent),
        tuple(stride),
        draw(st.sampled_from(OPERATIONS)),
        psp=parse_psp(psp, allow_weight=False),
    )


@st.composite
def synapses_descriptions(draw):
    pre, post = draw(st.integers(1, 400)), draw(st.integers(1, 20))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    mask = generator.random((post, pre)) < draw(st.sampled_from((0.0, 0.05, 0.5, 1.0)))
    psp, positive = draw(st.sampled_from(PSPS))
    description = SynapsesDescription(
        (pre,),
        (post,),
        np.concatenate(([0], np.cumsum(mask.sum(1)))).astype(np.int64),
        np.nonzero(mask)[1].astype(np.int64),
        draw(st.sampled_from(OPERATIONS)),
        psp=parse_psp(psp),
    )
    return description, positive


def magnitude_of(executor, rates):
    """The scale of each post unit's rounding error, (batch, *post).

    The absolute values of the contributions (with the default psp ``|w * r|``): their sum for 'sum', their mean for
    'mean', their maximum for 'max' and 'min'.
    """
    description = executor.description
    absolute = ReferenceExecutor(
        dataclasses.replace(
            description,
            operation="max" if description.operation == "min" else description.operation,
            psp=parse_psp(f"abs({description.psp.text})"),
        ),
        executor.dtype,
    )
    absolute.weights = executor.weights
    out = np.empty((len(rates), *description.post), executor.dtype)
    absolute.run(rates, out, accumulate=False)
    return out


def roundings(backend, taps):
    """Roundings that a term of a direct sum meets at most, as section 6 of the design counts them."""
    return min(taps, 32 + 4 * math.log2(taps) if backend == "cpu" else 72 + taps / 256)


def direct_factor(backend, taps, eps):
    """Return what is proved of direct sums, in eps * sum|w*r|."""
    # One for the division of a mean, one for the judge's own products of float64.
    count = roundings(backend, taps) + 2
    return count / 2 / (1 - count * eps / 2)


def most_taps(description):
    """Terms of the longest sum."""
    if isinstance(description, SharedDescription):
        return max(math.prod(extent) for extent in description.extents)
    if isinstance(description, PoolingDescription):
        return math.prod(description.extent)
    return max(1, int(np.diff(description.row_start).max(initial=1)))


def lowrank_factor(description, report):
    """Return c of low rank: for the terms, which are not quite the filter, and for the roundings of the passes."""
    terms = int(re.search(r"sum of (\d+) product", report["reason"])[1])
    extents = [n for n in description.extents[0] if n > 1]
    # One pass for each axis; the last ones may be one for all of them.
    passes = max(
        sum(2 + roundings(report["backend"], n) for n in (*extents[:d], math.prod(extents[d:])))
        for d in range(1, len(extents))
    )
    if report["backend"] != "cpu":  # the pass down the columns adds all terms in one sum
        passes = sum(2 + roundings(report["backend"], terms * n) for n in extents)
    return 2 + 2 * terms + passes


def bound(description, judge, rates, weights, report, eps, proved):
    """Allowed difference from the float64 reference, per unit."""
    magnitude = magnitude_of(judge, rates)
    scale = 1.0
    if description.operation not in ("max", "min"):
        scale = direct_factor(report["backend"], most_taps(description), eps) if proved else MEASURED_DIRECT
    if description.psp.text not in PLAIN:
        # The rounding of a psp's functions comes on top: at most 4 ulp each, of arguments below about 4.
        if isinstance(description, PoolingDescription):
            return (scale + 16) * eps * (magnitude + 4)
        most = max((np.abs(array).max(initial=0.0) for array in weights), default=0.0)
        return (scale + 16) * eps * (magnitude + most + 1)
    allowed = scale * eps * magnitude
    if report.get("algorithm") in MEASURED:
        factor = MEASURED[report["algorithm"]]
        if report["algorithm"] == "lowrank" and proved:
            factor = lowrank_factor(description, report)
        allowed = np.maximum(allowed, factor * eps * largest_terms(description, rates, weights))
    return allowed + 1e-300


def largest_terms(description, rates, weights):
    """n * max|w| * max|r|; of a mean, divided by n."""
    taps = max(array.size for array in weights)
    most = max(np.abs(array).max(initial=0.0) for array in weights)
    outside = abs(description.padding) if not isinstance(description.padding, str) else 0
    rate = max(np.abs(rates).max(initial=0.0), outside)
    return (1 if description.operation == "mean" else taps) * most * rate


def draw_numbers(generator, shape, dtype, positive, specials, data="random"):
    """Numbers of one kind of `DATA`; NaN, infinities and zeros among them with `specials`."""
    if data == "random":
        values = generator.normal(size=shape)
    else:
        values, value = np.empty(shape), generator.uniform(0.1, 2.0)
    if data == "constant":
        values[...] = value
    elif data == "ramp":
        values = np.linspace(value, generator.uniform(-2.0, 2.0), values.size).reshape(shape)
    elif data == "one large" and values.size:
        # Where psps take log(1+r), 1+r must differ from 1: infinity times log(1) is NaN, times less than that infinity.
        smallest = (1.0 if positive else 1.5) * np.finfo(dtype).nmant
        values[...] = 2.0 ** -generator.uniform(1, smallest)
        values.flat[generator.integers(values.size)] = value
    if positive:
        values = np.abs(values)
    if specials and values.size:
        places = generator.integers(0, values.size, size=2)
        values.flat[places] = generator.choice([np.nan, np.inf, -np.inf, 0.0], size=2)
    return values.astype(dtype)


def separable(generator, shape, dtype, data="random"):
    out = np.ones(())
    for size in shape:
        out = np.multiply.outer(out, draw_numbers(generator, (size,), np.float64, False, False, data))
    return out.astype(dtype)


@st.composite
def factored_filters(draw):
    """Filters that are sums of one or two products: the low-rank path, on every rank from 2 to 4."""
    rank = draw(st.integers(2, 4))
    largest = {2: 90, 3: 20, 4: 9}[rank]
    pre = tuple(draw(st.integers(3, largest)) for _ in range(rank))
    extent = tuple(draw(st.integers(3, {2: 17, 3: 7, 4: 5}[rank])) for _ in range(rank))
    layers = draw(st.booleans()) and rank > 2
    description = SharedDescription(
        pre,
        pre,
        (extent[:-1] if layers else extent,),
        keep_last_dimension=layers,
        method=draw(st.sampled_from(("filter", "convolution"))),
        operation=draw(st.sampled_from(("sum", "mean"))),
        padding=draw(st.sampled_from((0.0, 1.5, "border", "reflect", "wrap", "ignore"))),
        psp=parse_psp(draw(st.sampled_from(("w*pre.r", "w*pre.r*pre.r")))),
    )
    return description, draw(st.integers(1, 2))


@st.composite
def winograd_banks(draw):
    height, width = draw(st.integers(1, 7)), draw(st.integers(1, 7) | st.sampled_from((51, 60)))
    channels, filters = draw(st.integers(32, 34)), draw(st.integers(32, 34))
    return SharedDescription(
        (height, width, channels),
        (height, width, filters),
        ((3, 3, channels),) * filters,
        bank=True,
        method=draw(st.sampled_from(("filter", "convolution"))),
        operation=draw(st.sampled_from(("sum", "mean"))),
        padding=draw(st.sampled_from((0.0, 1.5, "border", "reflect", "wrap"))),
        psp=parse_psp("w*pre.r"),
    )


CASE = {
    "dtype": st.sampled_from((np.float32, np.float64)),
    "seed": st.integers(0, 2**32),
    "specials": st.sampled_from((None, None, None, "rates", "weights", "both")),
    "batch": st.sampled_from((1, 1, 3)),
    "accumulate": st.booleans(),
    "data": st.sampled_from(DATA),
}


def draw_case(description, positive, dtype, seed, specials, batch, data="random"):
    """Rates and weights for a description; `specials` says where NaN and infinities are put."""
    generator = np.random.default_rng(seed)
    shape = (batch, *description.pre)
    rates = draw_numbers(generator, shape, dtype, positive, specials in ("rates", "both"), data)
    if isinstance(description, SharedDescription):
        shapes = description.extents
    elif isinstance(description, SynapsesDescription):
        shapes = [description.column.shape]
    else:
        shapes = []
    weights = [
        draw_numbers(generator, s, dtype, False, specials in ("weights", "both") and i == 0, data)
        for i, s in enumerate(shapes)
    ]
    if generator.random() < 0.3 and isinstance(description, SharedDescription) and not specials:
        weights = [separable(generator, shape, dtype, data) for shape in shapes]
    return rates, weights


class Judge:
    """What the reference says of one case, and whether an executor agrees.

    Random numbers are judged by the errors that were measured, others with `proved` by those that are proved.
    """

    def __init__(self, description, rates, weights, proved=False):
        self.description, self.rates, self.weights, self.proved = description, rates, weights, proved
        self.dtype = rates.dtype.type
        shape = (len(rates), *description.post)
        self.before = np.random.default_rng(0).normal(size=shape).astype(self.dtype)
        self.wide, narrow = (
            ReferenceExecutor(description, np.float64),
            ReferenceExecutor(description, self.dtype),
        )
        for judge in (self.wide, narrow):
            if weights:
                judge.set_weights(weights if isinstance(description, SharedDescription) else weights[0])
        self.expected, self.exact = np.zeros(shape), np.zeros(shape, self.dtype)
        with np.errstate(all="ignore"):
            self.wide.run(rates.astype(np.float64), self.expected, False)
            narrow.run(rates, self.exact, False)

    def check(self, executor, accumulate):
        """Run an executor, assert that it agrees, and return its result before `accumulate` is taken out."""
        if self.weights:
            executor.set_weights(self.weights)
        result = self.before.copy()
        executor.run(self.rates, result, accumulate)
        out = result
        if accumulate:
            # Adding rounds once more: it must be the sum of what was there and a run on its own.
            out = np.empty_like(result)
            executor.run(self.rates, out, False)
            np.testing.assert_array_equal(self.before + out, result)
        if self.description.psp.text in PLAIN and self.description.operation in ("max", "min"):
            np.testing.assert_array_equal(out, self.exact)
            return result
        np.testing.assert_array_equal(np.isnan(out), np.isnan(self.expected))
        finite = np.isfinite(self.expected)
        np.testing.assert_array_equal(out[~finite], self.expected[~finite].astype(self.dtype))
        report = executor.describe()
        with np.errstate(all="ignore"):
            eps = np.finfo(self.dtype).eps
            rates = self.rates.astype(np.float64)
            allowed = bound(self.description, self.wide, rates, self.weights, report, eps, self.proved)
            allowed = np.where(np.isfinite(allowed), allowed, np.inf)
            excess = np.abs(out.astype(np.float64) - self.expected) - allowed
        assert not (excess[finite] > 0).any(), (report, excess[finite].max())
        return result


W_R, RATE = parse_psp("w*pre.r"), parse_psp("pre.r", allow_weight=False)

# Sums of many terms, in every family.
LONG_SUMS = {
    "a filter": SharedDescription((61, 61), (61, 61), ((61, 61),), algorithm="direct", psp=W_R),
    "a long filter": SharedDescription((3721,), (3721,), ((3721,),), algorithm="direct", psp=W_R),
    "one unit": SharedDescription((201, 201), (1, 1), ((201, 201),), algorithm="direct", psp=W_R),
    "a bank": SharedDescription(
        (2, 3, 80), (2, 3, 8), ((7, 7, 80),) * 8, bank=True, algorithm="direct", psp=W_R
    ),
    "tap by tap": SharedDescription(
        (40, 40), (40, 40), ((25, 25),), psp=parse_psp("w*pre.r + 0*abs(w-pre.r)")
    ),
    "listed centres": SharedDescription(
        (40, 40), (3,), ((31, 31),), centres=np.array([[20, 20], [5, 9], [39, 0]]), psp=W_R
    ),
    "synapses": SynapsesDescription((100_000,), (1,), np.array([0, 100_000]), np.arange(100_000), psp=W_R),
    "pooling of all": PoolingDescription((640, 480), (1, 1), (640, 480), (640, 480), "mean", psp=RATE),
    "pooling of a column": PoolingDescription(
        (400_000, 3), (1, 3), (400_000, 1), (400_000, 1), "sum", psp=RATE
    ),
    "pooling of a row": PoolingDescription((100_000,), (1,), (100_000,), (100_000,), "mean", psp=RATE),
    "overlapping pooling": PoolingDescription((300, 300), (90, 90), (201, 201), (1, 1), "mean", psp=RATE),
}


def check_long_sum(description, dtype, data, make):
    """The middle unit, against an exact sum of its terms.

    They are drawn from [0, 1) (`data` None) or all equal to a number: within what was measured. Or a "ramp", or "one
    large" number before others that are lost one by one when they are added to it: within what is proved.
    """
    generator = np.random.default_rng(1)
    # A product of two small numbers, or one of pooling, is less than half a unit in the last place of 1.
    small = 0.45 * float(np.finfo(dtype).eps)
    if not isinstance(description, PoolingDescription):
        small = math.sqrt(small)

    def draw(shape):
        if data is None:
            values = generator.random(shape)
        elif data == "ramp":
            values = np.linspace(0.1, 1.0, math.prod(shape)).reshape(shape)
        else:
            values = np.full(shape, small if data == "one large" else data)
            if data == "one large":
                values.flat[0] = 1.0
        return values.astype(dtype)

    rates = draw((1, *description.pre))
    if isinstance(description, SharedDescription):
        weights = [draw(extent) for extent in description.extents]
    else:
        weights = [draw(description.column.shape)] if isinstance(description, SynapsesDescription) else []
    executor = make(description)
    if weights:
        executor.set_weights(weights)
    out = np.empty((1, *description.post), dtype)
    executor.run(rates, out, False)
    unit = out.size // 2
    terms = terms_of(description, weights, rates[0], unit)
    exact = math.fsum(terms) / (len(terms) if description.operation == "mean" else 1)
    eps, backend = float(np.finfo(dtype).eps), executor.describe()["backend"]
    factor = direct_factor(backend, len(terms), eps) if isinstance(data, str) else MEASURED_DIRECT
    assert abs(float(out.flat[unit]) - exact) <= factor * eps * abs(exact)


def terms_of(description, weights, rates, unit):
    """What one post unit adds up, exactly: products of two float32 are exact in float64; those of float64 nearly."""
    if isinstance(description, SynapsesDescription):
        return (weights[0].astype(np.float64) * rates.astype(np.float64)).tolist()
    if isinstance(description, PoolingDescription):
        corner = np.array(np.unravel_index(unit, description.post)) * description.stride
        box = tuple(slice(c, c + e) for c, e in zip(corner, description.extent, strict=True))
        return rates[box].astype(np.float64).ravel().tolist()
    unit, number = divmod(unit, len(description.extents))
    centre = centres(description, number)[unit]
    extent = description.extents[number]
    terms = []
    for tap in np.ndindex(*extent):
        place = tuple(
            c + k - (n // 2 if n % 2 else n // 2 - 1) for c, k, n in zip(centre, tap, extent, strict=True)
        )
        if all(0 <= u < n for u, n in zip(place, description.pre, strict=True)):
            terms.append(float(weights[number][tap]) * float(rates[place]))
    return terms
