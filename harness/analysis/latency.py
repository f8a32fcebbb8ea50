"""The summary's latency: quantiles of all successful requests, and their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.stats.latency import quantile_intervals, quantiles_ns
from harness.summary.run import LatencyIntervals, LatencySummary

if TYPE_CHECKING:
    from harness.recording.table import Recording
    from harness.scenario import Scenario


def latency(scenario: Scenario, recording: Recording) -> tuple[LatencySummary, LatencyIntervals]:
    """Give the quantiles of all successful requests, and their intervals with the scenario's confidence."""
    latencies = recording.latencies_ns()
    quantiles = LatencySummary(**quantiles_ns(latencies)._asdict())
    intervals = quantile_intervals(latencies, recording.starts_ns(), scenario.confidence, seed=scenario.seed)
    return quantiles, LatencyIntervals(**intervals)


def latency_from_send(recording: Recording) -> LatencySummary | None:
    """Give what an open loop's latency would be if it counted from when requests were sent; else None."""
    rows = recording.rows
    if not (rows["start_ns"] != rows["intended_start_ns"]).any():
        return None
    return LatencySummary(**quantiles_ns(rows["latency_ns"][rows["error"] == 0])._asdict())
