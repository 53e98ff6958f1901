"""Scripts in processes of their own: what a machine is like is asked once per process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap


def run_python(text, **environment):
    """Run a script with other environment variables."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
