"""Networks: steps, delays, targets, compile, reset, the default network. Every backend runs the same."""

import copy
import inspect
import pickle

import numpy as np
import pytest

import weightsharing as ws
from strategies.backends import BACKENDS
from strategies.neurons import LINEAR


def one_to_one(pre, post, target="exc", delays=0.0, weights=1.0):
    return ws.Projection(pre, post, target).connect_one_to_one(weights, delays)


def test_a_layer_costs_one_step(backend):
    with ws.Network() as network:
        layers = [ws.Population(3), ws.Population(3, LINEAR), ws.Population(3, LINEAR)]
        # Against the direction of flow: the order of creation must not matter.
        one_to_one(layers[1], layers[2])
        one_to_one(layers[0], layers[1])
    network.compile(backend)
    layers[0].r = [1, 2, 3]
    network.step()
    assert layers[1].r.tolist() == [1, 2, 3] and layers[2].r.tolist() == [0, 0, 0]
    layers[0].r = 0
    network.simulate(1.0)
    assert layers[1].r.tolist() == [0, 0, 0] and layers[2].r.tolist() == [1, 2, 3]
    assert network.time == 2.0


def test_projections_with_one_target_add_and_others_do_not(backend):
    neuron = ws.Neuron(equations="r = sum(exc) - 0.5*sum(inh) + sum(nobody)")
    with ws.Network() as network:
        pre, post = ws.Population(2), ws.Population(2, neuron)
        one_to_one(pre, post, weights=1.0)
        one_to_one(pre, post, weights=2.0)
        one_to_one(pre, post, "inh", weights=4.0)
        one_to_one(pre, post, "unread", weights=8.0)
    network.compile(backend)
    pre.r = [1, 10]
    network.simulate(2)
    assert post.sum("exc").tolist() == [3, 30] and post.sum("inh").tolist() == [4, 40]
    assert post.sum("unread").tolist() == [8, 80] and post.sum("nobody").tolist() == [0, 0]
    assert post.r.tolist() == [1, 10]


def test_recurrence_bounds_and_time(backend):
    neuron = ws.Neuron(
        parameters="step = 1.0 : population\n bias = 0.0",
        equations="r = sum(exc) + step*t/dt + bias : max=7.0",
    )
    with ws.Network(dt=0.5) as network:
        population = ws.Population((2, 2), neuron)
        one_to_one(population, population)
    population.bias = [[0, 1], [2, 3]]
    network.compile(backend)
    seen = []
    for _ in range(4):
        network.step()
        seen.append(population.r.ravel().tolist())
    assert seen == [[0, 1, 2, 3], [1, 3, 5, 7], [3, 6, 7, 7], [6, 7, 7, 7]]
    population.step = 0.0
    population.bias = -1.0
    network.step()
    assert population.r.ravel().tolist() == [5, 6, 6, 6]


@pytest.mark.parametrize(("delay", "steps"), [(0.0, 0), (0.1, 0), (0.19, 0), (0.2, 2), (0.3, 3), (0.7, 7)])
def test_delays(backend, delay, steps):
    """Rates set before step s arrive in step s + n; 0.3 / 0.1 and 0.7 / 0.1 are whole."""
    with ws.Network(dt=0.1, dtype="float64") as network:
        pre, post = ws.Population(2), ws.Population(2, LINEAR)
        one_to_one(pre, post, delays=delay)
    network.compile(backend)
    seen = []
    for number in range(10):
        pre.r = [number + 1, -number]
        network.step()
        seen.append(post.r.tolist())
    sent = [[0.0, 0.0]] * steps + [[number + 1.0, -float(number)] for number in range(10)]
    assert seen == sent[:10]


def test_delays_of_several_readers_and_of_equations(backend):
    counter = ws.Neuron(equations="r = r + 1")
    with ws.Network() as network:
        pre, post = ws.Population(1, counter), ws.Population(1, LINEAR)
        for target, delay in (("exc", 0.0), ("two", 2.0), ("five", 5.0)):
            one_to_one(pre, post, target, delay)
    network.compile(backend)
    network.simulate(3)
    network.simulate(4)
    # In step 6 (the seventh): the rate at the end of step 5, 4 and 1.
    assert [post.sum(target).item() for target in ("exc", "two", "five")] == [6, 5, 2]


