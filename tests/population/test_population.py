"""Populations: geometry, ranks, and the checked assignment of rates and parameters."""

import copy
import pickle

import numpy as np
import pytest

import weightsharing as ws
from weightsharing.network.default import default_network

pytestmark = pytest.mark.usefixtures("network")


def test_geometry():
    grid = ws.Population((3, 4, 5))
    assert grid.geometry == grid.shape == (3, 4, 5)
    assert (grid.size, grid.dimension, len(grid)) == (60, 3, 60)
    assert ws.Population(7).geometry == (7,)
    assert ws.Population([2, np.int64(3)]).geometry == (2, 3)
    for rank in range(60):
        coordinates = grid.coordinates_from_rank(rank)
        assert coordinates == np.unravel_index(rank, (3, 4, 5))
        assert grid.rank_from_coordinates(coordinates) == rank
    assert ws.Population(7).rank_from_coordinates(4) == 4


@pytest.mark.parametrize("geometry", [0, -1, (3, 0), (), (1, 1, 1, 1, 1), (2**31, 2**31), (2**20,) * 4])
def test_impossible_geometry(geometry, network):
    with pytest.raises(ValueError, match="geometry"):
        ws.Population(geometry)
    assert network.populations == ()


@pytest.mark.parametrize(
    "geometry", [True, 2.0, 2.5, "3", None, (2, 2.0), (2, False), {2: 3}, np.ones((2, 2))]
)
def test_geometry_of_the_wrong_type(geometry):
    with pytest.raises(TypeError, match="geometry"):
        ws.Population(geometry)


def test_a_huge_population_allocates_nothing():
    assert ws.Population((2**20, 2**20)).size == 2**40


@pytest.mark.parametrize("coordinates", [(3, 0), (0, -1), (0,), (0, 0, 0)])
def test_coordinates_outside(coordinates):
    with pytest.raises(ValueError, match="coordinates"):
        ws.Population((3, 4)).rank_from_coordinates(coordinates)


@pytest.mark.parametrize("rank", [-1, 12])
def test_rank_outside(rank):
    with pytest.raises(ValueError, match="rank"):
        ws.Population((3, 4)).coordinates_from_rank(rank)


@pytest.mark.parametrize(
    "values",
    [
        np.arange(6).reshape(2, 3),
        [[0, 1, 2], [3, 4, 5]],
        np.arange(6, dtype=np.uint8).reshape(2, 3),
        np.arange(6, dtype=">f8").reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.repeat(np.arange(6.0), 3).reshape(2, 9)[:, ::3],
        np.arange(5.0, -1.0, -1.0).reshape(2, 3)[::-1, ::-1],
    ],
)
def test_rates_of_any_real_type_and_layout(values):
    population = ws.Population((2, 3))
    population.r = values
    assert population.r.dtype == np.float32
    np.testing.assert_array_equal(population.r, np.arange(6).reshape(2, 3))


def test_rates_are_a_read_only_copy():
    population = ws.Population((2, 3), dtype=None)
    before = population.r
    with pytest.raises(ValueError, match="read-only"):
        before[0, 0] = 1.0
    population.r = 1.0
    assert (before == 0.0).all() and (population.r == 1.0).all()


def test_nan_and_infinity_are_data():
    population = ws.Population(3)
    population.r = [np.nan, np.inf, -np.inf]
    np.testing.assert_array_equal(population.r, [np.nan, np.inf, -np.inf])


@pytest.mark.parametrize(
    ("values", "error"),
    [
        (np.ones((2, 3), complex), TypeError),
        (np.ones((2, 3), object), TypeError),
        ([["1", "2", "3"]] * 2, TypeError),
        ("0.5", TypeError),
        (None, TypeError),
        (1j, TypeError),
        ([[1.0, 2.0, 3.0], [1.0, 2.0]], ValueError),
        (np.ones((3, 2)), ValueError),
        (np.ones(6), ValueError),
        (np.ones((1, 2, 3)), ValueError),
        (np.ones((2, 1)), ValueError),
    ],
)
def test_refused_rates_change_nothing(values, error):
    population = ws.Population((2, 3))
    population.r = 0.25
    with pytest.raises(error, match="r "):
        population.r = values
    assert (population.r == 0.25).all()


