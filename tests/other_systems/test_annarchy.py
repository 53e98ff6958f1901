"""What ANNarchy computed, computed again through the public classes.

Every golden file is run. A file without quirks must come out as it is; the quirks that a file names are
looked up in `annarchy_quirks.QUIRKS`, and what this table says about them must hold.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from other_systems.annarchy_cases import FOLDERS, Call, Case, attempt, cases, error_records
from other_systems.annarchy_page import MARK, OTHERS, PAGE, rendering
from other_systems.annarchy_quirks import DECISIONS, QUIRKS
from strategies.backends import BACKENDS

PATHS = cases()
RECORDS = error_records()

each_case = pytest.mark.parametrize("name", PATHS)
each_backend = pytest.mark.parametrize("backend", BACKENDS)
each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])


@cache
def load(name: str) -> Case:
    return Case(PATHS[name])


def changed_as_the_table_says(case: Case) -> dict[str, Call]:
    calls = dict(case.calls)
    for tag, quirk in QUIRKS.items():
        if tag in case.quirks:
            calls = {name: quirk.change(call) for name, call in calls.items()}
    return calls


def assert_same(result, case, dtype):
    assert result.keys() == case.expected.keys() != set()
    for name, expected in case.expected.items():
        np.testing.assert_allclose(result[name], expected, rtol=0.0, atol=case.tolerance(dtype), err_msg=name)


def test_there_are_files():
    assert all(any(folder.glob("*.npz")) for folder in FOLDERS)
    assert len(PATHS) >= 155 and len(RECORDS) >= 30


@each_case
def test_every_quirk_is_in_the_table(name):
    assert set(load(name).quirks) <= set(QUIRKS)


@each_case
@each_backend
@each_dtype
def test_golden_file(name, backend, dtype):
    """Without quirks as it is; with quirks ANNarchy's result out of ours, and ours where they agree."""
    case = load(name)
    if not case.quirks:
        assert_same(case.run(backend, dtype), case, dtype)
        return
    assert_same(case.run(backend, dtype, changed_as_the_table_says(case)), case, dtype)
    rows = [QUIRKS[tag] for tag in case.quirks]
    if any(row.refused for row in rows):
        with pytest.raises(ValueError, match=r"\(\d+, \d+"):
            case.build(dtype)
        return
    result = case.run(backend, dtype)
    if len(case.calls) == 1 and all(row.agrees for row in rows):
        (call,), ((population, expected),) = case.calls.values(), case.expected.items()
        same = np.ones(expected.shape, dtype=bool)
        for row in rows:
            same &= row.agrees(call, expected)
        np.testing.assert_allclose(
            result[population][same], expected[same], rtol=0.0, atol=case.tolerance(dtype)
        )


@pytest.mark.parametrize("tag", QUIRKS)
def test_every_row_of_the_table_is_about_a_real_difference(tag):
    """Some file with the tag, alone if there is one, comes out differently unless the row denies that."""
    tagged = [load(name) for name in PATHS if tag in load(name).quirks]
    alone = [case for case in tagged if case.quirks == [tag]]
    assert tagged
    differences = []
    for case in alone or tagged:
        if QUIRKS[tag].refused:
            with pytest.raises(ValueError):
                case.build("float64")
            continue
        result = case.run("cpu", "float64")
        differences += [np.abs(result[name] - expected).max() for name, expected in case.expected.items()]
    assert (max(differences, default=1.0) > 1e-3) == (tag != "delay_of_external_rates")


@each_case
def test_centres_and_corners(name):
    """The coordinates that ANNarchy lists: centres of filters, first corners of pooling regions."""
    case = load(name)
    _, _, projections = case.build("float64", changed_as_the_table_says(case))
    for call_name, projection in projections.items():
        call = case.calls[call_name]
        if call.coordinates is None:
            continue
        axes = len(call.pre_geometry)
        if any(QUIRKS[tag].refused for tag in case.quirks):
            axes -= 1  # The middle of a filter depends on its extent along the last axis, which was changed.
        units = len(call.coordinates)
        for rank in {0, units // 3, units // 2, units - 1}:
            expected = tuple(call.coordinates[rank, :axes])
            if call.is_pooling:
                assert tuple(projection.receptive_field(rank)[0][0]) == expected
            else:
                assert projection.center(rank)[:axes] == expected


@each_case
@each_backend
def test_projections_called_on_arrays(name, backend):
    """The rates of all steps as one batch, without a network, if the file is about one projection."""
    case = load(name)
    _, _, projections = case.build("float64", changed_as_the_table_says(case), backend)
    for call_name, projection in projections.items():
        assert projection.describe()["backend"] == backend
        call, key = case.calls[call_name], f"in_{case.calls[call_name].pre}"
        plain = len(projections) == 1 and not case.quirks and projection.delays == 0.0 and key in case.arrays
        if plain and case.meta["populations"][call.post]["equations"] == "r = sum(exc)":
            rates, expected = case.arrays[key], case.expected[call.post]
        else:
            # No result of this projection alone: a batch of two must still be two calls.
            rates = np.random.default_rng(0).random((2, *call.pre_geometry))
            expected = np.stack([projection(one) for one in rates])
        np.testing.assert_allclose(projection(rates), expected, rtol=0.0, atol=case.tolerance("float64"))


@pytest.mark.parametrize("name", RECORDS)
def test_calls_that_annarchy_refused(name):
    """We refuse them too, or the table says why not."""
    record = RECORDS[name]
    decision = DECISIONS.get(record["name"])
    accepted = decision is not None and decision.result is not None
    assert (record["raises"] is None) == (decision is not None and not accepted)
    if not accepted:
        with pytest.raises((ValueError, TypeError)):
            attempt(record)
        return
    projection = attempt(record)
    rates = np.random.default_rng(1).random(projection.pre.geometry)
    np.testing.assert_allclose(projection(rates), decision.result(rates), rtol=1e-12)


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: other.title)
def test_other_differences(other):
    other.check()


def test_the_page_says_what_the_table_says():
    """Run annarchy_page.py after a change of a table."""
    head, mark, tail = PAGE.read_text().partition(MARK)
    assert head.startswith("# Differences from ANNarchy\n") and mark + tail == rendering()
