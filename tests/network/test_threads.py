"""The default network is one network, whichever thread asks for it first."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import weightsharing as ws
from weightsharing.state.session import session


@pytest.fixture
def another_default():
    ws.clear()
    yield
    ws.clear()


@pytest.mark.usefixtures("another_default")
def test_threads_that_ask_at_once_get_the_same_network(monkeypatch):
    make = session.make_holder

    def slowly(assembly):
        time.sleep(0.02)
        return make(assembly)

    monkeypatch.setattr(session, "make_holder", slowly)
    with ThreadPoolExecutor(4) as pool:
        networks = list(pool.map(lambda _: ws.Population(2).network, range(4)))
    assert all(network is networks[0] for network in networks)
    assert len(networks[0].populations) == 4
