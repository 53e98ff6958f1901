"""Layers and movies for the checks of the tables."""

from __future__ import annotations

import numpy as np

from weightsharing import temporal


def random_movie(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).random(shape).astype("f4")


def conv(weight: object, **options: object) -> temporal.Conv3d:
    layer = temporal.Conv3d(bias=False)
    layer.set_weight(weight, **options)
    return layer


def close(computed: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(computed, expected, rtol=1e-5, atol=1e-6)
