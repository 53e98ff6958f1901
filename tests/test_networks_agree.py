"""Random networks: the compiled backends against the reference, however a run is cut and trials are batched."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import weightsharing as ws
from network_strategies import assert_close, assert_same, networks, state

STEPS = st.lists(st.integers(0, 5), min_size=1, max_size=4)


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
