"""What a scenario requires after its events, and what a recording says to it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.analysis.impact import impacts
from harness.analysis.recovery import recovers
from harness.faults.events import FaultEvent
from harness.scenario.recovers import Required
from tests.helpers.recordings import AWAY, MS, crowd

if TYPE_CHECKING:
    from harness.recording.table import Recording
    from harness.summary.events import Recovers


def _asked(
    recording: Recording, *at_ms: int, within_ms: int | None = 400, lost: float | None = None, steps: int = 0
) -> Recovers:
    """Let somebody go at these times, and ask whether it recovered."""
    events = [recording.started_ns + at * MS for at in at_ms]
    happened = [
        FaultEvent("kill", ("b",), at, at, shares=AWAY, label=f"kill {k}") for k, at in enumerate(events)
    ]
    required = Required(within_ns=None if within_ms is None else within_ms * MS, lost=lost)
    scenario: Any = SimpleNamespace(
        tolerance=0.2, confidence=0.95, recovers=required, script=lambda: range(steps or len(at_ms))
    )
    after = impacts(recording, happened, scenario, "connection")
    found = recovers(scenario, after, [one.row() for one in after])
    assert found is not None
    return found


def test_a_recovery_in_time_passes() -> None:
    """The losses end after 300 ms, where 400 are allowed."""
    found = _asked(crowd(range(500, 800)), 500)
    assert (found.passed, found.within_s, found.slowest_s) == ("yes", 0.4, 0.3)
    assert found.reason == "kill 0: recovered after 0.300 s"


def test_a_recovery_that_comes_late_does_not() -> None:
    """Nor does one that never comes."""
    found = _asked(crowd(range(500, 800)), 500, within_ms=200)
    assert (found.passed, found.reason) == ("no", "kill 0: recovered after 0.300 s, not within 0.2 s")
    found = _asked(crowd(range(500, 2000)), 500)
    assert (found.passed, found.slowest_s) == ("no", None)
    assert found.reason == "kill 0: still outside the tolerance 0.4 s after it"


def test_a_load_that_ends_too_early_to_show_it_is_inconclusive() -> None:
    """A hundred connections after the losses show nothing."""
    found = _asked(crowd(range(500, 800), until=900), 500, within_ms=350)
    assert (found.passed, found.slowest_s) == ("inconclusive", None)
    assert "too few" in found.reason


def test_an_event_that_never_came_is_inconclusive() -> None:
    """As after Ctrl-C, or where load.requests ended the load."""
    found = _asked(crowd(range(500, 800)), 500, steps=2)
    assert (found.passed, found.reason) == ("inconclusive", "the load was over before 1 of its events")


@pytest.mark.parametrize(("lost", "passed"), [(0.1, "yes"), (0.09, "no")])
def test_the_lost_requests_are_counted_from_the_first_event_on(lost: float, passed: str) -> None:
    """150 of 1,500, or a tenth, are just as many as may be; those before the event are not among them."""
    recording = crowd(range(500, 800))
    recording.rows["error"][[1, 3]] = 1
    found = _asked(recording, 500, within_ms=None, lost=lost)
    # The request of the millisecond before was under way at the event.
    assert (found.lost_requests, found.requests) == (150, 1501)
    assert found.passed == passed
    assert found.reason.startswith("150 of 1,501 requests lost (9.99 %)")


def test_the_worst_answer_counts() -> None:
    """In time, but with too many lost: no. Its reason is that of the answer alone."""
    found = _asked(crowd(range(500, 800)), 500, lost=0.001)
    assert found.passed == "no"
    assert "recovered" not in found.reason


def test_of_events_that_follow_each_other_quickly_the_last_is_judged() -> None:
    """A rolling replacement is one disturbance, whose end it is that has to be right in time."""
    found = _asked(crowd(range(500, 800)), 500, 600)
    assert (found.passed, found.reason) == ("yes", "kill 1: recovered after 0.200 s")


def test_recovery_without_requirement_is_empty() -> None:
    """As in most scenarios."""
    scenario: Any = SimpleNamespace(recovers=None)
    assert recovers(scenario, [], []) is None
