from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pytest

from harness.analysis.summarise import summarise
from harness.recording.layout import NO_INSTANCE, TIMED_OUT, dtype
from harness.recording.table import Recording
from harness.scenario import Load, Resources
from tests.helpers.observed import observed_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.summary.run import Summary


class Measure(Protocol):
    """Makes up a run from the connections that each instance got."""

    def __call__(
        self,
        counts: Sequence[int],
        *,
        failed: int = 0,
        names: Sequence[str] | None = None,
        observed: dict[str, Any] | None = None,
        **scenario: Any,
    ) -> tuple[Recording, Summary]:
        """Give recording and summary."""


@pytest.fixture
def measure() -> Measure:
    """Make up runs with one request a connection."""

    def made_up(
        counts: Sequence[int],
        *,
        failed: int = 0,
        names: Sequence[str] | None = None,
        observed: dict[str, Any] | None = None,
        **scenario: Any,
    ) -> tuple[Recording, Summary]:
        answered = int(np.sum(counts))
        rows = np.zeros(answered + failed, dtype())
        rows["instance"] = np.concatenate(
            [np.repeat(range(len(counts)), counts), np.full(failed, NO_INSTANCE)]
        )
        rows["error"][answered:] = TIMED_OUT
        rows["connection"] = range(len(rows))
        rows["latency_ns"] = np.random.default_rng(1).lognormal(13, 0.5, len(rows))
        instances = tuple(names or [f"instance-{i + 1}" for i in range(len(counts))])
        recording = Recording(rows, instances, 0, datetime(2026, 1, 1, tzinfo=UTC))
        values: dict[str, Any] = {
            "name": "made-up",
            "strategy": SimpleNamespace(name="dnat-random"),
            "routes": {},
            "resources": Resources(),
            "replicas": len(counts),
            "host": "netns",
            "engine": "process",
            "client": "external",
            "tolerance": 0.1,
            "confidence": 0.95,
            "expect": "even",
            "seed": 1,
            "errors": 1.0,
            "recovers": None,
            "script": list,
            "load": Load(),
            "as_written": dict,
        }
        known: dict[str, Any] = {
            "unit": "connection",
            "shares": [1 / len(counts)] * len(counts),
            "wall_ns": 10**9,
            "generator_cpu_ns": 45 * 10**7,
        }
        facts: Any = SimpleNamespace(**(values | scenario))
        return recording, summarise(facts, recording, observed_of(**(known | (observed or {}))))

    return made_up
