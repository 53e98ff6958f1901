"""Ready-made responses and movies."""

from __future__ import annotations

import numpy as np

from weightsharing import samples, temporal


def test_responses():
    np.testing.assert_allclose(temporal.exponential_filter_1d(0.02).sum(), 1.0, rtol=0.02)
    np.testing.assert_allclose(temporal.exponential_filter_1d(0.02, n=4).sum(), 1.0, rtol=0.02)
    np.testing.assert_allclose(temporal.exponential_highpass_filter_1d(0.02, 0.5).sum(), 0.5, rtol=0.05)
    np.testing.assert_allclose(temporal.gauss_filter_2d(0.3, 0.2).sum(), 1.0, rtol=0.01)
    assert temporal.gauss_filter_2d(0.0, 0.0).tolist() == [[1.0]]
    for even in (True, False):
        assert len(temporal.exponential_filter_1d(0.02, even=even)) % 2 == 1 - even
    fine = temporal.Resolution(steps_per_second=10_000.0)
    assert len(temporal.exponential_filter_1d(0.005, resolution=fine)) == 150
    assert len(temporal.exponential_filter_1d(0.05, resolution=fine)) == 347
    finer = temporal.Resolution(filter_epsilon=1e-9)
    assert len(temporal.exponential_filter_1d(0.5, resolution=finer)) == 1000


def test_moving_gratings_move():
    movie = samples.moving_grating(t=50, x=6, y=5, vt=0.2, vx=1.0, vy=0.0)
    assert movie.shape == (50, 6, 5) and movie.dtype == np.float64
    assert np.abs(movie).max() <= 1.0
    np.testing.assert_array_equal(movie[..., 0], movie[..., -1])
    np.testing.assert_allclose(movie[7, 2, 3], np.sin(0.2 * 7 * 50 / 49 + (-1 + 2 * 2 / 5)), rtol=1e-12)
