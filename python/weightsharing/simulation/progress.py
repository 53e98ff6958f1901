"""A progress bar for long runs, by tqdm."""

from __future__ import annotations

import time
from typing import Any

# Seconds between two looks at the bar: often enough for the eye.
_INTERVAL = 0.1


class ProgressBar:
    """Shows the steps that are done, and says how many to do until the next look."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._piece = 1
        self._looked = time.monotonic()

    def piece(self) -> int:
        """Steps to do before the bar is advanced."""
        return self._piece

    def advance(self, done: int) -> None:
        """Show that so many steps are done in all."""
        now = time.monotonic()
        if now - self._looked < _INTERVAL:
            self._piece *= 2
        elif now - self._looked > 2 * _INTERVAL:
            self._piece = max(1, self._piece // 2)
        self._looked = now
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


def progress_bar(steps: int) -> ProgressBar:
    """Show a bar for so many steps.

    Raises
    ------
    ImportError
        If tqdm is not installed.
    """
    try:
        from tqdm.auto import tqdm  # noqa: PLC0415 (optional)
    except ImportError as error:
        raise ImportError(
            "progress=True needs tqdm: pip install tqdm, or weightsharing[progress]."
        ) from error
    return ProgressBar(tqdm(total=steps, unit="step"))
