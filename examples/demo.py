"""A photograph, pooled, smoothed and filtered: on every backend, checked, timed and drawn.

    photograph (600, 510, 3) -> mean-pooling -> (60, 51, 3) -> box filter per channel -> bank of colour filters

    python examples/demo.py

writes demo.png in the folder above this file. The script fails if a result is off by more than the tolerance.
"""

import statistics
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cbook import get_sample_data
from PIL import Image

import weightsharing as ann
from weightsharing import Convolution, ImagePopulation, Pooling

PICTURE = Path(__file__).resolve().parent.parent / "demo.png"
LAYERS = ("pooled", "smoothed", "filtered")


def photograph():
    """The portrait that comes with matplotlib; one column cut off at each side lets 10 divide the width."""
    with get_sample_data("grace_hopper.jpg") as file, Image.open(file) as picture:
        return np.asarray(picture.convert("RGB"))[:, 1:-1]


class Pipeline:
    """Image, pooled, smoothed and filtered populations of one network, and the projections between them."""

    def __init__(self, geometry, backend, dtype="float32"):
        height, width, channels = geometry
        linear = ann.Neuron(equations="r = sum(exc) : min=0.0")
        self.network = ann.Network(dtype=dtype, backend=backend)
        with self.network:
            small = (height // 10, width // 10, channels)
            self.image = ImagePopulation(geometry, name="image")
            self.pooled = ann.Population(small, neuron=linear, name="pooled")
            self.smoothed = ann.Population(small, neuron=linear, name="smoothed")
            self.filtered = ann.Population(small, neuron=linear, name="filtered")

            pool = Pooling(pre=self.image, post=self.pooled, target="exc", operation="mean")
            pool.connect_pooling()
            smooth = Convolution(pre=self.pooled, post=self.smoothed, target="exc")
            smooth.connect_filter(weights=ann.filters.box((3, 3, 1)))
            # One row per filter: how much red, green and blue excite it.
            colours = np.array([[2.0, -1.0, -1.0], [-1.0, 2.0, -1.0], [-1.0, -1.0, 2.0]])
            colour = Convolution(pre=self.smoothed, post=self.filtered, target="exc")
            colour.connect_filters(weights=colours.reshape(3, 1, 1, 3))
        self.projections = {"pooled": pool, "smoothed": smooth, "filtered": colour}
        self.network.compile()

    def populations(self):
        return {name: getattr(self, name) for name in ("image", *LAYERS)}


def largest_error(pipeline, reference):
    """Compare each layer with what the reference computes in float64 from the same rates of the layer before.

    A layer costs one step, so one step of the reference, started from the pipeline's rates, gives all layers.
    """
    for name, population in pipeline.populations().items():
        getattr(reference, name).r = population.r.astype(np.float64)
    # Units that every sum bounds: number of taps * largest weight * largest rate that the layer reads.
    gains = {
        "pooled": ("image", 1.0),
        "smoothed": ("pooled", 9 * 1 / 9),
        "filtered": ("smoothed", 3 * 2.0),
    }
    reference.network.simulate(1.0)
    worst = 0.0
    for name, (source, gain) in gains.items():
        error = np.abs(getattr(pipeline, name).r - getattr(reference, name).r).max()
        tolerance = 4 * np.finfo(np.float32).eps * gain * getattr(pipeline, source).r.max()
        assert error <= tolerance, f"{name}: off by {error:.3g}, more than the tolerance {tolerance:.3g}"
        worst = max(worst, float(error))
    return worst


def time_per_step(network):
    """Median over several runs, in seconds; a run is as long as the clock needs."""
    start = time.perf_counter()
    network.simulate(1.0)
    steps = max(1, round(0.1 / (time.perf_counter() - start)))
    durations = []
    for _ in range(7):
        start = time.perf_counter()
        network.simulate(float(steps))
        durations.append((time.perf_counter() - start) / steps)
    return statistics.median(durations)


def draw(pipeline):
    plt.switch_backend("Agg")  # a file, not a window
    figure = plt.figure(figsize=(14.5, 9.3), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.4, 4))
    axes = left.subplots()
    axes.imshow(pipeline.image.r)
    axes.set_title("photograph")
    axes.axis("off")
    grid = right.subplots(3, 4)
    for column, (name, population) in zip(grid.T, pipeline.populations().items(), strict=True):
        for axes, channel, colour in zip(column, range(3), ("red", "green", "blue"), strict=True):
            axes.imshow(population.r[:, :, channel], cmap="gray", vmin=0.0, vmax=1.0)
            axes.set_title(f"{name}: {colour}")
            axes.axis("off")
    figure.savefig(PICTURE, dpi=100)


def main():
    pixels = photograph()
    print(f"weightsharing {ann.__version__}: photograph {pixels.shape}")
    reference = Pipeline(pixels.shape, backend="reference", dtype="float64")
    drawn = None
    for backend, state in ann.backends().items():
        if state != "usable":
            print(f"{backend:>10}: {state}")
            continue
        pipeline = Pipeline(pixels.shape, backend)
        pipeline.image.set_array(pixels)
        pipeline.network.simulate(float(len(LAYERS)))
        error = largest_error(pipeline, reference)
        seconds = time_per_step(pipeline.network)
        print(f"{backend:>10}: {seconds * 1e6:10.1f} microseconds per step, largest error {error:.1e}")
        drawn = drawn or pipeline
    for name, projection in drawn.projections.items():
        report = projection.describe()
        print(f"{name:>10}: {report['family']}, {report['algorithm']}: {report['reason']}")
    draw(drawn)
    print(f"All intermediate images: {PICTURE}")


if __name__ == "__main__":
    main()
