"""A dynamic neural field that follows one moving spot among distractors and noise.

A field of 100 x 100 leaky units (Amari, 1977) has a spot as input that moves in a circle. Three more spots, as
bright and as large, jump to other places every 50 ms. Each unit receives noise of its own. The units excite their
neighbours and inhibit all others, so that one bubble of activity wins. It follows the spot it began with,
because that one moves and the others jump (Rougier and Vitay, 2006).

    python examples/neural_field.py [output.png]

The lateral weights are one difference of Gaussians: 99 x 99 weights, shared by 10 000 units. Stored one by one
they would be 98 million. The field is a torus. 400 ms of simulation take a few seconds.
"""

import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import weightsharing as ws

SIZE = 100
STEPS = 400
MOMENTS = (45, 140, 235, 330)  # ms, when pictures are taken

# The input draws noise for each unit and step; its drive is assigned before each step.
RETINA = ws.Neuron(
    parameters="drive = 0.0; noise = 0.5 : population", equations="r = drive + noise*Normal(0, 1) : min=0.0"
)
FIELD = ws.Neuron(
    parameters="tau = 3.0 : population",
    equations="""
        tau*du/dt + u = sum(exc) + sum(lateral)
        r = clip(u, 0.0, 1.0)
    """,
)


def distance(a, b):
    """Distance on the torus, along each axis with its sign, in units."""
    return (np.asarray(a) - b + SIZE / 2) % SIZE - SIZE / 2


def spot(centre):
    """A Gaussian of height 1 and standard deviation 5 units at (row, column)."""
    rows, columns = (np.exp(-0.5 * (distance(np.arange(SIZE), place) / 5.0) ** 2) for place in centre)
    return np.outer(rows, columns)


def place_of_spot(step):
    """The spot that the field shall follow: a circle around the middle, once in 400 ms."""
    angle = 2.0 * np.pi * step / STEPS
    return np.array([50.0 + 28.0 * np.sin(angle), 50.0 + 28.0 * np.cos(angle)])


def places_of_distractors(step, count=3):
    """Others like it from 50 ms on; every 50 ms they jump to random places away from the spot."""
    generator = np.random.default_rng(step // 50)
    places = []
    while step >= 50 and len(places) < count:
        place = generator.uniform(0.0, SIZE, 2)
        if np.hypot(*distance(place, place_of_spot(step // 50 * 50))) > 25.0:
            places.append(place)
    return places


def centre_of(rates):
    """Centre of mass on the torus, (row, column)."""
    wave = np.exp(2j * np.pi * np.arange(SIZE) / SIZE)
    return (
        np.array([np.angle((rates.sum(axis=axis) * wave).sum()) for axis in (1, 0)])
        * SIZE
        / (2 * np.pi)
        % SIZE
    )


def build():
    network = ws.Network(dt=1.0, seed=1977)
    with network:
        retina = ws.Population((SIZE, SIZE), RETINA, name="retina")
        field = ws.Population((SIZE, SIZE), FIELD, name="field")
        ws.PointwiseProjection(retina, field, "exc")
        lateral = ws.SharedProjection(field, field, "lateral")
        # Both Gaussians sum to 1 before they are scaled: the broad one wins in total, the narrow one nearby.
        weights = ws.filters.dog((99, 99), 6.0, 100.0, amplitude_centre=8.0, amplitude_surround=270.0)
        lateral.convolve(weights, padding="wrap")
    network.compile()
    return network, retina, field


def follow():
    """Run; return the path of the bubble, that of the input's centre of mass, pictures by time, and steps/s."""
    network, retina, field = build()
    bubble, seen, pictures = [], [], {}

    @network.every(1.0)
    def show(step):  # before each step
        if step > 0:
            bubble.append(centre_of(field.r))
            seen.append(centre_of(retina.r))
        if step in MOMENTS:
            pictures[step] = retina.r.copy(), field.r.copy()
        retina.drive = spot(place_of_spot(step)) + sum(map(spot, places_of_distractors(step)))

    start = time.perf_counter()
    network.simulate(float(STEPS))
    speed = STEPS / (time.perf_counter() - start)
    return np.array(bubble), np.array(seen), pictures, speed


def errors(path):
    """Distance of a path from the spot in each step, in units, once distractors are there."""
    target = np.array([place_of_spot(step) for step in range(len(path))])
    return np.hypot(*distance(path, target).T)[50:]


def draw(path, bubble, pictures):
    figure = plt.figure(figsize=(12.8, 4.9))
    box = {"top": 0.9, "bottom": 0.12}
    layout = figure.add_gridspec(2, len(MOMENTS), left=0.055, right=0.6, wspace=0.08, hspace=0.08, **box)
    grid = layout.subplots(sharex=True, sharey=True)
    bars = figure.add_gridspec(2, 1, left=0.61, right=0.62, hspace=0.12, **box).subplots()
    for column, (moment, (stimulus, rates)) in zip(grid.T, pictures.items(), strict=True):
        shown = column[0].imshow(stimulus, cmap="gray", vmin=0.0, vmax=2.0, interpolation="nearest")
        active = column[1].imshow(rates, cmap="magma", vmin=0.0, vmax=1.0, interpolation="nearest")
        row, place = place_of_spot(moment)
        for axes in column:
            axes.plot(place, row, "o", markersize=19, markerfacecolor="none", markeredgecolor="C0")
        column[0].set_title(f"{moment} ms")
        column[1].set_xlabel("column")
    grid[0, 0].set_ylabel("input\nrow")
    grid[1, 0].set_ylabel("field\nrow")
    figure.colorbar(shown, cax=bars[0], label="rate", extend="max")
    figure.colorbar(active, cax=bars[1], label="rate")

    axes = figure.add_gridspec(1, 1, left=0.71, right=0.99, **box).subplots()
    target = np.array([place_of_spot(step) for step in range(STEPS)])
    axes.plot(*target.T[::-1], color="C0", linewidth=6, alpha=0.35, label="spot")
    axes.plot(*bubble[10:].T[::-1], color="black", linewidth=1.2, label="bubble in the field")
    others = np.array([place for step in range(50, STEPS, 50) for place in places_of_distractors(step)])
    axes.plot(*others.T[::-1], "x", color="C3", label="distractors")
    axes.set(xlabel="column", ylabel="row", xlim=(0, SIZE), ylim=(SIZE, 0), aspect="equal")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, fontsize=8)
    figure.savefig(path, dpi=72)


def main():
    plt.switch_backend("Agg")  # a file, not a window
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".png")
    bubble, seen, pictures, speed = follow()
    tracked, fooled = errors(bubble), errors(seen)
    print(f"the bubble is {tracked.mean():.1f} units from the spot on average, {tracked.max():.1f} at most")
    print(f"the centre of mass of the input is {fooled.mean():.1f} units from it on average")
    # The bubble lags behind a spot that moves by 0.44 units per ms; it must not leave it (spots: sigma 5).
    assert tracked.mean() < 4.0 and tracked.max() < 6.0, "the bubble lost the spot"
    assert fooled.mean() > 20.0, "the distractors are too weak to fool anyone"
    print(f"{speed:.0f} steps/s")
    draw(path, bubble, pictures)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
