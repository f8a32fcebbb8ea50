"""Are the shares within a tolerance of what is expected? The verdict.

Absence of evidence is no evidence of evenness: a test that merely finds no difference finds none in
ten units either. So both answers must be shown by the data, and where they show neither the verdict
is `inconclusive`.

An instance with expected share e has the band [e(1 - t), e(1 + t)] for a relative tolerance t. With
X units of n going to it, X is binomial, and all tests are exact and one-sided:

`even`
    For every instance, "share ≤ lower bound" and "share ≥ upper bound" are both rejected at alpha. By
    the intersection-union principle (R. L. Berger, Technometrics 24, 1982) the whole has level alpha
    without any correction.
`uneven`
    For some instance, "share ≥ lower bound" or "share ≤ upper bound" is rejected. These are 2N
    chances to be wrong, so the p-values are adjusted after S. Holm (Scand. J. Statist. 6, 1979).

Units that no instance can be named for might have gone to anyone. Each test counts them in the way
that makes its rejection hardest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

# bdtr and bdtrc lose seven digits at ten million units; the incomplete beta functions don't.
from scipy.special import betainc, betaincc

from harness.stats.fairness import checked_counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Counts = NDArray[np.int64]
    Floats = NDArray[np.float64]

Verdict = Literal["even", "uneven", "inconclusive"]


@dataclass(frozen=True)
class InstanceTolerance:
    """How one instance stands to its band.

    Attributes
    ----------
    share, deviation
        Observed share of the attributed units, and its difference from the expected share relative
        to that; None where there are no units.
    lower_bound, upper_bound
        The band around the expected share.
    p_below
        p-value of "the share is at the lower bound or below".
    p_above
        p-value of "the share is at the upper bound or above"; 0 where the bound is 1 or more.
    p_outside
        The smaller p-value of "the share is at the lower bound or above" and "… at the upper bound
        or below", adjusted for all instances: at most alpha where the share is shown to be outside.
    """

    share: float | None
    deviation: float | None
    lower_bound: float
    upper_bound: float
    p_below: float
    p_above: float
    p_outside: float


@dataclass(frozen=True)
class ToleranceVerdict:
    """The verdict, with the evidence for each instance and a sentence that says why."""

    verdict: Verdict
    alpha: float
    instances: tuple[InstanceTolerance, ...]
    reason: str


@dataclass(frozen=True)
class _Evidence:
    lower: Floats
    upper: Floats
    below: Floats
    above: Floats
    outside: Floats

    def verdict(self, alpha: float) -> Verdict:
        if np.maximum(self.below, self.above).max() <= alpha:
            return "even"
        return "uneven" if self.outside.min() <= alpha else "inconclusive"


def tolerance_verdict(  # noqa: PLR0913  the question has this many parts
    counts: Sequence[int] | Counts,
    expected_shares: Sequence[float],
    tolerance: float,
    confidence: float,
    missing: int = 0,
    *,
    names: Sequence[str] | None = None,
    unit: str = "unit",
) -> ToleranceVerdict:
    """Judge whether every instance's share is within the tolerance.

    Parameters
    ----------
    counts
        Units for each instance.
    expected_shares
        Each instance's expected share, above 0; they add up to 1.
    tolerance
        Largest deviation that doesn't matter, as a fraction of each expected share.
    confidence
        1 - alpha, for either verdict.
    missing
        Units that no instance can be named for.
    names, unit
        What the reason calls the instances (default `instance-1`, …) and the units.

    Raises
    ------
    ValueError
        Counts and shares don't fit each other, or tolerance, confidence or missing is out of range.
    """
    observed, shares = checked_counts(counts, expected_shares)
    if not (tolerance > 0 and 0 < confidence < 1 and missing >= 0):
        raise ValueError(
            f"tolerance ({tolerance}) must be above 0, confidence ({confidence}) between 0 and 1, "
            f"missing ({missing}) not negative"
        )
    # Subtracting from 1 in binary makes 1 - 0.95 a little more than 0.05.
    alpha = round(1 - confidence, 12)
    evidence = _evidence(observed, shares, tolerance, missing)
    total = int(observed.sum())
    verdict: Verdict = evidence.verdict(alpha) if total else "inconclusive"
    instances = tuple(
        InstanceTolerance(
            share=count / total if total else None,
            deviation=count / total / share - 1 if total else None,
            lower_bound=float(evidence.lower[i]),
            upper_bound=float(evidence.upper[i]),
            p_below=float(evidence.below[i]),
            p_above=float(evidence.above[i]),
            p_outside=float(evidence.outside[i]),
        )
        for i, (count, share) in enumerate(zip(observed.tolist(), shares.tolist(), strict=True))
    )
    labels = names or [f"instance-{number}" for number in range(1, len(instances) + 1)]
    if total == 0:
        reason = f"no {unit} can be attributed to an instance"
    elif verdict == "even":
        reason = _why_even(instances, labels, tolerance)
    elif verdict == "uneven":
        reason = _why_uneven(instances, labels, alpha)
    else:
        settled = _evidence(observed, shares, tolerance, 0).verdict(alpha) != "inconclusive"
        reason = _why_inconclusive(total, missing if settled else 0, unit, tolerance)
    return ToleranceVerdict(verdict, alpha, instances, reason)


def _evidence(observed: Counts, shares: Floats, tolerance: float, missing: int) -> _Evidence:
    """Make all tests; `missing` units count against each rejection."""
    n = int(observed.sum()) + missing
    lower = np.maximum(shares * (1 - tolerance), 0.0)
    upper = np.minimum(shares * (1 + tolerance), 1.0)
    at_least = _at_least(observed, n, np.array([lower, upper]))
    at_most = _at_most(observed + missing, n, np.array([lower, upper]))
    # No share can be below 0 or above 1: such a bound holds without a test.
    below = np.where(lower <= 0, 0.0, at_least[0])
    above = np.where(upper >= 1, 0.0, at_most[1])
    outside = _holm(np.concatenate([at_most[0], at_least[1]])).reshape(2, -1).min(axis=0)
    return _Evidence(lower, upper, below, above, outside)


def _at_least(counts: Counts, n: int, p: Floats) -> Floats:
    """Give P(X ≥ count) for X binomial(n, p): the incomplete beta function I_p(count, n - count + 1)."""
    return np.where(counts <= 0, 1.0, betainc(np.maximum(counts, 1), n - counts + 1, p))


def _at_most(counts: Counts, n: int, p: Floats) -> Floats:
    """Give P(X ≤ count) for X binomial(n, p): 1 - I_p(count + 1, n - count)."""
    return np.where(counts >= n, 1.0, betaincc(counts + 1, np.maximum(n - counts, 1), p))


def _holm(p_values: Floats) -> Floats:
    """Adjust p-values for their number after Holm."""
    order = np.argsort(p_values)
    factors = np.arange(p_values.size, 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return adjusted


def _why_even(instances: Sequence[InstanceTolerance], names: Sequence[str], tolerance: float) -> str:
    deviations = [instance.deviation or 0.0 for instance in instances]
    worst = max(range(len(instances)), key=lambda i: abs(deviations[i]))
    return (
        f"every instance's share lies within {tolerance * 100:.4g} % of what is expected; "
        f"{names[worst]} deviates most, by {deviations[worst] * 100:+.1f} %"
    )


def _why_uneven(instances: Sequence[InstanceTolerance], names: Sequence[str], alpha: float) -> str:
    # Of several that are outside, the one farthest from its expected share tells most.
    index = max(
        (i for i, instance in enumerate(instances) if instance.p_outside <= alpha),
        key=lambda i: abs(instances[i].deviation or 0.0),
    )
    worst = instances[index]
    share = worst.share or 0.0
    below = share < worst.lower_bound
    bound = worst.lower_bound if below else worst.upper_bound
    digits = 1
    while digits < 9 and f"{share * 100:.{digits}f}" == f"{bound * 100:.{digits}f}":
        digits += 1  # the sentence is to show the difference that it speaks of
    return (
        f"{names[index]}'s share {share * 100:.{digits}f} % lies {'below' if below else 'above'} its band "
        f"{worst.lower_bound * 100:.{digits}f} to {worst.upper_bound * 100:.{digits}f} %"
    )


def _why_inconclusive(total: int, missing: int, unit: str, tolerance: float) -> str:
    """Blame the missing units where there would be a verdict without them."""
    if missing:
        return (
            f"no instance can be named for {missing:,} of {total + missing:,} {unit}s, and where they "
            f"went could change the verdict; mend the errors"
        )
    return (
        f"{total:,} {unit}s are too few to tell at {tolerance * 100:.4g} % tolerance; "
        f"measure longer, or widen the tolerance"
    )