def test_chunks_do_not_matter_and_reset_restores(backend):
    def build():
        with ws.Network(seed=5) as network:
            pre, post = (
                ws.Population((6, 7)),
                ws.Population((6, 7), ws.Neuron(equations="r = 0.5*r + sum(exc)")),
            )
            ws.Convolution(pre, post, "exc").connect_filter(np.arange(9.0).reshape(3, 3), delays=3.0)
            one_to_one(post, post, "exc", delays=2.0, weights=-0.25)
        pre.r = ws.Uniform(0, 1)
        network.compile(backend)
        return network, pre, post

    network, pre, post = build()
    network.simulate(9)
    chunked, _, other = build()
    for steps in (1, 0, 5, 2, 1):
        chunked.simulate(steps)
    np.testing.assert_array_equal(post.r, other.r)
    final, start = post.r, pre.r
    pre.r = 3.0
    network.simulate(2)
    network.reset()
    assert network.time == 0.0
    np.testing.assert_array_equal(pre.r, start)
    assert not post.r.any() and not post.sum("exc").any()
    network.simulate(9)
    np.testing.assert_array_equal(post.r, final)


def test_reset_restores_the_random_state():
    network = ws.Network(seed=1)
    population = network.create(50)
    population.r = ws.Uniform(0, 1)
    network.compile()
    population.r = ws.Uniform(0, 1)
    first = population.r
    network.reset()
    population.r = ws.Uniform(0, 1)
    np.testing.assert_array_equal(population.r, first)


def test_weights_assigned_between_runs(backend):
    with ws.Network() as network:
        pre, post, other = ws.Population(3), ws.Population(3, LINEAR), ws.Population(3, LINEAR)
        projection = one_to_one(pre, post)
        ws.Copy(pre, other, "exc", operation="max").connect_copy(projection)
    pre.r = 1.0
    network.compile(backend)
    network.step()
    projection.weights = 4.0
    network.step()
    assert post.r.tolist() == other.r.tolist() == [4, 4, 4]


def test_backends_agree():
    results = []
    for name in BACKENDS:
        with ws.Network(dtype="float64", seed=2) as network:
            image = ws.Population((12, 10, 3))
            pooled = ws.Population((6, 5, 3), ws.Neuron(equations="r = sum(exc) : min=0.0"))
            bank = ws.Population((6, 5, 2), LINEAR)
            ws.Pooling(image, pooled, "exc", operation="mean").connect_pooling()
            filters = np.random.default_rng(0).normal(size=(2, 3, 3, 3))
            ws.SharedProjection(pooled, bank, "exc").convolve(filters, multiple=True, delays=2.0)
            ws.Projection(bank, pooled, "exc").connect_fixed_probability(0.1, ws.Normal(0, 0.1))
        image.r = ws.Uniform(-1, 1)
        network.compile(name)
        network.simulate(6)
        results.append((pooled.r, bank.r))
    for pooled, bank in results[1:]:
        np.testing.assert_allclose(pooled, results[0][0], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(bank, results[0][1], rtol=1e-12, atol=1e-12)


def test_compile_again_on_another_backend():
    with ws.Network() as network:
        pre, post = ws.Population(2), ws.Population(2, LINEAR)
        one_to_one(pre, post, delays=2.0)
    pre.r = 1.0
    for name in BACKENDS:
        network.compile(name)
        network.simulate(2)
        assert post.r.tolist() == [0, 0]
        network.step()
        assert post.r.tolist() == [1, 1]
    projection = network.projections[0]
    assert projection.describe()["backend"] == BACKENDS[-1]
    network.compile(threads=2)
    network.compile()
    projection.weights = 5.0
    network.simulate(3)
    assert post.r.tolist() == [5, 5]


def test_nothing_is_added_after_compile():
    with ws.Network() as network:
        pre, post = ws.Population(2), ws.Population(2)
        projection = ws.Projection(pre, post, "exc").connect_one_to_one()
        network.compile()
        for action in (
            lambda: ws.Population(2),
            lambda: ws.Projection(pre, post, "exc"),
            lambda: ws.Copy(pre, post, "exc").connect_copy(projection),
        ):
            with pytest.raises(ws.StateError, match="compiled"):
                action()
        assert network.populations == (pre, post) and network.projections == (projection,)


def test_compile_refuses_what_is_not_ready():
    network = ws.Network()
    pre, post = network.create(2), network.create(2)
    ws.Projection(pre, post, "exc")
    with pytest.raises(ws.StateError, match="connect methods"):
        network.compile()
    with pytest.raises(ws.StateError, match="compile"):
        network.simulate(1.0)
    with pytest.raises(ws.StateError, match="compile"):
        network.reset()


def test_compile_refuses_division_by_zero():
    network = ws.Network()
    network.create(3, ws.Neuron(parameters="tau = 0.0", equations="r = sum(exc)/tau"))
    with pytest.raises(ValueError, match="tau"):
        network.compile()


def test_one_dtype_per_network():
    a, b = ws.Population(2, dtype="float64"), ws.Population(2)
    with pytest.raises(ValueError, match="dtype"):
        ws.Projection(a, b, "exc")
    with pytest.raises(ValueError, match="dtype"):
        ws.compile()


def test_a_projection_that_asks_for_another_backend():
    with ws.Network() as network:
        pre, post = ws.Population(2), ws.Population(2)
        ws.Projection(pre, post, "exc", backend="reference").connect_one_to_one()
        with pytest.raises(ValueError, match="reference"):
            network.compile("cpu")
        network.compile("reference")


@pytest.mark.parametrize("duration", [-1.0, 0.25, 0.70001, np.nan, np.inf])
def test_impossible_durations(duration):
    network = ws.Network(dt=0.1)
    network.create(2)
    network.compile()
    with pytest.raises(ValueError, match="duration"):
        network.simulate(duration)
    with pytest.raises(TypeError, match="duration"):
        network.simulate("1")
    assert network.time == 0.0
    network.simulate(0.3)
    assert network.time == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"dt": 0.0}, ValueError),
        ({"dt": -1}, ValueError),
        ({"dt": np.nan}, ValueError),
        ({"dt": "1"}, TypeError),
        ({"dtype": "int32"}, ValueError),
        ({"seed": -1}, ValueError),
        ({"seed": 1.5}, TypeError),
        ({"backend": "gpu"}, ValueError),
        ({"threads": 0}, ValueError),
        ({"threads": 1.0}, TypeError),
    ],
)
def test_network_arguments(arguments, error):
    with pytest.raises(error, match=next(iter(arguments))):
        ws.Network(**arguments)


