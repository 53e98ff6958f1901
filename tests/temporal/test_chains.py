"""Chains of layers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weightsharing as ws
from strategies.backends import BACKENDS
from strategies.temporal import random
from weightsharing import temporal


def test_a_chain_has_no_latency():
    movie = random(1, 1, 6, 3, 3)
    chain = temporal.Sequential(*(temporal.Conv3d() for _ in range(4)), temporal.NLSquare())
    for i in range(4):
        chain[i].set_weight(1.0)
    np.testing.assert_allclose(chain.run(movie), movie**2, rtol=1e-5)


def test_chains_of_several_networks_compute_one_layer_after_the_other():
    movie = random(1, 1, 9, 4, 4).astype("f4")

    def layers():
        first, last = temporal.Conv3d(bias=False), temporal.Conv3d(bias=False, time_pad=False)
        first.set_weight(random(3, 2, 2, seed=1))
        first.time_pad.mode = "mirror"
        last.set_weight(random(2, 1, 1, seed=2))
        return [temporal.NLRectify(), first, temporal.Diff(), temporal.TimePadding(2, "mean"), last]

    alone, chain = layers(), temporal.Sequential(*layers())
    for piece in (movie[:, :, :5], movie[:, :, 5:]):
        expected = piece
        for layer in alone:
            expected = layer.run(expected)
        np.testing.assert_array_equal(chain.run(piece), expected)
    assert expected.shape[2] == 4 + 2 - 1


def test_cascades_end_with_the_default_nonlinearity():
    cascade, movie = temporal.LNCascade(n=1), random(5, 3, 3)
    cascade.linearities[0].set_weight(2.0)
    cascade.add_layer(temporal.Diff(), temporal.Nonlinearity("r = abs(sum(exc))"))
    cascade.add_layer()
    cascade.linearities[2] = None
    rectified = np.maximum(2.0 * movie, 0.0)
    expected = np.abs(np.diff(rectified, axis=0, prepend=rectified[:1]))
    np.testing.assert_allclose(cascade.run(movie), expected, rtol=1e-5, atol=1e-6)
    cascade.nonlinearities[1] = temporal.NLRectify()
    with pytest.raises(ws.StateError, match="structure of the model"):
        cascade.run(movie)
    cascade.clear_state()
    np.testing.assert_allclose(
        cascade.run(movie),
        np.maximum(np.diff(rectified, axis=0, prepend=rectified[:1]), 0.0),
        rtol=1e-5,
        atol=1e-6,
    )


def some_layers():
    filters, spatial, temporal_only = temporal.Conv3d(), temporal.Conv2d(), temporal.Conv1d(bias=False)
    filters.set_weight(random(3, 2, 3, seed=1))
    spatial.set_weight(random(3, 3, seed=2))
    temporal_only.exponential(0.002)
    return {
        "filters": filters,
        "spatial": spatial,
        "exponential": temporal_only,
        "low pass": temporal.TemporalLowPassFilterRecursive(0.003),
        "delay": temporal.Delay(2),
        "delays": temporal.VariableDelay(np.arange(12.0).reshape(3, 4) / 3.0),
        "difference": temporal.Diff(),
        "rectifier": temporal.NLRectify(),
    }


@given(
    st.lists(st.sampled_from(sorted(some_layers())), min_size=1, max_size=4, unique=True),
    st.lists(st.integers(1, 6), min_size=1, max_size=4),
)
def test_pieces_of_chains(names, lengths):
    """Any cut gives the same, on every backend, and the same as one layer after the other."""
    movie = random(2, 1, sum(lengths), 3, 4)
    expected = movie
    for name in names:
        layer = some_layers()[name]
        layer.compile(backend="reference", dtype="float64")
        expected = layer.run(expected)
    for backend in BACKENDS:
        chain = temporal.Sequential(*(some_layers()[name] for name in names))
        chain.compile(backend=backend, dtype="float64")
        ends = np.cumsum(lengths)
        pieces = [
            chain.run(movie[:, :, end - length : end]) for end, length in zip(ends, lengths, strict=True)
        ]
        whole = np.concatenate(pieces, axis=2)
        np.testing.assert_allclose(whole, expected, rtol=1e-11, atol=1e-11)
        chain.clear_state()
        np.testing.assert_array_equal(chain.run(movie), whole)


def test_an_empty_chain_shows_the_movie():
    movie = random(1, 2, 3, 2, 2).astype("f4")
    np.testing.assert_array_equal(temporal.Sequential().run(movie), movie)


def test_smooth_convolutions_add_up_their_components():
    layer, movie = temporal.SmoothConv(2, 0.01, (2, 3)), random(1, 1, 7, 4, 4)
    for i, filters in enumerate(layer.g):
        filters.set_weight(random(1, 2, 3, seed=i))
    whole = layer.run(movie)
    layer.clear_state()
    parts = layer.get_all_components(movie, dt=3)
    assert parts.shape == (1, 2, 7, 4, 4)
    np.testing.assert_allclose(parts.sum(axis=1, keepdims=True), whole, rtol=1e-4, atol=1e-6)


def test_backends_and_dtypes():
    movie, results = random(1, 1, 8, 5, 5), {}
    for backend, dtype in itertools.product(BACKENDS, ["float32", "float64"]):
        cascade = temporal.LNCascade(n=2)
        for i, filters in enumerate(cascade.linearities):
            filters.set_weight(random(3, 3, 2, seed=i))
        cascade.compile(backend=backend, dtype=dtype)
        results[backend, dtype] = cascade.run(movie, dt=3)
        assert results[backend, dtype].dtype == dtype
    for result in results.values():
        np.testing.assert_allclose(result, results["reference", "float64"], rtol=1e-4, atol=1e-5)
    for backend in BACKENDS:
        np.testing.assert_allclose(
            results[backend, "float64"], results["reference", "float64"], rtol=1e-12, atol=1e-13
        )
