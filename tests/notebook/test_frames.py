"""The tables of a result: what is in them, and that the page about them says so."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from harness.errors import HarnessError
from harness.notebook.columns import TABLES
from harness.notebook.frames import (
    connections_frame,
    distribution_frame,
    events_frame,
    requests_frame,
    routes_frame,
    table_frame,
    timeline_by_instance_frame,
    timeline_frame,
)
from harness.notebook.rows import events_of, row_of
from harness.recording.layout import NO_INSTANCE, NOT_THERE, REFUSED, STATUS, dtype
from harness.recording.table import Recording
from tests.report.test_events import event, required

if TYPE_CHECKING:
    from tests.report.conftest import Measure

_PAGE = Path(__file__).parents[2] / "docs" / "python.md"
_MS = 1_000_000
_BEGAN = 5_000 * _MS


def _recording(*requests: dict[str, Any]) -> Recording:
    """Make up requests; what is left out is that of a first request that instance a answered."""
    rows = np.zeros(len(requests), dtype())
    for row, request in zip(rows, requests, strict=True):
        start_ms = request.get("start_ms", 0)
        row["start_ns"] = _BEGAN + start_ms * _MS
        row["intended_start_ns"] = _BEGAN + request.get("intended_ms", start_ms) * _MS
        row["latency_ns"] = request.get("latency_ms", 2) * _MS
        row["connect_ns"] = request.get("connect_ms", NOT_THERE / _MS) * _MS
        row["first_byte_ns"] = request.get("first_byte_ms", 1) * _MS
        row["connection"] = request.get("connection", 0)
        row["instance"] = request.get("instance", 0)
        row["status"] = request.get("status", 200)
        row["error"] = request.get("error", 0)
    return Recording(rows, ("a", "b"), _BEGAN, datetime(2026, 1, 1, tzinfo=UTC))


_NOBODY = {"instance": NO_INSTANCE, "status": 0, "error": REFUSED, "first_byte_ms": NOT_THERE / _MS}


def test_a_request_has_its_times_in_the_units_of_the_columns() -> None:
    """Latency counts from the intended start, as all latencies of the harness."""
    frame = requests_frame(
        _recording({"start_ms": 0}, {"start_ms": 1500, "intended_ms": 1400, "latency_ms": 7, "connect_ms": 3})
    )
    assert frame.loc[1, "start_s"] == pytest.approx(1.5)
    assert frame.loc[1, "intended_start_s"] == pytest.approx(1.4)
    assert frame.loc[1, "latency_ms"] == pytest.approx(107)
    assert frame.loc[1, "latency_from_send_ms"] == pytest.approx(7)
    assert frame.loc[1, "connect_ms"] == pytest.approx(3)
    assert frame.loc[1, "first_byte_ms"] == pytest.approx(1)


def test_request_frame_has_missing_values_for_unknown_ones() -> None:
    """No stand-in such as -1 or 0 gets into anybody's mean."""
    frame = requests_frame(_recording({"instance": 1}, _NOBODY))
    assert frame["instance"].tolist()[0] == "b"
    assert frame["error"].isna().tolist() == [True, False]
    assert frame.loc[1, "error"] == "refused"
    assert frame.loc[1, ["connect_ms", "first_byte_ms", "instance", "status"]].isna().all()
    assert frame[["stream", "protocol_status"]].isna().all(axis=None)  # HTTP/1.1 has neither
    assert frame["instance"].cat.categories.tolist() == ["a", "b"]


def test_a_connection_is_the_instances_that_answered_first_on_it() -> None:
    """As the harness counts them: behind a layer-7 proxy, others answer on it, too."""
    recording = _recording(
        {"start_ms": 30, "connection": 1, **_NOBODY},
        {"start_ms": 10, "connection": 0, "instance": 1, "latency_ms": 5},
        {"start_ms": 0, "connection": 0, "instance": 0, "connect_ms": 4},
        {"start_ms": 20, "connection": 0, "instance": 1, "status": 500, "error": STATUS},
    )
    frame = connections_frame(recording)
    assert frame["connection"].tolist() == [0, 1]
    first = frame.iloc[0]
    assert (first["requests"], first["errors"], first["instance"], first["instances"]) == (3, 1, "a", 2)
    assert first["start_s"] == pytest.approx(0)
    assert first["duration_s"] == pytest.approx(0.022)
    assert first["connect_ms"] == pytest.approx(4)
    second = frame.iloc[1]
    assert (second["requests"], second["errors"], second["instances"]) == (1, 1, 0)
    assert pd.isna(second["instance"])


