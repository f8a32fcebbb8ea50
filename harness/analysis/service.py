"""Errors by time, and packets that were lost, as the summary has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.stats.service import service
from harness.summary.service import NetworkSummary, ServiceSummary, SilenceRow

if TYPE_CHECKING:
    from harness.analysis.observed import Observed, Readings
    from harness.recording.table import Recording
    from harness.scenario import Scenario
    from harness.stats.service import Silence

_PAUSE_MS = {"wire": 100.0, "gevent": 100.0}
"""How long a user of a closed loop waits after several failures, by what sends the requests."""


def service_of(scenario: Scenario, recording: Recording, observed: Observed) -> ServiceSummary:
    """Say when requests succeeded: of the whole load, or of what ended before the first event."""
    rows, start_ns = recording.rows, recording.started_ns
    ends_ns, failed = rows["start_ns"] + rows["latency_ns"], rows["error"] != 0
    end_ns = start_ns + min(observed.load.wall_ns, scenario.load.duration_ns)
    if observed.events:
        end_ns = max(observed.events[0].began_ns, start_ns)  # one at 0 s may come before the first request
        before = ends_ns < end_ns
        ends_ns, failed = ends_ns[before], failed[before]
    found = service(ends_ns, failed, start_ns, end_ns)
    return ServiceSummary(
        limit=scenario.errors,
        seconds=max(end_ns - start_ns, 0) / 1e9,
        requests=found.requests,
        failed=found.failed,
        longest=_row(found.longest, start_ns) if found.longest else None,
        gone=tuple(_row(one, start_ns) for one in found.gone),
        windows=found.windows,
        windows_without=found.windows_without,
        last_requests=found.last_requests,
        last_failed=found.last_failed,
        pause_ms=_PAUSE_MS.get(scenario.load.user) if scenario.load.model == "closed" else None,
    )


def network_of(readings: Readings) -> NetworkSummary | None:
    """Say how many segments were sent, and sent again."""
    return None if readings.tcp is None else NetworkSummary(**readings.tcp._asdict())


def _row(span: Silence, start_ns: int) -> SilenceRow:
    from_s, to_s = ((moment_ns - start_ns) / 1e9 for moment_ns in (span.from_ns, span.to_ns))
    return SilenceRow(from_s=from_s, to_s=to_s, failed=span.failed)
