"""Where ANNarchy computes something else, or only one of the two libraries accepts a call.

`QUIRKS` is about results: its tags are those of the golden files. `change` rewrites a projection of such a
file so that this library computes what ANNarchy did; `agrees` says where the unchanged projection gives the
same anyway. `DECISIONS` is about calls that one of the two libraries refuses and the other accepts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from other_systems.annarchy_cases import Array, Call


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
        "The number is added to the sum as it is, without the weight and the psp. Nor is it added for each "
        "element outside: ANNarchy loops over the axes one within the other, and where an index is outside the "
        "number is added once and the inner loops are skipped.",
        "The population goes on beyond its border with units of that rate. They meet their weights and the "
        "psp like all others. ANNarchy's documentation says the same.",
        "Where no element of the filter lies outside, the results are the same. Elsewhere ANNarchy's sum is "
        "the one with `padding='ignore'`, plus the number times how often it is added. A mean divides "
        "both by the size of the filter. With the default padding 0.0 and a psp that is 0 there, both "
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
        "The same. It is listed because it is easily overlooked that n = 0 and n = 1 do not differ.",
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
        "A sum is well defined, and ANNarchy 4 had it.",
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
