"""Settings of the whole test-suite."""

import os

import pytest
from hypothesis import HealthCheck, settings

import weightsharing

# One example may connect, plan and run several backends: slow, and slower under a sanitizer.
_SHARED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "print_blob": True}

settings.register_profile("default", max_examples=40, derandomize=True, **_SHARED)
# Anew each time for people who look for failures; the same each time where a failure would stop others.
settings.register_profile("full", max_examples=2000, derandomize="CI" in os.environ, **_SHARED)
settings.register_profile("sanitize", max_examples=10, derandomize=True, **_SHARED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(autouse=True)
def _default_network():
    """Let no test see what another left in the default network."""
    yield
    weightsharing.clear()
