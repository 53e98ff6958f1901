"""Settings of the whole test-suite."""

import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import weightsharing

if os.environ.get("WEIGHTSHARING_CUDA") == "emulated":
    # The imitations of CuPy and NVRTC, here and in the processes that tests start.
    emulation = str(Path(__file__).parent / "emulation")
    sys.path.insert(0, emulation)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [emulation, os.environ.get("PYTHONPATH")]))
    # Compiling a psp takes the C++ compiler seconds: tests that are about it say so.
    os.environ.setdefault("WEIGHTSHARING_PROGRAMS", "interpreted")
    folder = tempfile.TemporaryDirectory()
    os.environ["WEIGHTSHARING_CACHE"] = folder.name

# Asks what can be used, with the settings above.
from strategies.backends import BACKENDS

# One example may connect, plan and run several backends: slow, and slower under a sanitizer.
_SHARED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "print_blob": True}

settings.register_profile("default", max_examples=40, derandomize=True, **_SHARED)
# Anew each time for people who look for failures; fewer and the same each time where a failure would stop others.
_CI = "CI" in os.environ
settings.register_profile("full", max_examples=250 if _CI else 2000, derandomize=_CI, **_SHARED)
settings.register_profile("sanitize", max_examples=10, derandomize=True, **_SHARED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(params=BACKENDS)
def backend(request):
    """Each backend that can be used here."""
    return request.param


@pytest.fixture
def network():
    """A network that what is created in the test belongs to."""
    with weightsharing.Network(seed=1) as network:
        yield network


@pytest.fixture(autouse=True)
def _default_network():
    """Let no test see what another left in the default network."""
    yield
    weightsharing.clear()


@pytest.fixture(autouse=True, scope="session")
def interrupts():
    """A process that a shell starts in the background ignores Ctrl-C; some tests press it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
