"""Copies, individual weights and the ways to connect them."""

import numpy as np
import pytest

import weightsharing as ws
from strategies.projections import convolution, populations
from weightsharing.description import connectors

pytestmark = pytest.mark.usefixtures("network")


def matrix_of(projection):
    matrix = projection.weights
    return np.where(np.isnan(matrix), 0.0, matrix)


def test_copy():
    pre, post = populations((2, 2), 3)
    other = ws.Population((2, 2)), ws.Population(3)
    original = ws.Projection(pre, post, "exc").connect_from_matrix(
        [[1, None, 2, 3], [np.nan] * 4, [4, 5, 6, 7]], delays=2.0
    )
    maximum = ws.Copy(*other, "exc", psp="w*pre.r", operation="max").connect_copy(original)
    squares = ws.SharedProjection(*other, "exc", psp="w*pre.r^2", operation="mean").copy(original)
    assert maximum.delays == squares.delays == 2.0 and squares.n_weights == 7
    rates = np.array([[1.0, -1.0], [2.0, -3.0]])
    assert maximum(rates).tolist() == [4, 0, 12]
    np.testing.assert_allclose(squares(rates), [(1 + 8 + 27) / 3, 0, (4 + 5 + 24 + 63) / 4], rtol=1e-6)
    original.weights = -1.0
    assert maximum(rates).tolist() == [3, 0, 3]
    shared = convolution((4, 4), (4, 4), np.ones((1, 1)))
    copy = ws.SharedProjection(*populations((4, 4), (4, 4)), "exc").copy(shared)
    shared.weights = [[2.0]]
    np.testing.assert_array_equal(copy(np.eye(4)), 2 * np.eye(4))
    assert copy.center(3) == (0, 3)


def test_refused_copies():
    pre, post = populations(4, 3)
    original = ws.Projection(pre, post, "exc").connect_all_to_all(1.0)
    with pytest.raises(ValueError, match="geometr"):
        ws.Copy(ws.Population((2, 2)), post, "exc").connect_copy(original)
    with pytest.raises(TypeError, match="projection"):
        ws.Copy(pre, post, "exc").connect_copy(post)
    with pytest.raises(ValueError, match="no weights"):
        ws.Copy(pre, pre, "exc").connect_copy(ws.Pooling(pre, pre, "exc").connect_pooling())
    with ws.Network(dtype="float64"):
        wide = ws.Projection(*populations(4, 3), "exc").connect_all_to_all(1.0)
    with pytest.raises(ValueError, match="dtype"):
        ws.Copy(pre, post, "exc").connect_copy(wide)


def test_all_to_all_and_one_to_one():
    pre, post = populations(3, 2)
    rates = np.array([1.0, 2.0, 4.0])
    assert ws.Projection(pre, post, "exc").connect_all_to_all(2.0)(rates).tolist() == [14, 14]
    matrix = np.arange(6.0).reshape(2, 3)
    dense = ws.Projection(pre, post, "exc").connect_all_to_all(matrix)
    np.testing.assert_array_equal(dense.weights, matrix)
    np.testing.assert_array_equal(dense(rates), matrix @ rates)
    lateral = ws.Projection(pre, pre, "exc").connect_all_to_all(1.0)
    assert lateral(rates).tolist() == [6, 5, 3] and lateral.n_weights == 6
    assert np.isnan(np.diag(lateral.weights)).all()
    full = ws.Projection(pre, pre, "exc").connect_all_to_all(1.0, allow_self_connections=True)
    assert full(rates).tolist() == [7, 7, 7]
    pairs = ws.Projection(pre, pre, "exc").connect_one_to_one([1.0, 10.0, 100.0])
    assert pairs(rates).tolist() == [1, 20, 400]
    with pytest.raises(ValueError, match="sizes"):
        ws.Projection(pre, post, "exc").connect_one_to_one()
    for wrong, error in (
        (np.ones((3, 2)), ValueError),
        (np.ones(5), ValueError),
        ("1", TypeError),
        (1j, TypeError),
    ):
        with pytest.raises(error, match="weights"):
            ws.Projection(pre, post, "exc").connect_all_to_all(wrong)


