"""What a result means, in words for a first-time reader, and what to do next."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from harness.gate.baseline import units_of
from harness.report.format import error_words
from harness.report.terminal import percent_with_sign, roughly
from harness.summary.outcome import conclude, misrouted_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.summary.run import Summary

_HEADLINES = {
    "even": "Even: every instance got its share.",
    "uneven": "Uneven: not every instance got its share.",
    "inconclusive": "Inconclusive: this run shows neither.",
}
_RECOVERED = {
    "yes": "After its events it recovered as the scenario requires",
    "no": "After its events it did not recover as the scenario requires",
    "inconclusive": "This run does not show whether it recovered from its events as the scenario requires",
}
_CHOSEN_FOR = {
    "connection": "chooses an instance for each connection, and all requests of a connection stay with it",
    "request": "chooses an instance for each request",
    "source": "chooses an instance for each client address, and all connections of that address stay with it",
    "network": "chooses an instance for each network of /24, and all clients of that network stay with it",
}


def headline(summary: Summary) -> str:
    """Give the verdict as a sentence, after what forbids to rely on it."""
    if pressing := conclude(summary).pressing:
        return f"Not passed: {pressing[0]}."
    if len(summary.instances) == 1 and summary.verdict == "even":
        return f"{summary.verdict.capitalize()}: there is one instance, so there is nothing to share."
    return _HEADLINES[summary.verdict]


def meaning(summary: Summary) -> Iterator[str]:
    """Explain the verdict, a sentence or two each."""
    for reason in conclude(summary).pressing:
        yield f"Not passed: {reason}."
    unit, tolerance = summary.unit, f"{summary.tolerance * 100:.4g} %"
    sure = f"with {summary.confidence * 100:.4g} % confidence"
    units, instances = sum(units_of(summary)), len(summary.instances)
    spread = f"{units:,} {unit}s went to {instances:,} instance{'' if instances == 1 else 's'}."
    if summary.routes:
        spread = f"{spread[:-1]} of {len(summary.routes):,} routes, and shares are of a route's {unit}s."
    yield {
        "even": f"{spread} Each one's share lies within {tolerance} of what it should be; "
        f"the data show this {sure}.",
        "uneven": f"{spread} The share of at least one lies more than {tolerance} away from what it should "
        f"be; the data show this {sure}.",
        "inconclusive": f"{spread} The data show neither that each one's share lies within {tolerance} of "
        f"what it should be, nor that one lies outside, {sure}.",
    }[summary.verdict]
    yield f"In full: {summary.reason}."
    yield f"The strategy {summary.strategy} {_CHOSEN_FOR[unit]}."
    if summary.events:
        yield (
            "The verdict is on the time before the first event; what each of them cost stands under “What "
            "happened meanwhile”."
        )
    if summary.misrouted:
        yield f"Not as it should be: {misrouted_words(summary)}."
    if summary.expect != "even":
        met = "as expected" if summary.verdict == summary.expect else "not as expected"
        yield f"The scenario expects “{summary.expect}”, so the verdict is {met}."
    if summary.recovers is not None:
        yield f"{_RECOVERED[summary.recovers.passed]}: {summary.recovers.reason}."


def next_steps(summary: Summary) -> Iterator[str]:
    """Say what to do next, the most pressing first."""
    if summary.interrupted:
        yield "The run was interrupted: run it again for the whole load."
    if conclude(summary).on("witnesses"):
        yield "The witnesses (the counters below) do not agree: check them before relying on this result."
    if summary.generator.limited:
        yield (
            "The load generator was the limit, so throughput and latency are its own: share the load "
            "among more workers, as with --workers 2."
        )
    if summary.counts.errors:
        kinds = error_words(summary)
        share = f"{summary.counts.errors:,} of {summary.counts.requests:,} requests failed ({kinds})"
        yield f"{share}: find the cause before comparing latency or throughput."
    if summary.misrouted:
        yield "Requests reached the wrong application: look at the configuration as applied."
    yield from _last_step(summary)


def _last_step(summary: Summary) -> Iterator[str]:
    """Say what follows from what the run comes to."""
    if not conclude(summary).trusted:
        yield "Find what disturbed the run, then run it again: its numbers can't be relied on."
    elif summary.verdict == "inconclusive":
        yield _to_decide(summary)
    elif summary.recovers is not None and summary.verdict == summary.expect and not summary.passed:
        yield (
            "Look at the events, at the strategy's discovery of its members, and at the course of the run: "
            "a strategy that learns of changes sooner may lose less."
        )
    elif summary.verdict != summary.expect:
        yield (
            "Look at the instances outside the band, then at the rules and configurations as applied; "
            "if they are as intended, another strategy may do better."
        )
    elif summary.passed:
        yield (
            "Keep the result as a baseline for later runs (harness baseline), or compare it "
            "with other strategies (harness suite)."
        )


def _to_decide(summary: Summary) -> str:
    test = summary.tests.tolerance
    if test.more_seconds is not None and test.more_units is not None:
        more = f"{test.more_units:,} more {summary.unit}s"
        return (
            f"Measure longer: {more} would decide, {roughly(test.more_seconds)} at the measured rate "
            "(--set load.duration=…), or let the harness decide how long (--set load.until=verdict)."
        )
    if test.most_units is not None:
        return (
            f"The clients have {test.most_units:,} {summary.unit}s, and a longer load brings no more of them."
        )
    return (
        "Measure longer (--set load.duration=…), with more connections or sources, or set a larger "
        "tolerance (--set tolerance=20%); harness plan prints how many units it needs."
    )


def headline_of_all(summaries: Sequence[Summary]) -> str:
    """State how many of several results are as expected."""
    passed = sum(summary.passed for summary in summaries)
    if passed == len(summaries):
        return f"All {len(summaries):,} results are as expected."
    return f"{passed:,} of {len(summaries):,} results {'is' if passed == 1 else 'are'} as expected."


def meaning_of_all(summaries: Sequence[Summary]) -> Iterator[str]:
    """Say what several results come to."""
    counts = Counter(summary.verdict for summary in summaries)
    even, uneven, unknown = (counts[verdict] for verdict in ("even", "uneven", "inconclusive"))
    parts = []
    if even:
        parts.append(f"in {even:,} every instance got its share, within the tolerance")
    if uneven:
        parts.append(f"in {uneven:,} at least one instance did not")
    if unknown:
        parts.append(f"{unknown:,} can't tell")
    yield f"Of {len(summaries):,} results: {'; '.join(parts)}."
    if any(summary.recovers is not None for summary in summaries):
        yield "Some scenarios also say how a run has to recover from its events; that counts as well."
    if any(summary.expect != "even" for summary in summaries):
        yield "Some scenarios expect another verdict than “even”; a result is as expected if it has that one."
    if limited := sum(summary.generator.limited for summary in summaries):
        yield (
            f"In {limited:,} the load generator was the limit: their throughput and latency are its own, and "
            "say nothing about the strategy."
        )
    if emulated := sum(summary.emulated for summary in summaries):
        yield f"In {emulated:,} the host was emulated: their times are those of no real machine."


def worst_deviation(summary: Summary) -> float | None:
    """Give the deviation of the instance that deviates most, with its sign; None without units."""
    deviations = [row.deviation for row in summary.instances if row.deviation is not None]
    return max(deviations, key=abs, default=None)


def deviation_text(deviation: float | None) -> str:
    """Write a deviation, or that there is none."""
    return "–" if deviation is None else percent_with_sign(deviation)  # noqa: RUF001  a dash