def test_random_rates_depend_on_the_seed():
    def drawn(seed):
        with ws.Network(seed=seed):
            population = ws.Population((20, 30))
        population.r = ws.Uniform(2.0, 3.0)
        assert ((population.r >= 2.0) & (population.r < 3.0)).all()
        return population.r

    np.testing.assert_array_equal(drawn(3), drawn(3))
    assert (drawn(3) != drawn(4)).any()


def test_unknown_attributes():
    population = ws.Population(3)
    with pytest.raises(AttributeError, match="rate"):
        population.rate = 1.0
    with pytest.raises(AttributeError, match="tau"):
        _ = population.tau
    with pytest.raises(AttributeError):
        population.geometry = (4,)


def test_sum_of_a_target_nobody_feeds():
    population = ws.Population((2, 3))
    np.testing.assert_array_equal(population.sum("exc"), np.zeros((2, 3)))
    with pytest.raises(TypeError, match="target"):
        population.sum(3)


def test_dtype(network):
    assert ws.Population(3).dtype == np.float32
    assert ws.Population(3, network=ws.Network(dtype="float64")).dtype == np.float64
    assert ws.Population(3, dtype=np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="dtype"):
        ws.Population(3, dtype="float64")
    for dtype in ("float16", "int32", complex, "nonsense"):
        with pytest.raises(ValueError, match="dtype"):
            ws.Population(3, dtype=dtype)


def test_arguments_of_the_wrong_type():
    with pytest.raises(TypeError, match="neuron"):
        ws.Population(3, neuron="r = 1")
    with pytest.raises(TypeError, match="network"):
        ws.Population(3, network="default")
    with pytest.raises(TypeError, match="name"):
        ws.Population(3, name=5)


def test_initial_values_of_a_neuron():
    neuron = ws.Neuron(equations="v = v : init=2.0\n r = r : init=Uniform(1, 2)")
    population = ws.Population((2, 2), neuron)
    assert (population.v == 2.0).all()
    assert ((population.r >= 1.0) & (population.r < 2.0)).all() and len(np.unique(population.r)) == 4
    with pytest.raises(ValueError, match="size"):
        ws.Population(3, ws.Neuron(parameters="size = 3", equations="r = size"))


def test_parameters_and_variables_of_a_neuron():
    neuron = ws.Neuron(
        parameters="gain = 2.0 : population\n bias = 0.5", equations="r = gain*sum(exc) + bias"
    )
    population = ws.Population((2, 2), neuron)
    assert population.gain == 2.0
    np.testing.assert_array_equal(population.bias, np.full((2, 2), 0.5))
    population.bias = [[1, 2], [3, 4]]
    population.gain = 3
    assert population.gain == 3.0 and population.bias[1, 0] == 3.0
    with pytest.raises(ValueError, match="gain"):
        population.gain = [1.0, 2.0]
    with pytest.raises(ValueError, match="bias"):
        population.bias = np.ones(4)
    np.testing.assert_array_equal(population.bias, [[1, 2], [3, 4]])


def test_a_zero_divisor_assigned_after_compile_is_refused(network):
    neuron = ws.Neuron(
        "tau = 2.0; gain = 1.0 : population; bias = 0.0", "r = sum(exc)/tau + 1/(gain - 1.5) + bias"
    )
    population = ws.Population((2, 2), neuron)
    population.tau = 0.0
    population.tau = 4.0
    network.compile()
    for name, values in (
        ("tau", 0.0),
        ("tau", [[1.0, 2.0], [0.0, 3.0]]),
        ("tau", ws.Uniform(0, 0)),
        ("gain", 1.5),
    ):
        before = network.random_generator.bit_generator.state
        with pytest.raises(ValueError, match=name):
            setattr(population, name, values)
        assert (population.tau == 4.0).all() and population.gain == 1.0
        assert network.random_generator.bit_generator.state == before
    population.bias = 0.0
    population.tau = [[1.0, 2.0], [5.0, 3.0]]
    network.step()
    assert (population.r == -2.0).all()


def test_read_only_rates_stay_read_only(network):
    population = ws.Population(3, ws.Neuron("tau = 2.0", "r = sum(exc)/tau"))
    network.compile()
    for values in (population.r, population.tau, population.sum("exc"), population.sum("inh")):
        with pytest.raises(ValueError, match="WRITEABLE"):
            values.flags.writeable = True


