"""One layer of a convolutional network: four filters, rectification, 2x2 max pooling.

Many courses on convolutional networks begin with this exercise. One pattern, dark on the left and bright on
the right, gives four filters: vertical edges, horizontal edges, and both inverted. A photograph is filtered,
negative values become 0, and of every 2x2 units the largest is kept.

    python examples/conv_relu_maxpool.py [output.png]

The convolution and the rectification are one population: its neuron reads the sum of what the filters send,
``sum(exc)``, and bounds it from below. The network is feedforward, so the whole chain takes one step. The
script runs in about two seconds.
"""

import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cbook import get_sample_data
from PIL import Image

import weightsharing as ws

NAMES = ("vertical edges", "inverted", "horizontal edges", "inverted")


def photograph():
    """The portrait that comes with matplotlib, grey, at a quarter of its size."""
    with get_sample_data("grace_hopper.jpg") as file, Image.open(file) as picture:
        return np.asarray(picture.convert("L").resize((128, 150)), dtype=np.float32) / 255.0


def four_filters():
    """Four filters (4, 4, 4) that are one pattern: upright, inverted, transposed, both."""
    pattern = np.array([[-1.0, -1.0, 1.0, 1.0]] * 4)
    return np.array([pattern, -pattern, pattern.T, -pattern.T])


def layer(image, filters):
    """Compute one layer of a convolutional network, and how many times per second it could.

    Returns the feature maps (rows, columns, filters) before and after rectification, the pooled maps, and steps/s.
    """
    rows, columns = np.array(image.shape) - filters.shape[1:] + 1  # where a filter fits inside
    with ws.Network(update="feedforward") as network:
        pixels = ws.Population(image.shape, name="pixels")
        rectified = ws.Population(
            (rows, columns, len(filters)), ws.Neuron(equations="r = sum(exc) : min=0.0"), name="rectified"
        )
        pooled = ws.Population(
            (rows // 2, columns // 2, len(filters)), ws.Neuron(equations="r = sum(exc)"), name="pooled"
        )
        ws.Convolution(pixels, rectified, "exc").connect_filters(filters, padding="valid")
        # An odd row or column at the end is dropped: no pooled unit is there to read it.
        ws.Pooling(rectified, pooled, "exc", operation="max").connect_pooling(extent=(2, 2, 1))
    network.compile()
    pixels.r = image
    network.step()
    feature_maps = rectified.sum("exc").copy(), rectified.r.copy(), pooled.r.copy()

    start = time.perf_counter()
    network.simulate(100.0)
    return *feature_maps, 100 / (time.perf_counter() - start)


def check(image, filters, convolved, rectified, pooled):
    """Compare with the same written in NumPy, in float64."""
    windows = np.lib.stride_tricks.sliding_window_view(image.astype(np.float64), filters.shape[1:])
    expected = np.einsum("yxij,nij->yxn", windows, filters)
    error = np.abs(convolved - expected).max()
    assert error < 1e-5, f"the feature maps are off by {error}"
    assert np.array_equal(rectified, np.maximum(convolved, 0.0))
    rows, columns = pooled.shape[:2]
    blocks = rectified[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2, -1)
    assert np.array_equal(pooled, blocks.max(axis=(1, 3)))
    assert np.array_equal(convolved[..., 1], -convolved[..., 0])
    print(f"feature maps {convolved.shape}: off by {error:.1e} at most from NumPy in float64")
    print(f"pooled maps {pooled.shape}: equal to NumPy's; an inverted filter gives the inverted map")


def draw(path, image, filters, convolved, rectified, pooled):
    figure, grid = plt.subplots(
        4,
        5,
        figsize=(10.5, 8.7),
        layout="constrained",
        height_ratios=(0.7, 1, 1, 1),
        width_ratios=(1.25, 1, 1, 1, 1),
    )
    for axes in grid.ravel():
        axes.set(xticks=[], yticks=[])
    for axes in grid[[0, 2, 3], 0]:
        axes.set_axis_off()
    grid[1, 0].imshow(image, cmap="gray", vmin=0.0, vmax=1.0)
    grid[1, 0].set_title(f"photograph, {image.shape[0]} x {image.shape[1]}")

    strongest = np.percentile(np.abs(convolved), 99.5)
    diverging = {"cmap": "RdBu_r", "vmin": -strongest, "vmax": strongest, "interpolation": "nearest"}
    rising = {"cmap": "magma", "vmin": 0.0, "vmax": strongest, "interpolation": "nearest"}
    for number, column in enumerate(grid[:, 1:].T):
        column[0].imshow(filters[number], cmap="RdBu_r", vmin=-2.0, vmax=2.0)
        for (row, place), weight in np.ndenumerate(filters[number]):
            column[0].text(place, row, f"{weight:+.0f}", ha="center", va="center")
        column[0].set_title(f"filter {number}:\n{NAMES[number]}")
        signed = column[1].imshow(convolved[..., number], **diverging)
        positive = column[2].imshow(rectified[..., number], **rising)
        column[3].imshow(pooled[..., number], **rising)
    grid[0, 1].set_ylabel("weights")
    for axes, label, maps in zip(
        grid[1:, 1],
        ("convolved", "rectified", "2x2 max-pooled"),
        (convolved, rectified, pooled),
        strict=True,
    ):
        axes.set_ylabel(f"{label}\n{maps.shape[0]} x {maps.shape[1]}")
    figure.colorbar(signed, ax=grid[1], label="sum(exc)", aspect=12, extend="both")
    figure.colorbar(positive, ax=grid[2:], label="rate r", aspect=25, extend="max")
    figure.savefig(path, dpi=72)


def main():
    plt.switch_backend("Agg")  # a file, not a window
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".png")
    image, filters = photograph(), four_filters()
    *feature_maps, speed = layer(image, filters)
    check(image, filters, *feature_maps)
    print(f"{speed:.0f} steps/s")
    draw(path, image, filters, *feature_maps)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
