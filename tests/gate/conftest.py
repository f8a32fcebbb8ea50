"""Results to check: made-up recordings, judged and stored by the real code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.results.folder import PendingResult
from tests.report.conftest import measure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.report.conftest import Measure

    Stored = Callable[..., Path]

__all__ = ["measure", "stored"]

SCENARIO = {"strategy": {"name": "dnat-random"}, "replicas": 4, "load": {"users": 16, "duration": "10s"}}


@pytest.fixture
def stored(measure: Measure, tmp_path: Path) -> Stored:
    """Store a run with these counts, and give its folder."""

    def store(
        counts: Sequence[int], *, written: dict[str, Any] | None = None, change: Any = None, **kwargs: Any
    ) -> Path:
        recording, summary = measure(
            counts, as_written=lambda: {"name": "made-up", **(written or SCENARIO)}, **kwargs
        )
        started_at = f"2026-01-01T00:00:{len([*tmp_path.glob('results/*')]):02}+00:00"
        summary = summary.model_copy(update={"started_at": started_at, **(change or {})})
        with PendingResult(tmp_path / "results", "made-up") as pending:
            pending.write_recording(recording)
            pending.write_summary(summary)
            return pending.commit()

    return store
