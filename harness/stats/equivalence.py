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

Missing units, whose instance is unknown, may have gone to any instance. Each test counts them in the way
that makes its rejection hardest. Counts that vary between time windows more than independent choices
would carry less evidence than their number says: they are divided by that dispersion, which, as it is
estimated itself, makes the normal scores of the p-values ones of Student's t.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.stats.bands import band, binomial_evidence, checked_alpha
from harness.stats.fairness import checked_counts
from harness.stats.planning import MoreUnits, more_units

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from harness.types import Verdict

    Counts = NDArray[np.int64]
    Floats = NDArray[np.float64]

    from harness.stats.bands import Evidence


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
    """The verdict, with the evidence for each instance and a sentence that says why.

    `more` is how many more units would decide it; None unless the verdict is `inconclusive`.
    """

    verdict: Verdict
    alpha: float
    instances: tuple[InstanceTolerance, ...]
    reason: str
    more: MoreUnits | None = None


def tolerance_verdict(  # noqa: PLR0913  the question has this many parts
    counts: Sequence[int] | Counts,
    expected_shares: Sequence[float],
    tolerance: float,
    confidence: float,
    missing: int = 0,
    *,
    names: Sequence[str] | None = None,
    unit: str = "unit",
    dispersion: float = 1.0,
    dispersion_dof: int | None = None,
    steady: bool = False,
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
        Missing units: their instance is unknown.
    names, unit
        What the reason calls the instances (default `instance-1`, …) and the units.
    dispersion, dispersion_dof
        How many times more the counts vary than independent choices' (`harness.stats.drift`), at least
        1, and with how many degrees of freedom that was estimated; None where it is known.
    steady
        Whether instances are chosen in turn, so that fewer units are advised than by chance.

    Raises
    ------
    ValueError
        Counts and shares don't fit each other, or a parameter is out of range.
    """
    observed, shares = checked_counts(counts, expected_shares)
    alpha = checked_alpha(tolerance, confidence, missing)
    if dispersion < 1:
        raise ValueError(f"a dispersion is at least 1, not {dispersion}")

    def evidence(lost: int, spread: float) -> Evidence:
        return binomial_evidence(observed, shares, tolerance, lost, dispersion=spread, dof=dispersion_dof)

    question = Question(shares, tolerance, alpha, names, unit)
    found = evidence(missing, dispersion)
    if question.answer(observed, found) != "inconclusive" or not observed.any():
        return question.verdict(observed, found)
    more = more_units(
        observed,
        expected_shares,
        tolerance,
        confidence,
        missing=missing,
        dispersion=dispersion,
        dispersion_dof=dispersion_dof,
        steady=steady,
    )
    return question.verdict(
        observed,
        found,
        more=more,
        missing=missing if evidence(0, dispersion).verdict(alpha) != "inconclusive" else 0,
        dispersion=dispersion if evidence(missing, 1.0).verdict(alpha) != "inconclusive" else 1.0,
    )


@dataclass(frozen=True)
class Question:
    """What a verdict answers, and the words that it answers with.

    Attributes
    ----------
    shares, tolerance, alpha, names, unit
        As for `tolerance_verdict`; shape (instances,) of the shares.
    """

    shares: Floats
    tolerance: float
    alpha: float
    names: Sequence[str] | None
    unit: str

    def answer(self, counts: Counts, evidence: Evidence) -> Verdict:
        """Give what the evidence shows; without any units it shows nothing."""
        return evidence.verdict(self.alpha) if counts.any() else "inconclusive"

    def verdict(  # noqa: PLR0913  the words depend on all of these
        self,
        counts: Counts,
        evidence: Evidence,
        *,
        more: MoreUnits | None = None,
        missing: int = 0,
        dispersion: float = 1.0,
        doubt: str = "",
    ) -> ToleranceVerdict:
        """Put the answer into words.

        Parameters
        ----------
        counts, evidence
            Units for each instance, and what follows from them.
        more
            How many more units would decide what these don't.
        missing, dispersion
            The missing units if they alone prevent a verdict, and the dispersion if it alone does.
        doubt
            Why the evidence, whatever it shows, is not to be believed yet.
        """
        total = int(counts.sum())
        verdict = "inconclusive" if doubt else self.answer(counts, evidence)
        lower, upper = band(self.shares, self.tolerance)
        instances = tuple(
            InstanceTolerance(
                share=count / total if total else None,
                deviation=count / total / share - 1 if total else None,
                lower_bound=float(lower[i]),
                upper_bound=float(upper[i]),
                p_below=float(evidence.below[i]),
                p_above=float(evidence.above[i]),
                p_outside=float(evidence.outside[i]),
            )
            for i, (count, share) in enumerate(zip(counts.tolist(), self.shares.tolist(), strict=True))
        )
        labels = self.names or [f"instance-{number}" for number in range(1, len(instances) + 1)]
        if total == 0:
            reason = f"no {self.unit} can be attributed to an instance"
        elif verdict == "even":
            reason = _why_even(instances, labels, self.tolerance)
        elif verdict == "uneven":
            reason = _why_uneven(instances, labels, self.alpha)
        else:
            reason = doubt or self._why_inconclusive(total, missing, dispersion, more)
        return ToleranceVerdict(verdict, self.alpha, instances, reason, more)

    def _why_inconclusive(self, total: int, missing: int, dispersion: float, more: MoreUnits | None) -> str:
        """Blame what a verdict lacks: knowledge, constancy, or just units."""
        if missing:
            return (
                f"{missing:,} of {total + missing:,} {self.unit}s have no known instance, enough to change "
                f"the verdict; correct the errors first"
            )
        tolerance = f"{self.tolerance * 100:.4g} % tolerance"
        if dispersion > 1:
            problem = (
                f"the shares of {total:,} {self.unit}s vary {dispersion:.1f} times as much between time "
                f"windows as independent choices would, too much to tell at {tolerance}"
            )
        else:
            units = f"1 {self.unit} is" if total == 1 else f"{total:,} {self.unit}s are"
            problem = f"{units} too few to tell at {tolerance}"
        if more is None or more.units is None:
            return f"{problem}; a share lies too close to the edge of its band: widen the tolerance"
        hope = "turn out as expected" if more.assuming == "expected" else "stay as they are"
        return f"{problem}; about {more.units:,} more should decide it if the shares {hope}"


def _why_even(instances: Sequence[InstanceTolerance], names: Sequence[str], tolerance: float) -> str:
    deviations = [instance.deviation or 0.0 for instance in instances]
    worst = max(range(len(instances)), key=lambda i: abs(deviations[i]))
    return (
        f"every instance's share lies within {tolerance * 100:.4g} % of what is expected; "
        f"{names[worst]} deviates most, by {round(deviations[worst] * 100, 1) + 0.0:+.1f} %"
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
