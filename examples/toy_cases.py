"""Small cases in one and in four dimensions, whose numbers can be checked by hand.

    python examples/toy_cases.py [output.png]

Each case prints its result beside the expected one. The script takes about a second, most of it for the picture.
"""

import sys
import time
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import weightsharing as ws

SIGNAL = [0, 0, 3, 3, 3, 1, 1, 0]


def confirm(title, result, expected):
    """Print the numbers; raise if they differ."""
    assert np.array_equal(result, expected), f"{title}: got {result}, expected {expected}"
    print(f"{title:>42}: {np.asarray(result).round(3).tolist()}")


def one_dimension():
    """A signal of eight units, and what five kinds of projection make of it."""
    with ws.Network() as network:
        signal = ws.Population(8)
        summing = ws.Neuron(equations="r = sum(exc)")
        change, flipped, mean, widest, echo = (ws.Population(size, summing) for size in (8, 8, 8, 4, 8))

        # Of two weights the left one lies on the centre: post[i] = -pre[i] + pre[i+1], and 0 beyond the end.
        ws.Convolution(signal, change, "exc").connect_filter([-1.0, 1.0])
        # A convolution in the sense of mathematics flips the filter: post[i] = -pre[i] + pre[i-1].
        ws.SharedProjection(signal, flipped, "exc").convolve([-1.0, 1.0])
        # The mean of what is inside: at the ends of two units, elsewhere of three.
        box = ws.Convolution(signal, mean, "exc", operation="mean")
        box.connect_filter(np.ones(3), padding="ignore")
        # Half as many units: the larger one of each pair.
        ws.Pooling(signal, widest, "exc", operation="max").connect_pooling()
        # Unit to unit. A layer costs one step anyhow; a delay of 3 ms shows rates set now three steps after that.
        ws.PointwiseProjection(signal, echo, "exc", weight=0.5, delays=3.0)
    network.compile()
    signal.r = SIGNAL

    network.simulate(3.0)
    confirm("signal", signal.r, SIGNAL)
    confirm("filter [-1, 1]", change.r, [0, 3, 0, 0, -2, 0, -1, 0])
    confirm("convolution with [-1, 1]", flipped.r, [0, 0, -3, 0, 0, 2, 0, 1])
    confirm("mean of three", mean.r * 3, [0, 3, 6, 9, 7, 5, 2, 1.5])
    confirm("larger one of each pair", widest.r, [0, 3, 3, 1])
    confirm("half the signal, before the delay is over", echo.r, np.zeros(8))
    network.simulate(1.0)
    confirm("half the signal, when it is over", echo.r, [0, 0, 1.5, 1.5, 1.5, 0.5, 0.5, 0])
    names = ("filter [-1, 1]", "convolution with [-1, 1]", "mean of three", "larger one of each pair")
    return dict(zip(names, (change.r, flipped.r, mean.r, widest.r), strict=True))


def four_dimensions():
    """A population of 4 x 4 x 4 x 4 units: count neighbours, pool, and collapse two of the axes."""
    shape = (4, 4, 4, 4)
    with ws.Network() as network:
        ones, numbered = ws.Population(shape), ws.Population(shape)
        summing = ws.Neuron(equations="r = sum(exc)")
        neighbours, largest = ws.Population(shape, summing), ws.Population((2, 2, 2, 2), summing)
        totals = ws.Population((4, 4), summing)

        # A 3x3x3x3 box of ones counts the neighbours of a unit and itself, as far as they are inside.
        ws.Convolution(ones, neighbours, "exc").connect_filter(np.ones((3, 3, 3, 3)))
        # The largest of each 2x2x2x2 block.
        ws.Pooling(numbered, largest, "exc", operation="max").connect_pooling()
        # Axes that post lacks are covered by the filter: one number for each unit of the first two axes.
        ws.Convolution(numbered, totals, "exc").connect_filter(np.ones((1, 1, 4, 4)))
    network.compile()
    ones.r = 1.0
    numbered.r = np.arange(256).reshape(shape)  # unit (h, i, j, k) is 64 h + 16 i + 4 j + k
    network.step()

    # Along each axis a unit has 2 neighbours inside if it lies at an end, 3 otherwise (itself counted).
    inside = {0: 2, 1: 3, 2: 3, 3: 2}
    expected = [np.prod([inside[place] for place in unit]) for unit in product(range(4), repeat=4)]
    assert np.array_equal(neighbours.r.ravel(), expected)
    found = {unit: neighbours.r[unit] for unit in ((0, 0, 0, 0), (1, 0, 0, 0), (1, 1, 0, 0), (1, 2, 1, 2))}
    confirm("neighbours at a corner ... in the middle", list(found.values()), [2**4, 3 * 2**3, 9 * 4, 3**4])
    # The last unit of a block is the largest: (1, 1, 1, 1) is 64 + 16 + 4 + 1.
    confirm("largest of the first and last block", largest.r[[0, 1], [0, 1], [0, 1], [0, 1]], [85, 255])
    # 16 units from 16*n to 16*n + 15: 16 * 16*n + 120.
    confirm("totals of the last two axes", totals.r.ravel()[:4], 256 * np.arange(4) + 120)
    assert np.array_equal(totals.r.ravel(), 256 * np.arange(16) + 120)

    start = time.perf_counter()
    network.simulate(1000.0)
    print(f"four dimensions: {1000 / (time.perf_counter() - start):.0f} steps/s")
    return neighbours.r


def draw(path, lines, neighbours):
    figure = plt.figure(figsize=(12.5, 6.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.15))
    left.suptitle("one dimension: eight units and what is computed from them")
    panels = left.subplots(5, 1, sharex=True)
    for axes, (name, values) in zip(panels, {"signal": SIGNAL, **lines}.items(), strict=True):
        places = np.arange(8) if len(values) == 8 else 2 * np.arange(4) + 0.5
        axes.bar(places, values, width=0.8 * 8 / len(values), color=np.where(np.less(values, 0), "C3", "C0"))
        axes.axhline(0.0, color="black", linewidth=0.8)
        axes.set(title=name, ylim=(-3.6, 3.6), yticks=(-3, 0, 3), ylabel="r")
    panels[-1].set(xlabel="unit", xticks=range(8))

    right.suptitle("four dimensions: neighbours of unit (h, i, j, k) in 4 x 4 x 4 x 4, itself counted")
    axes = right.subplots()
    # Tile (h, i) shows the units of the last two axes.
    axes.imshow(neighbours.transpose(0, 2, 1, 3).reshape(16, 16), cmap="viridis", vmin=0.0, vmax=81.0)
    for (h, i, j, k), count in np.ndenumerate(neighbours):
        colour = "black" if count > 50 else "white"
        axes.text(4 * i + k, 4 * h + j, f"{count:.0f}", ha="center", va="center", fontsize=8, color=colour)
    for edge in (3.5, 7.5, 11.5):
        axes.axhline(edge, color="white", linewidth=2)
        axes.axvline(edge, color="white", linewidth=2)
    middles = 4 * np.arange(4) + 1.5
    axes.set(xticks=middles, xticklabels=range(4), yticks=middles, yticklabels=range(4))
    axes.set(xlabel="i (k from left to right in each tile)", ylabel="h (j from top to bottom in each tile)")
    figure.savefig(path, dpi=80)


def main():
    plt.switch_backend("Agg")  # a file, not a window
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".png")
    draw(path, one_dimension(), four_dimensions())
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
