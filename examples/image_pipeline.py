"""The "Convolutions and pooling" example of the ANNarchy documentation, with other imports.

An image is reduced by mean-pooling, smoothed by a box filter per colour channel, and filtered by a bank of red,
green and blue filters. The script writes image_pipeline.png beside this file.

    python examples/image_pipeline.py [photograph]
"""

import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import weightsharing as ann
from weightsharing import Convolution, ImagePopulation, Pooling

plt.switch_backend("Agg")  # a file, not a window


def photograph(folder):
    """Write test.jpg, 640 x 480 pixels cut out of the photograph that comes with matplotlib."""
    from matplotlib.cbook import get_sample_data
    from PIL import Image

    with get_sample_data("grace_hopper.jpg") as file, Image.open(file) as picture:
        path = Path(folder) / "test.jpg"
        picture.crop((0, 20, 512, 404)).resize((640, 480)).save(path, quality=95)
    return path


ann.clear()

image = ImagePopulation(geometry=(480, 640, 3))

# Simple ANN
LinearNeuron = ann.Neuron(equations="r=sum(exc): min=0.0")

# Subsampling population
pooled = ann.Population(geometry=(48, 64, 3), neuron=LinearNeuron)

# Mean-pooling projection
pool_proj = Pooling(pre=image, post=pooled, target="exc", operation="mean")
pool_proj.connect_pooling()

# Smoothing population
smoothed = ann.Population(geometry=(48, 64, 3), neuron=LinearNeuron)

# Box filter projection
box_filter = np.ones((3, 3, 1)) / 9.0
smooth_proj = Convolution(pre=pooled, post=smoothed, target="exc")
smooth_proj.connect_filter(weights=box_filter)

# Convolution population
filtered = ann.Population(geometry=(48, 64, 3), neuron=LinearNeuron)

# Red/Green/Blue filter bank
filter_bank = np.array(
    [
        [[[2.0, -1.0, -1.0]]],  # Red filter
        [[[-1.0, 2.0, -1.0]]],  # Green filter
        [[[-1.0, -1.0, 2.0]]],  # Blue filter
    ]
)
filter_proj = Convolution(pre=smoothed, post=filtered, target="exc")
filter_proj.connect_filters(weights=filter_bank)

ann.compile()

with tempfile.TemporaryDirectory() as folder:
    image.set_image(sys.argv[1] if len(sys.argv) > 1 else photograph(folder))

ann.simulate(4.0)

fig = plt.figure(figsize=(15, 20))

plt.subplot(532)
plt.imshow(image.r)
plt.title("Original")

plt.subplot(534)
plt.imshow(image.r[:, :, 0], cmap="gray", interpolation="nearest", vmin=0.0, vmax=1.0)
plt.title("image R")
plt.subplot(535)
plt.imshow(image.r[:, :, 1], cmap="gray", interpolation="nearest", vmin=0.0, vmax=1.0)
plt.title("image G")
plt.subplot(536)
plt.imshow(image.r[:, :, 2], cmap="gray", interpolation="nearest", vmin=0.0, vmax=1.0)
plt.title("image B")

plt.subplot(537)
plt.imshow(pooled.r[:, :, 0], cmap="gray", interpolation="nearest", vmin=0.0, vmax=1.0)
plt.title("pooled R")
plt.subplot(538)
plt.imshow(pooled.r[:, :, 1], cmap="gray", interpolation="nearest", vmin=0.0, vmax=1.0)
plt.title("pooled G")
plt.subplot(539)
plt.imshow(pooled.r[:, :, 2], cmap="gray", interpolation="nearest", vmin=0.0, vmax=1.0)
plt.title("pooled B")

plt.subplot(5, 3, 10)
plt.imshow(smoothed.r[:, :, 0], cmap="gray", interpolation="nearest", vmin=0.0, vmax=1.0)
plt.title("smoothed R")
plt.subplot(5, 3, 11)
plt.imshow(smoothed.r[:, :, 1], cmap="gray", interpolation="nearest", vmin=0.0, vmax=1.0)
plt.title("smoothed G")
plt.subplot(5, 3, 12)
plt.imshow(smoothed.r[:, :, 2], cmap="gray", interpolation="nearest", vmin=0.0, vmax=1.0)
plt.title("smoothed B")

plt.subplot(5, 3, 13)
plt.imshow(filtered.r[:, :, 0], cmap="gray", interpolation="nearest", vmin=0.0, vmax=1.0)
plt.title("filtered R")
plt.subplot(5, 3, 14)
plt.imshow(filtered.r[:, :, 1], cmap="gray", interpolation="nearest", vmin=0.0, vmax=1.0)
plt.title("filtered G")
plt.subplot(5, 3, 15)
plt.imshow(filtered.r[:, :, 2], cmap="gray", interpolation="nearest", vmin=0.0, vmax=1.0)
plt.title("filtered B")

plt.savefig(Path(__file__).with_suffix(".png"))
