"""Where this library answers differently from ANNarchy: the one table, with a check of every row.

`QUIRKS` is about results: its tags are those of the golden files. `change` rewrites a projection of such a
file so that this library computes what ANNarchy did; `agrees` says where the unchanged projection gives the
same anyway. `DECISIONS` is about calls that one of the two libraries refuses and the other accepts, `OTHERS`
about the rest. The second half of docs/differences-from-annarchy.md is written from these tables:

    PYTHONPATH=tests python tests/other_systems/quirks.py
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import pytest

import weightsharing as ws
from other_systems.annarchy_cases import Array, Call
from strategies.folders import REPOSITORY

PAGE = REPOSITORY / "docs" / "differences-from-annarchy.md"
MARK = "<!-- Written from here on by tests/other_systems/quirks.py: change the tables there and run it. -->\n"


@dataclass(frozen=True)
class Quirk:
    """A tag of golden files: what ANNarchy computes there, what is computed here, and how the two relate."""

    title: str
    annarchy: str
    here: str
    relation: str
    change: Callable[[Call], Call]
    # Post units where the unchanged call agrees with ANNarchy: a mask for (call, ANNarchy's result).
    agrees: Callable[[Call, Array], Array] | None = None
    refused: bool = False


# --- What the rows of the table compute ---------------------------------------------------------------------


def _is_number(padding: Any) -> bool:
    return not isinstance(padding, str)


def _sums(call: Call) -> bool:
    return call.is_filter and call.operation in ("sum", "mean")


def _picks(call: Call) -> bool:
    return call.operation in ("max", "min")


def _outside(call: Call) -> Array:
    """For each post unit, how often ANNarchy's loops over the filter leave the population.

    A loop that leaves goes on to its next index at once, so the loops within are not entered.
    """
    assert call.coordinates is not None
    units = []
    for centre in call.coordinates:
        count, entered = 0, 1
        for axis, extent in enumerate(call.filter_extent):
            middle = (extent - 1) // 2
            index = centre[axis] + call.sign * (np.arange(extent) - middle)
            inside = int(((index >= 0) & (index < call.pre_geometry[axis])).sum())
            count += entered * (extent - inside)
            entered *= inside
        units.append(count)
    return np.array(units, dtype=float).reshape(call.post_geometry)


def _inside_only(call: Call, added: Array | None = None) -> Call:
    """Sum over the elements inside, add `added`, and let a mean divide by the size of the filter."""
    size = prod(call.filter_extent) if call.operation == "mean" else 1
    kwargs = {**call.kwargs, "padding": "ignore"}
    if added is None:
        term, parameters = f"({{sum}} / {size}.0)", call.parameters
    else:
        term, parameters = f"(({{sum}} + {{added}}) / {size}.0)", {**call.parameters, "added": added}
    term = call.term.replace("{sum}", term)
    return replace(call, operation="sum", kwargs=kwargs, term=term, parameters=parameters)


def _add_padding_unweighted(call: Call) -> Call:
    padding = call.kwargs.get("padding", 0.0)
    if not _sums(call) or not _is_number(padding) or padding == 0.0:
        return call
    return _inside_only(call, padding * _outside(call))


def _skip_outside(call: Call) -> Call:
    if not _sums(call) or call.kwargs.get("padding", 0.0) != 0.0:
        return call
    return _inside_only(call)


def _start_at_zero(call: Call) -> Call:
    if not _picks(call) or not (call.is_filter or call.api == "SharedProjection.pooling"):
        return call
    return replace(call, term=f"{call.operation}({call.term}, 0.0)")


def _ignore_padding(call: Call) -> Call:
    if not _picks(call) or not call.is_filter:
        return call
    return replace(call, kwargs={**call.kwargs, "padding": "ignore"})


def _divide_by_filters(call: Call) -> Call:
    if not call.is_bank or call.operation != "mean":
        return call
    assert call.weights is not None
    return replace(call, term=f"({call.term} / {len(call.weights)}.0)")


def _match_channels(call: Call) -> Call:
    """Cut surplus channels of the filters off, or let those that they lack weigh 0."""
    if not call.is_bank or len(call.pre_geometry) < len(call.post_geometry):
        return call
    assert call.weights is not None
    channels, given = call.pre_geometry[-1], call.weights.shape[-1]
    missing = [(0, 0)] * (call.weights.ndim - 1) + [(0, max(channels - given, 0))]
    # A mean still divides by the size that the filters had.
    share = channels / given if call.operation == "mean" else 1.0
    term = call.term.replace("{sum}", f"({{sum}} * {share!r})")
    return replace(call, weights=np.pad(call.weights, missing)[..., :channels], term=term)


def _shift_flipped_channels(call: Call) -> Call:
    """Move the filter by one along every even axis that it spans; what leaves meets the padding.

    With 'border' that is the first channel, which has the last but one element of the filter otherwise.
    """
    if not call.is_filter or call.sign > 0:
        return call
    assert call.weights is not None
    weights, units = call.weights, call.post_geometry[:-1] if call.is_bank else call.post_geometry
    for axis, extent in enumerate(call.filter_extent):
        spanned = axis >= len(units) or (units[axis] == 1 and extent == call.pre_geometry[axis])
        if spanned and extent % 2 == 0:
            along = np.moveaxis(weights, axis + int(call.is_bank), -1)
            moved = np.concatenate([np.zeros_like(along[..., :1]), along[..., :-1]], axis=-1)
            if call.kwargs.get("padding") == "border":
                moved[..., -1] += along[..., -1]
            weights = np.moveaxis(moved, -1, axis + int(call.is_bank))
    return replace(call, weights=weights)


def _clipped(call: Call) -> Array:
    """How many units of pre the region of each post unit holds."""
    assert call.coordinates is not None
    ends = np.minimum(call.coordinates + np.array(call.pooling_extent), call.pre_geometry)
    return (ends - call.coordinates).prod(axis=1).astype(float).reshape(call.post_geometry)


def _divide_by_extent(call: Call) -> Call:
    if not call.is_pooling or call.operation != "mean":
        return call
    term = call.term.replace("{sum}", f"({{sum}} * {{held}} / {prod(call.pooling_extent)}.0)")
    return replace(call, term=term, parameters={**call.parameters, "held": _clipped(call)})


def _clipped_nowhere(call: Call, expected: Array) -> Array:
    whole = _clipped(call) == prod(call.pooling_extent)
    return whole if call.operation == "mean" else np.ones_like(whole)


def _wholly_inside(call: Call, expected: Array) -> Array:
    return np.broadcast_to(_outside(call) == 0, expected.shape)


def _beyond_zero(call: Call, expected: Array) -> Array:
    beyond = expected > 0 if call.operation == "max" else expected < 0
    return beyond & _wholly_inside(call, expected) if call.is_filter else beyond


def _everywhere(call: Call, expected: Array) -> Array:
    return np.ones(expected.shape, dtype=bool)


# The changes are made in this order: that of a bank's mean must see the operation that ANNarchy was given.
QUIRKS = {
    "bank_mean_divides_by_all_filters": Quirk(
        "The mean of a bank",
        "`operation='mean'` divides by the size of the whole bank, so a bank of F filters gives a mean that "
        "is F times too small.",
        "A mean divides by the number of elements of one filter.",
        "ANNarchy's result times F is the result here.",
        _divide_by_filters,
    ),
    "constant_padding_unweighted": Quirk(
        "Padding with a number",
        "The number is added to the sum as it is. It meets neither the weight nor the psp, and it is added "
        "once for every index that leaves the population along the first axis that does, not once for every "
        "element of the filter.",
        "The population goes on beyond its border with units of that rate, which is what ANNarchy's "
        "documentation says: they meet their weights and the psp like all others.",
        "Where no element of the filter lies outside, the results are the same. Elsewhere ANNarchy's sum is "
        "the one with `padding='ignore'` plus the number times how often an index leaves (a mean divides "
        "both by the size of the filter). With the default padding 0.0 and a psp that is 0 there, both "
        "libraries agree everywhere.",
        _add_padding_unweighted,
        _wholly_inside,
    ),
    "padding_skips_psp": Quirk(
        "Padding and a psp that is not 0 for a rate of 0",
        "Elements outside the population add 0 to the sum, whatever the psp makes of a rate of 0, for "
        "example `(w - pre.r)^2`.",
        "Elements outside have the rate 0.0 and pass through the psp.",
        "Where no element of the filter lies outside, the results are the same. Elsewhere "
        "`padding='ignore'` gives ANNarchy's sum; its mean is that sum divided by the size of the filter.",
        _skip_outside,
        _wholly_inside,
    ),
    "max_min_ignore_padding": Quirk(
        "Padding of a maximum or minimum",
        "With `operation='max'` or `'min'` elements outside the population are skipped, whatever `padding` "
        "says.",
        "`padding` means the same for all four operations.",
        "`padding='ignore'` skips them.",
        _ignore_padding,
        _wholly_inside,
    ),
    "max_min_start_at_zero": Quirk(
        "Maxima below zero, minima above",
        "A maximum or minimum over a filter, and in ANNarchy 4 also one over a pooling region, starts from "
        "0: a maximum is never negative, a minimum never positive.",
        "The true maximum or minimum.",
        "With the default padding ANNarchy's maximum is the larger of 0 and the one here, its minimum the "
        "smaller. A script that relies on a maximum from 0 says `r = pos(sum(exc))`, or `r = sum(exc) : min=0.0`.",
        _start_at_zero,
        _beyond_zero,
    ),
    "bank_channels_not_checked": Quirk(
        "Filters of a bank with another number of channels",
        "A bank for a population (height, width, channels) may have filters with fewer channels, which then "
        "see the first channels only, or with more, whose surplus meets the padding.",
        "An error that names both numbers.",
        "The same filters with weights 0 for the channels that they lack, or without the surplus, give "
        "ANNarchy's result.",
        _match_channels,
        refused=True,
    ),
    "flip_with_collapsed_even_axis": Quirk(
        "A flipped filter that spans an axis of even size",
        "`SharedProjection.convolve` with its default `method='convolution'` is off by one along an axis "
        "that post lacks if its size is even: the last channel is never read, and one element of the filter "
        "meets the padding.",
        "Along such an axis element k meets channel K-1-k: all channels are read, each once.",
        "The filter moved by one element along that axis, with 0 in the place that becomes free, gives "
        "ANNarchy's result. With `method='filter'` and along axes of odd size both agree.",
        _shift_flipped_channels,
    ),
    "extent_does_not_tile": Quirk(
        "Pooling regions that reach beyond the population",
        "A mean divides by the full extent, also where part of the region lies outside.",
        "Regions are clipped, and a mean divides by the number of units that are inside. A region that lies "
        "wholly outside is an error.",
        "Regions wholly inside give the same. Elsewhere ANNarchy's mean is the one here times the share of "
        "the region that is inside. Maxima and minima are the same.",
        _divide_by_extent,
        lambda call, expected: (
            _clipped(call) == (prod(call.pooling_extent) if call.operation == "mean" else _clipped(call))
        ),
    ),
    "delay_of_external_rates": Quirk(
        "Delays of rates that a script assigns",
        "Rates written before step s arrive in step s without a delay and in step s + n with a delay of n "
        ">= 2 steps; a delay of one step is none.",
        "The same. It is no difference, but it surprises: n = 1 and n = 0 do not differ.",
        "The results are the same in every step.",
        lambda call: call,
        _everywhere,
    ),
}


@dataclass(frozen=True)
class Decision:
    """A call that only one of the two libraries accepts."""

    title: str
    reason: str
    # For a call that is accepted here: what it must compute from the rates.
    result: Callable[[Array], Array] | None = None


DECISIONS = {
    "pool_not_multiple": Decision(
        "Pooling of a geometry that is no multiple of the other, without `extent`",
        "ANNarchy computes with a broken extent such as 2.33. Here it is an error; give `extent`, and "
        "`stride` if the regions shall overlap.",
    ),
    "pool_extent_not_tuple": Decision(
        "A list as `extent`",
        "A list says the same as a tuple.",
        lambda rates: rates.reshape(3, 2, 3, 2).max(axis=(1, 3)),
    ),
    "pool_operation_sum": Decision(
        "`Pooling` with `operation='sum'`",
        "Well defined, and ANNarchy 4 had it.",
        lambda rates: rates.reshape(3, 2, 3, 2).sum(axis=(1, 3)),
    ),
    "pool_1d": Decision(
        "Pooling of a population with one dimension",
        "ANNarchy 5 fails with a TypeError; its documentation names one to four dimensions.",
        lambda rates: rates.reshape(4, 3).max(axis=1),
    ),
    "copy_of_shared": Decision(
        "A copy of a shared projection",
        "Its weights can be used by reference like any others.",
        lambda rates: sum(np.pad(rates, 1)[i : i + 6, j : j + 6] for i in range(3) for j in range(3)),
    ),
}


# --- Differences that no golden file shows ------------------------------------------------------------------


@dataclass(frozen=True)
class Other:
    """A difference with a check of what this library does."""

    title: str
    annarchy: str
    here: str
    check: Callable[[], None]


def _pair(pre: Any, post: Any) -> tuple[ws.Population, ws.Population]:
    network = ws.Network(dtype="float64")
    return network.create(pre), network.create(post)


def _check_nan() -> None:
    for operation in ("sum", "mean", "max", "min"):
        filtered = ws.Convolution(*_pair(3, 3), "exc", operation=operation).connect_filter([1.0, 1.0, 1.0])
        assert np.isnan(filtered([np.nan, 1.0, 2.0])).tolist() == [True, True, False]


def _check_subsampling() -> None:
    centres = np.array([[0, 1], [2, 2], [3, 0]])
    filtered = ws.Convolution(*_pair((4, 3), 3), "exc").connect_filter([[2.0]], subsampling=centres)
    assert filtered(np.arange(12.0).reshape(4, 3)).tolist() == [2.0, 16.0, 18.0]
    with pytest.raises(ValueError, match="centre"):
        ws.Convolution(*_pair((4, 3), 3), "exc").connect_filter([[2.0]], subsampling=centres + 1)


def _check_padding_names() -> None:
    with pytest.raises(ValueError, match=r"padding is 'edge'.*'border'"):
        ws.Convolution(*_pair(4, 4), "exc").connect_filter([1.0, 2.0], padding="edge")


def _check_one_step_delay() -> None:
    pre, post = ws.Network().create(2), None
    post = pre.network.create(2, ws.Neuron(equations="r = sum(exc)"))
    ws.Convolution(pre, post, "exc").connect_filter([1.0], delays=1.0)
    pre.network.compile()
    pre.r = 3.0
    pre.network.step()
    assert post.r.tolist() == [3.0, 3.0]


def _check_layers_and_lines() -> None:
    rates = np.arange(24.0).reshape(4, 3, 2)
    layered = ws.SharedProjection(*_pair((4, 3, 2), (4, 3, 2)), "exc")
    layered.convolve([[0.0, 1.0, 0.0]], keep_last_dimension=True)
    assert (layered(rates) == rates).all()
    line = ws.SharedProjection(*_pair(4, 4), "exc").convolve([1.0, 10.0, 100.0])
    assert line([1.0, 2.0, 3.0, 4.0]).tolist() == [12.0, 123.0, 234.0, 340.0]


def _check_center() -> None:
    projection = ws.SharedProjection(*_pair((8, 8), (4, 4)), "exc").convolve(np.ones((3, 3)))
    projection.network.compile()
    assert projection.center(1, 2) == projection.center((1, 2)) == projection.center(6) == (2, 4)


def _check_post_rank() -> None:
    with pytest.raises(ValueError, match=r"\(4, 4\).*\(4, 4, 2\)"):
        ws.Convolution(*_pair((4, 4), (4, 4, 2)), "exc").connect_filter(np.ones((3, 3)))


def _check_copy() -> None:
    pre, post = _pair((2, 3), 4)
    original = ws.Projection(pre, post, "exc").connect_all_to_all(2.0, delays=3.0)
    copy = ws.Copy(pre, post, "inh", operation="max").connect_copy(original)
    assert copy(np.arange(6.0).reshape(2, 3)).tolist() == [10.0] * 4 and copy.delays == 3.0
    original.weights = 3.0
    assert copy(np.arange(6.0).reshape(2, 3)).tolist() == [15.0] * 4


def _check_durations() -> None:
    network = ws.Network(dt=0.1)
    network.compile()
    network.simulate(0.3)
    with pytest.raises(ValueError, match="whole number of steps"):
        network.simulate(0.25)


def _check_precision() -> None:
    assert ws.Network().create(1).dtype == np.float32
    assert ws.Network(dtype="float64").create(1).r.dtype == np.float64


def _check_read_only() -> None:
    pre, post = _pair(3, 3)
    projection = ws.Convolution(pre, post, "exc").connect_filter([1.0])
    for values in (pre.r, projection.weights):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 1.0
    pre.r = 1.0
    projection.weights = [2.0]
    assert pre.r[0] == 1.0 and projection.weights[0] == 2.0


def _check_image_geometry() -> None:
    image = ws.ImagePopulation((4, 6, 1))
    assert image.geometry == image.r.shape == (4, 6, 1)


def _check_post_rate() -> None:
    with pytest.raises(ws.ExpressionError, match=r"post\.r"):
        ws.Convolution(*_pair(3, 3), "exc", psp="w * pre.r * post.r")


def _check_values_in_psp() -> None:
    for word in ("post.r", "pre.v"):
        with pytest.raises(ws.ExpressionError, match=f"unknown name '{word}'"):
            ws.Synapse(psp=f"w * pre.r * {word}")


def _check_generated_code() -> None:
    pre, post = _pair(2, 2)
    ws.Projection(pre, post, "exc", disable_omp=False).connect_one_to_one(1.0, storage_format="csr")
    pre.network.compile(directory="here", clean=True, silent=True)
    with pytest.raises(TypeError, match="disable_callbacks"):
        pre.network.simulate(1.0, callbacks=False)
    ws.setup(verbose=False, suppress_warnings=True, show_time=True)
    with pytest.raises(TypeError, match="backend='cuda'"):
        ws.setup(paradigm="cuda")


_ABSENT = (
    "simulate_until", "parallel_run", "set_time", "set_current_step", "enable_learning", "disable_learning",
    "magic_network", "monitors", "functions", "callbacks_enabled", "load_parameters", "save_parameters",
    "convert_ms_to_steps", "convert_steps_to_ms", "sparse_random_matrix",
)  # fmt: skip
_ABSENT_IN_PROJECTIONS = (
    "connect_fixed_number_pre", "connect_fixed_number_post", "connect_with_func", "connect_from_file",
    "connect_from_matrix_market", "fixed_number_pre", "fixed_number_post", "from_function", "from_file",
    "from_matrix_market", "dendrite", "dendrites", "synapse", "nb_synapses", "connectivity_matrix",
    "receptive_fields", "save_connectivity", "start_pruning", "start_creating",
)  # fmt: skip


def _check_absent() -> None:
    assert not {*_ABSENT} & {*ws.__all__}
    assert not any(hasattr(ws.Projection, name) for name in _ABSENT_IN_PROJECTIONS)
    assert {"get_time", "get_current_step", "dt", "set_seed", "get_population", "projections"} <= {
        *ws.__all__
    }


def _check_names() -> None:
    with pytest.raises(ws.ExpressionError, match="begins with '_'"):
        ws.Neuron("_g = 1.0")


def _check_statistics() -> None:
    network = ws.Network()
    units = network.create(2, ws.Neuron(equations="r = 2 + mean(r) : init=1.0"))
    network.compile()
    network.step()
    assert units.r.tolist() == [3.0, 3.0]


def _check_whole_divisions() -> None:
    network = ws.Network()
    units = network.create(
        1,
        ws.Neuron(
            "n = 7 : int; m = 2 : int; f = 2.0", "r = n/m; a = n/2; b = n/m*f; c = n/m : int; d = floor(n/m)"
        ),
    )
    network.compile()
    network.step()
    assert [float(units.get(name)[0]) for name in "rabcd"] == [3.5, 3.5, 7.0, 3.0, 3.0]


def _check_fractions() -> None:
    network = ws.Network()
    units = network.create(1, ws.Neuron("f = 2.0", "r = 1/2; a = f + 3/2; b = 1/2*f"))
    network.compile()
    network.step()
    assert [float(units.get(name)[0]) for name in "rab"] == [0.5, 3.5, 1.0]


def _check_individual_weights() -> None:
    matrix = [[1.0, None, 2.0], [None] * 3, [3.0, 4.0, 5.0]]
    weights = ws.Projection(*_pair(3, 3), "exc").connect_from_matrix(matrix).w
    np.testing.assert_array_equal(weights, np.array(matrix, dtype=float))
    assert ws.Projection(*_pair(2, 3), "exc").connect_all_to_all(2.0).w.tolist() == [[2.0, 2.0]] * 3


def _check_moved_inputs() -> None:
    network = ws.Network()
    given = ws.InputArray(3)
    assert network.create(given) is given and given.network is network
    given.r = [1.0, 2.0, 3.0]
    assert given.neuron_type is None and given.variables == ["r"]


def _check_sum_of_all() -> None:
    network = ws.Network()
    pre, post = network.create(2), network.create(2, ws.Neuron(equations="r = sum()"))
    for target in ("exc", "inh"):
        ws.PointwiseProjection(pre, post, target, 2.0)
    pre.r = 1.0
    network.compile()
    network.step()
    assert post.r.tolist() == [4.0, 4.0]


def _check_types() -> None:
    units = ws.Network().create(2, ws.Neuron("n = 2 : int; on = True : bool"))
    for name, value in (("n", 2.6), ("on", 7)):
        with pytest.raises(ValueError, match=f"'{name}' is flagged"):
            setattr(units, name, value)


def _check_views() -> None:
    units = ws.Network().create((2, 2), ws.Neuron("a = 1.0 : population; b = 1.0"))
    with pytest.raises(ValueError, match="common to units"):
        units[0, :].a = 2.0
    with pytest.raises(ValueError, match="twice"):
        units[[1, 1]]


def _check_local_distributions() -> None:
    neuron = ws.Neuron({"a": ws.Uniform(0.0, 1.0), "b": 1.0})
    assert neuron.parameters["a"].local and not neuron.parameters["b"].local


def _shown(**options: Any) -> tuple[ws.TimedArray, ws.Population]:
    network = ws.Network()
    shown = ws.TimedArray([[1.0], [2.0], [3.0]], network=network, **options)
    post = network.create(1, ws.Neuron(equations="r = sum(exc)"))
    ws.Projection(shown, post, "exc").connect_one_to_one(1.0)
    network.compile()
    return shown, post


def _check_first_frame() -> None:
    shown, post = _shown()
    shown.network.step()
    assert post.r[0] == 1.0


def _check_frame_times() -> None:
    for times, says in (([0.0, 1.5, 3.0], "whole number of steps"), ([0.0, 2.0, 1.0], "increase")):
        with pytest.raises(ValueError, match=says):
            _shown(schedule=times)
    with pytest.raises(ValueError, match="period is 0"):
        _shown(period=0.0)


def _check_assigned_frames() -> None:
    shown, post = _shown(schedule=2.0)
    shown.network.step()
    shown.r = 7.0
    shown.network.step()
    assert post.r[0] == 7.0
    shown.network.step()
    assert post.r[0] == 2.0


def _check_updated_frames() -> None:
    shown, post = _shown()
    shown.network.step()
    shown.update([[10.0], [20.0]])
    assert shown.r[0] == 1.0
    shown.network.step()
    assert post.r[0] == 20.0


def _check_videos() -> None:
    with pytest.raises(FileNotFoundError):
        ws.VideoPopulation((2, 2), network=ws.Network()).set_movie("nothing.gif")


def _check_monitors() -> None:
    network = ws.Network(dt=0.5)
    units = network.create((2, 3), ws.Neuron("a = 1.0", "r = t"))
    whole, some = network.monitor(units, ["r", "a"]), network.monitor(units[:, 1:], "r")
    network.monitor(units, "r")  # nobody holds it
    network.compile()
    network.simulate(2.0)
    assert whole.get("a", keep=True).shape == (4, 2, 3) and some.get("r").shape == (4, 2, 2)
    assert whole.times("r") == {"r": {"start": [0.0], "stop": [2.0]}}
    assert len(network._monitors) == 2


def _check_loading() -> None:
    with pytest.raises(ws.StateError, match="not compiled"):
        ws.Network().load("nothing.npz")


def _check_callbacks() -> None:
    network = ws.Network()
    times = []
    network.every(3.0)(lambda number: times.append(network.time))
    network.compile()
    for _ in range(2):
        network.simulate(4.0)
    assert times == [0.0, 3.0, 6.0]
    network.clear_all_callbacks()
    times.clear()
    network.every(3.0, offset=4.0)(lambda number: times.append((number, network.time)))
    network.every(5.0, offset=-1.0)(lambda number: times.append((number, network.time)))
    network.reset()
    network.simulate(6.0)
    assert times == [(0, 4.0), (0, 4.0)]
    with pytest.raises(ValueError, match="wait is -1"):
        network.every(3.0, wait=-1.0)


OTHERS = (
    Other(
        "NaN",
        "A maximum or minimum skips NaN.",
        "NaN goes through all four operations, to every unit whose filter touches it and no further.",
        _check_nan,
    ),
    Other(
        "`subsampling` as an array, and centres outside",
        "A NumPy array fails, although it is documented; centres are not checked.",
        "Lists and arrays are accepted. A centre outside pre is an error.",
        _check_subsampling,
    ),
    Other(
        "Other words for `padding`",
        "Every string means `'border'`.",
        "`'border'`, `'reflect'`, `'wrap'`, `'ignore'` and `'valid'` have a meaning; other strings are "
        "errors.",
        _check_padding_names,
    ),
    Other(
        "A delay of one step",
        "`delays` equal to `dt` fails in ANNarchy 5 with an AttributeError.",
        "It is no delay beyond the step that every projection takes.",
        _check_one_step_delay,
    ),
    Other(
        "`SharedProjection` layer-wise, or with one dimension",
        "In ANNarchy 4.5 to 4.7 `keep_last_dimension`, and sums over filters of one dimension, do not "
        "compile.",
        "They compute what the documentation says.",
        _check_layers_and_lines,
    ),
    Other(
        "`center()`",
        "Right before `compile()`, broken after; a tuple fails; gone in ANNarchy 5.",
        "A rank, coordinates or a tuple of coordinates, at any time, on every class with filters. It always "
        "has as many entries as pre has dimensions: for a bank the number of the filter is not appended.",
        _check_center,
    ),
    Other(
        "One filter, and post with more dimensions than pre",
        "Not checked: undefined behaviour.",
        "An error that names both shapes.",
        _check_post_rank,
    ),
    Other(
        "Copies",
        "`Copy` does not compile in ANNarchy 5 and `SharedProjection.copy` fails in 4.7; the documented "
        "delay of the original is not applied.",
        "All four operations; the weights are used by reference, and the delay is that of the original.",
        _check_copy,
    ),
    Other(
        "Durations that are no whole number of steps",
        "`simulate()` rounds up.",
        "An error. 0.3 ms is three steps of 0.1 ms.",
        _check_durations,
    ),
    Other(
        "Precision",
        "float64 unless asked otherwise.",
        "float32 unless asked otherwise: `setup(dtype='float64')` or `Network(dtype='float64')`.",
        _check_precision,
    ),
    Other(
        "Rates and weights that a script reads",
        "Arrays that may be written to, with or without an effect.",
        "Read-only arrays, so that no change is lost: assign to `population.r` and `projection.weights`.",
        _check_read_only,
    ),
    Other(
        "Grey images",
        "`ImagePopulation((height, width, 1))` becomes a population with two dimensions.",
        "The geometry asked for is kept.",
        _check_image_geometry,
    ),
    Other(
        "`post.r` in the psp of a shared projection",
        "Does not compile.",
        "An error when the projection is created.",
        _check_post_rate,
    ),
    Other(
        "`post.r`, `pre.v` and the like in the psp of a `Synapse`",
        "Values of the step before.",
        "An error when the synapse is defined: a psp reads `w` and `pre.r`.",
        _check_values_in_psp,
    ),
    Other(
        "Arguments about generated code",
        "`compile(directory=, clean=, compiler=, silent=, ...)`, `setup(sparse_matrix_format=, verbose=, "
        "suppress_warnings=, show_time=, ...)`, "
        "`storage_format`, `storage_order` and `force_multiple_weights` of the connectors, `disable_omp`, `copied`.",
        "Accepted and ignored: no result depends on them. What has a meaning that is missing here is an error "
        "which says what to do: `setup(paradigm='cuda', precision=, method='midpoint', structural_plasticity=True)`, "
        "`simulate(callbacks=False)`, `stop_condition`, "
        "a `net_id` that is not 0, equations of a `Synapse`, and so on.",
        _check_generated_code,
    ),
    Other(
        "Functions and methods that are not there",
        "".join(
            (
                ", ".join(f"`{name}`" for name in _ABSENT),
                "; of projections ",
                ", ".join(f"`{name}`" for name in _ABSENT_IN_PROJECTIONS),
                ".",
            )
        ),
        "None of them. There are `get_time`, `get_current_step`, `dt`, `set_seed` (before `compile()`), `populations`, "
        "`projections`, `get_population`, `get_projection`; `projection.w` is `projection.weights`.",
        _check_absent,
    ),
    Other(
        "Parameters and variables whose names begin with `_`",
        "Accepted.",
        "An error when the neuron is defined.",
        _check_names,
    ),
    Other(
        "Values of parameters and variables flagged `int` or `bool`",
        "Converted.",
        "An error for what is no whole number, or neither 0 nor 1; NaN and distributions too.",
        _check_types,
    ),
    Other(
        "Divisions of parameters and variables flagged `int`",
        "C's: of two of them, or of one and a whole number, the fraction is dropped. With n = 7 and m = 2 `n/m` is 3, "
        "but `n/m*f` with a floating-point f is `f*7/2`.",
        "Real division always: `n/m` is 3.5, `floor(n/m)` drops the fraction, and so does the assignment to a variable "
        "flagged `int`.",
        _check_whole_divisions,
    ),
    Other(
        "Fractions of whole numbers in equations",
        "`r = 1/2` gives 0 and `r = f + 3/2` adds 1, as in C, but `1/2*f` is `f/2`; `1.0/2.0` is 0.5.",
        "`1/2` is 0.5 everywhere.",
        _check_fractions,
    ),
    Other(
        "`w` of a `Projection`",
        "Lists, one for each post unit that has synapses (`post_ranks` and `pre_ranks` say which); one number where "
        "all weights are the same number.",
        "An array (post.size, pre.size) with NaN where there is no synapse, in every case.",
        _check_individual_weights,
    ),
    Other(
        "`net.create(InputArray(...))`, and so for other populations made before",
        "Makes a copy, which is a plain `Population`; the object given stays outside of the network.",
        "The object itself joins the network and is returned. An `InputArray` has no equation.",
        _check_moved_inputs,
    ),
    Other(
        "`mean(v)`, `max(v)`, `min(v)`, `norm1(v)`, `norm2(v)` in equations",
        "Computed at the end of a step for the next one: 0 in the first, and values assigned from Python count one "
        "step later.",
        "Computed from the values before the update, assigned ones included.",
        _check_statistics,
    ),
    Other(
        "`sum()` in equations",
        "Documented as the sum over all targets; the generated code of ANNarchy 5.0.3 leaves it at 0.",
        "The sum over all targets that feed the population.",
        _check_sum_of_all,
    ),
    Other(
        "Views",
        "A parameter that is common to all units can be assigned through a view after `compile()`.",
        "An error: assign it to the population. A rank named twice in an index is an error too.",
        _check_views,
    ),
    Other(
        "Distributions in a dictionary of parameters",
        "A parameter is global unless `Parameter(..., locality='local')` says otherwise.",
        "`{'a': Uniform(0, 1)}` is local: each unit draws its own.",
        _check_local_distributions,
    ),
    Other(
        "When a `TimedArray` is read",
        "Its update sets frame t during step t, so projections read it one step later.",
        "Frame t is set before step t, and projections read it in step t.",
        _check_first_frame,
    ),
    Other(
        "Times of a `TimedArray`",
        "Brought to whole steps silently, in any order; `period=0` never begins again.",
        "Times must be whole numbers of steps and increase; `period=0` is an error.",
        _check_frame_times,
    ),
    Other(
        "`r` of a `TimedArray`",
        "Cannot be assigned.",
        "May be assigned, and holds until the next frame.",
        _check_assigned_frames,
    ),
    Other(
        "`TimedArray.update()` after `compile()`",
        "ANNarchy 5 begins at the first of the new frames unless `reset=False`.",
        "No frame is shown at once: times go on counting from `compile()` or the last `reset()`, and `reset=True` is "
        "an error that names `reset()`.",
        _check_updated_frames,
    ),
    Other(
        "`VideoPopulation`",
        "Cameras only.",
        "Cameras with the same calls, `release()` included; also files, folders and arrays, by `set_movie`.",
        _check_videos,
    ),
    Other(
        "Monitors",
        "Parameters cannot be recorded; rows of a view have one axis; `times()` gives steps; a monitor records "
        "though no variable holds it.",
        "Parameters can be recorded; rows of a view have its geometry; `times()` is in ms; a monitor that nobody "
        "holds records nothing.",
        _check_monitors,
    ),
    Other(
        "`load()`",
        "Unpickles the file, at any time.",
        "Needs a compiled network, and never unpickles.",
        _check_loading,
    ),
    Other(
        "Times of `every()`",
        "Counted from each call of `simulate()`, and so is the number that the function gets. An `offset` of a period "
        "or more counts as 0, a negative `wait` too.",
        "Absolute, however a run is cut into calls of `simulate()`. Any positive `offset` is taken as it is, and a "
        "negative `wait` is an error. A negative `offset` counts from the end of a period in both libraries.",
        _check_callbacks,
    ),
)


# --- The page -----------------------------------------------------------------------------------------------


def rendering() -> str:
    """Return the part of the page that the tables say."""
    lines = [MARK, "## Results that differ", ""]
    for tag, quirk in QUIRKS.items():
        lines += [
            f"### {quirk.title}",
            "",
            f"**ANNarchy:** {quirk.annarchy}",
            "",
            f"**Here:** {quirk.here}",
            "",
            f"**How the two relate:** {quirk.relation}",
            "",
            f"(Tag of the test files: `{tag}`.)",
            "",
        ]
    lines += [
        "## Calls that only one of the two accepts",
        "",
        "| call | ANNarchy | here | why |",
        "|---|---|---|---|",
    ]
    for decision in DECISIONS.values():
        there, here = ("accepted", "refused") if decision.result is None else ("refused", "accepted")
        lines.append(f"| {decision.title} | {there} | {here} | {decision.reason} |")
    lines += ["", "## Other differences", "", "| | ANNarchy | here |", "|---|---|---|"]
    lines += [f"| {other.title} | {other.annarchy} | {other.here} |" for other in OTHERS]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    head = PAGE.read_text().split(MARK)[0]
    PAGE.write_text(head + rendering())
