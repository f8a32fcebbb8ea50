"""Between which limits do the instances' shares lie, all of them at once? Simultaneous intervals.

An interval of its own for each of a hundred instances would miss five at 95 %. These intervals hold all
shares together with the stated confidence. They are for tables and plots; the verdict has exact tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.special import betainccinv, betaincinv, gammaln, xlogy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Method = Literal["goodman", "sison-glaz", "exact"]


def simultaneous_intervals(
    counts: Sequence[int] | NDArray[np.int64],
    confidence: float,
    method: Method = "goodman",
    *,
    dispersion: float = 1.0,
) -> NDArray[np.float64]:
    """Give intervals that hold all instances' shares at once.

    Parameters
    ----------
    counts
        Units for each instance.
    confidence
        Probability, about, that every interval holds its share; between 0 and 1.
    method
        goodman
            Each interval is as wide as its share needs. Good from some 100 units an instance. With fewer
            the limits are too low for many instances: at 95 %, simulated, all shares of 100 equal
            ones are held 91 % of the time with 20 units each and 82 % with 5.
        sison-glaz
            All intervals are equally wide. Good from 5 units an instance for 10 instances or more,
            as long as their shares are similar: those of rare instances are much too wide.
        exact
            Never holds less than promised, however few units there are; a little wider than needed.
    dispersion
        By how much the counts vary more than independent choices do, as `harness.stats.drift` says;
        at least 1. Intervals widen by about its square root.

    Returns
    -------
    ndarray of float
        Shape (instances, 2), lower and upper limits within 0 and 1. One instance has [1, 1], since it
        can't get anything but all; without units, all have [0, 1].

    Raises
    ------
    ValueError
        There is no instance, a count is negative, confidence is not between 0 and 1, dispersion is below 1,
        or the method is unknown.

    Notes
    -----
    L. A. Goodman, Technometrics 7 (1965); C. P. Sison and J. Glaz, J. Am. Statist. Assoc. 90 (1995).
    "exact" is C. J. Clopper and E. S. Pearson's binomial interval (Biometrika 26, 1934) for each
    instance, at the error probability divided by the number of instances (Bonferroni).

    Goodman's are statsmodels'. Sison and Glaz's are not: statsmodels tries one width after another, and
    computes moments as differences of powers of the counts, which takes minutes for large counts, and
    loses all digits from some 10,000 units an instance.
    """
    observed = np.asarray(counts, dtype=np.int64)
    if observed.ndim != 1 or observed.size == 0 or observed.min() < 0:
        raise ValueError("one count an instance is needed, and none can be negative")
    if not (0 < confidence < 1 and 1 <= dispersion < np.inf):
        raise ValueError(
            f"confidence ({confidence}) must be between 0 and 1, dispersion ({dispersion}) at least 1"
        )
    if method not in ("goodman", "sison-glaz", "exact"):
        raise ValueError(f"the method must be goodman, sison-glaz or exact, not {method!r}")
    if observed.size == 1:
        return np.ones((1, 2))
    if not observed.any():
        return np.tile([0.0, 1.0], (observed.size, 1))
    if method == "sison-glaz":
        limits = _sison_glaz(observed, confidence, dispersion)
    elif method == "exact":
        limits = _clopper_pearson(observed / dispersion, confidence)
    else:
        limits = _goodman(observed / dispersion, confidence)
    # What is 0 or 1 may have got beyond it in the last digit.
    return limits.clip(0.0, 1.0)


def _goodman(counts: Floats, confidence: float) -> Floats:
    # Imported here: it brings pandas and scipy.stats, two seconds that other callers are spared.
    from statsmodels.stats.proportion import multinomial_proportions_confint  # noqa: PLC0415  see above

    return np.array(multinomial_proportions_confint(counts, 1 - confidence, "goodman"), dtype=np.float64)


def _clopper_pearson(counts: Floats, confidence: float) -> Floats:
    tail = (1 - confidence) / 2 / counts.size
    others = counts.sum() - counts
    lower = np.where(counts > 0, betaincinv(np.maximum(counts, 1e-9), others + 1, tail), 0.0)
    upper = np.where(others > 0, betainccinv(counts + 1, np.maximum(others, 1e-9), tail), 1.0)
    return np.stack([lower, upper], axis=1)


def _sison_glaz(counts: NDArray[np.int64], confidence: float, dispersion: float) -> Floats:
    """Find the half width c, in units, with coverage(c) ≤ confidence < coverage(c + 1)."""
    total = int(counts.sum())
    above = 1
    while above < total and _coverage(counts, above) <= confidence:
        above *= 2
    above = min(above, total)
    below = above // 2
    while above - below > 1:
        middle = (above + below) // 2
        if _coverage(counts, middle) > confidence:
            above = middle
        else:
            below = middle
    # No width is taken to cover nothing, all units to cover everything.
    lower = _coverage(counts, below) if below else 0.0
    upper = _coverage(counts, above) if above < total else 1.0
    part = (confidence - lower) / (upper - lower)
    widen = np.sqrt(dispersion) / total
    shares = counts / total
    return np.stack([shares - below * widen, shares + (below + 2 * part) * widen], axis=1)


def _coverage(counts: NDArray[np.int64], c: int) -> float:
    """Approximate the chance that multinomial counts are all within c of these, which are their means.

    The multinomial is Poisson counts, given their sum: the chance that each is in its interval, times the
    chance that those which are have the right sum, by the chance that all have it. The middle one comes
    from an Edgeworth expansion with the moments of the truncated Poisson distributions.
    """
    total = int(counts.sum())
    # An interval ten standard deviations wide leaves out nothing that matters: all cumulants are the
    # Poisson's mean then. So only few instances have to be summed where c is large, and memory stays small.
    wide = c > 10 * np.sqrt(counts) + 30
    summed = counts[~wide]
    parts = np.array_split(summed, 1 + summed.size * c // 500_000)
    cumulants = np.concatenate([_truncated(part, c, total) for part in parts], axis=1).sum(axis=1)
    shift, variance, third, fourth, mass = (
        cumulants + int(counts[wide].sum()) * np.array([0, 1, 1, 1, 0])
    ).tolist()
    if variance <= 0:
        return 0.0
    skew, excess = third / variance**1.5, fourth / variance**2
    x = -shift / np.sqrt(variance)
    series = (
        1
        + skew * (x**3 - 3 * x) / 6
        + excess * (x**4 - 6 * x**2 + 3) / 24
        + skew**2 * (x**6 - 15 * x**4 + 45 * x**2 - 15) / 72
    )
    # With very few units the expansion may come out below 0, which no probability does.
    density = max(series, 0.0) * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi * variance)
    whole = xlogy(total, total) - total - gammaln(total + 1)
    return float(density * np.exp(mass - whole))


def _truncated(means: NDArray[np.int64], c: int, most: int) -> Floats:
    """Give what Poisson counts are like that lie within c of their means.

    Shape (5, instances): mean less the Poisson's, cumulants 2 to 4, logarithm of the chance to lie there.
    Summed around the mean, since differences of powers lose all digits.
    """
    offsets = np.arange(-c, c + 1)
    values = means[:, None] + offsets
    possible = (values >= 0) & (values <= most)
    values = np.where(possible, values, 0)
    weights = np.exp(xlogy(values, means[:, None]) - means[:, None] - gammaln(values + 1)) * possible
    mass = weights.sum(axis=1)
    weights /= mass[:, None]
    shift = weights @ offsets
    around = offsets - shift[:, None]
    second, third, fourth = ((weights * around**power).sum(axis=1) for power in (2, 3, 4))
    return np.stack([shift, second, third, fourth - 3 * second**2, np.log(mass)])
