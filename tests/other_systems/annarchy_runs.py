"""Differences from ANNarchy in inputs, monitors, files and callbacks, with a check of every row."""

from __future__ import annotations

from typing import Any

import pytest

import weightsharing as ws
from other_systems.differences import Difference


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
    assert len(network._assembly.keepers) == 2


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


RUNS = (
    Difference(
        "When a `TimedArray` is read",
        "Its update sets frame t during step t, so projections read it one step later.",
        "Frame t is set before step t, and projections read it in step t.",
        _check_first_frame,
    ),
    Difference(
        "Times of a `TimedArray`",
        "Brought to whole steps silently, in any order; `period=0` never begins again.",
        "Times must be whole numbers of steps and increase; `period=0` is an error.",
        _check_frame_times,
    ),
    Difference(
        "`r` of a `TimedArray`",
        "Cannot be assigned.",
        "May be assigned, and holds until the next frame.",
        _check_assigned_frames,
    ),
    Difference(
        "`TimedArray.update()` after `compile()`",
        "ANNarchy 5 begins at the first of the new frames unless `reset=False`.",
        "No frame is shown at once: times go on counting from `compile()` or the last `reset()`, and `reset=True` is "
        "an error that names `reset()`.",
        _check_updated_frames,
    ),
    Difference(
        "`VideoPopulation`",
        "Cameras only.",
        "Cameras with the same calls, `release()` included; also files, folders and arrays, by `set_movie`.",
        _check_videos,
    ),
    Difference(
        "Monitors",
        "Parameters cannot be recorded; rows of a view have one axis; `times()` gives steps; a monitor records "
        "though no variable holds it.",
        "Parameters can be recorded; rows of a view have its geometry; `times()` is in ms; a monitor that nobody "
        "holds records nothing.",
        _check_monitors,
    ),
    Difference(
        "`load()`",
        "Unpickles the file, at any time.",
        "Needs a compiled network, and never unpickles.",
        _check_loading,
    ),
    Difference(
        "Times of `every()`",
        "Counted from each call of `simulate()`, and so is the number that the function gets. An `offset` of a period "
        "or more counts as 0, a negative `wait` too.",
        "Absolute, however a run is cut into calls of `simulate()`. Any positive `offset` is taken as it is, and a "
        "negative `wait` is an error. A negative `offset` counts from the end of a period in both libraries.",
        _check_callbacks,
    ),
)
