"""Feedforward networks: no latency within a step, delays, cycles, time axes, whatever the order of creation."""

import itertools
import sys

import numpy as np
import pytest

import weightsharing as ws
from strategies.neurons import LINEAR

STEPS = 9
MOVIE = np.random.default_rng(7).integers(-9, 10, (STEPS, 4, 5)).astype(float)


def network(**options):
    return ws.Network(update="feedforward", dtype="float64", seed=1, **options)


def one_to_one(pre, post, weight=1.0, **options):
    return ws.Projection(pre, post, "exc").connect_one_to_one(weight, **options)


# --- Order ---


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_a_chain_has_no_latency_in_any_order_of_creation(order, backend):
    net = network()
    layers = [None] * 4
    for place in order:
        layers[place] = ws.MoviePopulation(2, network=net) if place == 0 else net.create(2, LINEAR)
    for pre in sorted(range(3), key=order.index):
        one_to_one(layers[pre], layers[pre + 1], 2.0)
    net.compile(backend)
    shown = np.arange(6.0).reshape(3, 2)
    results = net.run(shown, output=layers)
    for place, result in enumerate(results):
        np.testing.assert_array_equal(result, shown * 2.0**place)


def test_a_long_chain(backend):
    net = network()
    number = sys.getrecursionlimit() + 100  # what calls itself for each layer fails
    layers = [ws.MoviePopulation(1, network=net), *(net.create(1, LINEAR) for _ in range(number))]
    for pre, post in zip(reversed(layers[:-1]), reversed(layers[1:]), strict=True):
        one_to_one(pre, post)
    net.compile(backend)
    np.testing.assert_array_equal(net.run([[3.0], [4.0]], output=layers[-1]), [[3.0], [4.0]])


def test_branches_that_meet_again(backend):
    net = network()
    end = net.create(1, ws.Neuron(equations="r = sum(a) - sum(b) + sum(c)"))
    right, left = net.create(1, LINEAR), net.create(1, LINEAR)
    movie = ws.MoviePopulation(1, network=net)
    for pre, target, weight in [(left, "a", 1.0), (right, "b", 1.0), (movie, "c", 10.0)]:
        ws.Projection(pre, end, target).connect_one_to_one(weight)
    one_to_one(movie, left, 5.0)
    one_to_one(left, right, 2.0)
    net.compile(backend)
    assert net.run([[1.0], [2.0]], output=end).ravel().tolist() == [5.0, 10.0]  # 5 - 10 + 10, doubled


@pytest.mark.parametrize("dt", [1.0, 0.1])
@pytest.mark.parametrize("steps", [0, 1, 2, 3, 8])
@pytest.mark.parametrize("post_first", [False, True])
def test_delays(steps, dt, post_first, backend):
    net = network(dt=dt)
    created = [None, None]
    for place in (1, 0) if post_first else (0, 1):
        created[place] = net.create(1, LINEAR) if place else ws.MoviePopulation(1, network=net)
    one_to_one(*created, delays=steps * dt)
    net.compile(backend)
    shown = np.arange(1.0, 12.0)[:, np.newaxis]
    expected = np.concatenate([np.zeros((steps, 1)), shown])[:11]
    np.testing.assert_array_equal(net.run(shown, output=created[1]), expected)


def test_delays_below_a_step_are_none(backend):
    net = network()
    movie, post = ws.MoviePopulation(1, network=net), net.create(1, LINEAR)
    one_to_one(movie, post, delays=0.9)
    net.compile(backend)
    assert net.run([[1.0], [2.0]], output=post).ravel().tolist() == [1.0, 2.0]


# --- Cycles ---


def test_cycles_without_delay_are_named():
    net = network()
    names = ["a", "b", "c"]
    a, b, c = (net.create(1, LINEAR, name=name) for name in names)
    for pre, post in [(a, b), (b, c)]:
        one_to_one(pre, post)
    back = ws.Projection(c, a, "exc")
    back.connect_one_to_one(1.0, delays=0.5)
    with pytest.raises(
        ValueError, match=r"'\w' -> '\w' -> '\w' -> '\w' form a cycle.*delay of at least dt"
    ) as info:
        net.compile("reference")
    path = str(info.value).split(" form")[0].split("populations ")[1].split(" -> ")
    assert path[0] == path[-1] and sorted(path[1:]) == ["'a'", "'b'", "'c'"]
    # As the arrows say: each one reads the one before.
    assert all(
        (x, y) in [("'a'", "'b'"), ("'b'", "'c'"), ("'c'", "'a'")] for x, y in itertools.pairwise(path)
    )


