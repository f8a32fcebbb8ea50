"""What an event cost, told from recordings whose every row is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.analysis.impact import event_rows, impacts
from harness.faults.events import FaultEvent
from harness.recording.layout import NOT_THERE, REFUSED, RESET, STATUS, TIMED_OUT
from harness.recording.table import Recording
from tests.helpers.recordings import AWAY, MS, START_NS, crowd, made_recording

if TYPE_CHECKING:
    from harness.summary.events import EventRow
    from harness.types import Unit

_SCENARIO: Any = SimpleNamespace(tolerance=0.2, confidence=0.95)


def _stopped(at: int, *members: str, **more: Any) -> FaultEvent:
    began = START_NS + at * MS
    shares = {"a": 1.0, "b": 0.0} if "b" in members else {"a": 0.0, "b": 1.0}
    return FaultEvent("stop", members, began, began + 50 * MS, **({"shares": shares} | more))


def _rows(recording: Recording, *happened: FaultEvent, unit: Unit = "connection") -> tuple[EventRow, ...]:
    return event_rows(recording, happened, _SCENARIO, unit)


def test_requests_under_way_at_the_event_count_as_its_losses() -> None:
    """Whoever had asked just before, and was not answered, lost it to the event; earlier failures did not."""
    recording = made_recording(
        (0, 1, 0, 0), (10, 1, 1, REFUSED), (95, 2_000, 1, TIMED_OUT), (120, 1, 1, REFUSED), (300, 1, 0, 0)
    )
    (row,) = _rows(recording, _stopped(100, "b", followed_ns=START_NS + 350 * MS))
    assert (row.requests, row.lost, row.errors) == (3, 2, {"refused": 1, "timed_out": 1})
    assert (row.at_s, row.took_s, row.followed_s) == (0.1, 0.05, 0.25)
    assert (row.first_error_s, row.last_error_s) == (0.021, 1.995)
    assert row.last_lost_began_s == 0.02
    assert row.last_answer_s is None


def test_each_event_has_what_came_before_the_next() -> None:
    """Losses are counted once."""
    recording = made_recording((0, 1, 0, 0), (150, 1, 0, REFUSED), (250, 1, 0, REFUSED), (260, 1, 0, REFUSED))
    first, second = _rows(recording, _stopped(100, "b"), _stopped(200, "a"))
    assert (first.lost, second.lost) == (1, 2)


def test_the_last_answer_of_who_was_stopped_is_told() -> None:
    """It may come long after the event, from who ends in order."""
    recording = made_recording((0, 1, 1, 0), (90, 60, 1, 0), (160, 1, 0, 0))
    (row,) = _rows(recording, _stopped(100, "b"))
    assert (row.lost, row.first_error_s, row.last_error_s, row.last_answer_s) == (0, None, None, 0.05)


def test_slow_instance_has_no_last_answer() -> None:
    """A slow instance still has its share."""
    recording = made_recording((0, 1, 1, 0), (160, 1, 1, 0))
    began = START_NS + 100 * MS
    (row,) = _rows(recording, FaultEvent("slow", ("b",), began, began, shares={"a": 0.5, "b": 0.5}))
    assert row.last_answer_s is None


def test_answers_of_the_old_version_after_the_cut_are_counted() -> None:
    """Those alone that were asked for after it: followed, or, where nobody follows, done at 150 ms."""
    recording = made_recording((0, 1, 1, 0), (140, 60, 1, 0), (155, 1, 1, 0), (210, 1, 1, 0), (220, 1, 0, 0))
    (row,) = _rows(recording, _stopped(100, "b"))
    assert (row.answered_after, row.last_answer_s) == (2, 0.111)
    (row,) = _rows(recording, _stopped(100, "b", followed_ns=START_NS + 200 * MS))
    assert row.answered_after == 1


def test_losses_are_told_by_whether_their_connection_was_there() -> None:
    """A request on a kept connection, one that was connecting at the event, and one on a new connection."""
    recording = made_recording(
        (0, 1, 1, 0),
        (110, 1, 1, RESET),  # on the same connection
        (95, 50, 1, RESET),  # which was there 10 ms after its start, and so after the event
        (120, 1, 1, REFUSED),
        (130, 1, 0, 0),
        connection=[0, 0, 1, 2, 3],
        connect_ns=[0, NOT_THERE, 10 * MS, NOT_THERE, 0],
    )
    (row,) = _rows(recording, _stopped(100, "b"))
    assert (row.established.requests, row.established.lost, row.established.errors) == (1, 1, {"reset": 1})
    assert (row.new.requests, row.new.lost, row.new.errors) == (3, 2, {"refused": 1, "reset": 1})
    assert (row.unanswered, row.unreached) == (2, 1)


def test_a_generator_that_times_no_connection_tells_by_the_first_answer() -> None:
    """As Locust's own users do."""
    recording = made_recording(
        (0, 1, 1, 0),
        (110, 1, 1, RESET),
        connection=[0, 0],
        connect_ns=[NOT_THERE, NOT_THERE],
        first_byte_ns=[NOT_THERE, NOT_THERE],
    )
    (row,) = _rows(recording, _stopped(100, "b"))
    assert (row.established.lost, row.new.lost) == (1, 0)


