"""Projections called on arrays, and what is refused."""

import numpy as np
import pytest

import weightsharing as ws
from strategies.backends import BACKENDS
from strategies.projections import convolution, populations

pytestmark = pytest.mark.usefixtures("network")


@pytest.mark.parametrize("backend", BACKENDS)
def test_call_with_and_without_batch(backend):
    pre, post = populations((5, 6), (5, 6))
    projection = ws.Convolution(pre, post, "exc", backend=backend).connect_filter([[1.0, 2.0, 4.0]])
    rates = np.random.default_rng(0).normal(size=(3, 5, 6))
    padded = np.pad(rates, ((0, 0), (0, 0), (1, 1)))
    expected = padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + 4 * padded[:, :, 2:]
    batch = projection(rates)
    assert batch.dtype == np.float32
    np.testing.assert_allclose(batch, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(projection(rates[1]), batch[1])
    np.testing.assert_array_equal(projection(rates[1].tolist()), batch[1])
    np.testing.assert_array_equal(projection(np.asfortranarray(rates)), batch)
    out = np.full((3, 5, 6), np.nan, np.float32)
    assert projection(rates, out=out) is out
    np.testing.assert_array_equal(out, batch)
    assert projection(np.zeros((0, 5, 6))).shape == (0, 5, 6)


def test_refused_calls():
    projection = convolution((4, 4), (2, 2), np.ones((3, 3)))
    for wrong, error in [
        (np.zeros((4, 5)), ValueError),
        (np.zeros(16), ValueError),
        (np.zeros((1, 1, 4, 4)), ValueError),
        (np.zeros((4, 4), complex), TypeError),
        (np.full((4, 4), "1"), TypeError),
        ([[0.0], [0.0, 1.0]], ValueError),
    ]:
        with pytest.raises(error, match=r"^r"):
            projection(wrong)
    read_only = np.zeros((2, 2), np.float32)
    read_only.setflags(write=False)
    shared = np.zeros(20, np.float32)
    unaligned = np.zeros(17, np.uint8)[1:].view(np.float32).reshape(2, 2)
    for wrong, error in [
        (np.zeros((2, 2)), TypeError),
        (np.zeros((2, 2), ">f4"), TypeError),
        ([[0.0, 0.0], [0.0, 0.0]], TypeError),
        (np.zeros((1, 2, 2), np.float32), ValueError),
        (np.zeros((2, 4), np.float32)[:, ::2], ValueError),
        (np.zeros((2, 2), np.float32).T, ValueError),
        (read_only, ValueError),
        (unaligned, ValueError),
        (shared[12:16].reshape(2, 2), ValueError),
    ]:
        with pytest.raises(error, match=r"^out"):
            projection(shared[:16].reshape(4, 4), out=wrong)


def test_calls_need_no_network_to_be_compiled_and_no_rates():
    projection = convolution((4, 4), (4, 4), np.ones((1, 1)), delays=3.0)
    np.testing.assert_array_equal(projection(np.eye(4)), np.eye(4))
    assert not projection.post.r.any()
