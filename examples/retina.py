"""A retina in four stages, and its responses to drifting gratings.

    light -> receptors -> bipolar cells -> ON and OFF cells
                      \\-> direction-selective cells

Receptors follow the light with a time constant. Bipolar cells compare a quick centre with a wide and slower
surround, by one filter in space and time. ON and OFF cells transmit the positive and the negative half.
Direction-selective cells have filters that move. All stages before the halves are taken are linear. So the
response to a grating is a grating whose amplitude and phase are known from the Fourier transform of the weights.

    python examples/retina.py [output.png]

Fourteen gratings are shown at once, one in each trial of a batch. The network is feedforward: the light of a step
passes all stages in that step. The phases would show it if it did not. The script takes a few seconds.
"""

import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import weightsharing as ws

DT = 2.0  # ms
ROWS, COLUMNS = 16, 64
WAVE = 2.0 * np.pi / 16.0  # radians per unit: the gratings have a period of 16 units
TAU = 15.0  # ms, of the receptors
RATES = np.array(
    [2.0, 4.0, 8.0, 12.0, 20.0, 32.0, 48.0]
)  # Hz, times that a bright stripe comes by per second
HERTZ = np.concatenate([-RATES[::-1], RATES])  # negative: to the left


def movies(frames):
    """Gratings of full contrast that drift along the columns, (frames, trials, rows, columns), from 0 to 1."""
    angle = 2e-3 * np.pi * DT * HERTZ * np.arange(frames)[:, np.newaxis]
    gratings = 0.5 + 0.5 * np.cos(WAVE * np.arange(COLUMNS) - angle[..., np.newaxis])
    return np.broadcast_to(gratings[:, :, np.newaxis], (frames, len(HERTZ), ROWS, COLUMNS))


def centre_surround():
    """Quick centre minus slow surround, (16, 11, 11): 32 ms. Steady uniform light gives nothing."""

    def course(tau):
        ago = DT * np.arange(16)  # ms; the first tap meets the newest rates
        values = ago * np.exp(-ago / tau)
        return values / values.sum()

    centre = np.multiply.outer(course(3.0), ws.filters.gaussian((11, 11), 1.2))
    return centre - np.multiply.outer(course(8.0), ws.filters.gaussian((11, 11), 2.0))


def moving_bars():
    """Waves under a bell that move by 12 periods per second, to the right and to the left, (2, 40, 1, 17)."""
    bell = ws.filters.gaussian((40, 17), (8.0, 4.0))
    turn = 2e-3 * np.pi * 12.0 * DT * np.arange(40)[:, np.newaxis]
    places = WAVE * (np.arange(17) - 8)
    # What moves to the right was further left the longer ago it was.
    bank = np.stack([bell * np.cos(places + turn), bell * np.cos(places - turn)])
    bank -= bell * bank.sum(axis=(1, 2), keepdims=True)  # steady light gives nothing
    return (bank / np.abs(bank).sum(axis=(1, 2), keepdims=True))[:, :, np.newaxis]


def build():
    network = ws.Network(dt=DT, batch=len(HERTZ), update="feedforward")
    with network:
        light = ws.MoviePopulation((ROWS, COLUMNS), name="light")
        receptor = ws.Neuron(
            parameters=f"tau = {TAU} : population", equations="tau*dr/dt + r = sum(exc) : exponential"
        )
        receptors = ws.Population((ROWS, COLUMNS), receptor, name="receptors")
        linear, halved = ws.Neuron(equations="r = sum(exc)"), ws.Neuron(equations="r = sum(exc) : min=0.0")
        bipolar = ws.Population((ROWS, COLUMNS), linear, name="bipolar")
        on, off = (ws.Population((ROWS, COLUMNS), halved, name=name) for name in ("ON", "OFF"))
        direction = ws.Population((ROWS, COLUMNS, 2), linear, name="direction")

        ws.PointwiseProjection(light, receptors, "exc")
        see = ws.Convolution(receptors, bipolar, "exc")
        see.connect_filter(centre_surround(), time_axis=True, padding="wrap")
        ws.PointwiseProjection(bipolar, on, "exc", weight=1.0)
        ws.PointwiseProjection(bipolar, off, "exc", weight=-1.0)
        follow = ws.Convolution(receptors, direction, "exc")
        follow.connect_filters(moving_bars(), time_axis=True, padding="wrap")
    network.compile()
    return network, {one.name: one for one in (bipolar, on, off, direction)}


