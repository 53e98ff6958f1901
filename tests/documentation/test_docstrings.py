"""The examples in docstrings."""

import doctest
import importlib
import pkgutil

import pytest

import weightsharing

MODULES = [
    module.name
    for module in pkgutil.walk_packages(weightsharing.__path__, "weightsharing.")
    if not module.name.rpartition(".")[2].startswith("_")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    weightsharing.clear()
    assert doctest.testmod(importlib.import_module(name)).failed == 0
    weightsharing.clear()
