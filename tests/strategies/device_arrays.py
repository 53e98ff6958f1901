"""What tests of arrays on a CUDA device share. A file that imports this one is skipped where CUDA cannot be used."""

from __future__ import annotations

import numpy as np
import pytest

import weightsharing as ws
from weightsharing.backends import device_modules

if device_modules.why_not_cuda():
    pytest.skip(f"CUDA cannot be used here: {device_modules.why_not_cuda()}", allow_module_level=True)

RATES = np.random.default_rng(0).normal(size=(8, 9)).astype(np.float32)

# The first lines of scripts that need another imitated machine.
PREAMBLE = """
import numpy as np
import weightsharing as ws
from strategies.device_arrays import RATES, back, projection
from strategies.gpu import Borrowed, on_device
from weightsharing.backends import device_modules
"""


def projection(psp="w*pre.r", backend="cuda", **options):
    with ws.Network(backend=backend):
        pre, post = ws.Population((8, 9)), ws.Population((8, 9))
        made = ws.Convolution(pre, post, "exc", psp, **options)
    return made.connect_filter(np.arange(9.0).reshape(3, 3) - 3)


def back(array):
    values = np.empty(array.shape, array.dtype)
    array.download(values)
    return values


def stream_for_test(device=0):
    return device_modules.cuda_module().TestStream(device)
