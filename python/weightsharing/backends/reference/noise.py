"""Specification section 6: noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...checks.shapes import Array


def philox(counter: Sequence[ArrayLike], key: tuple[int, int]) -> list[NDArray[np.uint64]]:
    """Philox4x32-10 (Salmon et al. 2011): four 32-bit words, in arrays of uint64, of four counter words."""
    low = np.uint64(0xFFFFFFFF)
    c = [np.asarray(word, dtype=np.uint64) for word in counter]
    k = [int(word) for word in key]
    for _ in range(10):
        first, second = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [
            (second >> np.uint64(32)) ^ c[1] ^ np.uint64(k[0]),
            second & low,
            (first >> np.uint64(32)) ^ c[3] ^ np.uint64(k[1]),
            first & low,
        ]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


def noise_key(seed: int, population: int, trial: int) -> tuple[int, int]:
    """Return the key of the noise of one trial of one population."""
    words = philox((population, trial, 0x6E6F6973, 0), (seed % 2**32, seed >> 32))
    return int(words[0]), int(words[1])


def noise(kind: str, key: tuple[int, int], units: int, step: int, occurrence: int, double: bool) -> Array:
    """Return one raw draw per unit: 'uniform' in [0, 1), or standard 'normal' by Box and Muller.

    A group of four neighbouring units of float32, two of float64, shares the four words of one counter.
    """
    per_group = 2 if double else 4
    group = np.arange(-(-units // per_group), dtype=np.uint64)
    high = (group >> np.uint64(32)) | np.uint64((step >> 32) << 16)
    words = philox((group & np.uint64(0xFFFFFFFF), high, step % 2**32, occurrence), key)
    if double:
        pairs = [words[1] << np.uint64(32) | words[0], words[3] << np.uint64(32) | words[2]]
        even = [(pair >> np.uint64(11)).astype(np.float64) * 2.0**-53 for pair in pairs]
        if kind == "uniform":
            return np.stack(even, axis=-1).ravel()[:units]
        return _box_muller(even[0] + 2.0**-53, even[1])[:units]
    single = [word.astype(np.uint32) for word in words]
    evenly = [(word >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24) for word in single]
    if kind == "uniform":
        return np.stack(evenly, axis=-1).ravel()[:units]
    positive = [word.astype(np.float32) * np.float32(2.0**-32) + np.float32(2.0**-33) for word in single]
    radius_from = np.stack([positive[0], positive[2]], axis=-1).ravel()
    return _box_muller(radius_from, np.stack([evenly[1], evenly[3]], axis=-1).ravel())[:units]


def _box_muller(radius_from: Array, turn: Array) -> Array:
    real = radius_from.dtype.type
    radius = np.sqrt(real(-2) * np.log(radius_from))
    angle = real(2 * np.pi) * turn
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1).ravel()