@pytest.mark.parametrize("values", [1e300, [0.0, -1e39, 0.0], np.full(3, 1e300), ws.Uniform(1e299, 1e300)])
def test_numbers_that_do_not_fit_the_dtype(values, network):
    population = ws.Population(3)
    population.r = 0.25
    before = network.random_generator.bit_generator.state
    with pytest.raises(ValueError, match=r"^r: .*float32"):
        population.r = values
    assert (population.r == 0.25).all() and network.random_generator.bit_generator.state == before
    for initial in ("1e300", "Uniform(1e299, 1e300)"):
        with pytest.raises(ValueError, match=r"^v: .*float32"):
            ws.Population(3, ws.Neuron(equations=f"v = v : init={initial}; r = v"))
    assert network.populations == (population,) and network.random_generator.bit_generator.state == before
    wide = ws.Network(dtype="float64").create(3)
    wide.r = 1e300
    assert (wide.r == 1e300).all()


def test_moving_to_a_narrower_network_keeps_finite_numbers():
    ws.setup(dtype="float64")
    default = ws.Population(3).network
    assert default is not default_network()
    population = ws.Population(3, network=default_network())
    population.r = 1e300
    with pytest.raises(ValueError, match=r"^r: .*float32"):
        default.create(population)
    assert population.network is default_network() and (population.r == 1e300).all()


def test_masked_rates():
    population = ws.Population(3)
    with pytest.raises(TypeError, match=r"^r is a masked array.*filled"):
        population.r = np.ma.array([1.0, 2.0, 3.0], mask=[0, 1, 0])
    assert not population.r.any()


def test_names(network):
    named = ws.Population(3, name="pop1")
    assert [ws.Population(3).name for _ in range(2)] == ["pop2", "pop3"]
    with pytest.raises(ValueError, match=r"name is 'pop1'.*another"):
        ws.Population(3, name="pop1")
    assert (
        len(network.populations) == 3
        and ws.Population(3, network=ws.Network(), name="pop1").name == named.name
    )


def test_automatic_names_after_a_population_moved():
    first, _ = (ws.Population(3, network=default_network()) for _ in range(2))
    ws.Network().create(first)
    assert ws.Population(3, network=default_network()).name == "pop2"
    one = ws.Population(3, name="a", network=default_network())
    other = ws.Network()
    other.create(3, name="a")
    with pytest.raises(ValueError, match="name is 'a'"):
        other.create(one)
    assert one.network is default_network() and one.name == "a"


@pytest.mark.parametrize("use", [copy.copy, copy.deepcopy, pickle.dumps])
def test_populations_are_not_copied(use):
    with pytest.raises(TypeError, match="a Population cannot be copied or pickled; create"):
        use(ws.Population(3))


# --- Names of values, several values at once ---


def test_names_of_values():
    neuron = ws.Neuron("tau = 2.0 : population; r = 0.5", "v = sum(exc)/tau*r")
    population = ws.Population((2, 2), neuron)
    assert population.parameters == ["tau", "r"] and population.variables == ["v"]
    assert population.attributes == ["tau", "r", "v"] and population.neuron_type is neuron
    held = ws.Population(3)
    assert (held.attributes, held.parameters, held.variables) == (["r"], [], ["r"])
    assert held.neuron_type is None
    population.attributes.append("x")
    assert population.attributes == ["tau", "r", "v"]


def test_get_and_set(network):
    neuron = ws.Neuron("tau = 2.0 : population; bias = 0.5", "r = (sum(exc) + bias)/tau")
    population = ws.Population((2, 2), neuron)
    population.set({"tau": 20.0, "r": [[1, 2], [3, 4]], "bias": ws.Uniform(1.0, 2.0)})
    assert population.get("tau") == 20.0 and len(np.unique(population.get("bias"))) == 4
    np.testing.assert_array_equal(population.get("r"), [[1, 2], [3, 4]])
    population.set({})
    for name in ("rate", "geometry", "_values"):
        with pytest.raises(AttributeError, match=name):
            population.get(name)
        with pytest.raises(AttributeError, match=name):
            population.set({"tau": 1.0, name: 1.0})
    for wrong in ([("tau", 1.0)], "tau", None):
        with pytest.raises(TypeError, match="values"):
            population.set(wrong)
    with pytest.raises(TypeError, match="name"):
        population.set({3: 1.0})
    assert population.tau == 20.0


