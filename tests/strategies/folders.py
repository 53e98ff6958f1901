"""Where the tests find files of this repository."""

from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
REPOSITORY = TESTS.parent
ORACLE = TESTS / "oracle"
