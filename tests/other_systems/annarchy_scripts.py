"""Differences from ANNarchy in arguments, texts of neurons and attributes, with a check of every row."""

from __future__ import annotations

import numpy as np
import pytest

import weightsharing as ws
from other_systems.differences import Difference, pair


def _check_durations() -> None:
    network = ws.Network(dt=0.1)
    network.compile()
    network.simulate(0.3)
    with pytest.raises(ValueError, match="whole number of steps"):
        network.simulate(0.25)


def _check_precision() -> None:
    assert ws.Network().create(1).dtype == np.float32
    assert ws.Network(dtype="float64").create(1).r.dtype == np.float64


def _check_read_only() -> None:
    pre, post = pair(3, 3)
    projection = ws.Convolution(pre, post, "exc").connect_filter([1.0])
    for values in (pre.r, projection.weights):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 1.0
    pre.r = 1.0
    projection.weights = [2.0]
    assert pre.r[0] == 1.0 and projection.weights[0] == 2.0


def _check_image_geometry() -> None:
    image = ws.ImagePopulation((4, 6, 1))
    assert image.geometry == image.r.shape == (4, 6, 1)


def _check_post_rate() -> None:
    with pytest.raises(ws.ExpressionError, match=r"post\.r"):
        ws.Convolution(*pair(3, 3), "exc", psp="w * pre.r * post.r")


def _check_values_in_psp() -> None:
    for word in ("post.r", "pre.v"):
        with pytest.raises(ws.ExpressionError, match=f"unknown name '{word}'"):
            ws.Synapse(psp=f"w * pre.r * {word}")


def _check_generated_code() -> None:
    pre, post = pair(2, 2)
    ws.Projection(pre, post, "exc", disable_omp=False).connect_one_to_one(1.0, storage_format="csr")
    pre.network.compile(directory="here", clean=True, silent=True)
    with pytest.raises(TypeError, match="disable_callbacks"):
        pre.network.simulate(1.0, callbacks=False)
    ws.setup(verbose=False, suppress_warnings=True, show_time=True)
    with pytest.raises(TypeError, match="backend='cuda'"):
        ws.setup(paradigm="cuda")


_ABSENT = (
    "simulate_until", "parallel_run", "set_time", "set_current_step", "enable_learning", "disable_learning",
    "magic_network", "monitors", "functions", "callbacks_enabled", "load_parameters", "save_parameters",
    "convert_ms_to_steps", "convert_steps_to_ms", "sparse_random_matrix",
)  # fmt: skip
_ABSENT_IN_PROJECTIONS = (
    "connect_fixed_number_pre", "connect_fixed_number_post", "connect_with_func", "connect_from_file",
    "connect_from_matrix_market", "fixed_number_pre", "fixed_number_post", "from_function", "from_file",
    "from_matrix_market", "dendrite", "dendrites", "synapse", "nb_synapses", "connectivity_matrix",
    "receptive_fields", "save_connectivity", "start_pruning", "start_creating",
)  # fmt: skip


def _check_absent() -> None:
    assert not {*_ABSENT} & {*ws.__all__}
    assert not any(hasattr(ws.Projection, name) for name in _ABSENT_IN_PROJECTIONS)
    assert {"get_time", "get_current_step", "dt", "set_seed", "get_population", "projections"} <= {
        *ws.__all__
    }


def _check_names() -> None:
    with pytest.raises(ws.ExpressionError, match="begins with '_'"):
        ws.Neuron("_g = 1.0")


def _check_statistics() -> None:
    network = ws.Network()
    units = network.create(2, ws.Neuron(equations="r = 2 + mean(r) : init=1.0"))
    network.compile()
    network.step()
    assert units.r.tolist() == [3.0, 3.0]


