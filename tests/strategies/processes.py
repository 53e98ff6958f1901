"""Scripts in processes of their own: what a machine is like is asked once per process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

from strategies.folders import TESTS


def run_python(text, **environment):
    """Run a script with other environment variables; it can import what tests share."""
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def output_of(text, **environment):
    """What a script prints, which must end without an error."""
    done = run_python(text, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout
