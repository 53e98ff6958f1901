"""Views of populations: which units an index means, and what is read and assigned through them."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weightsharing as ws
from strategies.backends import BACKENDS

pytestmark = pytest.mark.usefixtures("network")


NEURON = {
    "parameters": "tau = 2.0; gain = 3.0 : population; bias = 0.5",
    "equations": "v = (sum(exc) + bias)/tau\nr = gain*v + r",
}


def numbered(geometry):
    """A population whose rates are the ranks."""
    population = ws.Population(geometry, ws.Neuron(**NEURON))
    population.r = np.arange(population.size).reshape(population.geometry)
    return population


# --- Which units ---


@pytest.mark.parametrize(
    "index",
    [
        (3, 4), (-1, -2), (np.int64(2), np.uint8(3)), (slice(2, 5), slice(None)), (slice(None), 2),
        (2,), (slice(1, 3),), (slice(None, None, -1), slice(7, 0, -3)), (slice(-3, 100), slice(3, 3)),
        (...,), (..., 1), (1, ...), (slice(1, 2), ..., slice(0, 6, 2)), (), (slice(-100, 2), -1),
    ],
)  # fmt: skip
def test_coordinates_count_as_in_numpy(index):
    population = numbered((6, 8))
    ranks = np.arange(48).reshape(6, 8)[index]
    view = population[index]
    assert view.geometry == view.shape == ranks.shape and view.size == len(view) == ranks.size
    assert view.ranks.dtype == np.int64 and view.ranks.ndim == 1 and view.population is population
    np.testing.assert_array_equal(view.ranks, ranks.ravel())
    np.testing.assert_array_equal(view.r, ranks)


@pytest.mark.parametrize(
    "index",
    [
        5, -1, np.int32(7), np.array(3), slice(2, 5), slice(None, None, -7), slice(40, 100),
        [0, 5, 7], [7, -1, 0], [], np.array([3, 1], np.uint8), np.arange(48), range(48)[3:9:2],
    ],
)  # fmt: skip
@pytest.mark.parametrize("geometry", [48, (6, 8), (2, 3, 2, 4)])
def test_one_index_counts_ranks(geometry, index):
    index = list(index) if isinstance(index, range) else index
    expected = np.arange(48)[np.asarray(index, int) if isinstance(index, list) else index]
    view = numbered(geometry)[index]
    assert view.geometry == expected.shape
    np.testing.assert_array_equal(view.ranks, np.atleast_1d(expected))
    np.testing.assert_array_equal(view.r, expected)


def test_masks():
    population = numbered((2, 3))
    mask = np.array([[True, False, True], [False, False, True]])
    for given_mask in (mask, mask.tolist(), np.asfortranarray(mask)):
        np.testing.assert_array_equal(population[given_mask].ranks, [0, 2, 5])
    assert population[population.r > 10].size == 0 and population[population.r > 2] == population[3:]
    line = numbered(3)
    assert line[[True, False, True]] == line[[0, 2]]
    with pytest.raises(IndexError, match=r"mask has the shape \(3,\); expected \(2, 3\)"):
        _ = population[[True, False, True]]


def test_views_of_views():
    population = numbered((10, 4))
    block = population[2:8, :]
    np.testing.assert_array_equal(block[1:3, -1].r, np.arange(40).reshape(10, 4)[2:8, :][1:3, -1])
    np.testing.assert_array_equal(block[1:3].ranks, [9, 10])
    np.testing.assert_array_equal(block[[0, -1]].ranks, [8, 31])
    np.testing.assert_array_equal(block[block.r > 29].ranks, [30, 31])
    assert block[0, 0] == population[2, 0] == block[0] == population.neuron(8)
    assert block[0, 0][0] == block[0, 0][()] == block[0, 0] and block[...,] == block
    assert block[::2, 1][::-1][0].rank == 6 * 4 + 1
    with pytest.raises(IndexError, match="axis 0: coordinate 6 is out of range"):
        _ = block[6, 0]


@given(st.data())
def test_slices_of_slices_are_numpy_s(data):
    geometry = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple))
    with ws.Network():
        view, ranks = ws.Population(geometry), np.arange(np.prod(geometry)).reshape(geometry)
    for _ in range(3):
        entry = [
            st.slices(size) | st.integers(-size, size - 1) if size else st.slices(0) for size in ranks.shape
        ]
        index = data.draw(st.tuples(*entry))
        view, ranks = view[index], ranks[index]
        assert view.geometry == ranks.shape
        np.testing.assert_array_equal(view.ranks, ranks.ravel())


@pytest.mark.parametrize(
    ("index", "error", "words"),
    [
        (48, IndexError, "rank 48 is out of range"),
        (-49, IndexError, "rank -49"),
        ([0, 48], IndexError, "rank 48"),
        ([0, -49], IndexError, "rank -49"),
        ((6, 0), IndexError, "axis 0: coordinate 6 is out of range"),
        ((0, -9), IndexError, "axis 1: coordinate -9"),
        ((0, 0, 0), IndexError, "3 entries.*2 axes"),
        ((..., 0, ...), IndexError, "more than one"),
        (np.zeros((8, 6), bool), IndexError, r"\(8, 6\); expected \(6, 8\)"),
        ([1, 2, 1], ValueError, "twice"),
        ([1, -47], ValueError, "twice"),
        (1.0, TypeError, "1.0"),
        ("r", TypeError, "'r'"),
        (None, TypeError, "None"),
        (True, TypeError, "True"),
        ((None, 1), TypeError, "None"),
        ((0, [1, 2]), TypeError, r"\[1, 2\]"),
        ((True, 1), TypeError, "True"),
        ([0.0, 1.0], TypeError, "float64"),
        ([[0, 1], [2, 3]], TypeError, r"shape \(2, 2\)"),
        ([[0, 1], [2]], TypeError, "ragged"),
        (["a"], TypeError, "whole"),
        (slice(0.0, 3), TypeError, "slice"),
        (slice(0, 3, 0), ValueError, "step"),
    ],
)
def test_wrong_indices(index, error, words):
    population = numbered((6, 8))
    for units in (population, population[:, :]):
        with pytest.raises(error, match=words):
            _ = units[index]


def test_single_units():
    population = numbered((6, 8))
    view = population.neuron(2, 3)
    assert view == population.neuron((2, 3)) == population.neuron([2, 3]) == population.neuron(19)
    assert view == population[2, 3] == population.neuron(-4, -5) == population.neuron(np.int64(19))
    assert view.geometry == () and len(view) == view.size == 1 and view.rank == 19
    assert view.r == 19.0 and isinstance(view.r, float) and view.gain == 3.0
    view.r = 0.25
    assert population.r[2, 3] == 0.25 and population.r.sum() == np.arange(48).sum() - 19 + 0.25
    assert [unit.rank for unit in population] == [unit.rank for unit in population.neurons] == list(range(48))
    assert [unit.r for unit in population[:2, 3]] == [3.0, 11.0]
    for wrong, error in [
        ((48,), IndexError), ((6, 0), IndexError), ((2.0,), TypeError), ((slice(3),), TypeError),
        (([1, 2, 3],), TypeError), ((2, slice(3)), TypeError), ((2, 3, 4), IndexError), ((), TypeError),
    ]:  # fmt: skip
        with pytest.raises(error):
            population.neuron(*wrong)
    line = numbered(5)
    assert line.neuron([3]) == line.neuron((3,)) == line[3]
    with pytest.raises(ValueError, match="2 units; read ranks"):
        _ = line[:2].rank


def test_sums_of_views(network):
    population, other = numbered(10), numbered(10)
    joined = population[0:2] + population[5:7] + population[1] + population[5:0:-4]
    np.testing.assert_array_equal(joined.ranks, [0, 1, 5, 6])
    assert joined.geometry == (4,) and joined == population[[0, 1, 5, 6]]
    with pytest.raises(ValueError, match="different populations"):
        _ = population[0] + other[1]
    with pytest.raises(TypeError):
        _ = population[0] + 1


def test_equality_and_words():
    population = numbered((6, 8))
    assert population[0:2, :] == population[:2, 0:8] and population[0:2, :] != population[0:16]
    assert population[0] != numbered((6, 8))[0] and population[0] != 0
    assert len({population[0], population[0, 0], population[1]}) == 2
    assert repr(population[0:2, 1]) == "<PopulationView (2,) of 'pop0', ranks [1 9]>"
    assert repr(population[:, :]).endswith("ranks [ 0  1  2 ... 45 46 47]>")
    assert repr(population[3]) == "<PopulationView () of 'pop0', ranks [3]>"


def test_views_made_from_ranks():
    population = numbered((6, 8))
    view = ws.PopulationView(population, np.arange(4, 10), (2, 3))
    np.testing.assert_array_equal(view.r, [[4, 5, 6], [7, 8, 9]])
    assert ws.PopulationView(population, [3, -1]) == population[[3, -1]]
    assert ws.PopulationView(population, [3], ()) == population[3]
    for ranks, geometry, error in [
        ([0, 1, 2], (2, 2), ValueError), ([0, 1], (-1, -2), ValueError), ([0, 0], None, ValueError),
        ([48], None, IndexError), ([0.0], None, TypeError), (3, None, TypeError), ([1], 1.0, TypeError),
    ]:  # fmt: skip
        with pytest.raises(error):
            ws.PopulationView(population, ranks, geometry)
    with pytest.raises(TypeError, match="population is a PopulationView"):
        ws.PopulationView(view, [0])


def test_a_view_of_a_huge_population_allocates_nothing():
    population = ws.Population((2**20, 2**20))
    assert population[2**20 - 1, -1].rank == 2**40 - 1 and population[-1].rank == 2**40 - 1
    assert population[5, 3:6].ranks.tolist() == [5 * 2**20 + 3, 5 * 2**20 + 4, 5 * 2**20 + 5]


def test_views_are_neither_arrays_nor_changed_nor_copied():
    population = numbered((6, 8))
    view = population[0:2, :]
    for units in (population, view, view[0]):
        with pytest.raises(TypeError, match="no array; read one of its values"):
            np.asarray(units)
        with pytest.raises(TypeError, match="no array"):
            population.r = units
    for name in ("ranks", "geometry", "size", "get", "population"):
        with pytest.raises(AttributeError, match=name):
            setattr(view, name, 3)
    with pytest.raises(ValueError, match="read-only"):
        view.ranks[0] = 3
    with pytest.raises(TypeError, match="cannot be copied"):
        copy.copy(view)
    with pytest.raises(ValueError, match="attribute 'ranks'; choose another name"):
        ws.Population(3, ws.Neuron("ranks = 3.0", "r = ranks"))
    with pytest.raises(AttributeError, match="method"):
        population.neuron = 3


# --- Values ---


def test_values_are_read_as_copies():
    population = numbered((6, 8))
    view = population[1:3, ::4]
    assert view.attributes == population.attributes == ["tau", "gain", "bias", "v", "r"]
    assert view.parameters == ["tau", "gain", "bias"] and view.variables == ["v", "r"]
    assert view.gain == view.get("gain") == 3.0 and (view.tau == np.full((2, 2), 2.0)).all()
    before = view.r
    assert before.dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        before[0, 0] = 1.0
    population.r = 0.0
    np.testing.assert_array_equal(before, [[8, 12], [16, 20]])
    assert not view.r.any() and view.sum("exc").shape == (2, 2) and view[0].sum("exc") == 0.0
    for name in ("rate", "_r"):
        with pytest.raises(AttributeError, match=name):
            getattr(view, name)
    with pytest.raises(AttributeError, match="rate"):
        view.get("rate")
    with pytest.raises(TypeError, match="name"):
        view.get(3)


@pytest.mark.parametrize("compiled", [False, True])
def test_assignment_changes_the_units_of_the_view_only(compiled, network):
    population = numbered((6, 8))
    expected = np.arange(48.0).reshape(6, 8)
    if compiled:
        network.compile()
    for index, values in [
        ((slice(1, 3), slice(None, None, 4)), [[0.5, np.nan], [np.inf, -1.0]]),
        ((slice(None, None, -1), 2), np.arange(6, dtype=np.uint8)),
        ((5, 5), 7),
        ((slice(3, 3), 0), 9.0),
        ((slice(4, 6), slice(6, 8)), 0.125),
    ]:
        population[index].r = values
        expected[index] = values
        np.testing.assert_array_equal(population.r, expected)
    population[[5, -1, 0]].r = [1.0, 2.0, 3.0]
    assert population.r[0, 5] == 1.0 and population.r[5, 7] == 2.0 and population.r[0, 0] == 3.0
    large = population.r > 10
    population[large].set({"bias": 4.0, "r": 1.0})
    assert large.any() and (population.r[large] == 1.0).all()
    np.testing.assert_array_equal(population.bias, np.where(large, 4.0, 0.5))


def test_distributions_are_drawn_for_the_units_of_the_view(network):
    population = numbered((6, 8))
    population[1:3, :].r = ws.Uniform(100.0, 200.0)
    drawn = population.r >= 100.0
    assert drawn[1:3].all() and drawn.sum() == 16 and len(np.unique(population.r[1:3])) == 16
    population[4].r = ws.Normal(-5.0, 0.0)
    assert population.neuron(4).r == -5.0


def test_refused_assignments_change_nothing(network):
    population = numbered((6, 8))
    network.compile()
    view, before, draws = population[0:2, 0:2], population.r, network.random_generator.bit_generator.state
    for name, values, error, words in [
        ("r", np.ones(4), ValueError, r"shape \(4,\); expected \(2, 2\)"),
        ("r", np.ones((6, 8)), ValueError, "shape"),
        ("r", "a", TypeError, "r has"),
        ("r", 1e300, ValueError, "float32"),
        ("r", [[1, 1e39], [0, 0]], ValueError, "float32"),
        ("r", ws.Uniform(1e299, 1e300), ValueError, "float32"),
        ("tau", 0.0, ValueError, "divide by zero"),
        ("tau", [[1.0, 2.0], [0.0, 3.0]], ValueError, "tau"),
        ("gain", 1.0, ValueError, "gain is common to units of 'pop0'.*assign it to the population"),
        ("rate", 1.0, AttributeError, "no attribute 'rate'"),
    ]:
        with pytest.raises(error, match=words):
            setattr(view, name, values)
        with pytest.raises(error, match=words):
            view.set({"r": ws.Uniform(5.0, 6.0), name: values} if name != "r" else {name: values})
        np.testing.assert_array_equal(population.r, before)
        assert (population.tau == 2.0).all() and population.gain == 3.0
        assert network.random_generator.bit_generator.state == draws


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_assigned_is_seen_by_the_next_step(backend, network):
    population = numbered((2, 3))
    network.compile(backend=backend)
    network.step()
    np.testing.assert_array_equal(population.v, np.full((2, 3), 0.25))
    view = population[:, 1]
    np.testing.assert_array_equal(view.r, [1.75, 4.75])
    view.r = 10.0
    population[0, :].tau = [1.0, 0.5, 0.25]
    view.set({"bias": [0.0, 1.0], "v": 9.0})
    network.step()
    np.testing.assert_array_equal(population.v, [[0.5, 0.0, 2.0], [0.25, 0.5, 0.25]])
    np.testing.assert_array_equal(population.r, [[2.25, 10.0, 8.75], [4.5, 11.5, 6.5]])
    assert view[0].v == 0.0 and view[1].r == 11.5


def test_views_of_a_batch_have_its_axis_first():
    network = ws.Network(batch=3, seed=1)
    population = network.create((4, 5), ws.Neuron(parameters="b = 1.0 : filter", equations="r = r + b"))
    view = population[1:3, ::2]
    view.r = [[1, 2, 3], [4, 5, 6]]
    assert view.r.shape == (3, 2, 3)
    np.testing.assert_array_equal(view.r[2], [[1, 2, 3], [4, 5, 6]])
    each = np.arange(18.0).reshape(3, 2, 3)
    view.r = each
    np.testing.assert_array_equal(population.r[:, 1:3, ::2], each)
    assert (population.r[:, 0] == 0).all()
    population[3].r = ws.Uniform(1, 2)
    assert len(np.unique(population.r[:, 0, 3])) == 3
    with pytest.raises(ValueError, match="each trial"):
        view.r = np.zeros((2, 2, 3))
    with pytest.raises(ValueError, match="common"):
        view.b = 3.0


@pytest.mark.parametrize("batch", [None, 2])
def test_what_units_share_is_read_as_the_population_reads_it(batch):
    network = ws.Network(batch=batch)
    neuron = ws.Neuron(parameters="gain = 2.0 : population\nbias = 0.5 : filter", equations="r = gain + bias")
    units = network.create((3, 4), neuron)
    for view in (units[1:, 2:], units[0, 0], units[[3, 5]]):
        for name in ("gain", "bias"):
            np.testing.assert_array_equal(view.get(name), units.get(name))
        assert np.shape(view.bias) == (*(() if batch is None else (batch,)), 4)
