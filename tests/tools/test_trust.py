"""The page of what was tried holds what the tests left, and nothing else."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

from tests.end_to_end.sabotage import SABOTAGE

_ROOT = Path(__file__).parents[2]
_TOOL: dict[str, Any] = runpy.run_path(str(_ROOT / "tools" / "trust.py"))


def test_page_has_a_row_for_each_way_to_harm_a_run() -> None:
    """Every way, with every strategy that it is tried on; no run that was harmed ended with 0."""
    page = (_ROOT / "docs" / "trust.md").read_text()
    lines = [line.split(" | ") for line in page.splitlines() if line.startswith("| ")][1:]
    for sabotage in SABOTAGE.values():
        own = [cells for cells in lines if cells[0] == f"| {sabotage.what}"]
        tried = {name.strip("`") for cells in own for name in cells[1].split(", ")}
        assert tried == set(sabotage.strategies)
        assert {cells[3] for cells in own} <= {"1", "2", "3"}
    assert {cells[0] for cells in lines} == {f"| {sabotage.what}" for sabotage in SABOTAGE.values()}


def test_tool_writes_the_rows_that_it_reads(tmp_path: Path) -> None:
    """Strategies that ended alike share a row, and what stands around the table stays."""
    row = {"what": "kill it", "engine": "process", "status": 3, "reason": "it | died"}
    for strategy in ("b", "a"):
        (tmp_path / f"{strategy}.json").write_text(json.dumps(row | {"strategy": strategy}))
    page = f"before\n{_TOOL['BEGIN']}\nold\n{_TOOL['END']}\nafter\n"
    written = _TOOL["written"](page, _TOOL["read_rows"](tmp_path))
    assert written.startswith("before\n")
    assert written.endswith("after\n")
    assert "old" not in written
    assert "| kill it | `a`, `b` | `process` | 3 | it \\| died |" in written
