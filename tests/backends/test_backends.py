"""Which backends can be used here, why not, and what `backend='auto'` takes."""

from __future__ import annotations

import os

import pytest

from strategies.processes import run_python
from weightsharing.backends.choice import Work, choose

SMALL, LARGE = Work(1e5, 1e6, 3), Work(1e9, 1e11, 3)


@pytest.mark.parametrize(
    ("work", "gpus", "named", "asks", "backend", "words"),
    [
        (SMALL, ["cuda"], [], False, "cpu", "too little to gain"),
        (LARGE, ["cuda"], [], False, "cuda", "us on a GPU"),
        (LARGE, ["cuda", "cupy"], [], False, "cuda", "takes the GPU"),
        (LARGE, ["cupy"], [], False, "cupy", "takes the GPU"),
        (LARGE, [], [], False, "cpu", "no driver"),
        (SMALL, ["cuda"], [], True, "cuda", "asks"),
        (LARGE, ["cuda"], ["cpu"], False, "cpu", "by name"),
    ],
)
def test_choice(work, gpus, named, asks, backend, words):
    chosen, reason = choose(work, 2, lambda: gpus, lambda: "no driver", named, asks)
    assert chosen == backend and words in reason and "'auto'" in reason


def test_choice_of_a_gpu_that_is_not_there():
    with pytest.raises(ValueError, match="no driver"):
        choose(LARGE, 2, list, lambda: "no driver", [], True)


def test_small_steps_do_not_start_the_driver():
    def never():
        raise AssertionError

    assert choose(SMALL, 2, never, never, [], False)[0] == "cpu"
    assert choose(LARGE, 2, never, never, ["reference"], False)[0] == "reference"


def test_estimates_add_up():
    both = SMALL + LARGE
    assert both == Work(1e9 + 1e5, 1e11 + 1e6, 6)
    assert both.seconds_on_cpu(1) > both.seconds_on_cpu(8) > both.seconds_on_gpu()


@pytest.mark.parametrize("emulation", ["", "emulated"])
def test_the_reason_without_a_device(emulation):
    """The package imports, computes and says why: a module that is not built, one without a driver."""
    script = """
        import sys
        import weightsharing as ws
        from weightsharing.backends import nvrtc
        if not nvrtc.emulated():
            sys.modules["weightsharing._cuda"] = None  # as if it was not built
        assert "weightsharing._cuda_emulated" not in sys.modules  # not imported before somebody asks
        print(ws.backends()["cuda"])
        with ws.Network():
            made = ws.Convolution(ws.Population(10**6), ws.Population(10**6), "exc").connect_filter([1, 1, 1])
        made.network.compile()
        print(made([2] * 10**6)[:3], made.describe()["backend_reason"])
        """
    if emulation and os.environ.get("WEIGHTSHARING_CUDA") != "emulated":
        pytest.skip("needs the emulation")
    done = run_python(script, WEIGHTSHARING_CUDA=emulation, WEIGHTSHARING_EMULATION_DEVICES="driver")
    assert done.returncode == 0, done.stderr
    reason, values = done.stdout.splitlines()
    assert ("driver" if emulation else "not built when the package was installed: no nvcc") in reason
    assert values.startswith("[4. 6. 6.] 'auto' takes the CPU: no GPU can be used")