def _check_whole_divisions() -> None:
    network = ws.Network()
    units = network.create(
        1,
        ws.Neuron(
            "n = 7 : int; m = 2 : int; f = 2.0", "r = n/m; a = n/2; b = n/m*f; c = n/m : int; d = floor(n/m)"
        ),
    )
    network.compile()
    network.step()
    assert [float(units.get(name)[0]) for name in "rabcd"] == [3.5, 3.5, 7.0, 3.0, 3.0]


def _check_fractions() -> None:
    network = ws.Network()
    units = network.create(1, ws.Neuron("f = 2.0", "r = 1/2; a = f + 3/2; b = 1/2*f"))
    network.compile()
    network.step()
    assert [float(units.get(name)[0]) for name in "rab"] == [0.5, 3.5, 1.0]


def _check_individual_weights() -> None:
    matrix = [[1.0, None, 2.0], [None] * 3, [3.0, 4.0, 5.0]]
    weights = ws.Projection(*pair(3, 3), "exc").connect_from_matrix(matrix).w
    np.testing.assert_array_equal(weights, np.array(matrix, dtype=float))
    assert ws.Projection(*pair(2, 3), "exc").connect_all_to_all(2.0).w.tolist() == [[2.0, 2.0]] * 3


def _check_moved_inputs() -> None:
    network = ws.Network()
    given = ws.InputArray(3)
    assert network.create(given) is given and given.network is network
    given.r = [1.0, 2.0, 3.0]
    assert given.neuron_type is None and given.variables == ["r"]


def _check_sum_of_all() -> None:
    network = ws.Network()
    pre, post = network.create(2), network.create(2, ws.Neuron(equations="r = sum()"))
    for target in ("exc", "inh"):
        ws.PointwiseProjection(pre, post, target, 2.0)
    pre.r = 1.0
    network.compile()
    network.step()
    assert post.r.tolist() == [4.0, 4.0]


def _check_types() -> None:
    units = ws.Network().create(2, ws.Neuron("n = 2 : int; on = True : bool"))
    for name, value in (("n", 2.6), ("on", 7)):
        with pytest.raises(ValueError, match=f"'{name}' is flagged"):
            setattr(units, name, value)


def _check_views() -> None:
    units = ws.Network().create((2, 2), ws.Neuron("a = 1.0 : population; b = 1.0"))
    with pytest.raises(ValueError, match="common to units"):
        units[0, :].a = 2.0
    with pytest.raises(ValueError, match="twice"):
        units[[1, 1]]


def _check_local_distributions() -> None:
    neuron = ws.Neuron({"a": ws.Uniform(0.0, 1.0), "b": 1.0})
    assert neuron.parameters["a"].local and not neuron.parameters["b"].local


