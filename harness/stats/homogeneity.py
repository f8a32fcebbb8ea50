"""Do two measurements spread their units over the instances alike? A test, and each difference's interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import chi2_contingency
from statsmodels.stats.proportion import confint_proportions_2indep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Homogeneity:
    """What two measurements' counts say about their difference.

    Attributes
    ----------
    statistic, dof, p
        Pearson's chi-square test that all shares are the same in both.
    differences
        Each instance's share in the second, less that in the first.
    intervals
        Shape (instances, 2): limits that hold all differences at once with the stated confidence.
    """

    statistic: float
    dof: int
    p: float
    differences: NDArray[np.float64]
    intervals: NDArray[np.float64]


def homogeneity(
    first: Sequence[int],
    second: Sequence[int],
    confidence: float,
    dispersions: tuple[float, float] = (1.0, 1.0),
) -> Homogeneity:
    """Compare two distributions of units over the same instances.

    The intervals are Newcombe's for the difference of two independent proportions (Statistics in Medicine 17
    (1998), method 10), each with 1 - (1 - confidence) / instances, which is Bonferroni's way to hold all.
    Units that take turns vary less than independent ones, for which both are made: then the test finds
    fewer differences than it could, and the intervals are wider than need be.

    Parameters
    ----------
    first, second
        Units for each instance, in the same order; some in each.
    confidence
        Between 0 and 1.
    dispersions
        By how much the counts of each vary more than independent choices do; they are divided by it.

    Raises
    ------
    ValueError
        Fewer than two instances, not the same in both, or no units in one.
    """
    instances = len(first)
    if instances != len(second) or instances < 2:
        raise ValueError(f"two instances or more are to be the same in both: {instances} and {len(second)}")
    rows = np.array([first, second], dtype=float) / np.array(dispersions)[:, None]
    totals = rows.sum(axis=1)
    if not totals.all():
        raise ValueError("without units there is nothing to compare")
    used = rows[:, rows.sum(axis=0) > 0]  # of an instance without units in either, nothing can differ
    statistic, p, dof = (0.0, 1.0, 0) if used.shape[1] < 2 else chi2_contingency(used, correction=False)[:3]
    alpha = (1 - confidence) / instances
    intervals = [
        confint_proportions_2indep(
            here, totals[1], there, totals[0], method="newcomb", compare="diff", alpha=alpha
        )
        for there, here in rows.T
    ]
    shares = rows / totals[:, None]
    return Homogeneity(float(statistic), int(dof), float(p), shares[1] - shares[0], np.array(intervals))