def test_set_assigns_all_or_nothing(network):
    neuron = ws.Neuron("a = 2.0; b = 1.0 : population", "r = 1/(a - b)")
    population = ws.Population(3, neuron)
    network.compile()
    draws = network.random_generator.bit_generator.state
    for values, error in [
        ({"a": 5.0, "r": [1.0, 2.0]}, ValueError),
        ({"r": ws.Uniform(0, 1), "a": "5"}, TypeError),
        ({"a": 5.0, "b": [1.0, 2.0]}, ValueError),
        ({"a": [3.0, 4.0, 5.0], "b": 4.0}, ValueError),
        ({"r": 7.0, "b": 1e300}, ValueError),
    ]:
        with pytest.raises(error):
            population.set(values)
        assert (population.a == 2.0).all() and population.b == 1.0 and not population.r.any()
        assert network.random_generator.bit_generator.state == draws
    # One after the other these would divide by zero in between.
    population.set({"b": 2.0, "a": 4.0})
    network.step()
    assert (population.r == 0.5).all()


def test_normalized_coordinates():
    population = ws.Population((3, 1, 5))
    assert population.normalized_coordinates_from_rank(0) == (0.0, 0.0, 0.0)
    assert population.normalized_coordinates_from_rank(14) == (1.0, 0.0, 1.0)
    assert population.normalized_coordinates_from_rank(8, norm=2.0) == (1.0, 0.0, 1.5)
    with pytest.raises(ValueError, match="rank"):
        population.normalized_coordinates_from_rank(15)
    with pytest.raises(ValueError, match="norm"):
        population.normalized_coordinates_from_rank(1, np.inf)


def test_integers_and_booleans_take_no_other_numbers():
    neuron = ws.Neuron("n = 2 : int; on = true : bool; x = 0.5", "k = n : int; r = k + on")
    of_dict = ws.Neuron(
        {"n": ws.Parameter(2, "local", int), "on": ws.Parameter(True, "local", bool), "x": 0.5}, "r = n"
    )
    for units in (ws.Network().create(3, one) for one in (neuron, of_dict)):
        for target in (units, units[1:]):
            for name, value in (
                ("n", 2.6), ("n", np.nan), ("n", -np.inf), ("n", ws.Uniform(0, 9)), ("on", 7), ("on", np.nan),
            ):  # fmt: skip
                with pytest.raises(ValueError, match=f"'{name}' is flagged (int|bool)"):
                    setattr(target, name, value)
                with pytest.raises(ValueError, match=f"'{name}' is flagged (int|bool)"):
                    target.set({"x" if target is units else name: value, name: value})
        assert set(units.n) == {2.0} and set(units.on) == {1.0} and np.all(units.x == 0.5)
        units.set({"n": [1, 2.0, -3], "on": [True, 0, 1.0]})
        units[0].n = 7
        assert units.n.tolist() == [7.0, 2.0, -3.0] and units.on.tolist() == [1.0, 0.0, 1.0]
    variable = ws.Network().create(2, neuron)
    with pytest.raises(
        ValueError, match=r"'k' is flagged int, but its value is 0[.]5; expected a whole number"
    ):
        variable.k = [1, 0.5]
    for value, kind in ((2.5, int), (2, bool)):
        with pytest.raises(ws.ExpressionError, match="parameters: 'a' is flagged"):
            ws.Neuron({"a": ws.Parameter(value, type=kind)})


def test_numbers_too_large_for_numpy():
    units = ws.Network(dtype="float64").create(2)
    for value in (10**400, [1.5, 10**400]):
        with pytest.raises(ValueError, match="r: a number is too large for a float"):
            units.r = value
    units.r = [10**30, 0.5]
    assert units.r.tolist() == [1e30, 0.5]


def test_what_is_fixed_cannot_be_assigned():
    units = ws.Network().create((2, 2))
    projection = ws.Projection(units, units, "exc").connect_all_to_all(1.0)
    with pytest.raises(AttributeError, match=r"'period' of a monitor cannot be assigned; use start\("):
        ws.Monitor(units, "r").period = 2.0
    for one, names in (
        (units, ("size", "geometry", "name", "network")),
        (projection, ("delays", "psp", "pre")),
    ):
        for name in names:
            with pytest.raises(AttributeError, match=f"'{name}' of .* cannot be assigned: it is fixed"):
                setattr(one, name, 3)
