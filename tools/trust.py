#!/usr/bin/env python3
"""Write the table of docs/trust.md from the rows that the sabotage test left in build/trust."""

from __future__ import annotations

import json
import re
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ROWS, PAGE = ROOT / "build" / "trust", ROOT / "docs" / "trust.md"
BEGIN, END = "<!-- the table: make trust -->", "<!-- end of the table -->"
HEAD = "| what was done | strategies | engine | exit status | first reason |\n|---|---|---|---|---|"
_LONGEST = 150
_NUMBER = re.compile(r"\b[0-9a-f]{8}\b|\d[\d,.]*\d|\d")
"""What differs from run to run: counts, times, and the random part of a folder's name."""


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """Read all rows, in the order of the page."""
    rows: list[dict[str, Any]] = [json.loads(file.read_text()) for file in folder.glob("*.json")]
    return sorted(rows, key=lambda row: (row["what"], row["engine"], row["status"], row["strategy"]))


def table(rows: list[dict[str, Any]]) -> str:
    """Write the rows, those of several strategies that ended alike as one."""
    lines = [HEAD]
    for (what, engine, status), alike in groupby(
        rows, key=lambda row: (row["what"], row["engine"], row["status"])
    ):
        group = list(alike)
        strategies = ", ".join(f"`{row['strategy']}`" for row in group)
        reason = _NUMBER.sub("N", group[0]["reason"]).replace("|", "\\|").replace("<", "&lt;")
        reason = reason if len(reason) <= _LONGEST else f"{reason[:_LONGEST].rsplit(' ', 1)[0]} …"
        lines.append(f"| {what} | {strategies} | `{engine}` | {status} | {reason} |")
    return "\n".join(lines)


def written(page: str, rows: list[dict[str, Any]]) -> str:
    """Put the table in its place on the page."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table(rows)}\n\n{END}{after}"


def main() -> int:
    """Write the page."""
    rows = read_rows(ROWS)
    if not rows:
        print("build/trust has no rows; run: pytest tests/end_to_end/test_sabotage.py", file=sys.stderr)
        return 2
    PAGE.write_text(written(PAGE.read_text(), rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
