"""Loads that end when the evidence suffices, on a real host with real load."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest

from harness.recording.table import Recording

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
    ("verdict", "strategy", "settings"),
    [
        ("even", "dnat-random", ()),
        ("even", "dnat-random", ("load.warm_up=0s", "load.connections=10")),
        ("uneven", "dnat-literal", ()),
        ("even", "haproxy", ("load.connections=keep-alive",)),
        ("even", "nft-hash", ("load.sources=10000",)),
    ],
)
def test_the_load_ends_with_the_verdict(
    harness: Command, verdict: str, strategy: str, settings: tuple[str, ...]
) -> None:
    """Connections, requests and sources alike: within seconds, of the minute that it might have taken."""
    summary, folder = _ran(harness, strategy, f"expect={verdict}", *settings)
    assert summary["verdict"] == verdict
    assert summary["phases_s"]["load"] < 20
    assert 0 < summary["tests"]["sequential"]["decided_after_s"] <= summary["phases_s"]["load"]
    _checked(summary, folder)


def test_shares_that_are_meant_to_differ_are_watched_by_name(harness: Command) -> None:
    """Three to one is even where that was asked for; the looks know who is who."""
    scenario = harness.scenario(f"strategy: dnat-random\nweights: {{big: 3, small: 1}}\n{_UNTIL}")
    assert harness("run", scenario).returncode == 0
    (folder,) = (harness.folder / "results").iterdir()
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["phases_s"]["load"] < 20
    assert [row["name"] for row in summary["instances"]] == ["big", "small"]
    _checked(summary, folder)


def test_a_load_that_is_soon_over_may_have_shown_enough(harness: Command) -> None:
    """load.requests is the most that it may take, and what it took is judged as a whole."""
    summary, folder = _ran(harness, "dnat-random", "load.requests=10000")
    assert summary["verdict"] == "even"
    assert summary["counts"]["requests"] <= 10_000
    _checked(summary, folder)


def test_sources_that_are_too_few_stay_too_few(harness: Command) -> None:
    """A hash of sixteen addresses shows little, no time makes them more, and the reason says so."""
    scenario = harness.scenario(f"strategy: nft-hash\nreplicas: 4\n{_UNTIL}")
    finished = harness("run", scenario, "--set", "load.duration=3s")
    assert finished.returncode == 3
    told = " ".join(finished.stdout.split())
    assert "inconclusive: 16 sources are too few to tell at 20 % tolerance" in told
    assert "no longer load can mend that, as the clients have 16 sources in all" in told


def test_ctrl_c_keeps_the_looks_so_far(harness: Command) -> None:
    """Interrupted before the verdict: 130, a whole result, which says how well the shares are known."""
    scenario = harness.scenario(f"strategy: dnat-random\nreplicas: 4\n{_UNTIL}")
    process = harness.start("run", scenario, "--set", "tolerance=0.5%")
    assert process.stderr is not None
    assert next(line for line in process.stderr if "shares ±" in line)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    (folder,) = (harness.folder / "results").iterdir()
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["interrupted"] is True
    assert summary["tests"]["sequential"]["decided_after_s"] is None
    _checked(summary, folder)


def test_early_stop_without_verdict_ends_at_the_duration(harness: Command) -> None:
    """Kept-alive users make sixteen choices, however long one waits: the reason says what is lacking."""
    summary, folder = _ran(harness, "dnat-random", "load.duration=2s", "load.connections=keep-alive")
    assert summary["verdict"] == "inconclusive"
    assert summary["counts"]["connections"] == 16
    assert 2 <= summary["phases_s"]["load"] < 10
    told = r"16 connections are too few .* no longer load can mend that, .* about [\d,]+: raise load.users"
    assert re.match(told, summary["reason"])
    _checked(summary, folder)


def test_the_interval_is_seen_to_shrink(harness: Command) -> None:
    """Each line of progress says how well the shares are known, the later the better."""
    scenario = harness.scenario(f"strategy: haproxy\n{_UNTIL}")
    words = ["--set", "tolerance=3%", "--set", "replicas=10", "--set", "load.duration=6s"]
    finished = harness("run", scenario, *words)
    known = [float(width) for width in re.findall(r"shares ±([\d.]+) %", finished.stderr)]
    assert known, finished.stderr
    assert known == sorted(known, reverse=True)
