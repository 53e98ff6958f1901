"""``python -m weightsharing bench``: measure this package beside other libraries."""

from __future__ import annotations

import sys

from .benchmarks.__main__ import main as bench


def main() -> None:
    if sys.argv[1:2] != ["bench"]:
        raise SystemExit(
            "usage: python -m weightsharing bench --gpu [options]; --help after bench lists them"
        )
    bench(sys.argv[2:], "python -m weightsharing bench")


if __name__ == "__main__":
    main()
