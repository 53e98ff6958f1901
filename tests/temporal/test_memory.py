"""What a layer remembers from run to run."""

from __future__ import annotations

import numpy as np
import pytest

import weightsharing as ws
from strategies.temporal import random
from weightsharing import temporal


def low_pass():
    layer = temporal.Sequential(temporal.TemporalLowPassFilterRecursive(0.004), temporal.Diff())
    return layer, random(1, 1, 12, 3, 4).astype("f4")


def test_pop_restores_what_was_pushed_whatever_ran_since():
    layer, movie = low_pass()
    whole = layer.run(movie)
    layer.clear_state()
    layer.run(movie[:, :, :4])
    layer.push_state()
    layer.run(movie[:, :, 7:])
    layer.push_state()
    layer.clear_state()
    layer.run(random(2, 3, 4, 5, 6))
    layer.pop_state()
    layer.pop_state()
    np.testing.assert_array_equal(layer.run(movie[:, :, 4:]), whole[:, :, 4:])
    with pytest.raises(ws.StateError, match="no state was pushed"):
        layer.pop_state()


def test_pushing_before_the_first_run():
    layer, movie = low_pass()
    layer.push_state()
    whole = layer.run(movie)
    layer.pop_state()
    np.testing.assert_array_equal(layer.run(movie), whole)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1, 1, 2, 4, 4), r"image size \(4, 4\), 1 channels.*memory the image size \(3, 4\).*clear_state"),
        ((1, 2, 2, 3, 4), "2 channels and a batch of 1"),
        ((3, 1, 2, 3, 4), "batch of 3"),
    ],
)
def test_another_shape_leaves_the_memory_as_it_was(shape, words):
    layer, movie = low_pass()
    whole = layer.run(movie)
    layer.clear_state()
    layer.run(movie[:, :, :5])
    with pytest.raises(ws.StateError, match=words):
        layer.run(np.zeros(shape))
    with pytest.raises(ws.StateError, match="clear_state"):
        layer.compile(dtype="float64")
    np.testing.assert_array_equal(layer.run(movie[:, :, 5:]), whole[:, :, 5:])
    layer.clear_state()
    assert layer.run(np.zeros(shape)).shape == shape


def test_without_memory_any_shape_will_do():
    layer = temporal.Sequential(temporal.Conv2d(), temporal.NLRectify())
    for shape in [(1, 1, 2, 3, 3), (2, 1, 5, 4, 3), (4, 2, 2)]:
        assert layer.run(np.ones(shape)).shape == shape


def test_a_movie_that_does_not_fit_is_found_before_the_first_frame():
    layer, movie = low_pass()
    whole = layer.run(movie)
    layer.clear_state()
    layer.run(movie[:, :, :5])
    wrong = np.zeros((1, 1, 4, 3, 4))
    wrong[0, 0, 3] = 1e300
    with pytest.raises(ValueError, match="movie: a finite number does not fit float32"):
        layer.run(wrong, dt=1)
    np.testing.assert_array_equal(layer.run(movie[:, :, 5:]), whole[:, :, 5:])


def test_equations_with_a_state_are_memory():
    total = temporal.Nonlinearity("r += sum(exc)")
    assert total.run(np.ones((3, 1, 1))).ravel().tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(ws.StateError, match="clear_state"):
        total.run(np.ones((3, 2, 2)))
    assert total.run(np.ones((2, 1, 1)), dt=1).ravel().tolist() == [4.0, 5.0]


def test_trials_of_a_batch_are_independent():
    layer, _ = low_pass()
    trials = random(3, 1, 6, 3, 4)
    together = layer.run(trials)
    for trial in range(3):
        layer.clear_state()
        np.testing.assert_array_equal(layer.run(trials[trial : trial + 1]), together[trial : trial + 1])