SCRIPTS = (
    Difference(
        "Durations that are no whole number of steps",
        "`simulate()` rounds up.",
        "An error. 0.3 ms is three steps of 0.1 ms.",
        _check_durations,
    ),
    Difference(
        "Precision",
        "float64 unless asked otherwise.",
        "float32 unless asked otherwise: `setup(dtype='float64')` or `Network(dtype='float64')`.",
        _check_precision,
    ),
    Difference(
        "Rates and weights that a script reads",
        "Arrays that may be written to, with or without an effect.",
        "Read-only arrays, so that no change is lost: assign to `population.r` and `projection.weights`.",
        _check_read_only,
    ),
    Difference(
        "Grey images",
        "`ImagePopulation((height, width, 1))` becomes a population with two dimensions.",
        "The geometry asked for is kept.",
        _check_image_geometry,
    ),
    Difference(
        "`post.r` in the psp of a shared projection",
        "Does not compile.",
        "An error when the projection is created.",
        _check_post_rate,
    ),
    Difference(
        "`post.r`, `pre.v` and the like in the psp of a `Synapse`",
        "Values of the step before.",
        "An error when the synapse is defined: a psp reads `w` and `pre.r`.",
        _check_values_in_psp,
    ),
    Difference(
        "Arguments about generated code",
        "`compile(directory=, clean=, compiler=, silent=, ...)`, `setup(sparse_matrix_format=, verbose=, "
        "suppress_warnings=, show_time=, ...)`, "
        "`storage_format`, `storage_order` and `force_multiple_weights` of the connectors, `disable_omp`, `copied`.",
        "Accepted and ignored: no result depends on them. Arguments whose effect is not available here raise an "
        "error that says what to do: "
        "`setup(paradigm='cuda', precision=, method='midpoint', structural_plasticity=True)`, "
        "`simulate(callbacks=False)`, `stop_condition`, "
        "a `net_id` that is not 0, equations of a `Synapse`, and so on.",
        _check_generated_code,
    ),
    Difference(
        "Functions and methods that are not there",
        "".join(
            (
                ", ".join(f"`{name}`" for name in _ABSENT),
                "; of projections ",
                ", ".join(f"`{name}`" for name in _ABSENT_IN_PROJECTIONS),
                ".",
            )
        ),
        "None of them. There are `get_time`, `get_current_step`, `dt`, `set_seed` (before `compile()`), `populations`, "
        "`projections`, `get_population`, `get_projection`; `projection.w` is `projection.weights`.",
        _check_absent,
    ),
    Difference(
        "Parameters and variables whose names begin with `_`",
        "Accepted.",
        "An error when the neuron is defined.",
        _check_names,
    ),
    Difference(
        "Values of parameters and variables flagged `int` or `bool`",
        "Converted.",
        "An error for what is no whole number, or neither 0 nor 1; NaN and distributions too.",
        _check_types,
    ),
    Difference(
        "Divisions of parameters and variables flagged `int`",
        "As in C: if both are whole, the fraction is dropped. With n = 7 and m = 2 `n/m` is 3, "
        "but `n/m*f` with a floating-point f is `f*7/2`.",
        "Always real division: `n/m` is 3.5. `floor(n/m)` drops the fraction, and so does the assignment to a variable "
        "flagged `int`.",
        _check_whole_divisions,
    ),
    Difference(
        "Fractions of whole numbers in equations",
        "`r = 1/2` gives 0 and `r = f + 3/2` adds 1, as in C, but `1/2*f` is `f/2`; `1.0/2.0` is 0.5.",
        "`1/2` is 0.5 everywhere.",
        _check_fractions,
    ),
    Difference(
        "`w` of a `Projection`",
        "Lists, one for each post unit that has synapses (`post_ranks` and `pre_ranks` say which); one number where "
        "all weights are the same number.",
        "An array (post.size, pre.size) with NaN where there is no synapse, in every case.",
        _check_individual_weights,
    ),
    Difference(
        "`net.create(InputArray(...))`, and so for other populations made before",
        "Makes a copy, which is a plain `Population`; the object given stays outside of the network.",
        "The object itself joins the network and is returned. An `InputArray` has no equation.",
        _check_moved_inputs,
    ),
    Difference(
        "`mean(v)`, `max(v)`, `min(v)`, `norm1(v)`, `norm2(v)` in equations",
        "Computed at the end of a step for the next one: 0 in the first, and values assigned from Python count one "
        "step later.",
        "Computed from the values before the update, assigned ones included.",
        _check_statistics,
    ),
    Difference(
        "`sum()` in equations",
        "Documented as the sum over all targets; the generated code of ANNarchy 5.0.3 leaves it at 0.",
        "The sum over all targets that feed the population.",
        _check_sum_of_all,
    ),
    Difference(
        "Views",
        "A parameter that is common to all units can be assigned through a view after `compile()`.",
        "An error: assign it to the population. A rank named twice in an index is an error too.",
        _check_views,
    ),
    Difference(
        "Distributions in a dictionary of parameters",
        "A parameter is global unless `Parameter(..., locality='local')` says otherwise.",
        "`{'a': Uniform(0, 1)}` is local: each unit draws its own.",
        _check_local_distributions,
    ),
)
