"""Whether a run passed, and why not: the one answer of run, suite, check, report and the plugin for pytest.

Reasons stand in this order: something died that was not to; the service went away; the network lost packets;
counters contradict each other; the run is not complete; too many errors; requests went astray; the verdict;
the recovery from events. What comes after a reason not to trust the data can't be shown by them.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from harness.stats.service import more_than

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.summary.run import Summary, Witnesses
    from harness.summary.service import ServiceSummary, SilenceRow

Question = Literal[
    "service", "died", "network", "witnesses", "complete", "errors", "misrouted", "verdict", "recovers"
]
Status = Literal["failed", "inconclusive"]

_UNTRUSTED: Final = frozenset({"died", "network", "witnesses"})
_PRESSING: Final = _UNTRUSTED | {"service", "errors"}
_DIED = re.compile(r"\S+ (died|ended) \(")
_DIFFERENCE = re.compile(
    r": client (?P<client>[\d,]+), (?P<counter>\w+) (?P<theirs>[\d,]+) (?P<kind>connections|requests)$"
)
_SHOWN = 2


@dataclass(frozen=True)
class Reason:
    """A reason not to pass: which question it answers, how, and in what words."""

    question: Question
    status: Status
    words: str


@dataclass(frozen=True)
class Conclusion:
    """What a run comes to: it passed if there is no reason against it."""

    reasons: tuple[Reason, ...]

    @property
    def passed(self) -> bool:
        """Whether it passed."""
        return not self.reasons

    @property
    def trusted(self) -> bool:
        """Whether the data can be trusted."""
        return not any(reason.question in _UNTRUSTED for reason in self.reasons)

    @property
    def exit_status(self) -> Literal[0, 1, 3]:
        """Give the exit status: 0 passed, 1 failed, 3 inconclusive."""
        if self.passed:
            return 0
        return 1 if any(reason.status == "failed" for reason in self.reasons) else 3

    @property
    def words(self) -> tuple[str, ...]:
        """Give the reasons' words, in order."""
        return tuple(reason.words for reason in self.reasons)

    @property
    def pressing(self) -> tuple[str, ...]:
        """Give the words of the reasons that neither the verdict nor what goes with it tells."""
        return tuple(reason.words for reason in self.reasons if reason.question in _PRESSING)

    def on(self, question: Question) -> Reason | None:
        """Give the reason that answers a question."""
        return next((reason for reason in self.reasons if reason.question == question), None)


def conclude(summary: Summary) -> Conclusion:
    """Say what a run comes to, be it new or stored by an older version."""
    reasons = list(_reasons(summary))
    for place, reason in enumerate(reasons):
        if reason.question in _UNTRUSTED:
            reasons[place:] = [replace(later, status="inconclusive") for later in reasons[place:]]
            break
    return Conclusion(tuple(reasons))


def concluded(summary: Summary) -> Summary:
    """Write into a summary what it comes to.

    A distribution that data show which can't be trusted is shown by nothing: the verdict is inconclusive. An
    uneven one stays, since nothing that is lost or invented makes a run pass.
    """
    found = conclude(summary)
    if not found.trusted and summary.verdict == "even":
        first = next(reason.words for reason in found.reasons if reason.question in _UNTRUSTED)
        words = f"{first}; by the client's records alone: {summary.reason}"
        summary = summary.model_copy(update={"verdict": "inconclusive", "reason": words})
        found = conclude(summary)
    return summary.model_copy(update={"passed": found.passed, "not_passed": found.words})


def exit_status(summary: Summary) -> Literal[0, 1, 3]:
    """Give a run's exit status: 0 passed, 3 inconclusive, 1 otherwise."""
    return conclude(summary).exit_status


def not_as_expected(summary: Summary) -> str:
    """Say in a clause why a run did not pass."""
    return "; ".join(conclude(summary).words)


def misrouted_words(summary: Summary) -> str:
    """Say how many requests went astray, and on which routes."""
    where = ", ".join(f"{route.misrouted:,} of {route.name}" for route in summary.routes if route.misrouted)
    return f"instances of another route answered {summary.misrouted:,} requests: {where}"


def died_of(summary: Summary) -> tuple[str, ...]:
    """Name what died without being asked to; a result of an older version has it among its warnings."""
    if summary.service is not None or summary.died:
        return summary.died
    return tuple(words for words in summary.warnings if _DIED.match(words))


