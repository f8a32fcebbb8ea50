"""Several questions at once, such as one for each route, with one confidence for all answers together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scipy.special import chdtrc

from harness.stats.fairness import ChiSquare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.types import Verdict


def confidence_of_each(confidence: float, questions: int) -> float:
    """Give the confidence with which each question is answered, so that all answers have this together.

    Of several answers, each wrong with a probability of alpha / questions at most, the probability that
    any is wrong is alpha at most, however they depend on each other (Bonferroni's inequality; O. J. Dunn,
    J. Am. Stat. Assoc. 56, 1961).

    Parameters
    ----------
    confidence
        1 - alpha of all answers together.
    questions
        How many there are, from 1.

    Examples
    --------
    >>> round(confidence_of_each(0.95, 2), 6)
    0.975
    """
    return 1 - (1 - confidence) / questions


def verdict_of_all(verdicts: Sequence[Verdict]) -> Verdict:
    """Give the verdict on the whole: `uneven` if any part is, `even` if all are, else `inconclusive`.

    Examples
    --------
    >>> verdict_of_all(["even", "inconclusive"]), verdict_of_all(["inconclusive", "uneven"])
    ('inconclusive', 'uneven')
    """
    if "uneven" in verdicts:
        return "uneven"
    return "even" if all(verdict == "even" for verdict in verdicts) else "inconclusive"


def chi_square_of_all(tests: Sequence[ChiSquare]) -> ChiSquare | None:
    """Add up independent tests: statistics and degrees of freedom do; None where there are none.

    Source: the sum of independent chi-square variables is one, with their degrees of freedom together
    (W. G. Cochran, Biometrics 10, 1954, section 6).

    Examples
    --------
    >>> found = chi_square_of_all([ChiSquare(1.0, 1, 0.3173), ChiSquare(2.0, 2, 0.3679)])
    >>> found.statistic, found.dof, round(found.p_value, 4)
    (3.0, 3, 0.3916)
    """
    if not tests:
        return None
    statistic, dof = sum(test.statistic for test in tests), sum(test.dof for test in tests)
    return ChiSquare(statistic, dof, float(chdtrc(dof, statistic)) if dof else 1.0)