def test_connections_are_counted_as_by_the_recording(measure: Measure) -> None:
    """The table and the verdict speak of the same connections."""
    recording, _ = measure([40, 2, 13], failed=7)
    counted = connections_frame(recording)["instance"].value_counts(sort=False)
    assert counted.tolist() == recording.connections_by_instance().tolist() == [40, 2, 13]


def test_the_distribution_is_the_summarys(measure: Measure) -> None:
    """Shares are percentages of the units, and the tolerated ones those that the verdict was made with."""
    _, summary = measure([600, 400], tolerance=0.1)
    frame = distribution_frame(summary)
    assert frame["instance"].tolist() == ["instance-1", "instance-2"]
    assert frame["units"].tolist() == frame["connections"].tolist() == [600, 400]
    assert frame["share_percent"].tolist() == pytest.approx([60, 40])
    assert frame["expected_percent"].tolist() == pytest.approx([50, 50])
    assert frame["deviation_percent"].tolist() == pytest.approx([20, -20])
    assert frame["tolerated_low_percent"].tolist() == pytest.approx([45, 45])
    assert frame["tolerated_high_percent"].tolist() == pytest.approx([55, 55])
    assert (frame["interval_low_percent"] < frame["share_percent"]).all()
    assert (frame["share_percent"] < frame["interval_high_percent"]).all()


def test_a_distribution_of_nothing_has_no_shares(measure: Measure) -> None:
    """Where nobody answered, a share of 0 % would be a claim."""
    _, summary = measure([0, 0], failed=3)
    frame = distribution_frame(summary)
    assert frame["units"].tolist() == [0, 0]
    assert frame[["share_percent", "deviation_percent", "interval_low_percent"]].isna().all(axis=None)


def test_windows_hold_every_request_once() -> None:
    """Where it ended; the last window ends with the last of them, and one without any is there, too."""
    recording = _recording(
        {"start_ms": 0},
        {"start_ms": 995, "latency_ms": 4},
        {"start_ms": 1999, **_NOBODY},
        {"start_ms": 2492, "latency_ms": 8},
    )
    frame = timeline_frame(recording, 1.0)
    assert frame["start_s"].tolist() == [0.0, 1.0, 2.0]
    assert frame["length_s"].tolist() == pytest.approx([1.0, 1.0, 0.5])
    assert frame["requests"].tolist() == [2, 0, 2]
    assert frame["errors"].tolist() == [0, 0, 1]
    assert frame["throughput_per_s"].tolist() == pytest.approx([2.0, 0.0, 2.0])
    assert frame["latency_p50_ms"].tolist() == pytest.approx([2.0, np.nan, 8.0], nan_ok=True)
    assert frame["latency_p99_ms"].tolist() == pytest.approx([4.0, np.nan, 8.0], nan_ok=True)


def test_windows_by_instance_have_every_instance() -> None:
    """An instance that served nothing in a window is there with none: that is what one looks for."""
    recording = _recording(
        {"start_ms": 0, "connection": 0},
        {"start_ms": 100, "connection": 1, "instance": 1},
        {"start_ms": 200, "connection": 1, "instance": 1, "status": 500, "error": STATUS},
        {"start_ms": 600, "connection": 1, "instance": 1},
        {"start_ms": 700, "connection": 2, **_NOBODY},
    )
    frame = timeline_by_instance_frame(recording, 0.5)
    assert frame["instance"].tolist() == ["a", "b", "a", "b"]
    assert frame["start_s"].tolist() == [0.0, 0.0, 0.5, 0.5]
    assert frame["requests"].tolist() == [1, 2, 0, 1]
    assert frame["errors"].tolist() == [0, 1, 0, 0]
    assert frame["connections"].tolist() == [1, 1, 0, 0]
    assert frame["share_percent"].tolist() == pytest.approx([100 / 3, 200 / 3, 0, 100])


def test_a_timeline_of_no_request_is_one_empty_window() -> None:
    """A load that was cut short at once is no error of whoever looks at it."""
    frame = timeline_frame(_recording(), 1.0)
    assert frame["requests"].tolist() == [0]
    assert frame["throughput_per_s"].isna().all()


@pytest.mark.parametrize("window_s", [0, -1, float("nan"), float("inf"), 1e-9])
def test_a_window_that_is_none_is_refused(window_s: float) -> None:
    """In a line; a billion windows would fill the memory."""
    with pytest.raises(HarnessError, match="timeline: "):
        timeline_frame(_recording({"start_ms": 0}, {"start_ms": 5000}), window_s)


