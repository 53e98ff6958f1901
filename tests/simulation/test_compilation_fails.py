"""What a compile() that fails leaves behind: the network as it was."""

import pytest

import weightsharing as ws
from weightsharing.state.units import Units


def test_too_little_memory_for_another_backend(monkeypatch):
    """The first backend stays in charge of the values, so that what is read is what it computes."""
    network = ws.Network()
    counter, idle = network.create(2, ws.Neuron(equations="r = r + 1")), network.create(2)
    network.compile("cpu")
    network.simulate(2.0)
    first, array = network._assembly.context.storage.runner, Units.array

    def array_or_none(units, name):
        if units.name == idle.name:
            raise MemoryError("no memory")
        return array(units, name)

    with monkeypatch.context() as patch, pytest.raises(MemoryError, match="no memory"):
        patch.setattr(Units, "array", array_or_none)
        network.compile("reference")
    assert network._assembly.context.storage.runner is first
    network.simulate(1.0)
    assert network.time == 3.0 and counter.r.tolist() == [3, 3]
    network.reset()
    assert network.time == 0.0 and counter.r.tolist() == [0, 0]