def test_operations_of_synapses():
    pre, post = populations(3, 2)
    weights, rates = np.array([[1.0, -2.0, np.nan], [np.nan] * 3]), [3.0, 4.0, 5.0]
    for operation, expected in (("sum", -5), ("mean", -2.5), ("max", 3), ("min", -8)):
        projection = ws.Projection(pre, post, "exc", ws.Synapse(operation=operation)).connect_from_matrix(
            weights
        )
        assert projection(rates).tolist() == [expected, 0]
    squared = ws.Projection(pre, post, "exc", ws.Synapse(psp="w*pre.r*pre.r")).connect_from_matrix(weights)
    assert squared(rates).tolist() == [9 - 32, 0]
    for wrong in ({"psp": "w*x"}, {"operation": "prod"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            ws.Synapse(**wrong)
    with pytest.raises(TypeError, match="synapse"):
        ws.Projection(pre, post, "exc", "w*pre.r")


def test_assigned_matrices_keep_the_synapses():
    projection = ws.Projection(*populations(2, 2), "exc").connect_from_matrix([[1, None], [2, 3]])
    projection.weights = projection.weights * 2
    np.testing.assert_array_equal(projection.weights, [[2, np.nan], [4, 6]])
    projection.weights = [1.0, 2.0, 5.0]
    np.testing.assert_array_equal(projection.weights, [[1, np.nan], [2, 5]])
    for wrong in (np.ones((2, 2)), np.ones(2), np.ones((3, 3))):
        with pytest.raises(ValueError, match="weights"):
            projection.weights = wrong
    np.testing.assert_array_equal(projection.weights, [[1, np.nan], [2, 5]])


def test_fixed_probability_depends_on_the_seed():
    def connected(seed):
        with ws.Network(seed=seed):
            population = ws.Population(100)
            return ws.Projection(population, population, "exc").connect_fixed_probability(
                0.3, ws.Uniform(1, 2)
            )

    one, same, other = connected(1), connected(1), connected(2)
    np.testing.assert_array_equal(one.weights, same.weights)
    assert one.n_weights != other.n_weights or not np.array_equal(matrix_of(one), matrix_of(other))
    assert abs(one.n_weights - 0.3 * 9900) < 200 and np.isnan(np.diag(one.weights)).all()
    assert np.nanmin(one.weights) >= 1.0 and np.nanmax(one.weights) < 2.0
    pre, post = populations(5, 6)
    assert ws.Projection(pre, post, "exc").connect_fixed_probability(1.0, 1.0).n_weights == 30
    assert ws.Projection(pre, post, "exc").connect_fixed_probability(0.0, 1.0)(np.ones(5)).tolist() == [0] * 6
    with pytest.raises(ValueError, match="probability"):
        ws.Projection(pre, post, "exc").connect_fixed_probability(1.5, 1.0)


def test_gaussian_and_difference_of_gaussians():
    pre, post = populations((5, 1), (3, 4))
    x, y = np.arange(5) / 4, np.zeros(1)
    u, v = np.arange(3) / 2, np.arange(4) / 3
    squared = (u[:, None, None, None] - x[None, None, :, None]) ** 2 + (
        v[None, :, None, None] - y[None, None, None, :]
    ) ** 2
    squared = squared.reshape(12, 5)
    gaussian = ws.Projection(pre, post, "exc").connect_gaussian(-2.0, 0.3, limit=0.1)
    expected = -2.0 * np.exp(-squared / (2 * 0.3**2))
    expected[np.abs(expected) <= 0.2] = np.nan
    np.testing.assert_allclose(gaussian.weights, expected, rtol=1e-6)
    dog = ws.Projection(pre, post, "exc").connect_dog(3.0, 0.2, 1.0, 0.6, limit=0.05)
    expected = 3.0 * np.exp(-squared / (2 * 0.2**2)) - np.exp(-squared / (2 * 0.6**2))
    expected[np.abs(expected) <= 0.1] = np.nan
    np.testing.assert_allclose(dog.weights, expected, rtol=1e-5, atol=1e-6)
    field = ws.Population(9)
    lateral = ws.Projection(field, field, "exc").connect_gaussian(1.0, 0.1)
    assert np.isnan(np.diag(lateral.weights)).all()
    for wrong in ({"sigma": 0.0}, {"limit": -1.0}, {"amp": np.inf}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            ws.Projection(pre, post, "exc").connect_gaussian(**{"amp": 1.0, "sigma": 1.0, **wrong})
    with pytest.raises(ValueError, match="dimensions"):
        ws.Projection(field, post, "exc").connect_gaussian(1.0, 0.1)


def test_matrices():
    pre, post = populations(2, 3)
    matrix = np.array([[1.0, np.nan], [2.0, 3.0], [np.nan, np.inf]])
    direct = ws.Projection(pre, post, "exc").connect_from_matrix(matrix)
    np.testing.assert_array_equal(direct.weights, matrix)
    turned = ws.Projection(pre, post, "exc").connect_from_matrix(matrix.T, pre_post=True)
    np.testing.assert_array_equal(turned.weights, matrix)
    for wrong, error in [
        (matrix.T, ValueError),
        (np.ones(6), ValueError),
        ([[1, None], [1], [2, 3]], ValueError),
        ([["1", None]] * 3, TypeError),
        ([[1j, None]] * 3, TypeError),
        (matrix.astype(complex), TypeError),
    ]:
        with pytest.raises(error, match="weights"):
            ws.Projection(pre, post, "exc").connect_from_matrix(wrong)
    for wrong in (ws.Uniform(0, 1), None, {}, {1, 2}, "matrix", object()):
        with pytest.raises(TypeError, match=rf"^weights .*({type(wrong).__name__}|dtype).*real"):
            ws.Projection(pre, post, "exc").connect_from_matrix(wrong)
    sparse = pytest.importorskip("scipy.sparse")
    for wrong in (sparse.eye(2), sparse.csr_array(np.eye(2))):
        with pytest.raises(TypeError, match=r"^weights is a sparse matrix.*connect_from_sparse"):
            ws.Projection(pre, post, "exc").connect_from_matrix(wrong)


def test_sparse_matrices():
    class Compressed:
        """As much of a SciPy matrix in compressed columns as is asked for."""

        shape = (2, 3)

        def __init__(self):
            self.indptr, self.indices = np.array([0, 2, 2, 3]), np.array([0, 1, 1])
            self.data = np.array([1.0, 0.0, 5.0])

        def tocsc(self):
            return self

        copy = tocsc

        def sum_duplicates(self):
            pass

    pre, post = populations(2, 3)
    projection = ws.Projection(pre, post, "exc").connect_from_sparse(Compressed())
    np.testing.assert_array_equal(projection.weights, [[1, 0], [np.nan, np.nan], [np.nan, 5]])
    with pytest.raises(TypeError, match="weights"):
        ws.Projection(pre, post, "exc").connect_from_sparse(np.ones((2, 3)))
    with pytest.raises(ValueError, match="weights"):
        ws.Projection(post, pre, "exc").connect_from_sparse(Compressed())


def test_connectors_list_every_pair_once():
    starts, columns = connectors.all_to_all(4, 4, True)
    assert starts.tolist() == [0, 3, 6, 9, 12] and columns.tolist() == [1, 2, 3, 0, 2, 3, 0, 1, 3, 0, 1, 2]
