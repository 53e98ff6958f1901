"""Wrong arguments of layers."""

from __future__ import annotations

import numpy as np
import pytest

import weightsharing as ws
from strategies.temporal import random
from weightsharing import samples, temporal

REFUSED = [
    (lambda: temporal.Conv3d(0), ValueError, "in_channels is 0"),
    (lambda: temporal.Conv3d(1, 1, (1, 2)), ValueError, "kernel_size"),
    (lambda: temporal.Conv3d(1, 1, 0), ValueError, "kernel_size"),
    (lambda: temporal.Conv3d(1.0), TypeError, "in_channels"),
    (lambda: temporal.Conv3d(bias=1), TypeError, "bias"),
    (lambda: temporal.Conv3d(time_pad="yes"), TypeError, "time_pad"),
    (lambda: temporal.Conv3d(stride=(2, 1, 1)), ValueError, "stride is .* along time"),
    (lambda: temporal.Conv3d(dilation=0), ValueError, "dilation"),
    (lambda: temporal.Conv3d(3, 4, groups=2), ValueError, "groups is 2"),
    (lambda: temporal.Conv2d(stride=(1, 2, 2)), ValueError, "stride"),
    (lambda: temporal.Conv1d(kernel_size=(1, 2)), ValueError, "kernel_size"),
    (lambda: temporal.RF(rf_mode="random"), ValueError, "rf_mode"),
    (lambda: temporal.Conv3d().set_weight(np.ones((2, 2, 2, 2))), ValueError, r"\(2, 2, 2, 2\)"),
    (lambda: temporal.Conv2d().set_weight(np.ones(3)), ValueError, "dimensions"),
    (lambda: temporal.Conv3d().set_weight([]), ValueError, "empty"),
    (lambda: temporal.Conv3d().set_weight([1j]), TypeError, "complex"),
    (lambda: temporal.Conv3d().set_weight([1.0, -1.0], normalize=True), ValueError, "sums to 0"),
    (lambda: temporal.Conv3d().set_weight([1.0], flip=None), TypeError, "flip"),
    (lambda: setattr(temporal.Conv3d(), "bias", [1.0, 2.0]), ValueError, "bias"),
    (lambda: setattr(temporal.Conv3d(), "autopad_mode", "mirror"), ValueError, "autopad_mode is 'mirror'"),
    (lambda: setattr(temporal.Conv3d().time_pad, "mode", "last_frame"), ValueError, "mode is 'last_frame'"),
    (lambda: setattr(temporal.Conv3d(), "weigth", 1.0), AttributeError, "weigth"),
    (lambda: temporal.Conv3d().exponential(0.0), ValueError, "tau"),
    (lambda: temporal.Conv3d().gaussian(-1.0), ValueError, "_sig"),
    (lambda: temporal.Conv3d().gaussian(1.0, resolution=1000), TypeError, "resolution"),
    (lambda: temporal.TimePadding(-1), ValueError, "length is -1"),
    (lambda: temporal.TimePadding(1, "last"), ValueError, "mode"),
    (lambda: temporal.Delay(-1), ValueError, "delay is -1"),
    (lambda: temporal.Delay(1.5), TypeError, "delay"),
    (lambda: temporal.VariableDelay([[1.0, -1.0]]), ValueError, "delays"),
    (lambda: temporal.VariableDelay([[np.nan]]), ValueError, "delays"),
    (lambda: temporal.VariableDelay([1.0]), ValueError, r"\(1,\)"),
    (lambda: setattr(temporal.NLSquare(), "scale", np.nan), ValueError, "scale"),
    (lambda: temporal.TemporalLowPassFilterRecursive(0.0), ValueError, "tau"),
    (lambda: temporal.SmoothConv(0), ValueError, "n is 0"),
    (lambda: temporal.SmoothConv(2, 0.1, (3, 3, 3)), ValueError, "spatial_filter"),
    (lambda: temporal.Nonlinearity("r = sum(exc"), ws.ExpressionError, "sum"),
    (lambda: temporal.Sequential(np.abs), TypeError, "Nonlinearity"),
    (lambda: temporal.LNCascade(nonlinearity=abs), TypeError, "nonlinearity"),
    (lambda: temporal.LNCascade().add_layer(nonlinear=abs), TypeError, "nonlinear"),
    (lambda: temporal.Sum(0), ValueError, "dim is 0"),
    (lambda: temporal.sum(), ValueError, "at least one movie"),
    (lambda: temporal.sum(np.ones((1, 1, 1, 1, 1)), dim=5), ValueError, "dim is 5"),
    (lambda: temporal.sum(np.ones((1, 1, 2, 2, 2)), np.ones((1, 1, 3, 2, 2))), ValueError, "equal but"),
    (lambda: temporal.Resolution(0.0), ValueError, "steps_per_second"),
    (lambda: temporal.exponential_filter_1d(1.0, n=-1), ValueError, "n is -1"),
    (lambda: temporal.Conv3d().compile(backend="gpu"), ValueError, "gpu"),
    (lambda: samples.moving_grating(t=0), ValueError, "t is 0"),
    (lambda: samples.moving_grating(vx=np.inf), ValueError, "vx"),
    (lambda: temporal.Conv3d().run(np.ones((2, 2))), ValueError, r"\(2, 2\).*time"),
    (lambda: temporal.Conv3d().run(np.ones((0, 2, 2))), ValueError, r"\(0, 2, 2\)"),
    (lambda: temporal.Conv3d().run(np.ones((2, 2, 2)), dt=0), ValueError, "dt is 0"),
    (lambda: temporal.Conv3d().run(np.ones((2, 2, 2)), dt=1.0), TypeError, "dt"),
    (lambda: temporal.Conv3d().run(np.ones((1, 2, 2, 2, 2))), ValueError, "for 1 channels, the movie has 2"),
    (lambda: temporal.Conv3d(1, 2).run(np.ones((2, 2, 2))), ValueError, "2 channels; give it as"),
    (
        lambda: temporal.Conv3d(1, 1, (1, 3, 3), autopad=False).run(np.ones((2, 2, 2))),
        ValueError,
        "do not fit",
    ),
    (
        lambda: temporal.VariableDelay(np.ones((2, 3))).run(np.ones((2, 3, 2))),
        ValueError,
        r"\(2, 3\).*\(3, 2\)",
    ),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_wrong_arguments(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_a_wrong_weight_leaves_the_one_before():
    layer = temporal.Conv3d(1, 2)
    layer.set_weight(random(2, 1, 2, 2, 2))
    before = layer.weight.copy()
    for wrong in (np.zeros((3, 3)), np.ones((2, 2, 2, 2))):
        with pytest.raises(ValueError, match="w "):
            layer.set_weight(wrong, normalize=True)
    np.testing.assert_array_equal(layer.weight, before)
    with pytest.raises(ValueError, match="read-only"):
        layer.weight[0] = 1.0


def test_settings_do_not_change_under_pushed_states():
    layer = temporal.Conv1d()
    layer.set_weight([1.0, 2.0, 3.0])
    layer.run(np.ones((4, 2, 2)))
    layer.push_state()
    layer.clear_state()
    with pytest.raises(ws.StateError, match="pushed states, which belong to the present settings"):
        layer.compile(dtype="float64")
    layer.pop_state()
    layer.clear_state()
    layer.compile(dtype="float64")
    assert layer.run(np.ones((2, 2, 2))).dtype == np.float64
