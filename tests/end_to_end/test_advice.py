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


def test_a_locustfile_is_named_where_it_keeps_connections(harness: Command) -> None:
    """What load.connections says has no effect on it."""
    shutil.copytree(CASES, harness.folder, dirs_exist_ok=True)
    finished = harness("run", "locust-keeps-connections.yaml")
    assert finished.returncode == 3
    text = " ".join(finished.stdout.split())
    assert "the users of keeping.py keep their connections" in text
    assert "load.connections" not in text


def test_an_event_at_the_start_leaves_nothing_to_judge(harness: Command) -> None:
    """The reason is the event, and not the requests' attribution."""
    summary = _run(harness, "slow-from-the-start.yaml", "load.duration=1s")
    assert summary["verdict"] == "inconclusive"
    assert summary["reason"].startswith("nothing was measured before the first event (slow)")
    assert summary["events"][0]["at_s"] >= 0


def test_the_default_warm_up_is_no_longer_than_the_load(harness: Command) -> None:
    """A short duration needs no second key."""
    name = harness.scenario("strategy: dnat-random\nreplicas: 2\ntolerance: 90%\nload: {duration: 500ms}\n")
    finished = harness("run", name)
    assert finished.returncode == 0, finished.stderr
