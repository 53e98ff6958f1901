"""Calls of scripts for ANNarchy: their arguments and functions work here, or the error says what to do."""

import inspect
import re

import numpy as np
import pytest

import weightsharing as ws


def test_a_script_with_arguments_about_generated_code():
    ws.setup(
        dt=0.5, num_threads=None, paradigm="openmp", method="explicit", structural_plasticity=False, visible_cores=[],
        sparse_matrix_format="csr", verbose=True, only_int_idx_type=False, profiling=False,
    )  # fmt: skip
    pre = ws.Population(3, ws.Neuron(equations="r = t"), stop_condition=None, storage_order="post_to_pre")
    post = ws.Population(2, ws.Neuron(equations="r = sum(exc)"), "out", copied=False)
    proj = ws.Projection(pre, post, "exc", ws.Synapse(name="plain", equations=""), disable_omp=False)
    proj.connect_all_to_all(1.0, storage_format="lil", storage_order=None, force_multiple_weights=True)
    ws.Convolution(pre, pre, "exc", net_id=0).connect_filter([1.0])
    ws.TimedArray([[1.0]], copied=False)
    monitor = ws.Monitor(post, "r", net_id=0)
    ws.compile(directory="annarchy", clean=True, silent=True, compiler="clang++", cuda_config={"device": 0})
    ws.simulate(2.0, measure_time=False, callbacks=True, net_id=0)
    ws.reset(populations=True, monitors=True, projections=False)
    ws.simulate(duration=2.0)
    assert monitor.get("r", keep=True)[:, 0].tolist() == [0.0, 0.0, 1.5, 3.0]
    network = ws.Network()
    network.connect(
        network.create(2, storage_order="x"), network.create(2), "exc", disable_omp=True
    ).connect_one_to_one()
    network.compile(silent=True)
    network.simulate(1.0, measure_time=False)


def test_connectors_of_annarchy_5():
    pre, post = ws.Population((2, 2)), ws.Population((2, 2))
    matrix = [[1.0, np.nan, 2.0, 3.0]] * 4
    for name, arguments in (
        ("all_to_all", (2.0,)), ("one_to_one", (2.0,)), ("gaussian", (1.0, 0.5)), ("dog", (2.0, 0.5, 1.0, 0.9)),
        ("from_matrix", (matrix,)), ("fixed_probability", (1.0, 3.0)),
    ):  # fmt: skip
        short = getattr(ws.Projection(pre, post, "exc"), name)(*arguments, storage_format="lil")
        long = getattr(ws.Projection(pre, post, "exc"), f"connect_{name}")(*arguments)
        np.testing.assert_array_equal(short.weights, long.weights)
        np.testing.assert_array_equal(short(np.arange(4.0).reshape(2, 2)), long(np.arange(4.0).reshape(2, 2)))
    assert ws.Projection.from_sparse is ws.Projection.connect_from_sparse
    with pytest.raises(TypeError, match="connect_all_to_all has no argument 'what'"):
        ws.Projection(pre, post, "exc").all_to_all(1.0, what=1)
    pooled = ws.Pooling(pre, ws.Population((1, 1)), "exc").pooling((2, 2), delays=3.0)
    assert pooled.delays == 3.0
    copy = ws.Copy(pre, post, "exc").copy(long)
    assert (copy.weights == long.weights).all()


SYNAPSES = "learning and structural plasticity are not available"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: ws.setup(num_threads="2"), "num_threads is '2'"),
        (lambda: ws.setup(paradigm="cuda"), r"compile\(backend='cuda'\)"),
        (lambda: ws.setup(method="midpoint"), "flag of each equation"),
        (lambda: ws.setup(precision="double"), "dtype='float64'"),
        (lambda: ws.setup(structural_plasticity=True), "neither made nor removed"),
        (lambda: ws.setup(Dt=1.0), "setup has no argument 'Dt'; it takes dt, dtype, seed"),
        (lambda: ws.compile(add_sources="a.cpp"), "add_function"),
        (lambda: ws.compile(cuda_config={"device": 1}), "device="),
        (lambda: ws.simulate(1.0, measure_time="s"), "measure_time is 's'"),
        (lambda: ws.simulate(1.0, callbacks=False), "disable_callbacks"),
        (lambda: ws.step(net_id=1), "with network"),
        (lambda: ws.reset(synapses=True), "leaves weights"),
        (lambda: ws.clear(neurons=False), "forgets everything"),
        (lambda: ws.load("x", projections=False), "leave it out"),
        (lambda: ws.every(period=1.0, network=ws.Network()), r"network\.every"),
        (lambda: ws.Network(everything=True), "Network: everything=True"),
        (lambda: ws.Network().compile(threads=1, speed=3), "compile has no argument 'speed'"),
        (lambda: ws.Population(3, stop_condition="r > 1"), r"Population: .*after each step\(\)"),
        (lambda: ws.Network().create(3, stop_condition="r > 1"), "create: stop_condition"),
        (lambda: ws.ImagePopulation((3, 3), net_id=2), "ImagePopulation: net_id=2"),
        (lambda: ws.TimedArray([[1.0]]).update([[2.0]], reset=True), r"call reset\(\) too"),
        (lambda: ws.Monitor(ws.Population(1), "r", net_id=2), "Monitor: net_id=2"),
        (lambda: ws.Synapse(equations="dw/dt = pre.r"), SYNAPSES),
        (lambda: ws.Synapse(parameters="tau = 5000"), SYNAPSES),
        (lambda: ws.Synapse(pruning="w < 0"), SYNAPSES),
        (lambda: ws.Synapse(pre_spike="g += w"), "rate-coded"),
        (lambda: ws.Synapse(wrong=1), "Synapse has no argument 'wrong'; it takes psp, operation"),
        (lambda: ws.Pooling(ws.Population(2), ws.Population(2), "exc", net_id=1), "Pooling: net_id=1"),
        (
            lambda: ws.Projection(ws.Population(2), ws.Population(2), "exc").connect_all_to_all(1.0, what=1),
            "connect_all_to_all has no argument 'what'; it takes weights, delays",
        ),
    ],
)  # fmt: skip
def test_arguments_that_are_not_available(call, says):
    with pytest.raises(TypeError, match=says):
        call()


