"""Tables of a result: recordings and summaries in, DataFrames out.

Their columns are those of `harness.notebook.columns`, in that order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from harness.errors import HarnessError
from harness.notebook import columns
from harness.recording.layout import ERRORS, NO_INSTANCE, NOT_THERE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from harness.recording.table import Recording
    from harness.summary.run import Summary

_MOST_WINDOWS: Final = 1_000_000
_NAMES: Final = (
    "result",
    "suite",
    "scenario",
    "strategy",
    "connections",
    "unit",
    "host",
    "engine",
    "verdict",
    "worst_instance",
    "limited_by",
)
_NOBODY: Final = -1
"""What pandas takes for a category that is missing."""


def requests_frame(recording: Recording) -> pd.DataFrame:
    """Give one row a request, in the order of the recording."""
    rows = recording.rows
    start, intended = rows["start_ns"], rows["intended_start_ns"]
    routes = recording.routes
    frame = {
        "start_s": (start - recording.started_ns) / 1e9,
        "intended_start_s": (intended - recording.started_ns) / 1e9,
        "latency_ms": (start - intended + rows["latency_ns"]) / 1e6,
        "latency_from_send_ms": rows["latency_ns"] / 1e6,
        "connect_ms": _milliseconds(rows["connect_ns"]),
        "first_byte_ms": _milliseconds(rows["first_byte_ns"]),
        "connection": rows["connection"],
        "source": rows["source"],
        "instance": _instances(rows["instance"], recording.instances),
        **{name: _without_zeros(rows[name]) for name in ("status", "stream", "protocol_status")},
        "error": _named(np.where(rows["error"] == 0, _NOBODY, rows["error"].astype(np.int64)), ERRORS),
        "route": _named(rows["route"].astype(np.int64) if routes else np.full(len(rows), _NOBODY), routes),
    }
    return pd.DataFrame(frame, columns=list(columns.REQUESTS))


def _without_zeros(numbers: NDArray[np.uint16]) -> pd.Series:
    """Give numbers of which 0 says that there is none."""
    column = pd.Series(numbers, dtype="UInt16")
    return column.mask(column == 0)


def connections_frame(recording: Recording) -> pd.DataFrame:
    """Give one row a connection, in the order in which they were begun."""
    rows = recording.rows
    ends = rows["start_ns"] + rows["latency_ns"]
    answered = np.where(rows["instance"] == NO_INSTANCE, _NOBODY, rows["instance"].astype(np.int64))
    made = pd.DataFrame(
        {
            "connection": rows["connection"],
            "source": rows["source"],
            "start_ns": rows["start_ns"],
            "end_ns": ends,
            "connect_ms": _milliseconds(rows["connect_ns"]),
            "failed": rows["error"] != 0,
            "answered": pd.Series(answered).mask(answered == _NOBODY),
        }
    ).sort_values("start_ns", kind="stable")
    of_each = made.groupby("connection", sort=False)
    found = of_each.agg(
        source=("source", "first"),
        start_ns=("start_ns", "first"),
        end_ns=("end_ns", "max"),
        connect_ms=("connect_ms", "first"),
        requests=("source", "size"),
        errors=("failed", "sum"),
        answered=("answered", "first"),
        instances=("answered", "nunique"),
    ).reset_index()
    found["start_s"] = (found["start_ns"] - recording.started_ns) / 1e9
    found["duration_s"] = (found["end_ns"] - found["start_ns"]) / 1e9
    first = found["answered"].fillna(_NOBODY).to_numpy(dtype=np.int64)
    found["instance"] = _named(first, recording.instances)
    return found[list(columns.CONNECTIONS)]


def distribution_frame(summary: Summary) -> pd.DataFrame:
    """Give one row an instance, in the scenario's order."""
    rows = []
    for row, band in zip(summary.instances, summary.tests.tolerance.instances, strict=True):
        low, high = row.interval or (None, None)
        rows.append(
            {
                "instance": row.name,
                "units": getattr(row, f"{summary.unit}s"),
                "connections": row.connections,
                "requests": row.requests,
                "sources": row.sources,
                "share_percent": _percent(row.share),
                "expected_percent": _percent(row.expected_share),
                "deviation_percent": _percent(row.deviation),
                "interval_low_percent": _percent(low),
                "interval_high_percent": _percent(high),
                "tolerated_low_percent": _percent(band.lower_bound),
                "tolerated_high_percent": _percent(band.upper_bound),
                "residual": np.nan if row.residual is None else row.residual,
                "route": row.route,
            }
        )
    return pd.DataFrame(rows, columns=list(columns.DISTRIBUTION))


