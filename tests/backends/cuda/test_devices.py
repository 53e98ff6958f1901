"""Devices that are not there, have no memory left or were used before a fork."""

from __future__ import annotations

import pytest

from strategies.backends import emulated
from strategies.gpu import each_backend
from strategies.processes import run_python
from weightsharing.backends.device_modules import device_module


@emulated
@each_backend
@pytest.mark.parametrize(("devices", "reason"), (("0", "no CUDA device"), ("driver", "driver")))
def test_no_device(backend, devices, reason):
    """A backend asked for by name that is not there raises with the reason; the others work."""
    done = run_python(
        """
        import os
        import weightsharing as ws
        backend = os.environ["BACKEND"]
        print(ws.backends()[backend])
        try:
            ws.Network(backend=backend)
        except ValueError as error:
            print(error)
        with ws.Network():
            projection = ws.Convolution(ws.Population(3), ws.Population(3), "exc").connect_filter([1, 1, 1])
        print(projection([1, 2, 3]), projection.describe()["backend"])
        """,
        WEIGHTSHARING_EMULATION_DEVICES=devices,
        BACKEND=backend,
    )
    assert done.returncode == 0, done.stderr
    assert sum(reason in line for line in done.stdout.splitlines()) == 2 and "[3. 6. 5.] cpu" in done.stdout


@emulated
@each_backend
def test_device_memory_exhausted(backend):
    """The error names the bytes asked for and free; what existed before goes on."""
    done = run_python(
        """
        import os
        import weightsharing as ws

        backend = os.environ["BACKEND"]
        network = ws.Network(backend=backend)
        small = network.create(1000, ws.Neuron(equations="r += 1"))
        network.compile()
        network.simulate(2)
        try:
            with ws.Network(backend=backend) as other:
                ws.Population(10_000_000, ws.Neuron(equations="r += 1"))
            other.compile()
        except MemoryError as error:
            print(error)
        network.simulate(3)
        print(small.r[0])
        """,
        WEIGHTSHARING_EMULATION_MEMORY="1000000",
        BACKEND=backend,
    )
    assert done.returncode == 0, done.stderr
    message, value = done.stdout.splitlines()
    assert "40000000 bytes asked for" in message and "free" in message
    assert float(value) == 5


@emulated
@each_backend
def test_use_after_fork(backend):
    done = run_python(
        """
        import os
        import weightsharing as ws

        network = ws.Network(backend=os.environ["BACKEND"])
        population = network.create(10, ws.Neuron(equations="r += 1"))
        network.compile()
        network.simulate(1)
        child = os.fork()
        if child == 0:
            try:
                network.simulate(1)
            except RuntimeError as error:
                print(error, flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        network.simulate(1)
        print(population.r[0])
        """,
        BACKEND=backend,
    )
    assert done.returncode == 0, done.stderr
    assert "forked" in done.stdout and done.stdout.endswith("2.0\n")


@each_backend
def test_wrong_device_index(backend):
    with pytest.raises(IndexError, match="device 7"):
        device_module(backend).Array([3], "float32", 7)