def test_a_self_projection_without_delay_is_a_cycle():
    net = network()
    one = net.create(1, LINEAR, name="one")
    one_to_one(one, one)
    with pytest.raises(ValueError, match="'one' -> 'one' form a cycle"):
        net.compile("reference")


@pytest.mark.parametrize("delay", [1, 2, 3])
def test_self_projections_with_a_delay(delay, backend):
    net = network()
    movie, total = ws.MoviePopulation(1, network=net), net.create(1, LINEAR)
    one_to_one(movie, total)
    one_to_one(total, total, 2.0, delays=float(delay))
    net.compile(backend)
    shown = np.arange(1.0, 8.0)
    expected = np.zeros(7)
    for step in range(7):
        expected[step] = shown[step] + (2.0 * expected[step - delay] if step >= delay else 0.0)
    np.testing.assert_array_equal(net.run(shown[:, np.newaxis], output=total)[:, 0], expected)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("history", ["zeros", "ones", "first_frame", [5.0], [[7.0], [5.0], [6.0]]])
def test_cycles_with_a_delay(order, history, backend):
    net = network()
    created = [None] * 3
    for place in order:
        created[place] = net.create(1, LINEAR) if place else ws.MoviePopulation(1, network=net)
    movie, forth, back = created
    one_to_one(movie, forth)
    one_to_one(forth, back, 3.0)
    one_to_one(
        back, forth, -1.0, delays=2.0, history=np.array(history) if isinstance(history, list) else history
    )
    back.r = 4.0
    net.compile(backend)
    # The first frame of `back` as it was before step 0: no step can read its own result.
    before = {"zeros": [0, 0], "ones": [1, 1], "first_frame": [4, 4]}.get(
        history if isinstance(history, str) else ""
    )
    before = before or np.array(history).ravel()[-2:].tolist()
    before = before * 2 if len(before) == 1 else before
    shown, seen = np.arange(1.0, 7.0), []
    for step in range(6):
        seen.append(3.0 * (shown[step] - (seen[step - 2] if step >= 2 else before[step])))
    np.testing.assert_array_equal(net.run(shown[:, np.newaxis], output=back)[:, 0], seen)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_first_frame_does_not_depend_on_the_order_of_creation(order, backend):
    net = network()
    created = [None] * 3
    for place in order:
        created[place] = net.create(1, LINEAR) if place else ws.MoviePopulation(1, network=net)
    movie, middle, end = created
    one_to_one(movie, middle, 2.0, delays=1.0, history="first_frame")
    one_to_one(middle, end, 1.0, delays=2.0, history="first_frame")
    middle.r = 100.0
    net.compile(backend)
    results = net.run(np.arange(1.0, 6.0)[:, np.newaxis], output=[middle, end])
    assert results[0].ravel().tolist() == [2, 2, 4, 6, 8]
    assert results[1].ravel().tolist() == [2, 2, 2, 2, 4]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::5])
def test_first_frames_within_a_cycle_do_not_depend_on_the_order_of_creation(order, backend):
    net = network()
    created = [None] * 4
    for place in order:
        created[place] = net.create(1, LINEAR) if place else ws.MoviePopulation(1, network=net)
    movie, a, b, reader = created
    one_to_one(movie, a)
    one_to_one(a, b, delays=1.0, history="first_frame")
    one_to_one(b, a, delays=1.0, history="first_frame")
    one_to_one(b, reader, delays=1.0, history="first_frame")
    a.r, b.r = 10.0, 20.0
    net.compile(backend)
    results = np.array(net.run([[1.0], [2.0], [3.0]], output=[a, b, reader]))[:, :, 0]
    # Within the cycle the values from before step 0; the reader outside sees b's own first frame.
    assert results.tolist() == [[21, 12, 24], [10, 21, 12], [10, 10, 21]]


@pytest.mark.parametrize("seed", range(6))
def test_random_graphs_in_any_order_of_creation(seed, backend):
    generator = np.random.default_rng(seed)
    count = 6
    edges = [
        (pre, post, int(generator.integers(-2, 3)), int(generator.integers(0, 3)))
        for pre in range(count)
        for post in range(1, count)
        if generator.random() < 0.5
    ]
    edges = [(pre, post, weight, delay or int(pre >= post)) for pre, post, weight, delay in edges]
    shown = generator.integers(-4, 5, (7, 1)).astype(float)

    def by_hand():
        rates = np.zeros((7, count))
        for step in range(7):
            rates[step, 0] = shown[step, 0]
            for post in range(1, count):
                for pre, to, weight, delay in edges:
                    if to == post and step >= delay:
                        rates[step, post] += weight * rates[step - delay, pre]
        return rates

    for _ in range(3):
        net = network()
        created = [None] * count
        for place in generator.permutation(count):
            created[place] = net.create(1, LINEAR) if place else ws.MoviePopulation(1, network=net)
        for number in generator.permutation(len(edges)):
            pre, post, weight, delay = edges[number]
            one_to_one(created[pre], created[post], weight, delays=float(delay))
        net.compile(backend)
        results = net.run(shown, output=created)
        np.testing.assert_array_equal(np.concatenate(results, axis=1), by_hand())


