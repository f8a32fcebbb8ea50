"""The checks that a stored result has to pass."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from harness.common.text import printable
from harness.errors import ResultError
from harness.gate.baseline import units_of
from harness.gate.differences import refuse_another
from harness.stats.comparison import compare, errors_risen, worse_beyond
from harness.stats.equivalence import tolerance_verdict
from harness.stats.multiplicity import confidence_of_each, verdict_of_all
from harness.stats.shares import compare_shares
from harness.summary.outcome import conclude, died_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.gate.baseline import Baseline, BaselineRun
    from harness.stats.equivalence import ToleranceVerdict
    from harness.summary.outcome import Question
    from harness.summary.run import InstanceRow, Summary
    from harness.summary.tests import Tests
    from harness.types import Verdict

Status = Literal["passed", "failed", "inconclusive"]

QUANTILES = ("p50", "p90", "p99", "p99.9", "max")
_ROLES = ("proxy", "kernel", "instances")


@dataclass(frozen=True)
class Check:
    """One question, and what the data say to it.

    Attributes
    ----------
    result
        What is checked: a result, or a scenario's results together.
    name
        The question, in a word.
    """

    result: str
    name: str
    status: Status
    detail: str


@dataclass(frozen=True)
class Limits:
    """How much worse is too much.

    Attributes
    ----------
    tolerance
        In place of the scenario's; None for that.
    latency
        Quantile to relative tolerance.
    cpu
        Relative tolerance of the processor time for each request; None where it isn't compared.
    """

    tolerance: float | None
    latency: Mapping[str, float]
    cpu: float | None


def check_alone(result: str, summary: Summary, limits: Limits) -> Iterator[Check]:
    """Check one result against its own scenario."""
    judged, cannot = _at(summary, limits.tolerance)
    concluded = conclude(judged)
    for question, good in _questions(judged):
        reason = concluded.on(question) or (concluded.on("errors") if question == "service" else None)
        if question == "verdict" and cannot:
            yield Check(result, question, "inconclusive", cannot)
        elif reason is None:
            yield Check(result, question, "passed", good)
        else:
            yield Check(result, question, reason.status, reason.words)


def _questions(summary: Summary) -> Iterator[tuple[Question, str]]:
    """Give the questions to a result, and what is said where there is no reason against it."""
    yield "complete", f"all of {summary.counts.requests:,} requests are there"
    if (service := summary.service) is not None:
        yield (
            "service",
            f"it was there all the time; {service.failed:,} of {service.requests:,} requests failed",
        )
    if died_of(summary):
        yield "died", ""
    if (network := summary.network) is not None:
        yield "network", f"{network.lost:,} of {network.segments:,} TCP segments had to be sent again"
    if summary.witnesses.agree is not None:
        differ = "counters differ by no more than the requests that the events cost"
        yield "witnesses", "all counters agree" if summary.witnesses.agree else differ
    if summary.misrouted:
        yield "misrouted", ""
    yield "verdict", f"{summary.verdict}, as expected: {summary.reason}"
    if summary.recovers is not None:
        yield "recovers", summary.recovers.reason


def check_against(summaries: Sequence[Summary], baseline: Baseline, limits: Limits) -> Iterator[Check]:
    """Check all results of a scenario, together, against its baseline.

    Those that the baseline was made of are left out: they would make everything else look like it.

    Raises
    ------
    ResultError
        The baseline is of another scenario, or was made of all these results.
    """
    for summary in summaries:
        refuse_another(baseline.scenario, summary)
    kept = {run.started_at for run in baseline.runs}
    summaries = [summary for summary in summaries if summary.started_at not in kept]
    if not summaries:
        raise ResultError(
            f"{printable(baseline.name)}: its baseline was made of these results; run the scenario again, "
            "and compare what that leaves"
        )
    name, confidence = summaries[0].name, summaries[0].confidence
    yield _shares(name, summaries, baseline, limits.tolerance or summaries[0].tolerance, confidence)
    yield _errors(name, summaries, baseline.runs, confidence)
    for quantile, tolerance in limits.latency.items():
        key = quantile.replace(".", "_")
        yield _figure(
            name,
            f"latency {quantile}",
            [getattr(run.latency_ns, key) for run in baseline.runs],
            [getattr(summary.latency_ns, key) for summary in summaries],
            tolerance=tolerance,
            confidence=confidence,
        )
    if limits.cpu is not None:
        for role in _ROLES:
            before = [getattr(run.cpu_us_per_request, role) for run in baseline.runs]
            after = [getattr(summary.cpu_us_per_request, role) for summary in summaries]
            if any(before) or any(after):
                yield _figure(name, f"cpu {role}", before, after, tolerance=limits.cpu, confidence=confidence)


def _at(summary: Summary, tolerance: float | None) -> tuple[Summary, str]:
    """Judge a result by another tolerance; say instead why it can't be."""
    if tolerance is None or tolerance == summary.tolerance or not conclude(summary).trusted:
        return summary, ""
    if summary.events:
        words = "its counts are of the whole load, and its verdict is of what came before the first event"
        return summary, f"{words}; run it again with this tolerance"
    verdict, reason = _judged_again(summary, tolerance)
    return summary.model_copy(update={"verdict": verdict, "reason": reason}), ""