def test_threads_by_setup():
    before = ws.get_num_threads()
    try:
        ws.setup(num_threads=3, suppress_warnings=True, show_time=True)
        assert ws.get_num_threads() == 3
        for wrong in (dict(num_threads=0), dict(num_threads=1, seed=-1), dict(num_threads=1, dt=0.0)):
            with pytest.raises(ValueError, match="expected"):
                ws.setup(**wrong)
        ws.setup(num_threads=None)
        assert ws.get_num_threads() == 3
    finally:
        ws.set_num_threads(before)


def test_measured_times_are_printed(capsys):
    ws.Population(1)
    ws.compile()
    ws.simulate(2.0, measure_time=True)
    assert re.fullmatch(
        r"Simulating 0\.002 seconds of the network took \S+ seconds\.\n", capsys.readouterr().out
    )
    ws.populations()[0].network.simulate(1.0, measure_time=False)
    assert capsys.readouterr().out == "" and ws.get_time() == 3.0


def test_signatures_stay_visible():
    assert list(inspect.signature(ws.simulate).parameters) == ["duration", "progress", "measure_time"]
    assert list(inspect.signature(ws.Synapse).parameters) == ["psp", "operation"]


def test_time_and_members_by_functions():
    ws.setup(dt=0.5)
    pre, post = ws.Population(3, name="in"), ws.Population(2)
    exc = ws.Projection(pre, post, "exc", name="forward").connect_all_to_all(1.0)
    inh = ws.Projection(post, pre, "inh").connect_from_matrix([[np.nan, 1.0], [np.nan] * 2, [2.0, 3.0]])
    assert ws.dt() == 0.5 and ws.populations() == [pre, post] and ws.projections() == [exc, inh]
    assert ws.projections(pre="in") == ws.projections(post=post) == ws.projections(target="exc") == [exc]
    assert ws.projections(post, post) == []
    assert ws.get_population("in") is pre and ws.get_projection("forward") is exc
    for find, kind in ((ws.get_population, "population"), (ws.get_projection, "projection")):
        with pytest.raises(ValueError, match=f"'nothing'; expected that of a {kind}: '"):
            find("nothing")
    with pytest.raises(ValueError, match="another network"):
        ws.projections(pre=ws.Network().create(2))
    assert exc.size == 2 and inh.size == 2
    exc.w = 4.0
    assert (exc.w == exc.weights).all() and exc.w[0, 0] == 4.0
    ws.compile()
    ws.simulate(1.5)
    network = pre.network
    assert ws.get_time() == network.get_time() == 1.5
    assert ws.get_current_step() == network.get_current_step() == network.current_step == 3
    assert network.get_populations() == [pre, post] and network.get_projections("in") == [inh]


def test_set_seed():
    drawn = []
    for _ in range(2):
        ws.clear()
        ws.set_seed(5, use_seed_seq=False)
        units = ws.Population(4, ws.Neuron("a = Uniform(0, 1)", "r = a + Uniform(0, 1)"))
        ws.compile()
        ws.step()
        drawn.append(units.r.tolist())
    assert drawn[0] == drawn[1] and units.network.seed == 5
    with pytest.raises(ws.StateError, match="cannot change the seed"):
        ws.set_seed(3)
    with pytest.raises(TypeError, match="seed is None"):
        ws.Network().set_seed(None)


def test_settings_of_a_network_cannot_be_assigned():
    class Own(ws.Network):
        def __init__(self):
            super().__init__()
            self.units = self.create(2)

    for network in (Own(), ws.Network()):
        with pytest.raises(AttributeError, match="arguments of Network"):
            network.dt = 2.0
