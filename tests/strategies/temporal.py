"""Movies, and what stands before their first frames."""

from __future__ import annotations

import numpy as np

HISTORIES = ("first_frame", "zeros", "ones", "mean", "mirror", "full_copy")


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def before(piece, mode, frames):
    """Frames that stand before the first piece (batch, channel, time, x, y)."""
    if mode in ("zeros", "ones"):
        return np.full_like(piece[:, :, :1], mode == "ones").repeat(frames, 2)
    if mode == "first_frame":
        return piece[:, :, :1].repeat(frames, 2)
    if mode == "mean":
        mean = piece.mean(axis=(1, 2, 3, 4), keepdims=True)
        return np.broadcast_to(mean, (*piece.shape[:2], frames, *piece.shape[3:]))
    source = piece[:, :, ::-1] if mode == "mirror" else piece
    repeated = np.concatenate([source] * (frames // piece.shape[2] + 1), axis=2)
    return repeated[:, :, repeated.shape[2] - frames :]
