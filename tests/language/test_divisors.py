"""Parameters that an equation divides by must not be zero."""

import numpy as np
import pytest

from weightsharing.description.neuron import Neuron

pytestmark = pytest.mark.python_only


def test_zero_divisors_are_named_before_a_run():
    neuron = Neuron(
        "tau = 0.0 : population; a = 1.0; b = 1.0; s = Uniform(0, 1)",
        """
        tau*dv/dt + v*sum(inh) = sum(exc) : exponential
        r = v/(a - b*2) + v/(1 + v) + 1/s + (if a > 0: 1/a else: 0)
        """,
    )
    with pytest.raises(ValueError, match=r"tau = 0\.0: the equation 'tau\*dv/dt \+ v\*sum"):
        neuron.check_divisors({})
    neuron.check_divisors({"tau": np.ones((1, 1))})
    with pytest.raises(ValueError, match=r"a \(per unit\) and b = 1\.0"):
        neuron.check_divisors({"tau": 1.0, "a": np.array([1.0, 2.0, 3.0])})
    neuron.check_divisors({"tau": 1.0, "a": 0.0})
    with pytest.raises(ValueError, match=r"s = 0\.0"):
        neuron.check_divisors({"tau": 1.0, "s": np.zeros(1)})


@pytest.mark.parametrize(
    "right",
    [
        "if sum(exc) > 0: 1.0 else: sum(exc)/a",
        "if 0.5: 1.0 else: sum(exc)/a",
        "a or 1/a",
        "(a != 0) and 1/a",
        "sum(exc) and (1 + 1/a)",
    ],
)
def test_divisors_that_need_not_count_may_be_zero(right):
    Neuron("a = 0.0", f"r = {right}").check_divisors({})
    with pytest.raises(ValueError, match=r"a = 0\.0"):
        Neuron("a = 0.0", f"r = 1/a + ({right})").check_divisors({})


@pytest.mark.parametrize("right", ["if 1/a > 0: 1.0 else: 2.0", "1/a or 2", "1/a and 2"])
def test_divisors_in_a_condition_always_count(right):
    with pytest.raises(ValueError, match=r"a = 0\.0"):
        Neuron("a = 0.0", f"r = {right}").check_divisors({})


def test_divisors_of_one_changed_parameter():
    neuron = Neuron("a = 0.0; b = 1.0; c = 1.0", "r = 1/a + 1/b + c")
    neuron.check_divisors({}, ("b",))
    neuron.check_divisors({}, ("c",))
    with pytest.raises(ValueError, match=r"a = 0\.0"):
        neuron.check_divisors({}, ("a",))
