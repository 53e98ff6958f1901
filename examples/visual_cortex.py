"""Simple and complex cells of visual cortex, as S1 and C1 of HMAX, and their responses to a photograph.

Simple cells filter the picture with one bank of Gabor filters: 4 orientations at 4 scales, where each scale has
a filter of the extent it needs. A complex cell takes the largest response of the simple cells of one filter
within 16 x 16 positions. Its neighbours overlap by half (Riesenhuber and Poggio, 1999). So it represents the
orientation better than the place: when the picture moves by a few pixels, simple cells change a lot, complex
cells little, up to about a quarter of their field. (HMAX also pools over neighbouring scales and normalises the
input of S1.)

    python examples/visual_cortex.py [output.png]

In a batch of seven trials the photograph is moved by 0 to 12 pixels. The script takes a few seconds.
"""

import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cbook import get_sample_data
from PIL import Image

import weightsharing as ws

SIZE = 128
SHIFTS = np.arange(0, 14, 2)  # pixels to the right
WAVELENGTHS = (4.0, 5.7, 8.0, 11.3)  # pixels, half an octave apart
ORIENTATIONS = ("upright", "rising", "level", "falling")  # bars, by i * 45 degrees of their wave


def photographs():
    """Cuts out of the portrait that comes with matplotlib, each `SHIFTS` further left, (trials, SIZE, SIZE)."""
    with get_sample_data("grace_hopper.jpg") as file, Image.open(file) as picture:
        grey = np.asarray(picture.convert("L").resize((171, 200)), dtype=np.float32) / 255.0
    return np.stack([grey[5 : 5 + SIZE, 29 - shift : 29 - shift + SIZE] for shift in SHIFTS])


def gabors():
    """Gabor filters, wavelength slowest, in squares of 15 to 41 pixels; steady light gives nothing."""
    return ws.filters.gabor_bank_multiscale(WAVELENGTHS, orientations=len(ORIENTATIONS))


def build(bank):
    network = ws.Network(batch=len(SHIFTS), update="feedforward")
    with network:
        picture = ws.Population((SIZE, SIZE), name="picture")
        # Light bars on dark ground and dark ones on light are the same to them.
        simple = ws.Population((SIZE, SIZE, len(bank)), ws.Neuron(equations="r = abs(sum(exc))"), name="S1")
        complex_ = ws.Population(
            (SIZE // 8 - 1, SIZE // 8 - 1, len(bank)), ws.Neuron(equations="r = sum(exc)"), name="C1"
        )
        ws.Convolution(picture, simple, "exc").connect_filters(bank, padding="reflect")
        pool = ws.Pooling(simple, complex_, "exc", operation="max")
        pool.connect_pooling(extent=(16, 16, 1), stride=(8, 8, 1))
    network.compile()
    return network, picture, simple, complex_


def change(rates):
    """Difference of each trial from the first one, relative to the first one, for each filter."""
    difference = np.square(rates - rates[0]).sum(axis=(1, 2))
    return np.sqrt(difference / np.square(rates[0]).sum(axis=(0, 1)))


def check(simple, complex_):
    """The stages are what they are called, and the complex cells are the steadier ones."""
    blocks = simple.reshape(len(SHIFTS), SIZE // 8, 8, SIZE // 8, 8, -1).max(axis=(2, 4))
    rows = np.maximum(blocks[:, :-1], blocks[:, 1:])
    assert np.array_equal(complex_, np.maximum(rows[:, :, :-1], rows[:, :, 1:]))
    print(f"C1 {complex_.shape[1:]} is the largest of 16 x 16 positions of S1 {simple.shape[1:]}")

    # Upright bars change most when the picture moves sideways.
    upright = slice(0, None, len(ORIENTATIONS))
    changes = change(simple)[:, upright], change(complex_)[:, upright]
    for shift in (2, 4):
        low, high = (one[shift == SHIFTS].mean() for one in changes[::-1])
        print(f"moved by {shift} pixels: upright S1 changes by {high:.0%}, C1 by {low:.0%}")
        assert low < 0.5 * high, "complex cells change as much as simple cells"
    return changes


def draw(path, picture, bank, simple, complex_, changes):
    figure = plt.figure(figsize=(10.4, 7.4), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 2.4))
    top, bottom = left.subplots(2, 1)
    top.imshow(picture, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    top.set(title=f"photograph, {SIZE} x {SIZE}", xticks=[], yticks=[])
    for number, (wavelength, colour) in enumerate(zip(WAVELENGTHS, ("C0", "C1", "C2", "C3"), strict=True)):
        bottom.plot(SHIFTS, changes[0][:, number], "--", color=colour)
        bottom.plot(SHIFTS, changes[1][:, number], "o-", color=colour, label=f"{wavelength} pixels")
    bottom.set(title="upright cells\ndashed: S1, solid: C1", xlabel="photograph moved by (pixels)")
    bottom.set(ylabel="relative change of the map", ylim=(0.0, 1.6), xticks=SHIFTS)
    bottom.legend(title="wavelength", fontsize=8, loc="upper center", ncols=2)

    scales = (0, 3)
    grid = right.subplots(5, len(ORIENTATIONS), height_ratios=(0.6, 1, 1, 1, 1))
    extent = max(map(len, bank))
    for column, (axes, name) in enumerate(zip(grid.T, ORIENTATIONS, strict=True)):
        shown = bank[scales[1] * len(ORIENTATIONS) + column]
        axes[0].imshow(shown, cmap="RdBu_r", vmin=-shown.max(), vmax=shown.max(), interpolation="nearest")
        axes[0].set_title(name)
        for place, scale in enumerate(scales):
            number = scale * len(ORIENTATIONS) + column
            high = np.percentile(simple[:, :, scale * len(ORIENTATIONS) :][:, :, : len(ORIENTATIONS)], 99.5)
            for row, maps in ((1, simple), (2, complex_)):
                axes[2 * place + row].imshow(
                    maps[..., number], cmap="magma", vmin=0.0, vmax=high, interpolation="nearest"
                )
    labels = [f"filters\n{extent} x {extent}"]
    for scale in scales:
        labels += [f"S1\nwavelength {WAVELENGTHS[scale]}", f"C1\nwavelength {WAVELENGTHS[scale]}"]
    for axes in grid.ravel():
        axes.set(xticks=[], yticks=[])
    for axes, label in zip(grid[:, 0], labels, strict=True):
        axes.set_ylabel(label)
    figure.savefig(path, dpi=72)


def main():
    plt.switch_backend("Agg")  # a file, not a window
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".png")
    bank = gabors()
    print(f"{len(bank)} filters, {min(map(len, bank))} to {max(map(len, bank))} pixels wide")
    network, picture, simple, complex_ = build(bank)
    picture.r = photographs()
    start = time.perf_counter()
    network.step()
    speed = 1 / (time.perf_counter() - start)
    changes = check(simple.r, complex_.r)
    print(f"{speed:.1f} steps/s, {speed * len(SHIFTS):.0f} pictures/s")
    draw(path, picture.r[0], bank, simple.r[0], complex_.r[0], changes)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
