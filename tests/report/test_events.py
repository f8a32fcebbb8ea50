"""Events in a run's table, and what a scenario requires after them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from harness.report.terminal import verdict_line
from harness.summary.events import EventLatency, EventRecovery, EventRow, Losses, Recovers, WindowLatency
from harness.summary.outcome import exit_status
from tests.report.test_terminal import rendered

if TYPE_CHECKING:
    from harness.summary.run import Summary
    from tests.report.conftest import Measure

_MS = 1_000_000


def event(**more: Any) -> EventRow:
    """Make up an event that cost something and was recovered from."""
    known: dict[str, Any] = {
        "at_s": 3.0,
        "action": "kill",
        "label": "kill instance-4",
        "members": ("instance-4",),
        "took_s": 0.0021,
        "followed_s": 0.012,
        "requests": 2500,
        "lost": 45,
        "errors": {"refused": 40, "timed_out": 5},
        "established": Losses(requests=20, lost=5, errors={"timed_out": 5}),
        "new": Losses(requests=2480, lost=40, errors={"refused": 40}),
        "first_error_s": 0.001,
        "last_error_s": 1.05,
        "last_lost_began_s": 0.05,
        "last_answer_s": None,
        "recovery": EventRecovery(
            state="recovered", after_s=0.051, unit="connection", units=2400, needed=None, reason="it is so"
        ),
        "latency_ns": EventLatency(
            before=WindowLatency(p50=_MS, p99=2 * _MS),
            during=WindowLatency(p50=3 * _MS, p99=40 * _MS),
            first_second=WindowLatency(p50=_MS, p99=5 * _MS),
        ),
    }
    return EventRow(**(known | more))


def required(passed: Any, **more: Any) -> Recovers:
    """Make up what was required, and how it went."""
    known: dict[str, Any] = {
        "within_s": 2.0,
        "lost": 0.01,
        "slowest_s": 0.051,
        "lost_requests": 45,
        "requests": 2500,
        "reason": "45 of 2,500 requests lost",
    }
    return Recovers(passed=passed, **(known | more))


def _flat(summary: Summary) -> str:
    return re.sub(r"\s+", " ", rendered(summary, width=200))


def test_an_event_is_told_in_a_few_lines(measure: Measure) -> None:
    """What, when, what was lost and on which connections, when it was over, and latency around it."""
    _, summary = measure([1000, 1000])
    text = _flat(summary.model_copy(update={"events": (event(),)}))
    assert "event 3.0 s: kill instance-4, in 2.1 ms, followed after 12 ms" in text
    assert (
        "lost 45 of 2,500 requests (40 refused, 5 timed out); 5 of them on connections that were there; "
        "failed 1 ms to 1.05 s after it, the last begun 50 ms after it"
    ) in text
    assert "recovered after 51 ms: it is so" in text
    assert (
        "latency before p50 1 ms p99 2 ms; until then p50 3 ms p99 40 ms; first second p50 1 ms p99 5 ms"
    ) in text
    assert "answered by instances that had left" not in text
    assert "recovers" not in text


def test_an_event_that_cost_nothing_is_told_as_such(measure: Measure) -> None:
    """There is no first nor last error then."""
    _, summary = measure([1000, 1000])
    none = event(lost=0, errors={}, first_error_s=None, last_error_s=None, last_lost_began_s=None)
    assert "none of 2,500 requests lost" in _flat(summary.model_copy(update={"events": (none,)}))


def test_events_report_misdirected_requests(measure: Measure) -> None:
    """Unanswered connections, those still sent to the dead, and answers of the old version."""
    _, summary = measure([1000, 1000])
    row = event(unanswered=4, unreached_after_followed=3, answered_after=2, last_answer_s=0.4)
    text = _flat(summary.model_copy(update={"events": (row,)}))
    assert "4 lost on an established connection, without any byte of an answer" in text
    assert "3 got no connection although the members had been followed" in text
    assert (
        "2 begun after the cut, but answered by instances that had left, the last 400 ms after the event"
        in text
    )


@pytest.mark.parametrize(("passed", "status"), [("yes", 0), ("no", 1), ("inconclusive", 3)])
def test_the_exit_status_takes_account_of_what_was_required(
    measure: Measure, passed: str, status: int
) -> None:
    """With the expected verdict, it decides."""
    _, summary = measure([20_000, 20_000])
    found = summary.model_copy(update={"recovers": required(passed), "passed": passed == "yes"})
    assert exit_status(found) == status
    assert verdict_line(found).endswith(f", recovers: {passed})")
    assert f"recovers {passed}: 45 of 2,500 requests lost" in _flat(found)


def test_recovery_does_not_excuse_an_unexpected_verdict(measure: Measure) -> None:
    """Uneven stays 1, inconclusive 3 unless the recovery failed."""
    _, uneven = measure([30_000, 10_000])
    assert exit_status(uneven.model_copy(update={"recovers": required("yes")})) == 1
    _, few = measure([20, 20])
    assert exit_status(few.model_copy(update={"recovers": required("yes")})) == 3
    assert exit_status(few.model_copy(update={"recovers": required("no")})) == 1
