"""What an event cost, told from recordings whose every row is known."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.aftermath import event_rows
from harness.load.records import NO_INSTANCE, REFUSED, TIMED_OUT, dtype
from harness.recording import Recording
from harness.timeline import Happened

_NAMES = ("a", "b")
_START_NS = 10**12
_MS = 1_000_000


def _recording(*rows: tuple[int, int, int, int]) -> Recording:
    """Make a recording of (start, latency, instance, error), in milliseconds."""
    made = np.zeros(len(rows), dtype())
    for row, (start, latency, instance, error) in zip(made, rows, strict=True):
        row["start_ns"] = row["intended_start_ns"] = _START_NS + start * _MS
        row["latency_ns"] = latency * _MS
        row["instance"] = NO_INSTANCE if error else instance
        row["error"] = error
    made["connection"] = range(len(rows))
    return Recording.of_run(made, _NAMES, _NAMES)


def _stopped(at: int, *members: str, **more: Any) -> Happened:
    began = _START_NS + at * _MS
    return Happened("stop", members, began, began + 50 * _MS, **more)


def test_requests_under_way_at_the_event_count_as_its_losses() -> None:
    """Whoever had asked just before, and was not answered, lost it to the event; earlier failures did not."""
    recording = _recording(
        (0, 1, 0, 0), (10, 1, 1, REFUSED), (95, 2_000, 1, TIMED_OUT), (120, 1, 1, REFUSED), (300, 1, 0, 0)
    )
    (row,) = event_rows(recording, [_stopped(100, "b", followed_ns=_START_NS + 350 * _MS)])
    assert (row.requests, row.lost, row.errors) == (3, 2, {"refused": 1, "timed_out": 1})
    assert (row.at_s, row.took_s, row.followed_s) == (0.1, 0.05, 0.25)
    assert row.last_lost_began_s == 0.02
    assert row.last_error_s == 1.995
    assert row.last_answer_s is None


def test_each_event_has_what_came_before_the_next() -> None:
    """Losses are counted once."""
    recording = _recording((0, 1, 0, 0), (150, 1, 0, REFUSED), (250, 1, 0, REFUSED), (260, 1, 0, REFUSED))
    first, second = event_rows(recording, [_stopped(100, "b"), _stopped(200, "a")])
    assert (first.lost, second.lost) == (1, 2)


def test_the_last_answer_of_who_was_stopped_is_told() -> None:
    """It may come long after the event, from who ends in order."""
    recording = _recording((0, 1, 1, 0), (90, 60, 1, 0), (160, 1, 0, 0))
    (row,) = event_rows(recording, [_stopped(100, "b")])
    assert (row.lost, row.last_error_s, row.last_answer_s) == (0, None, 0.05)


def test_without_events_there_is_nothing_to_tell() -> None:
    """As in most runs."""
    assert event_rows(_recording((0, 1, 0, 0)), []) == ()


def test_the_verdict_sees_what_came_before() -> None:
    """Requests that begin at the event, or after it, are not among those that are judged."""
    before = _recording((0, 1, 0, 0), (99, 500, 1, 0), (100, 1, 0, 0)).before(_START_NS + 100 * _MS)
    assert before.requests_by_instance().tolist() == [1, 1]