def _judged_again(summary: Summary, tolerance: float) -> tuple[Verdict, str]:
    """Judge the stored counts by another tolerance, of each route where there are routes: verdict and why."""
    if not summary.routes:
        judged = _by_counts(summary.instances, summary, summary.tests, summary.confidence, tolerance)
        return judged.verdict, judged.reason
    confidence = confidence_of_each(summary.confidence, len(summary.routes))
    each = [
        (route.name, _by_counts(rows, summary, route.tests, confidence, tolerance))
        for route in summary.routes
        for rows in [[row for row in summary.instances if row.route == route.name]]
    ]
    verdict = verdict_of_all([judged.verdict for _, judged in each])
    name, telling = next((name, judged) for name, judged in each if judged.verdict == verdict)
    return verdict, f"route {name}: {telling.reason}"


def _by_counts(
    rows: Sequence[InstanceRow], summary: Summary, tests: Tests, confidence: float, tolerance: float
) -> ToleranceVerdict:
    """Judge instances by another tolerance.

    A load that ended with its verdict was watched for the tolerance it had. The verdict of its final
    counts by another one would not count the looks, so it has to be even or uneven by its intervals.
    """
    shares = [row.expected_share for row in rows]
    judged = tolerance_verdict(
        [getattr(row, f"{summary.unit}s") for row in rows],
        shares,
        tolerance,
        confidence,
        tests.tolerance.missing,
        names=[row.name for row in rows],
        unit=summary.unit,
        dispersion=tests.tolerance.dispersion,
        dispersion_dof=tests.drift.dof if tests.drift else None,
    )
    if tests.sequential is None or judged.verdict == "inconclusive":
        return judged
    bounds = [
        (row.interval, share * (1 - tolerance), share * (1 + tolerance))
        for row, share in zip(rows, shares, strict=True)
    ]
    inside = all(interval and low <= interval[0] and interval[1] <= high for interval, low, high in bounds)
    outside = any(interval and (interval[1] < low or interval[0] > high) for interval, low, high in bounds)
    if (judged.verdict == "even" and inside) or (judged.verdict == "uneven" and outside):
        return judged
    reason = f"the load ended when it had its verdict, which is too early for a tolerance of {tolerance:.4%}"
    return replace(judged, verdict="inconclusive", reason=reason)


def _shares(
    name: str, summaries: Sequence[Summary], baseline: Baseline, tolerance: float, confidence: float
) -> Check:
    before = [sum(units) for units in zip(*(run.units for run in baseline.runs), strict=True)]
    after = [sum(units) for units in zip(*map(units_of, summaries), strict=True)]
    if not sum(before) or not sum(after):
        return Check(name, "shares", "inconclusive", "nothing was measured that could be compared")
    compared = compare_shares(
        before,
        after,
        tolerance,
        confidence,
        dispersion_before=max(run.dispersion for run in baseline.runs),
        dispersion_after=max(summary.tests.tolerance.dispersion for summary in summaries),
    )
    instance = baseline.instances[compared.worst]
    change = f"{(compared.ratio - 1) * 100:+.1f} %" if compared.ratio is not None else "from nothing"
    what = f"{instance} changed most, by {change} (tolerance {tolerance * 100:.4g} %)"
    missing = sum(summary.tests.tolerance.missing for summary in summaries)
    missing += sum(run.missing for run in baseline.runs)
    if compared.verdict == "changed":
        return Check(name, "shares", "failed", f"are not the baseline's: {what}")
    if compared.verdict == "same" and missing <= 0.001 * min(sum(before), sum(after)):
        return Check(name, "shares", "passed", f"are the baseline's: {what}")
    why = (
        f"{missing:,} units can't be attributed"
        if compared.verdict == "same"
        else "too few units for an answer"
    )
    return Check(name, "shares", "inconclusive", f"{why}: {what}; measure longer, or more often")


def _errors(name: str, summaries: Sequence[Summary], runs: Sequence[BaselineRun], confidence: float) -> Check:
    before = sum(run.errors for run in runs), sum(run.requests for run in runs)
    after = (
        sum(summary.counts.errors for summary in summaries),
        sum(summary.counts.requests for summary in summaries),
    )
    said = f"{after[0]:,} of {after[1]:,} requests failed, {before[0]:,} of {before[1]:,} in the baseline"
    if not before[1] or not after[1]:
        return Check(name, "errors", "inconclusive", said)
    if errors_risen(before, after, confidence).risen:
        return Check(name, "errors", "failed", said)
    return Check(name, "errors", "passed", said)


def _figure(  # noqa: PLR0913  two sides, and the checks
    name: str,
    what: str,
    before: Sequence[float | None],
    after: Sequence[float | None],
    *,
    tolerance: float,
    confidence: float,
) -> Check:
    """Check a figure of which each run has one."""
    known_before = [value for value in before if value]
    known_after = [value for value in after if value]
    if len(known_before) < len(before) or len(known_after) < len(after):
        return Check(name, what, "inconclusive", "was not measured in every run")
    ratio = statistics.fmean(known_after) / statistics.fmean(known_before)
    said = f"{(ratio - 1) * 100:+.1f} % of the baseline's (tolerance +{tolerance * 100:.4g} %)"
    compared = compare(known_before, known_after, confidence)
    worse = worse_beyond(compared, tolerance) if compared else "unknown"
    if worse != "unknown":
        return Check(name, what, "failed" if worse == "yes" else "passed", said)
    runs = f"{len(before)} and {len(after)} runs"
    return Check(
        name, what, "inconclusive", f"{said}, but {runs} don't suffice to say so; repeat both more often"
    )