def test_impact_counts_losses_after_the_change_of_rules() -> None:
    """Clients who got no connection, from the moment on at which the members had been followed."""
    recording = made_recording((0, 1, 0, 0), (120, 1, 1, REFUSED), (210, 1, 1, REFUSED), (220, 1, 0, 0))
    (row,) = _rows(recording, _stopped(100, "b", followed_ns=START_NS + 200 * MS))
    assert (row.unreached, row.unreached_after_followed) == (2, 1)
    (row,) = _rows(recording, _stopped(100, "b"))
    assert (row.unreached, row.unreached_after_followed) == (2, None)


def test_answers_with_an_error_are_told_by_their_status() -> None:
    """Each code by itself: 503 says something else than 500."""
    recording = made_recording(
        (0, 1, 0, 0),
        (110, 1, 0, STATUS),
        (120, 1, 0, STATUS),
        (130, 1, 0, STATUS),
        status=[200, 500, 503, 404],
    )
    (row,) = _rows(recording, _stopped(100, "b"))
    assert row.errors == {"status 404": 1, "status 500": 1, "status 503": 1}


def test_the_recovery_is_where_the_losses_end() -> None:
    """The event is at 500 ms, and the last request is lost 299 ms later."""
    (row,) = _rows(crowd(range(500, 800)), _stopped(500, "b", shares=AWAY))
    assert row.recovery is not None
    assert row.recovery.state == "recovered"
    assert row.recovery.after_s == 0.3
    assert row.recovery.units == 1200
    assert row.last_lost_began_s == 0.299


def test_losses_until_the_end_are_no_recovery() -> None:
    """As with rules that stay as they are."""
    (row,) = _rows(crowd(range(500, 2000)), _stopped(500, "b", shares=AWAY))
    assert row.recovery is not None
    assert (row.recovery.state, row.recovery.after_s) == ("disturbed", None)


def test_an_event_that_was_not_done_before_the_end_is_told_as_such() -> None:
    """What was measured is then no more than how long the event itself takes."""
    began = START_NS + 500 * MS
    late = FaultEvent("stop", ("b",), began, began + 5000 * MS, shares=AWAY)
    (row,) = _rows(crowd(range(500, 2000)), late)
    assert row.recovery is not None
    assert row.recovery.reason.endswith("; the event was still under way then")


def test_an_end_soon_after_the_event_is_said_to_be_too_soon() -> None:
    """Fifty connections show nothing; the reason says what would do."""
    (row,) = _rows(crowd(range(0), until=550), _stopped(500, "b", shares=AWAY))
    assert row.recovery is not None
    assert (row.recovery.state, row.recovery.units) == ("unknown", 50)
    assert "50 connections" in row.recovery.reason
    assert f"about {row.recovery.needed} would do" in row.recovery.reason


def test_connections_of_before_are_no_choices_of_after() -> None:
    """A thousand requests on two kept connections show nothing of where new ones go, but requests would."""
    recording = crowd(range(0))
    recording.rows["connection"] %= 2
    (row,) = _rows(recording, _stopped(500, "b", shares=AWAY))
    assert row.recovery is not None
    assert (row.recovery.state, row.recovery.units) == ("unknown", 0)
    (row,) = _rows(recording, _stopped(500, "b", shares=AWAY), unit="request")
    assert row.recovery is not None
    assert (row.recovery.state, row.recovery.after_s) == ("recovered", 0.0)


def test_names_that_nobody_knows_are_no_recovery() -> None:
    """Then it can't be said who should get what."""
    rows = crowd(range(0)).rows
    recording = Recording.of_run(rows, ["x", "y", "z"], ["a", "c", "b"])
    (row,) = _rows(recording, _stopped(500, "b", shares=AWAY))
    assert row.recovery is not None
    assert row.recovery.state == "unknown"
    assert "names" in row.recovery.reason


def test_latency_is_told_before_the_event_until_the_recovery_and_in_the_second_after() -> None:
    """Answers take 1 ms, but 9 ms for 300 ms after the event."""
    recording = crowd(range(500, 800), until=2500)
    slow = (recording.rows["start_ns"] >= START_NS + 500 * MS) & (
        recording.rows["start_ns"] < START_NS + 800 * MS
    )
    recording.rows["latency_ns"][slow] = 9 * MS
    (row,) = _rows(recording, _stopped(500, "b", shares=AWAY))
    assert (row.latency_ns.before.p50, row.latency_ns.before.p99) == (MS, MS)
    assert (row.latency_ns.during.p50, row.latency_ns.during.p99) == (9 * MS, 9 * MS)
    assert (row.latency_ns.first_second.p50, row.latency_ns.first_second.p99) == (MS, 9 * MS)


@pytest.mark.parametrize(("within_ms", "outside"), [(100, True), (400, False)])
def test_impact_tells_whether_losses_go_on(within_ms: int, *, outside: bool) -> None:
    """Losses that go on for 300 ms, of 320 that there are, are against the first 100."""
    (after,) = impacts(
        crowd(range(500, 800), until=820), [_stopped(500, "b", shares=AWAY)], _SCENARIO, "connection"
    )
    assert after.outside_after(within_ms * MS) == outside


def test_impact_without_events_is_empty() -> None:
    """As in most runs."""
    assert _rows(made_recording((0, 1, 0, 0))) == ()


def test_the_verdict_sees_what_came_before() -> None:
    """Requests that begin at the event, or after it, are not among those that are judged."""
    before = made_recording((0, 1, 0, 0), (99, 500, 1, 0), (100, 1, 0, 0)).before(START_NS + 100 * MS)
    assert before.requests_by_instance().tolist() == [1, 1]
