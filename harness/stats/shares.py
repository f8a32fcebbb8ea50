"""Compare the shares of two measurements, by a tolerance.

Both have chance in them, so that a difference alone says nothing. As with a single measurement
(`harness.stats.equivalence`), both answers have to be shown by the data.

With x1 of n1 units before and x2 of n2 after, the ratio of the shares is tested on x2 given x1 + x2: if it
is r, that count is binomial(x1 + x2, r n2 / (n1 + r n2)). J. Przyborowski and H. Wilenski, Biometrika 31
(1940), for counts with a Poisson distribution; an instance's units vary less than these, so that the
tests keep their level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from harness.stats.fairness import checked_counts
from harness.stats.tails import at_least, at_most, holm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Counts = NDArray[np.int64]


@dataclass(frozen=True)
class SharesCompared:
    """What became of the shares.

    Attributes
    ----------
    verdict
        "same": every instance's share lies within the tolerance of what it was; "changed": some
        instance's does not; "unknown": the data show neither.
    worst
        Index of the instance whose share changed most.
    ratio
        Its share after, divided by the one before; None where it had none before.
    p_same
        Largest of the one-sided p-values against "same": at most 1 - confidence for that verdict.
    p_changed
        Smallest p-value against being within the tolerance, after Holm's adjustment.
    """

    verdict: Literal["same", "changed", "unknown"]
    worst: int
    ratio: float | None
    p_same: float
    p_changed: float


def compare_shares(  # noqa: PLR0913  two measurements with two numbers each
    before: Sequence[int] | Counts,
    after: Sequence[int] | Counts,
    tolerance: float,
    confidence: float,
    *,
    dispersion_before: float = 1.0,
    dispersion_after: float = 1.0,
) -> SharesCompared:
    """Judge whether the instances' shares are what they were.

    Parameters
    ----------
    before, after
        Units for each instance, in the same order.
    tolerance
        Largest relative change that doesn't matter.
    confidence
        1 - alpha, for either verdict.
    dispersion_before, dispersion_after
        By how much more the counts vary than independent choices do; they are divided by it.

    Raises
    ------
    ValueError
        The lengths differ, a count is negative, or there are no units on either side.
    """
    even = [1 / max(len(before), 1)] * len(before)
    x1, _ = checked_counts(before, even)
    x2, _ = checked_counts(after, even)
    if not (x1.sum() and x2.sum()):
        raise ValueError("shares can be compared only where there are units on both sides")
    alpha = round(1 - confidence, 12)
    share1, share2 = x1 / x1.sum(), x2 / x2.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(share1 > 0, share2 / share1, np.where(share2 > 0, np.inf, 1.0))
    worst = int(np.argmax(np.abs(np.log(np.maximum(ratios, 1e-300)))))
    ratio = float(ratios[worst]) if np.isfinite(ratios[worst]) else None
    if len(x1) == 1:  # it gets all, whatever happens
        return SharesCompared("same", 0, 1.0, 0.0, 1.0)
    y1, y2 = x1 / dispersion_before, x2 / dispersion_after
    n1, n2 = y1.sum(), y2.sum()
    bounds = np.array([1 - tolerance, 1 + tolerance])[:, None]
    chance = bounds * n2 / (n1 + bounds * n2)
    above_lower = at_least(y2, y1 + y2, chance[0])
    below_upper = at_most(y2, y1 + y2, chance[1])
    outside = holm(np.concatenate([at_most(y2, y1 + y2, chance[0]), at_least(y2, y1 + y2, chance[1])]))
    p_same, p_changed = float(np.maximum(above_lower, below_upper).max()), float(outside.min())
    verdict: Literal["same", "changed", "unknown"] = "unknown"
    if p_same <= alpha:
        verdict = "same"
    elif p_changed <= alpha:
        verdict = "changed"
    return SharesCompared(verdict, worst, ratio, p_same, p_changed)
