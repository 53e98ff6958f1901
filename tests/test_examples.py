"""The examples run and write their pictures."""

import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL.Image")
pytest.importorskip("matplotlib")

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run(name, folder, monkeypatch):
    """Run an example from a folder of its own, so that it writes there; give its names."""
    (folder / "examples").mkdir()
    script = shutil.copy(EXAMPLES / name, folder / "examples")
    monkeypatch.setattr(sys, "argv", [str(script)])
    return runpy.run_path(str(script), run_name="__main__")


def is_picture(path):
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 50_000


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