def test_default_network():
    ws.setup(dt=0.5, dtype="float64", seed=3)
    pre, post = ws.Population(2), ws.Population(2, LINEAR)
    assert pre.network is post.network and pre.network.seed == 3 and pre.dtype == np.float64
    one_to_one(pre, post)
    pre.r = 2.0
    with pytest.raises(ws.StateError, match="dtype"):
        ws.setup(dtype="float32")
    with pytest.raises(ValueError, match="dt"):
        ws.setup(dt=-1.0, seed=4)
    assert pre.network.seed == 3
    ws.compile()
    with pytest.raises(ws.StateError, match="compiled"):
        ws.setup(dt=1.0)
    ws.simulate(0.5)
    ws.step()
    assert post.r.tolist() == [2, 2] and pre.network.time == 1.0
    ws.reset()
    assert post.r.tolist() == [0, 0] and pre.r.tolist() == [2, 2]
    ws.clear()
    assert ws.Population(2).network is not pre.network


def test_explicit_networks():
    network, other = ws.Network(), ws.Network()
    a = network.create(geometry=(2, 3), neuron=LINEAR, name="a")
    assert a.network is network and a.name == "a" and network.populations == (a,)
    with network:
        b = ws.Population(6)
        with other:
            c = ws.Population(6)
        d = ws.Population(6)
    assert (b.network, c.network, d.network) == (network, other, network)
    projection = network.connect(b, a, "exc", ws.Synapse(operation="max")).connect_one_to_one()
    assert projection.operation == "max" and network.projections == (projection,)
    assert network.connect(ws.Convolution(b, d, "exc")).network is network
    with pytest.raises(ValueError, match="networks"):
        ws.Projection(b, c, "exc")
    with pytest.raises(ValueError, match="another network"):
        other.connect(b, d, "exc")
    with pytest.raises(ValueError, match="another network"):
        other.create(b)


def test_moving_a_population_from_the_default_network():
    network = ws.Network(dtype="float64")
    image = ws.ImagePopulation((4, 5))
    image.r = 0.5
    home = image.network
    assert network.create(image) is image
    assert image.network is network and image.dtype == np.float64 and (image.r == 0.5).all()
    assert home.populations == () and network.populations == (image,)
    used = ws.Population(3)
    one_to_one(used, used)
    with pytest.raises(ValueError, match="projections"):
        network.create(population=used)
    with pytest.raises(ValueError, match="either"):
        network.create(ws.Population(3), name="twice")
    with pytest.raises(TypeError):
        network.create()


def test_backend_list_and_threads():
    assert ws.backends()["reference"] == ws.backends()["cpu"] == "usable"
    before = ws.get_num_threads()
    assert before >= 1
    ws.set_num_threads(3)
    assert ws.get_num_threads() == 3
    for wrong, error in (
        (0, ValueError),
        (-1, ValueError),
        (1.5, TypeError),
        (None, TypeError),
        (True, TypeError),
    ):
        with pytest.raises(error, match="threads"):
            ws.set_num_threads(wrong)
    ws.set_num_threads(before)


def test_an_empty_network_runs(backend):
    network = ws.Network()
    network.compile(backend)
    network.simulate(5)
    assert network.time == 5.0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_constants_are_read_on_every_backend(backend, dtype):
    network = ws.Network(dtype=dtype)
    neuron = ws.Neuron("tau = 2.0", "r = K*2 + sum(exc)/(tau*L)", constants={"K": 2.5, "L": 4.0})
    population = network.create((3, 2), neuron)
    network.compile(backend)
    network.step()
    assert (population.r == 5.0).all()


