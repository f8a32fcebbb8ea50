"""What events cost, in words for a run's table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.report.format import duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.summary.events import EventRow, Recovers, WindowLatency

    Fact = tuple[str, str, str]

_STYLES = {"yes": "bold green", "no": "bold red", "inconclusive": "bold yellow"}


def event_facts(event: EventRow, encoding: str) -> Iterator[Fact]:
    """Tell of an event: what was done, what it cost, and when that was over; label, value and style."""

    def after(seconds: float) -> str:
        return duration(round(max(seconds, 0) * 1e9), encoding)

    name = event.label or f"{event.action} {', '.join(event.members)}"
    words = f"{event.at_s:.1f} s: {name}, in {after(event.took_s)}"
    if event.followed_s is not None:
        words += f", followed after {after(event.followed_s)}"
    yield "event", words, ""
    if event.first_error_s is None or event.last_error_s is None:
        yield "", f"none of {event.requests:,} requests lost", ""
    else:
        lost = f"lost {event.lost:,} of {event.requests:,} requests ({classes(event.errors)})"
        whose = f"{event.established.lost:,} of them on connections that were there"
        when = f"failed {after(event.first_error_s)} to {after(event.last_error_s)} after it"
        began = f"the last begun {after(event.last_lost_began_s or 0)} after it"
        yield "", f"{lost}; {whose}; {when}, {began}", "yellow"
    if details := "; ".join(_details(event, after(event.last_answer_s or 0))):
        yield "", details, ""
    if recovery := event.recovery:
        late = "" if recovery.after_s is None else f" after {after(recovery.after_s)}"
        yield "", f"{recovery.state}{late}: {recovery.reason}", "" if late else "yellow"
    latency = event.latency_ns
    during = "until then" if event.recovery and event.recovery.after_s is not None else "after"
    windows = {"before": latency.before, during: latency.during, "first second": latency.first_second}
    if told := [f"{when} {_latency(it, encoding)}" for when, it in windows.items() if it.p50 is not None]:
        yield "", f"latency {'; '.join(told)}", ""


def recovers_fact(recovers: Recovers) -> Fact:
    """Tell whether a run recovered as its scenario requires."""
    return "recovers", f"{recovers.passed}: {recovers.reason}", _STYLES[recovers.passed]


def classes(errors: Mapping[str, int]) -> str:
    """List lost requests by class."""
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in errors.items())


def _details(event: EventRow, last_answer: str) -> Iterator[str]:
    if event.unanswered:
        yield f"{event.unanswered:,} lost on an established connection, without any byte of an answer"
    if event.unreached_after_followed:
        yield f"{event.unreached_after_followed:,} got no connection although the members had been followed"
    if event.answered_after:
        yield (
            f"{event.answered_after:,} begun after the cut, but answered by instances that had left, the "
            f"last {last_answer} after the event"
        )


def _latency(window: WindowLatency, encoding: str) -> str:
    quantiles = (("p50", window.p50), ("p99", window.p99))
    return " ".join(f"{name} {duration(ns, encoding)}" for name, ns in quantiles if ns is not None)