def transfer(weights, hertz):
    """Complex factor that receptors and a filter (time, rows, columns) put on a grating that drifts at this rate."""
    turn = 2e-3 * np.pi * DT * np.asarray(hertz)
    step = 1.0 - np.exp(-DT / TAU)
    receptors = step / (1.0 - (1.0 - step) * np.exp(1j * turn))
    along = weights.sum(axis=1) @ np.exp(1j * WAVE * (np.arange(weights.shape[2]) - weights.shape[2] // 2))
    return receptors * (np.exp(1j * np.multiply.outer(turn, np.arange(len(weights)))) @ along)


def measured(rates):
    """Complex factor of each trial, from 500 ms of rates (steps, trials, rows, columns), whole periods all."""
    back = np.exp(2e-3j * np.pi * DT * np.multiply.outer(np.arange(len(rates)), HERTZ))
    along = rates.mean(axis=2) @ np.exp(-1j * WAVE * np.arange(COLUMNS))
    return (along * back).sum(axis=0) * 2.0 / (0.5 * len(rates) * COLUMNS)  # the light has the amplitude 0.5


def draw(path, rates, factors):
    figure, axes = plt.subplots(2, 3, figsize=(12.5, 7.0), layout="constrained")
    trial = int(np.flatnonzero(HERTZ == 12.0)[0])
    span = (0, COLUMNS, 250 * DT, 0)
    panels = (
        (axes[0, 0], "light", "gray", 0.0, 1.0),
        (axes[0, 1], "bipolar", "RdBu_r", -0.12, 0.12),
        (axes[1, 0], "ON", "magma", 0.0, 0.12),
        (axes[1, 1], "OFF", "magma", 0.0, 0.12),
    )
    for panel, name, colours, low, high in panels:
        values = rates[name][:, trial, ROWS // 2]
        image = panel.imshow(values, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
        image.set(extent=span)
        panel.set_aspect("auto")
        panel.set(title=f"{name}, 12 Hz to the right", xlabel="column", ylabel="time (ms)")
        figure.colorbar(image, ax=panel, label="rate")

    fine = np.linspace(-50.0, 50.0, 401)
    filters = {
        "bipolar cells": (centre_surround(), "black"),
        "cells for movement to the right": (moving_bars()[0], "C0"),
        "cells for movement to the left": (moving_bars()[1], "C3"),
    }
    for (label, (weights, colour)), found in zip(filters.items(), factors, strict=True):
        panel = axes[0, 2] if label.startswith("bipolar") else axes[1, 2]
        panel.plot(fine, np.abs(transfer(weights, fine)), color=colour, label=label)
        panel.plot(HERTZ, np.abs(found), "o", color=colour, markersize=5)
    for panel in axes[:, 2]:
        top = panel.get_ylim()[1]
        panel.set(xlabel="drift (Hz), negative: to the left", ylabel="amplitude / amplitude of light")
        panel.set(title="lines: weights; dots: measured", ylim=(0.0, 1.35 * top))
        panel.legend(loc="upper center", fontsize=9)
    figure.savefig(path, dpi=72)


def main():
    plt.switch_backend("Agg")  # a file, not a window
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".png")
    network, cells = build()
    shown = movies(350)
    start = time.perf_counter()
    found = network.run(shown, output=list(cells.values()))
    speed = len(shown) / (time.perf_counter() - start)
    # 200 ms are enough for the receptors to forget that it was dark before.
    rates = {name: values[100:] for name, values in zip(cells, found, strict=True)} | {"light": shown[100:]}

    assert np.array_equal(rates["ON"] - rates["OFF"], rates["bipolar"])
    print("ON minus OFF is what the bipolar cells send, in the same step")
    right, left = rates["direction"][..., 0], rates["direction"][..., 1]
    filters = (centre_surround(), *moving_bars())
    # The time that is measured begins at step 100.
    begin = np.exp(2e-3j * np.pi * DT * 100 * HERTZ)
    factors = [measured(values) * begin for values in (rates["bipolar"], right, left)]
    expected = [transfer(weights, HERTZ) for weights in filters]
    error = max(np.abs(one - other).max() for one, other in zip(factors, expected, strict=True))
    assert error < 1e-5, f"amplitudes and phases are off by {error}"
    print(f"amplitude and phase for {len(HERTZ)} gratings: off by {error:.1e} at most")
    preferred = np.abs(factors[1][HERTZ == 12.0] / factors[1][HERTZ == -12.0]).item()
    assert preferred > 50.0, "the cells do not care about direction"
    print(
        f"cells for movement to the right answer {preferred:.1f} times as much to it as to the left, at 12 Hz"
    )
    best = RATES[np.abs(factors[0][len(RATES) :]).argmax()]
    print(f"of these drifts bipolar cells answer most to {best:.0f} Hz")
    print(f"{speed:.0f} steps/s, {speed * len(HERTZ):.0f} frames/s")
    draw(path, rates, factors)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
