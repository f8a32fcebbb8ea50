"""Made-up results of two routes, `api` with two instances and `web` with three."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.analysis.summarise import summarise
from harness.recording.layout import NO_INSTANCE, dtype
from harness.recording.table import Recording
from harness.scenario import load_scenario
from tests.helpers.observed import observed_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.scenario import Scenario
    from harness.summary.run import Summary

NAMES = ("api-1", "api-2", "web-1", "web-2", "web-3")
SHARES = (0.5, 0.5, 1 / 3, 1 / 3, 1 / 3)
GAP_NS = 10_000
_TEXT = """
strategy: nginx
routes:
  api: {path: /api, replicas: 2, weight: 3}
  web: {path: /, replicas: 3}
"""


def routed_scenario(folder: Path, *changes: str) -> Scenario:
    """Load the scenario, with these changes."""
    file = folder / "two.yaml"
    file.write_text(_TEXT)
    return load_scenario(file, changes)


def counts_of(*each: int) -> dict[tuple[int, int], int]:
    """Give each instance's requests, all of its own route."""
    return {(int(instance > 1), instance): count for instance, count in enumerate(each)}


def routed_recording(counts: dict[tuple[int, int], int], names: Sequence[str] = NAMES) -> Recording:
    """Make up requests, as many for each (route, instance), in an order that tells nothing; -1 is nobody."""
    cells = np.repeat(np.array([*counts]).reshape(-1, 2), [*counts.values()], axis=0)
    cells = cells[np.random.default_rng(3).permutation(len(cells))]
    rows = np.zeros(len(cells), dtype())
    rows["route"], rows["instance"] = cells[:, 0], np.where(cells[:, 1] < 0, NO_INSTANCE, cells[:, 1])
    rows["connection"] = np.arange(len(rows)) // 4
    rows["start_ns"] = rows["intended_start_ns"] = np.arange(len(rows)) * GAP_NS
    rows["latency_ns"] = 1000 * (1 + rows["route"].astype(np.int64))
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Recording(rows, tuple(names), 0, at, set(names) <= set(NAMES), ("api", "web"))


def judged(scenario: Scenario, recording: Recording, **observed: Any) -> Summary:
    """Judge it as a run of the scenario."""
    wall_ns = len(recording.rows) * GAP_NS
    known: dict[str, Any] = {"unit": "request", "layer": 7, "shares": SHARES, "wall_ns": wall_ns}
    return summarise(scenario, recording, observed_of(**(known | observed)))