def routes_frame(summary: Summary) -> pd.DataFrame:
    """Give one row a route, in the scenario's order; none where it has no routes."""
    rows = []
    for route in summary.routes:
        test, latency = route.tests.chi_square, route.latency_ns
        rows.append(
            {
                "route": route.name,
                "path": route.path,
                "host": route.host,
                "replicas": route.replicas,
                "requests": route.requests,
                "share_percent": _percent(route.share),
                "expected_percent": _percent(route.expected_share),
                "errors": sum(route.errors.values()),
                "misrouted": route.misrouted,
                "verdict": route.verdict,
                "chi_square": np.nan if test is None else test.statistic,
                "chi_square_p": np.nan if test is None else test.p_value,
                "latency_p50_ms": np.nan if latency.p50 is None else latency.p50 / 1e6,
                "latency_p99_ms": np.nan if latency.p99 is None else latency.p99 / 1e6,
            }
        )
    return pd.DataFrame(rows, columns=list(columns.ROUTES))


def timeline_frame(recording: Recording, window_s: float) -> pd.DataFrame:
    """Give one row a window of time; a request counts where it ended.

    Raises
    ------
    HarnessError
        The window is no length of time, or so short that there would be more than a million of them.
    """
    starts_s, lengths_s, places = _windows(recording, window_s)
    rows = recording.rows
    good = rows["error"] == 0
    counts = np.bincount(places, minlength=len(starts_s))
    succeeded = np.bincount(places[good], minlength=len(starts_s))
    p50, p99 = _quantiles(recording.latencies_ns(), places[good], len(starts_s))
    frame = {
        "start_s": starts_s,
        "length_s": lengths_s,
        "requests": counts,
        "errors": counts - succeeded,
        "throughput_per_s": _over(succeeded, lengths_s),
        "latency_p50_ms": p50,
        "latency_p99_ms": p99,
    }
    return pd.DataFrame(frame, columns=list(columns.TIMELINE))


def timeline_by_instance_frame(recording: Recording, window_s: float) -> pd.DataFrame:
    """Give one row for each instance in each window of time; errors as in `timeline_frame`."""
    starts_s, lengths_s, places = _windows(recording, window_s)
    rows, number = recording.rows, len(recording.instances)
    shape = (len(starts_s), number)

    def counted(chosen: NDArray[Any]) -> NDArray[np.int64]:
        cells = places[chosen] * number + rows["instance"][chosen]
        return np.bincount(cells, minlength=shape[0] * number)

    answered = rows["instance"] != NO_INSTANCE
    requests = counted(np.flatnonzero(answered))
    in_window = recording.in_all_of_route(requests.reshape(shape))
    frame = {
        "start_s": np.repeat(starts_s, number),
        "length_s": np.repeat(lengths_s, number),
        "instance": _named(np.tile(np.arange(number), shape[0]), recording.instances),
        "requests": requests,
        "errors": counted(np.flatnonzero(answered & (rows["error"] != 0))),
        "connections": counted(recording.first_answers("connection")),
        "share_percent": _over(requests * 100, in_window.ravel()),
    }
    return pd.DataFrame(frame, columns=list(columns.TIMELINE_BY_INSTANCE))


