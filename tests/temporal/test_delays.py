"""Delays."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from strategies.temporal import HISTORIES, before, random
from weightsharing import temporal


@given(st.integers(0, 4), st.integers(0, 4), st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_delays_with_a_length(delay, length, chunks):
    layer, movie = temporal.Delay(delay, length), random(1, 2, sum(chunks), 2, 2).astype("f4")
    past = np.concatenate([np.zeros((1, 2, delay + length, 2, 2), "f4"), movie], axis=2)
    start = 0
    for chunk in chunks:
        result = layer.run(movie[:, :, start : start + chunk])
        np.testing.assert_array_equal(result, past[:, :, start : start + length + chunk])
        start += chunk


@given(st.integers(0, 5), st.sampled_from(HISTORIES), st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_time_padding(length, mode, chunks):
    layer, movie = temporal.TimePadding(length, mode), random(2, 1, sum(chunks), 2, 3)
    layer.compile(dtype="float64")
    past = np.concatenate([before(movie[:, :, : chunks[0]], mode, length), movie], axis=2)
    start = 0
    for chunk in chunks:
        result = layer.run(movie[:, :, start : start + chunk])
        np.testing.assert_allclose(result, past[:, :, start : start + length + chunk], rtol=1e-14, atol=1e-15)
        start += chunk


def test_delays_of_pixels_are_the_same_for_all_channels():
    delays, movie = np.array([[0.0, 1.9, 2.0], [3.0, 0.5, 1.0]]), random(2, 2, 6, 2, 3).astype("f4")
    result = temporal.VariableDelay(delays).run(movie, dt=4)
    for x, y in np.ndindex(2, 3):
        late = int(delays[x, y])
        np.testing.assert_array_equal(result[:, :, late:, x, y], movie[:, :, : 6 - late, x, y])
        assert not result[:, :, :late, x, y].any()
    np.testing.assert_array_equal(temporal.VariableDelay().run(movie), movie)
