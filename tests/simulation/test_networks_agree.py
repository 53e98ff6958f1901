"""Random networks: the compiled backends against the reference, however a run is cut and trials are batched."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weightsharing as ws
from strategies.backends import ON_GPU
from strategies.networks import assert_close, assert_same, networks, state

pytestmark = pytest.mark.properties

STEPS = st.lists(st.integers(0, 5), min_size=1, max_size=4)
gpu = pytest.mark.skipif(not ON_GPU, reason="no backend can use a GPU here")


def run(network: ws.Network, steps: list[int]) -> ws.Network:
    for count in steps:
        network.simulate(count * network.dt)
    return network


@given(case=networks(), steps=STEPS)
def test_cpu_agrees_with_the_reference(case, steps):
    assert_close(run(case.build("reference"), steps), run(case.build("cpu"), steps))


@given(case=networks(), steps=STEPS)
def test_chunks_do_not_matter(case, steps):
    assert_same(run(case.build("cpu"), [sum(steps)]), run(case.build("cpu"), steps))


@given(case=networks(), steps=st.integers(1, 8))
def test_trials_of_a_batch_are_runs_of_their_own(case, steps):
    together = state(run(case.build("cpu", batch=3), [steps]))
    for trial in range(3):
        alone = state(run(case.build("cpu", batch=None, first_trial=trial), [steps]))
        for name, values in alone.items():
            np.testing.assert_array_equal(together[name][trial], values, err_msg=name)


@gpu
@given(case=networks(), steps=STEPS, data=st.data())
def test_gpu_agrees_with_the_cpu(case, steps, data):
    backend = data.draw(st.sampled_from(ON_GPU), "backend")
    assert_close(run(case.build("cpu"), steps), run(case.build(backend), steps))


@gpu
@given(case=networks(), steps=STEPS, first_trial=st.integers(0, 3))
def test_launches_together_and_apart_are_the_same(case, steps, first_trial):
    """Shared launches give the results of a launch for each piece of work, and chunks do not matter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEIGHTSHARING_CUDA_LAUNCHES", "apart")
        apart = case.build(ON_GPU[0], first_trial=first_trial)
    together = case.build(ON_GPU[0], first_trial=first_trial)
    few, many = (len(network._assembly.context.storage.runner.launches()) for network in (together, apart))
    assert few <= many
    assert_same(run(apart, [sum(steps)]), run(together, steps))