def table_frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Give one row a result, of what `harness.notebook.result.Result.row` says of each."""
    frame = pd.DataFrame([*rows], columns=list(columns.TABLE))
    kinds = {"replicas": "Int64", "repeat": "Int64", "units": "Int64", "requests": "Int64"}
    kinds |= {"errors": "Int64", "warnings": "Int64", "passed": "boolean", "witnesses_agree": "boolean"}
    numbers = {
        name: "float64" for name in columns.TABLE if name.endswith(("_ms", "_per_s", "_percent", "_p"))
    }
    numbers |= dict.fromkeys([name for name in columns.TABLE if name.endswith("_us_per_request")], "float64")
    names = dict.fromkeys(_NAMES, "str")
    frame = frame.astype({**names, **kinds, **numbers, "load_s": "float64", "has_requests": "bool"})
    frame["started_at"] = pd.to_datetime(frame["started_at"], utc=True, format="ISO8601")
    return frame


def events_frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Give one row an event, of what `harness.notebook.result.Result.event_rows` says of each."""
    frame = pd.DataFrame([*rows], columns=list(columns.EVENTS))
    counts = ("repeat", "number", "requests", "lost", "answered_after")
    kinds = dict.fromkeys(columns.EVENTS, "str") | dict.fromkeys(counts, "Int64")
    kinds |= {name: "float64" for name in columns.EVENTS if name.endswith(("_s", "_ms", "_percent"))}
    return frame.astype(kinds)


def _windows(
    recording: Recording, window_s: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Give the windows' starts and lengths in seconds, and the window of each request."""
    if not (np.isfinite(window_s) and window_s > 0):
        raise HarnessError(
            f"timeline: a window of {window_s} s is no length of time; write seconds, as in 0.5"
        )
    ends_s = (recording.rows["start_ns"] + recording.rows["latency_ns"] - recording.started_ns) / 1e9
    last_s = float(ends_s.max(initial=0.0))
    if last_s / window_s >= _MOST_WINDOWS:
        raise HarnessError(
            f"timeline: {last_s:g} s have too many windows of {window_s:g} s; take longer ones"
        )
    places = (ends_s // window_s).astype(np.int64)
    starts = np.arange(int(places.max(initial=0)) + 1, dtype=np.float64) * np.float64(window_s)
    # The last window ends with the last request.
    lengths = np.clip(last_s - starts, 0, window_s)
    return starts, lengths, places


def _quantiles(
    latencies_ns: NDArray[np.int64], places: NDArray[np.int64], windows: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the median and the 99th percentile of each window, in milliseconds; as those of whole runs."""
    order = np.argsort(places, kind="stable")
    ends = np.cumsum(np.bincount(places, minlength=windows))
    found = np.full((windows, 2), np.nan)
    for window, part in enumerate(np.split(latencies_ns[order], ends[:-1])):
        if part.size:
            found[window] = np.quantile(part, [0.5, 0.99], method="inverted_cdf") / 1e6
    return found[:, 0], found[:, 1]


def _over(numbers: NDArray[Any], by: NDArray[Any]) -> NDArray[np.float64]:
    """Divide; what is divided by nothing is missing."""
    quotients = np.full(len(numbers), np.nan)
    np.divide(numbers, by, out=quotients, where=by > 0)
    return quotients


def _milliseconds(times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
    times_ms: NDArray[np.float64] = np.where(times_ns == NOT_THERE, np.nan, times_ns / 1e6)
    return times_ms


def _percent(share: float | None) -> float:
    return np.nan if share is None else share * 100


def _instances(numbers: NDArray[np.uint32], names: Sequence[str]) -> pd.Categorical[str]:
    return _named(np.where(numbers == NO_INSTANCE, _NOBODY, numbers.astype(np.int64)), names)


def _named(places: NDArray[np.int64], names: Sequence[str]) -> pd.Categorical[str]:
    return pd.Categorical.from_codes(places, categories=pd.Index(names))
