"""Loads that end when the evidence suffices, on a real host with real load."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from harness.recording import Recording

if TYPE_CHECKING:
    from pathlib import Path

    from tests.end_to_end.conftest import Command

_UNTIL = """
tolerance: 20%
load: {until: verdict, duration: 1m, warm_up: 200ms}
"""


def _ran(harness: Command, strategy: str, *settings: str) -> tuple[dict[str, Any], Path]:
    words = [word for setting in ("replicas=4", *settings) for word in ("--set", setting)]
    finished = harness("run", harness.scenario(f"strategy: {strategy}\n{_UNTIL}"), *words)
    assert finished.returncode in {0, 3}, finished.stderr
    (folder,) = (harness.folder / "results").iterdir()
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return summary, folder


def _checked(summary: dict[str, Any], folder: Path) -> None:
    """Assure that looks, recording and witnesses speak of the same requests."""
    sequential = summary["tests"]["sequential"]
    recorded = len(Recording.from_parquet(folder / "requests.parquet").rows)
    assert recorded == summary["counts"]["requests"]
    assert summary["witnesses"]["agree"] is True
    seen = [look["records"] for look in sequential["looks"]]
    assert seen == sorted(seen)
    assert 0 < seen[-1] <= recorded


@pytest.mark.parametrize(
    ("strategy", "verdict"),
    [("dnat-random", "even"), ("dnat-literal", "uneven"), ("haproxy", "even"), ("nft-hash", None)],
)
def test_the_load_ends_with_the_verdict(harness: Command, strategy: str, verdict: str | None) -> None:
    """Connections, requests and sources alike: within seconds, of the minute that it might have taken."""
    if verdict is None:  # a hash of 16 addresses shows little, and no time makes them more
        summary, folder = _ran(harness, strategy, "load.duration=3s")
        assert summary["verdict"] == "inconclusive"
        assert summary["tests"]["sequential"]["decided_after_s"] is None
    else:
        summary, folder = _ran(harness, strategy, f"expect={verdict}")
        assert summary["verdict"] == verdict
        assert summary["phases_s"]["load"] < 20
        assert 0 < summary["tests"]["sequential"]["decided_after_s"] <= summary["phases_s"]["load"]
    _checked(summary, folder)


def test_without_a_verdict_it_ends_when_its_time_is_over(harness: Command) -> None:
    """Kept-alive users make sixteen choices, however long one waits: the reason says what is lacking."""
    summary, folder = _ran(harness, "dnat-random", "load.duration=2s", "load.connections=keep-alive")
    assert summary["verdict"] == "inconclusive"
    assert summary["counts"]["connections"] == 16
    assert 2 <= summary["phases_s"]["load"] < 10
    assert re.match(r"16 connections are too few .* about [\d,]+ more should decide it", summary["reason"])
    _checked(summary, folder)


def test_the_interval_is_seen_to_shrink(harness: Command) -> None:
    """Each line of progress says how well the shares are known, the later the better."""
    scenario = harness.scenario(f"strategy: haproxy\n{_UNTIL}")
    words = ["--set", "tolerance=3%", "--set", "replicas=10", "--set", "load.duration=6s"]
    finished = harness("run", scenario, *words)
    known = [float(width) for width in re.findall(r"shares ±([\d.]+) %", finished.stderr)]
    assert known, finished.stderr
    assert known == sorted(known, reverse=True)