def test_constants_that_do_not_fit_or_divide_by_zero():
    for value, says in ((1e300, "constants: K.*float32"), (0.0, "K = 0.0.*divide by zero")):
        network = ws.Network()
        network.create(3, ws.Neuron(equations="r = 1/K", constants={"K": value}))
        with pytest.raises(ValueError, match=says):
            network.compile()


@pytest.mark.parametrize(
    ("dt", "duration", "suggestion"), [(0.1, 0.05, "0.1"), (0.1, 0.01, "0.1"), (0.1, 0.34, "0.3")]
)
def test_the_suggested_duration_is_possible(dt, duration, suggestion):
    network = ws.Network(dt=dt)
    network.compile()
    with pytest.raises(ValueError, match=rf"for example {suggestion} ms"):
        network.simulate(duration)
    network.simulate(float(suggestion))
    assert network.time > 0.0


def test_mistyped_attributes():
    network = ws.Network()
    for name in ("time_step", "dt", "seed", "step"):
        with pytest.raises(AttributeError, match=rf"{name}.*arguments of Network"):
            setattr(network, name, 0.5)

    class Column(ws.Network):
        def __init__(self):
            super().__init__()
            self.layer = self.create(3)

    assert Column().layer.size == 3


@pytest.mark.parametrize("use", [copy.copy, copy.deepcopy, pickle.dumps])
def test_networks_are_not_copied(use):
    with pytest.raises(TypeError, match="a Network cannot be copied or pickled; create"):
        use(ws.Network())


# --- Subclasses ---


class Pair(ws.Network):
    """As ANNarchy's manual builds networks: without a call of `super().__init__()`."""

    def __init__(self, size, gain=1.0):
        self.signal = self.create(size)
        self.sums = self.create(
            size, ws.Neuron("gain = 1.0 : population", "r = gain*sum(exc) + Uniform(0, 1)")
        )
        self.sums.gain = gain
        self.connect(self.signal, self.sums, "exc").all_to_all(ws.Uniform(0, 1), allow_self_connections=True)


def test_a_subclass_need_not_call_the_constructor():
    pair = Pair(3, gain=2.0)
    assert (pair.dt, pair.dtype, pair.batch) == (1.0, np.float32, None)
    assert pair.populations == (pair.signal, pair.sums) and pair.signal.network is pair
    pair.compile()
    pair.simulate(2.0)
    assert pair.time == 2.0 and (pair.sums.r > 0).all()
    assert list(inspect.signature(Pair).parameters) == ["size", "gain"]


def test_dt_and_seed_of_a_subclass_go_to_the_network():
    first, second = Pair(3, dt=0.5, seed=7), Pair(size=3, seed=7, dt=None)
    assert (first.dt, first.seed, second.dt, second.seed) == (0.5, 7, 1.0, 7)
    np.testing.assert_array_equal(first.projections[0].weights, second.projections[0].weights)
    for arguments, says in ((dict(dt=-1.0), "dt is -1.0"), (dict(seed=-1), "seed is -1")):
        with pytest.raises(ValueError, match=says):
            Pair(3, **arguments)
    with pytest.raises(TypeError, match="dtype"):
        Pair(3, dtype="float64")


def test_subclasses_that_choose_settings():
    class Settings(ws.Network):
        def __init__(self, dt=0.25):
            super().__init__(dt=dt, dtype="float64", seed=1)
            self.units = self.create(2)

    class Deeper(Pair):
        def __init__(self, **settings):
            super().__init__(4, **settings)

    class Plain(ws.Network):
        pass

    assert [(one.dt, one.seed, one.dtype) for one in (Settings(), Settings(dt=0.5), Settings(0.5, seed=3))] == [
        (0.25, 1, np.float64), (0.5, 1, np.float64), (0.5, 3, np.float64),
    ]  # fmt: skip
    deeper = Deeper(dt=0.5, gain=3.0)
    assert deeper.dt == 0.5 and deeper.sums.gain == 3.0 and deeper.signal.size == 4
    assert Plain(0.5, batch=2).batch == 2

    class Late(ws.Network):
        def __init__(self):
            self.units = self.create(2)
            super().__init__(dt=0.5)

    with pytest.raises(ws.StateError, match=r"Late: super.* call it first"):
        Late()


def test_a_constructor_within_the_network_changes_settings_only():
    class Inside(ws.Network):
        def __init__(self):
            with self:
                super().__init__(dt=0.5)
                self.units = ws.Population(2)

    inside = Inside()
    assert inside.populations == (inside.units,) and inside.units.network is inside and inside.dt == 0.5