def _reasons(summary: Summary) -> Iterator[Reason]:
    service = summary.service
    if died := died_of(summary):
        yield Reason("died", "inconclusive", _some(died))
    if service is not None and service.gone:
        yield Reason("service", "failed", _gone(service))
    # Segments to an instance that an event has ended are sent again, too.
    if summary.network is not None and summary.network.lossy and not summary.events:
        yield Reason("network", "inconclusive", summary.network.words)
    if summary.witnesses.agree is False and not _lost_explains(summary):
        yield Reason("witnesses", "inconclusive", contradiction(summary.witnesses))
    if summary.interrupted:
        yield Reason("complete", "inconclusive", "the run was interrupted before its end")
    elif summary.counts.requests == 0:
        yield Reason("complete", "inconclusive", "nothing was measured")
    if service is not None and (words := _errors(service)):
        yield Reason("errors", "failed", words)
    if summary.misrouted:
        words = misrouted_words(summary)
        as_expected = summary.verdict == summary.expect
        yield Reason("misrouted", "failed", f"{summary.verdict}, but {words}" if as_expected else words)
    yield from _verdict(summary)
    if summary.recovers is not None and summary.recovers.passed != "yes":
        lost = summary.recovers.passed == "no"
        how = "did not recover as required" if lost else "not shown to have recovered as required"
        words = f"{summary.verdict}, but {how}: {summary.recovers.reason}"
        yield Reason("recovers", "failed" if lost else "inconclusive", words)


def _verdict(summary: Summary) -> Iterator[Reason]:
    if summary.verdict == summary.expect:
        return
    shown = summary.verdict != "inconclusive" or summary.expect == "refused"
    words = f"{summary.verdict}, not {summary.expect}: {summary.reason}"
    yield Reason("verdict", "failed" if shown else "inconclusive", words)


def _gone(service: ServiceSummary) -> str:
    *_, span = service.gone
    if span.to_s >= service.seconds:
        when = f"after {span.from_s:.1f} s of {service.seconds:.1f} s"
    else:
        span = max(service.gone, key=_lasted)
        when = f"from {span.from_s:.1f} s to {span.to_s:.1f} s"
    others = len(service.gone) - 1
    more = f", and {others:,} more such span{'' if others == 1 else 's'}" if others else ""
    return f"the service went away: no request succeeded {when} ({span.failed:,} failed){more}"


def _lasted(span: SilenceRow) -> float:
    return span.to_s - span.from_s


def _errors(service: ServiceSummary) -> str:
    """Say that more requests failed than may, in all or at the end; empty where none did."""
    limit = f"the scenario's errors allow {service.limit * 100:.4g} %"
    if service.failed > service.limit * service.requests:
        share = f"{service.failed / service.requests * 100:.2g} %"
        return f"{service.failed:,} of {service.requests:,} requests failed ({share}); {limit}"
    if more_than(service.last_failed, service.last_requests, service.limit):
        width = service.seconds / service.windows
        share = f"{service.last_failed:,} of {service.last_requests:,} requests failed"
        return f"in the last {width:.2g} s, {share}; {limit}"
    return ""


def _lost_explains(summary: Summary) -> bool:
    """Tell whether the requests that events have cost are all that counters differ by.

    Rules and proxies count what they send to an instance that has ended, and an instance may end while it
    answers. So with events, counters may exceed the client's count, by as many requests as were lost at most.
    """
    if not summary.events:
        return False
    beyond: Counter[str] = Counter()
    for words in summary.witnesses.differences:
        found = _DIFFERENCE.search(words)
        if found is None:
            return False
        more = int(found["theirs"].replace(",", "")) - int(found["client"].replace(",", ""))
        if more < 0:
            return False
        beyond[f"{found['counter']} {found['kind']}"] += more
    return all(more <= summary.counts.errors for more in beyond.values())


def contradiction(witnesses: Witnesses) -> str:
    """Say what counters contradict each other in, and what that comes of, as far as counts show it."""
    return f"the counts contradict each other{_cause(witnesses)}: {_some(witnesses.differences)}"


def _cause(witnesses: Witnesses) -> str:
    # A proxy has connections of its own to instances: only what was compared can tell.
    compared = [
        kind
        for kind in ("connections", "requests")
        if any(words.endswith(kind) for words in witnesses.differences)
    ]
    words = next(filter(None, (_cause_of(witnesses, kind) for kind in compared)), "")
    return f" ({words})" if words else ""


def _cause_of(witnesses: Witnesses, kind: str) -> str:
    """Say what contradicting totals of connections or of requests come of; empty where that is not clear."""
    client, instances, kernel, proxy = (
        None if table is None else getattr(table, kind)
        for table in (witnesses.client, witnesses.instances, witnesses.kernel, witnesses.proxy)
    )
    words = ""
    if kernel is not None and kernel < 0:
        words = "the kernel's rules were removed or replaced during the load"
    elif proxy is not None and proxy < 0:
        words = "the proxy was started anew during the load"
    elif client is not None and instances is not None and client != instances:
        words = (
            f"the client recorded {client - instances:,} {kind} that no instance served"
            if client > instances
            else f"instances served {instances - client:,} {kind} that the client did not record"
        )
    elif client is not None and kernel is not None and kernel > client:
        words = f"the kernel's rules sent on {kernel - client:,} {kind} that no instance answered"
    elif client is not None and kernel is not None and kernel < client:
        words = "the kernel's rules were changed during the load, or bypassed"
    return words


def _some(sentences: tuple[str, ...]) -> str:
    shown = "; ".join(sentences[:_SHOWN])
    return f"{shown}; and {len(sentences) - _SHOWN:,} more" if len(sentences) > _SHOWN else shown
