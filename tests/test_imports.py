"""What importing brings in: the core for those who embed it needs nothing of simulation, and every name is found."""

import ast
from pathlib import Path

import pytest

import weightsharing
from strategies.processes import output_of

# Floors and files that projections on arrays do without.
SIMULATION = (
    "simulation",
    "network",
    "temporal",
    "benchmarks",
    "filters",
    "population.movies",
    "population.images",
)

CORE = """
import sys
import numpy as np
import weightsharing as ws

pre, post, halved = ws.Population((4, 4)), ws.Population((4, 4)), ws.Population((2, 2))
{use}
for name in sorted(sys.modules):
    if name.startswith("weightsharing."):
        print(name)
"""


@pytest.mark.parametrize(
    "use",
    (
        "ws.SharedProjection(pre, post, 'exc').convolve(np.ones((3, 3)))(np.ones((4, 4)))",
        "ws.Convolution(pre, post, 'exc').connect_filter(np.ones((3, 3)))(np.ones((4, 4)))",
        "ws.Pooling(pre, halved, 'exc').connect_pooling()(np.ones((4, 4)))",
        "one = ws.Convolution(pre, post, 'exc').connect_filter(np.ones((3, 3)))\n"
        "ws.Copy(pre, post, 'exc').connect_copy(one)(np.ones((4, 4)))",
        "ws.Convolution(pre, post, 'exc').connect_filter(np.ones((3, 3))).describe()",
        "pre.r = ws.Uniform(0, 1)\nws.Uniform(0, 1).get_values(3)",
    ),
)
def test_projections_on_arrays_import_nothing_of_simulation(use):
    imported = output_of(CORE.format(use=use)).split()
    assert "weightsharing.population.population" in imported
    unwanted = tuple(f"weightsharing.{one}" for one in SIMULATION)
    assert [name for name in imported if name.startswith(unwanted)] == []


def test_a_network_made_later_holds_what_was_made_before():
    said = output_of(
        """
        import weightsharing as ws
        one = ws.Population(3)
        assert one.network is ws.populations()[0].network is ws.Population(3).network
        assert isinstance(one.network, ws.Network)
        ws.compile()
        ws.simulate(2.0)
        print(one.network.time)
        """
    )
    assert said == "2.0\n"


def test_functions_that_bear_the_name_of_a_folder():
    """`weightsharing.backends` is the function before and after its folder is imported."""
    said = output_of(
        """
        import weightsharing as ws
        before = ws.backends
        import weightsharing.backends.targets
        print(before is ws.backends and "cpu" in ws.backends(), callable(ws.populations), callable(ws.projections))
        """
    )
    assert said == "True True True\n"


def test_the_stub_names_every_public_name_where_it_is_defined():
    stub = ast.parse(Path(weightsharing.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    named = {}
    for statement in stub.body:
        if isinstance(statement, ast.ImportFrom):
            named |= {alias.name: statement.module for alias in statement.names}
    listed = next(ast.literal_eval(one.value) for one in stub.body if isinstance(one, ast.Assign))
    assert sorted(named) == sorted(listed) == sorted(weightsharing.__all__)
    for name, module in named.items():
        found = getattr(weightsharing, name)
        home = getattr(found, "__module__", None)
        if home is not None and module is not None:
            assert home == f"weightsharing.{module}", name


def test_names_that_are_not_there():
    with pytest.raises(AttributeError, match="module 'weightsharing' has no attribute 'Populations'"):
        weightsharing.Populations  # noqa: B018
    assert set(weightsharing.__all__) <= set(dir(weightsharing))
