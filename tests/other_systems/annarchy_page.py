"""Where this library answers differently from ANNarchy: the second half of docs/differences-from-annarchy.md.

It is written from the tables in the files beside this one. After a change of a table::

    PYTHONPATH=tests python -m other_systems.annarchy_page
"""

from __future__ import annotations

from other_systems.annarchy_projections import PROJECTIONS
from other_systems.annarchy_quirks import DECISIONS, QUIRKS
from other_systems.annarchy_runs import RUNS
from other_systems.annarchy_scripts import SCRIPTS
from strategies.folders import REPOSITORY

PAGE = REPOSITORY / "docs" / "differences-from-annarchy.md"
MARK = "<!-- Written from here on by tests/other_systems/annarchy_page.py from the tables beside it. -->\n"
OTHERS = (*PROJECTIONS, *SCRIPTS, *RUNS)


def rendering() -> str:
    """Return the part of the page that the tables say."""
    lines = [MARK, "## Results that differ", ""]
    for tag, quirk in QUIRKS.items():
        lines += [
            f"### {quirk.title}",
            "",
            f"**ANNarchy:** {quirk.annarchy}",
            "",
            f"**Here:** {quirk.here}",
            "",
            f"**How the two relate:** {quirk.relation}",
            "",
            f"(Tag of the test files: `{tag}`.)",
            "",
        ]
    lines += [
        "## Calls that only one of the two accepts",
        "",
        "| call | ANNarchy | here | why |",
        "|---|---|---|---|",
    ]
    for decision in DECISIONS.values():
        there, here = ("accepted", "refused") if decision.result is None else ("refused", "accepted")
        lines.append(f"| {decision.title} | {there} | {here} | {decision.reason} |")
    lines += ["", "## Other differences", "", "| | ANNarchy | here |", "|---|---|---|"]
    lines += [f"| {other.title} | {other.there} | {other.here} |" for other in OTHERS]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    head = PAGE.read_text().split(MARK)[0]
    PAGE.write_text(head + rendering())
