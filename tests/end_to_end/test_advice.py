"""Advice that a run gives: it can be followed, and then it is enough."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Command

CASES = Path(__file__).parents[1] / "cases"


def _run(harness: Command, name: str, *settings: str) -> dict[str, Any]:
    """Run one of the cases in a folder of its own; give its summary."""
    shutil.copytree(CASES, harness.folder, dirs_exist_ok=True)
    finished = harness("run", name, *(word for setting in settings for word in ("--set", setting)))
    found = [*(harness.folder / "results").glob("*/summary.json")]
    assert found, finished.stderr
    summary: dict[str, Any] = json.loads(found[0].read_text())
    return summary


def test_counts_in_turn_need_few_more(harness: Command) -> None:
    """Some 650 requests in turn decide, where as many by chance would take 3,070."""
    summary = _run(harness, "in-turn-advice.yaml", "strategy=nft-round-robin")
    assert summary["verdict"] == "inconclusive"
    assert summary["tests"]["tolerance"]["more_units"] <= 300