# --- Time axes ---


def taps(past, weights, anchor_rows, anchor_columns):
    """What every tap contributes: (time taps, rows, columns of the filter, \\*geometry); zeros outside."""
    time, rows, columns = weights.shape
    height, width = past.shape[1:]
    padded = np.pad(past, ((0, 0), (rows, rows), (columns, columns)))
    result = np.zeros((*weights.shape, height, width))
    for tau, i, j in np.ndindex(*weights.shape):
        top, left = rows + i - anchor_rows, columns + j - anchor_columns
        window = padded[-1 - tau, top : top + height, left : left + width]
        result[tau, i, j] = weights[tau, i, j] * window
    return result.reshape(time * rows * columns, height, width)


def reduced(shown, before, weights, operation, delay=0):
    """The definition: reduce over all taps in time and space."""
    past = np.concatenate([before, shown])
    centre = [size // 2 if size % 2 else size // 2 - 1 for size in weights.shape[1:]]
    reduce = {"sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min}[operation]
    return np.array(
        [
            reduce(taps(past[: len(before) + step + 1 - delay], weights, *centre), axis=0)
            for step in range(len(shown))
        ]
    )


WEIGHTS = np.random.default_rng(4).integers(-3, 4, (2, 3, 3, 2)).astype(float)  # two filters of three steps


@pytest.mark.parametrize("operation", ["sum", "mean", "max", "min"])
@pytest.mark.parametrize("delay", [0, 1, 3])
@pytest.mark.parametrize("history", ["zeros", "ones", "first_frame"])
@pytest.mark.parametrize("bank", [False, True])
def test_time_axes_of_every_operation(operation, delay, history, bank, backend):
    net = network()
    post = net.create((4, 5, 2) if bank else (4, 5), LINEAR)
    copy = net.create((4, 5), LINEAR)
    movie = ws.MoviePopulation((4, 5), network=net)
    one_to_one(movie, copy, 2.0)
    projection = ws.Convolution(copy, post, "exc", operation=operation)
    options = {"delays": float(delay), "time_axis": True, "history": history}
    if bank:
        projection.connect_filters(WEIGHTS, **options)
    else:
        projection.connect_filter(WEIGHTS[0], **options)
    net.compile(backend)
    first = {"zeros": 0.0 * MOVIE[0], "ones": np.ones((4, 5)), "first_frame": 2.0 * MOVIE[0]}[history]
    before = np.stack([first] * (2 + delay))
    expected = [
        reduced(2.0 * MOVIE, before, one, operation, delay) for one in (WEIGHTS if bank else WEIGHTS[:1])
    ]
    result = net.run(MOVIE, output=post)
    np.testing.assert_allclose(
        result, np.stack(expected, axis=-1).reshape(result.shape), rtol=1e-14, atol=1e-14
    )


@pytest.mark.parametrize("operation", ["sum", "mean", "max"])
def test_long_time_axes_are_summed_in_parts(operation, backend):
    weights = np.random.default_rng(8).integers(-3, 4, (70, 1, 1)).astype(float)
    net = network()
    movie, post = ws.MoviePopulation((1, 1), network=net), net.create((1, 1), LINEAR)
    for target in ("exc", "exc"):  # the second one adds to the first
        ws.Convolution(movie, post, target, operation=operation).connect_filter(weights, time_axis=True)
    net.compile(backend)
    shown = np.random.default_rng(9).integers(-9, 10, (75, 1, 1)).astype(float)
    expected = 2 * reduced(shown, np.zeros((69, 1, 1)), weights, operation)
    np.testing.assert_allclose(net.run(shown, output=post), expected, rtol=1e-14, atol=1e-13)


@pytest.mark.parametrize(
    "history", [MOVIE[0] + 1, MOVIE[:3] - 2, MOVIE, MOVIE[:3, np.newaxis].repeat(1, axis=1)]
)
def test_given_histories(history, backend):
    batch = 1 if history.ndim == 4 else None
    net = network(batch=batch)
    movie, post = ws.MoviePopulation((4, 5), network=net), net.create((4, 5), LINEAR)
    ws.Convolution(movie, post, "exc").connect_filter(WEIGHTS[0], delays=1.0, time_axis=True, history=history)
    net.compile(backend)
    before = np.stack([history] * 3) if history.ndim == 2 else history[-3:].reshape(3, 4, 5)
    expected = reduced(MOVIE, before, WEIGHTS[0], "sum", 1)
    result = net.run(MOVIE, output=post).reshape(MOVIE.shape)
    np.testing.assert_allclose(result, expected, rtol=1e-14, atol=1e-14)
    net.reset()
    np.testing.assert_array_equal(net.run(MOVIE, output=post).reshape(MOVIE.shape), result)


def test_histories_that_are_too_short_are_refused():
    net = network()
    movie, post = ws.MoviePopulation((4, 5), network=net), net.create((4, 5), LINEAR)
    ws.Convolution(movie, post, "exc").connect_filter(
        WEIGHTS[0], delays=1.0, time_axis=True, history=MOVIE[:2]
    )
    with pytest.raises(ValueError, match="has 2 frames; expected at least 3"):
        net.compile("reference")


def test_readers_of_one_population_share_a_history_as_deep_as_the_deepest(backend):
    net = network()
    movie, post = ws.MoviePopulation((4, 5), network=net), net.create((4, 5), LINEAR)
    ws.Convolution(movie, post, "exc").connect_filter(WEIGHTS[0], time_axis=True)
    ws.Convolution(movie, post, "exc").connect_filter(WEIGHTS[1], delays=4.0, time_axis=True)
    one_to_one(movie, post, delays=2.0)
    net.compile(backend)
    assert [history.depth for history in net._simulation.histories] == [6]
    past = np.zeros((6, 4, 5))
    expected = reduced(MOVIE, past, WEIGHTS[0], "sum") + reduced(MOVIE, past, WEIGHTS[1], "sum", 4)
    expected[2:] += MOVIE[:-2]
    np.testing.assert_allclose(net.run(MOVIE, output=post), expected, rtol=1e-14, atol=1e-13)


@pytest.mark.parametrize("history", ["zeros", "first_frame", "mean", "mirror", "full_copy"])
@pytest.mark.parametrize("operation", ["sum", "max"])
def test_each_trial_of_a_batch_is_a_run_of_its_own(history, operation, backend):
    shown = np.random.default_rng(2).standard_normal((6, 3, 4, 5))
    noisy = ws.Neuron(equations="r = sum(exc) + Uniform(-1, 1)")

    def result(movie, **options):
        net = network(**options)
        source, post = ws.MoviePopulation((4, 5), network=net), net.create((4, 5), noisy)
        kind = ws.Convolution(source, post, "exc", operation=operation)
        kind.connect_filter(WEIGHTS[0], delays=1.0, time_axis=True, history=history)
        one_to_one(post, post, 0.5, delays=2.0)
        net.compile(backend)
        return net.run(movie, output=post)

    together = result(shown, batch=3)
    for trial in range(3):
        np.testing.assert_array_equal(result(shown[:, trial], first_trial=trial), together[:, trial])


def test_pooling_synapses_and_copies_read_delayed_rates(backend):
    net = network()
    movie, pooled = ws.MoviePopulation((4, 4), network=net), net.create((2, 2), LINEAR)
    dense, copied = net.create(3, LINEAR), net.create(3, LINEAR)
    ws.Pooling(movie, pooled, "exc", operation="max").connect_pooling(delays=1.0)
    weights = np.arange(48.0).reshape(3, 16)
    original = ws.Projection(movie, dense, "exc").connect_from_matrix(weights, delays=2.0)
    ws.Copy(movie, copied, "exc").connect_copy(original)
    net.compile(backend)
    shown = np.random.default_rng(3).integers(0, 9, (5, 4, 4)).astype(float)
    results = net.run(shown, output=[pooled, dense, copied])
    windows = shown.reshape(5, 2, 2, 2, 2).max(axis=(2, 4))
    np.testing.assert_array_equal(results[0], np.concatenate([0 * windows[:1], windows[:-1]]))
    product = shown.reshape(5, 16) @ weights.T
    for result in results[1:]:
        np.testing.assert_array_equal(result, np.concatenate([0 * product[:2], product[:-2]]))


def test_state_and_reset(backend):
    net = network()
    movie, post = ws.MoviePopulation((4, 5), network=net), net.create((4, 5), LINEAR)
    ws.Convolution(movie, post, "exc").connect_filter(
        WEIGHTS[0], delays=2.0, time_axis=True, history="first_frame"
    )
    net.compile(backend)
    whole = net.run(MOVIE, output=post)
    net.reset()
    net.run(MOVIE[:4])
    net.push_state()
    rest = net.run(MOVIE[4:], output=post)
    np.testing.assert_array_equal(rest, whole[4:])
    net.run(-MOVIE)
    net.pop_state()
    np.testing.assert_array_equal(net.run(MOVIE[4:], output=post), rest)
