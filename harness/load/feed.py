"""Locust's own statistics, fed in batches from the records.

`StatsEntry.log` for every request costs 5 µs. Locust's master merges whole batches that its workers
counted (`locust.stats.setup_distributed_stats_event_listeners`); the same `StatsEntry.extend` is used
here, so that Locust's web page and CSV files show exactly the requests that are in the recording.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from locust.stats import StatsEntry, StatsError

from harness.recording.layout import ERRORS, NONE

if TYPE_CHECKING:
    import numpy.typing as npt

_METHOD: Final = "GET"
_NS_PER_MS: Final = 1_000_000


class StatsFeed:
    """Counts batches of records into Locust's statistics.

    Parameters
    ----------
    stats
        `locust.stats.RequestStats` of the running environment.
    name
        Under which Locust shows the requests.
    wall_minus_monotonic_ns
        Locust's seconds are those of the wall clock, the records' times are monotonic.
    """

    def __init__(self, stats: Any, name: str, wall_minus_monotonic_ns: int) -> None:
        self._stats = stats
        self._name = name
        self._offset_ns = wall_minus_monotonic_ns

    def add(self, records: npt.NDArray[Any], body_bytes: int) -> None:
        """Count these records, of type `harness.recording.layout.dtype()`; there must be some."""
        ends_ns = records["start_ns"] + records["latency_ns"] + self._offset_ns
        seconds = ends_ns // 1_000_000_000
        failed = records["error"] != NONE
        latency_ns = records["latency_ns"]
        batch = StatsEntry.unserialize(
            {
                "name": self._name,
                "method": _METHOD,
                "start_time": float(ends_ns.min() - latency_ns[ends_ns.argmin()]) / 1e9,
                "last_request_timestamp": float(ends_ns.max()) / 1e9,
                "num_requests": len(records),
                "num_none_requests": 0,
                "num_failures": int(np.count_nonzero(failed)),
                "total_response_time": int(latency_ns.sum()) / _NS_PER_MS,
                "max_response_time": int(latency_ns.max()) / _NS_PER_MS,
                "min_response_time": int(latency_ns.min()) / _NS_PER_MS,
                "total_content_length": body_bytes,
                "response_times": _counts(response_time_buckets(latency_ns)),
                "num_reqs_per_sec": _counts(seconds),
                "num_fail_per_sec": _counts(seconds[failed]),
            },
            self._stats,
        )
        self._stats.total.extend(batch)
        self._stats.entries[(self._name, _METHOD)].extend(batch)
        for code, occurrences in _counts(records["error"][failed]).items():
            times = ends_ns[records["error"] == code]
            self._add_error(ERRORS[code], occurrences, int(times.min()) / 1e9, int(times.max()) / 1e9)

    def _add_error(self, error: str, occurrences: int, first_s: float, last_s: float) -> None:
        key = StatsError.create_key(_METHOD, self._name, error)
        entry = self._stats.errors.get(key)
        if entry is None:
            entry = self._stats.errors[key] = StatsError(_METHOD, self._name, error, first_seen=first_s)
        entry.occurrences += occurrences
        entry.last_seen = last_s


def response_time_buckets(latency_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Round to milliseconds as `locust.stats.bucket_response_time` does: two digits, halves to even."""
    buckets = np.empty(len(latency_ns), np.int64)
    lower_ms = 0
    for upper_ms, step_ms in ((100, 1), (1_000, 10), (10_000, 100), (None, 1_000)):
        chosen = latency_ns >= lower_ms * _NS_PER_MS
        if upper_ms is not None:
            chosen &= latency_ns < upper_ms * _NS_PER_MS
            lower_ms = upper_ms
        if chosen.any():
            buckets[chosen] = np.rint(latency_ns[chosen] / (step_ms * _NS_PER_MS)).astype(np.int64) * step_ms
    return buckets


def _counts(values: npt.NDArray[Any]) -> dict[int, int]:
    found, counts = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))
