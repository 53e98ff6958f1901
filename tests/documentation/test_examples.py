"""The examples run and write their pictures."""

import re
import runpy
import shutil
import sys

import numpy as np
import pytest

import weightsharing as ws
from strategies.folders import ORACLE, REPOSITORY

pytest.importorskip("PIL.Image")
pytest.importorskip("matplotlib")

EXAMPLES = REPOSITORY / "examples"


def run(name, folder, monkeypatch, *arguments):
    """Run an example from a folder of its own, so that it writes there; give its names."""
    (folder / "examples").mkdir()
    script = shutil.copy(EXAMPLES / name, folder / "examples")
    monkeypatch.setattr(sys, "argv", [str(script), *map(str, arguments)])
    return runpy.run_path(str(script), run_name="__main__")


@pytest.fixture(autouse=True)
def one_thread():
    """The examples are long enough to suffer where other processes keep the cores busy."""
    before = ws.get_num_threads()
    ws.set_num_threads(1)
    yield
    ws.set_num_threads(before)


def is_picture(path, smallest=50_000):
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > smallest


def run_and_read(name, folder, monkeypatch, capsys):
    """Run an example that writes one picture where it is told to; give its names and what it printed."""
    picture = folder / "picture.png"
    names = run(name, folder, monkeypatch, picture)
    assert is_picture(picture, 20_000) and picture.stat().st_size < 300_000
    assert [path.name for path in (folder / "examples").iterdir()] == [name]
    printed = capsys.readouterr().out
    assert str(picture) in printed and "steps/s" in printed
    return names, printed


def test_image_pipeline(tmp_path, monkeypatch):
    names = run("image_pipeline.py", tmp_path, monkeypatch)
    assert is_picture(tmp_path / "examples" / "image_pipeline.png")

    image = names["image"].r.astype(np.float64)
    assert image.shape == (480, 640, 3) and 0.2 < image.mean() < 0.8
    pooled = image.reshape(48, 10, 64, 10, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(names["pooled"].r, pooled, atol=1e-6)
    surrounded = np.pad(pooled, ((1, 1), (1, 1), (0, 0)))
    smoothed = sum(surrounded[i : i + 48, j : j + 64] for i in range(3) for j in range(3)) / 9.0
    np.testing.assert_allclose(names["smoothed"].r, smoothed, atol=1e-6)
    filtered = np.maximum(3.0 * smoothed - smoothed.sum(axis=2, keepdims=True), 0.0)
    np.testing.assert_allclose(names["filtered"].r, filtered, atol=1e-5)


def test_demo(tmp_path, monkeypatch, capsys):
    run("demo.py", tmp_path, monkeypatch)
    assert is_picture(tmp_path / "demo.png")
    printed = capsys.readouterr().out
    assert "cpu" in printed and "reference" in printed and str(tmp_path / "demo.png") in printed


def test_conv_relu_maxpool(tmp_path, monkeypatch, capsys):
    names, printed = run_and_read("conv_relu_maxpool.py", tmp_path, monkeypatch, capsys)
    assert "feature maps (147, 125, 4)" in printed and "pooled maps (73, 62, 4)" in printed

    # The same function on what torch was given, with an odd row that the pooling drops.
    with np.load(ORACLE / "torch" / "conv_relu_maxpool.npz") as file:
        *feature_maps, _ = names["layer"](file["image"], file["filters"])
        for key, maps in zip(("conv", "relu", "pool"), feature_maps, strict=True):
            np.testing.assert_allclose(np.moveaxis(maps, -1, 0), file[key], rtol=1e-5, atol=1e-5)


def test_toy_cases(tmp_path, monkeypatch, capsys):
    _, printed = run_and_read("toy_cases.py", tmp_path, monkeypatch, capsys)
    assert "filter [-1, 1]: [0.0, 3.0, 0.0, 0.0, -2.0, 0.0, -1.0, 0.0]" in printed
    assert "neighbours at a corner ... in the middle: [16.0, 24.0, 36.0, 81.0]" in printed


def test_neural_field(tmp_path, monkeypatch, capsys):
    names, printed = run_and_read("neural_field.py", tmp_path, monkeypatch, capsys)
    mean, most, fooled = (float(text) for text in re.findall(r"([\d.]+) (?:units from|at most)", printed))
    assert 2.0 < mean < 3.5 and mean < most < 5.0 and 25.0 < fooled < 45.0
    np.testing.assert_array_equal(names["distance"]([99.0, 1.0], [1.0, 99.0]), [-2.0, 2.0])
    np.testing.assert_allclose(names["centre_of"](names["spot"]([97.0, 12.0])), [97.0, 12.0])


def test_retina(tmp_path, monkeypatch, capsys):
    names, printed = run_and_read("retina.py", tmp_path, monkeypatch, capsys)
    assert float(re.search(r"14 gratings: off by (\S+) at most", printed)[1]) < 5e-6
    assert float(re.search(r"answer (\S+) times as much", printed)[1]) == pytest.approx(96.9, abs=0.2)
    assert "bipolar cells answer most to 12 Hz" in printed
    # The two filters that move are mirror images, and steady light gives nothing to any.
    right, left = names["moving_bars"]()
    np.testing.assert_allclose(right, left[:, :, ::-1], atol=1e-12)
    for weights in (right, left, names["centre_surround"]()):
        assert abs(weights.sum()) < 1e-12


def test_visual_cortex(tmp_path, monkeypatch, capsys):
    _, printed = run_and_read("visual_cortex.py", tmp_path, monkeypatch, capsys)
    assert "16 filters, 15 to 41 pixels wide" in printed
    assert "C1 (15, 15, 16) is the largest of 16 x 16 positions of S1 (128, 128, 16)" in printed
    simple, complex_ = map(
        int, re.search(r"moved by 2 pixels: upright S1 .* (\d+)%, C1 by (\d+)%", printed).groups()
    )
    assert 70 < simple < 85 and 10 < complex_ < 20
