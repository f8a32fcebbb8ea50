"""Whether a run met what its scenario requires after its events: a gate, as the tolerance is one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from harness.summary.events import Recovers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.analysis.impact import Impact
    from harness.scenario import Scenario
    from harness.summary.events import EventRow

    Answer = tuple[Literal["yes", "no", "inconclusive"], str]


def recovers(scenario: Scenario, after: Sequence[Impact], rows: Sequence[EventRow]) -> Recovers | None:
    """Compare what was required with what was measured.

    Parameters
    ----------
    scenario
        Has the requirement; None comes of one without.
    after, rows
        What each fault that was applied cost.

    Notes
    -----
    An event that the next one follows sooner than the distribution has to be right again is not judged by
    itself: the last of such a series is.

    The share of lost requests is a count of all of them, not an estimate from a sample, and is compared as
    it is. No interval goes with it: losses come together, by the backlog of a socket or the span of a health
    check, so a binomial one would be too narrow. Repeating the scenario shows how much it varies.
    """
    required = scenario.recovers
    if required is None:
        return None
    within_s = None if required.within_ns is None else required.within_ns / 1e9
    requests, lost = after[0].losses_to_the_end() if after else (0, 0)
    answers: list[Answer] = []
    if missed := len(scenario.script()) - len(rows):
        answers.append(("inconclusive", f"the load was over before {missed} of its events"))
    if within_s is not None:
        nexts_s = [row.at_s for row in rows[1:]] + [math.inf] * bool(rows)
        answers += [
            _in_time(within_s, one, row)
            for one, row, next_s in zip(after, rows, nexts_s, strict=True)
            if next_s - row.at_s > within_s
        ]
    if required.lost is not None:
        answers.append(_few_enough(required.lost, lost, requests))
    passed, _ = max(answers, key=lambda answer: ("yes", "inconclusive", "no").index(answer[0]))
    slowest = [row.recovery.after_s if row.recovery else None for row in rows]
    return Recovers(
        within_s=within_s,
        lost=required.lost,
        slowest_s=None if not slowest or None in slowest else max(s for s in slowest if s is not None),
        lost_requests=lost,
        requests=requests,
        passed=passed,
        reason="; ".join(words for answer, words in answers if answer == passed),
    )


def _in_time(within_s: float, after: Impact, row: EventRow) -> Answer:
    recovery = row.recovery
    name = row.label or row.action
    if recovery is None or recovery.after_s is None:
        if after.outside_after(round(within_s * 1e9)):
            return "no", f"{name}: still outside the tolerance {within_s:g} s after it"
        return "inconclusive", f"{name}: {recovery.reason if recovery else 'nothing is known of a recovery'}"
    if recovery.after_s > within_s:
        return "no", f"{name}: recovered after {recovery.after_s:.3f} s, not within {within_s:g} s"
    return "yes", f"{name}: recovered after {recovery.after_s:.3f} s"


def _few_enough(allowed: float, lost: int, requests: int) -> Answer:
    if not requests:
        return "inconclusive", "no request was made after an event"
    share = lost / requests
    words = f"{lost:,} of {requests:,} requests lost ({share * 100:.3g} %)"
    if share > allowed:
        return "no", f"{words}, more than {allowed * 100:.4g} %"
    return "yes", words