def test_a_row_of_the_table_says_what_the_summary_says(measure: Measure) -> None:
    """In the units of the columns' names."""
    _, summary = measure(
        [600, 400],
        failed=5,
        observed={"cpu_ns": {"proxy": 10**7, "instances": 10**8, "softirq": 10**6}},
        as_written=lambda: {"load": {"connections": "per-request"}},
    )
    row = table_frame([{"result": "r", "suite": None, "has_requests": True, **row_of(summary)}]).iloc[0]
    assert (row["verdict"], row["strategy"], row["replicas"]) == (summary.verdict, "dnat-random", 2)
    assert row["connections"] == "per-request"
    assert (row["units"], row["requests"], row["errors"]) == (1005, 1005, 5)
    assert abs(row["worst_deviation_percent"]) == pytest.approx(20)
    assert row["tolerance_percent"] == pytest.approx(10)
    assert summary.latency_ns.p99 is not None
    assert row["latency_p99_ms"] == pytest.approx(summary.latency_ns.p99 / 1e6)
    assert row["proxy_cpu_us_per_request"] == pytest.approx(summary.cpu_us_per_request.proxy)
    assert pd.isna(row["engine_cpu_us_per_request"])
    spent = summary.cpu_us_per_request
    assert row["cpu_us_per_request"] == pytest.approx(
        (spent.proxy or 0) + (spent.instances or 0) + (spent.generator or 0)
    )
    assert row["generator_busy_percent"] == pytest.approx(45)


def test_a_row_of_an_event_says_what_it_cost(measure: Measure) -> None:
    """In the units of the columns' names; what an event lacks is missing."""
    _, summary = measure([600, 400], as_written=lambda: {"membership": "followed"})
    nothing = {"lost": 0, "errors": {}, "first_error_s": None, "last_error_s": None, "recovery": None}
    change = {"events": (event(), event(requests=0, **nothing)), "recovers": required("no")}
    rows = [{"result": "r"} | row for row in events_of(summary.model_copy(update=change))]
    frame = events_frame(rows)
    first, second = (row for _, row in frame.iterrows())
    assert (first["result"], first["membership"], first["recovers"]) == ("r", "followed", "no")
    assert (first["number"], first["event"], first["lost"]) == (1, "kill instance-4", 45)
    assert first["lost_percent"] == pytest.approx(1.8)
    assert first["lost_by_class"] == "40 refused, 5 timed_out"
    assert (first["last_error_s"], first["recovery"], first["recovered_s"]) == (1.05, "recovered", 0.051)
    assert (first["latency_p50_before_ms"], first["latency_p99_during_ms"]) == (1, 40)
    missing = ["lost_percent", "lost_by_class", "first_error_s", "last_error_s", "recovery", "recovered_s"]
    assert second[missing].isna().all()
    assert frame.dtypes.equals(events_frame([]).dtypes)


def test_columns_keep_their_types_where_all_is_missing() -> None:
    """What works with one table works with any: a column does not become one of objects."""
    empty = table_frame([]).dtypes
    lacking = table_frame([{"result": "r", "has_requests": False}]).dtypes
    assert empty.equals(lacking)
    assert str(empty["verdict"]) == "str"
    assert str(empty["latency_p50_ms"]) == "float64"


def test_every_table_has_the_columns_that_are_documented(measure: Measure) -> None:
    """In their order."""
    recording, summary = measure([6, 4])
    tables = {
        "requests": requests_frame(recording),
        "connections": connections_frame(recording),
        "distribution": distribution_frame(summary),
        "routes": routes_frame(summary),
        "timeline": timeline_frame(recording, 1),
        "timeline by instance": timeline_by_instance_frame(recording, 1),
        "table": table_frame([]),
        "events": events_frame([]),
    }
    assert {name: frame.columns.tolist() for name, frame in tables.items()} == {
        name: list(meanings) for name, meanings in TABLES.items()
    }


def test_the_page_has_every_column_with_its_meaning() -> None:
    """docs/python.md says what the code says of each column, and knows no others."""
    sections = re.split(r"^### .*?$", _PAGE.read_text("utf-8"), flags=re.MULTILINE)[1:]
    tables = [dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section, re.MULTILINE)) for section in sections]
    assert [table for table in tables if table] == list(TABLES.values())
