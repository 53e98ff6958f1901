"""Where this library answers differently from convis: the second half of docs/differences-from-convis.md.

It is written from the tables in the files beside this one. After a change of a table::

    PYTHONPATH=tests python -m other_systems.convis_page
"""

from __future__ import annotations

from other_systems.convis_choices import CHOICES
from other_systems.convis_defects import DEFECTS
from other_systems.convis_same import SAME
from strategies.folders import REPOSITORY

PAGE = REPOSITORY / "docs" / "differences-from-convis.md"
MARK = "<!-- Written from here on by tests/other_systems/convis_page.py from the tables beside it. -->\n"


def rendering() -> str:
    """Return the part of the page that the tables say."""
    lines = [MARK]
    for title, there, table in (
        ("Defects of convis that are left out", "convis", DEFECTS),
        ("Choices", "convis", CHOICES),
        ("The same as convis computes, and not what its documentation says", "convis' documentation", SAME),
    ):
        lines += [f"## {title}", "", f"| | {there} | here |", "|---|---|---|"]
        lines += [f"| {row.title} | {row.there} | {row.here} |" for row in table]
        lines += [""]
    return "\n".join(lines)


if __name__ == "__main__":
    head = PAGE.read_text().split(MARK)[0]
    PAGE.write_text(head + rendering())
