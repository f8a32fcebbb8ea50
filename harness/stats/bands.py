"""The band around each expected share, and the one-sided tests against its two bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from harness.stats.tails import at_least, at_most, holm

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.types import Verdict

    Counts = NDArray[np.int64]
    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """p-values for all instances, each array of shape (instances,).

    Attributes
    ----------
    below, above
        Of "the share is at the lower bound or below" and "… at the upper bound or above".
    outside
        The smaller one of "the share is at the lower bound or above" and "… at the upper bound or below",
        after Holm's adjustment for all instances.
    """

    below: Floats
    above: Floats
    outside: Floats

    def verdict(self, alpha: float) -> Verdict:
        """Give what the p-values show at level alpha."""
        if np.maximum(self.below, self.above).max() <= alpha:
            return "even"
        return "uneven" if self.outside.min() <= alpha else "inconclusive"


def checked_alpha(tolerance: float, confidence: float, missing: int = 0) -> float:
    """Give 1 - confidence, after a check of all three.

    Raises
    ------
    ValueError
        One of them is out of range.
    """
    if not (tolerance > 0 and 0 < confidence < 1 and missing >= 0):
        raise ValueError(
            f"tolerance ({tolerance}) must be above 0, confidence ({confidence}) between 0 and 1, "
            f"missing ({missing}) not negative"
        )
    # Subtracting from 1 in binary makes 1 - 0.95 a little more than 0.05.
    return round(1 - confidence, 12)


def band(shares: Floats, tolerance: float) -> tuple[Floats, Floats]:
    """Give the lower and upper bounds of the shares; no share can be below 0 or above 1."""
    return np.maximum(shares * (1 - tolerance), 0.0), np.minimum(shares * (1 + tolerance), 1.0)


def assemble(bounds: tuple[Floats, Floats], at_least_p: Floats, at_most_p: Floats) -> Evidence:
    """Put the tests together.

    Parameters
    ----------
    bounds
        Lower and upper ones, shape (instances,) each.
    at_least_p, at_most_p
        p-values of "the share is at the bound or below" and "… or above"; shape (2, instances), for the lower
        and the upper bounds.
    """
    lower, upper = bounds
    # Such a bound holds without a test.
    below = np.where(lower <= 0, 0.0, at_least_p[0])
    above = np.where(upper >= 1, 0.0, at_most_p[1])
    outside = holm(np.concatenate([at_most_p[0], at_least_p[1]])).reshape(2, -1).min(axis=0)
    return Evidence(below, above, outside)


def binomial_evidence(  # noqa: PLR0913  the question has this many parts
    counts: Counts | Floats,
    shares: Floats,
    tolerance: float,
    missing: float = 0,
    *,
    dispersion: float = 1.0,
    dof: int | None = None,
) -> Evidence:
    """Make all tests with exact binomial tails; `missing` units count against each rejection."""
    bounds = np.array(band(shares, tolerance))
    x, lost = counts / dispersion, missing / dispersion
    n = x.sum() + lost
    at_least_p, at_most_p = at_least(x, n, bounds), at_most(x + lost, n, bounds)
    if dispersion > 1:
        at_least_p, at_most_p = estimated(at_least_p, dof), estimated(at_most_p, dof)
    return assemble((bounds[0], bounds[1]), at_least_p, at_most_p)


def estimated(p_values: Floats, dof: int | None) -> Floats:
    """Enlarge p-values for a dispersion that was estimated with `dof` degrees of freedom.

    A normal score divided by an estimated standard deviation has Student's t distribution ("Student",
    Biometrika 6, 1908). None: the dispersion is known.
    """
    return p_values if dof is None else np.asarray(stdtr(dof, ndtri(p_values)))


def alpha_estimated(alpha: float, dof: int) -> float:
    """Give the p-value that `estimated` turns into alpha."""
    return float(ndtr(stdtrit(dof, alpha)))
