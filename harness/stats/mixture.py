"""Tests that may be looked at as often as one likes: a mixture of binomial likelihoods.

The likelihood of the counts, averaged over shares around the expected one, divided by their likelihood under
a hypothesis, is a martingale that starts at 1 if the hypothesis is true. At any number of
looks, it is ever above 1/alpha with a probability of at most alpha (J. Ville, 1939). H. Robbins, Ann. Math.
Statist. 41 (1970); for multinomial counts M. Lindon and A. Malek, NeurIPS 35 (2022).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import betaln, expit, gammaln, logit, ndtri, xlog1py, xlogy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_HALVINGS = 64


def prior_weight(shares: Floats, tolerance: float, confidence: float, power: float = 0.9) -> float:
    """Say how many units' worth of trust in the expected shares makes a fair strategy's test shortest.

    Notes
    -----
    Let a share be u standard errors from its bound after n units, and the counts z standard errors off, to
    the bad side. With normal approximations, the logarithm of the mixture's ratio is
    (u - z)²/2 - w z² / 2(n + w) - ln(1 + n/w)/2 for a prior of weight w. It is largest at
    w = n / (z² - 1). For z goes the quantile that all instances together stay within with the power. Then
    n follows from the ratio's having to be 1 / alpha.
    """
    z = max(float(ndtri(1 - (1 - power) / (2 * shares.size))), 1.2)
    u = z + np.sqrt(2 * (-np.log(1 - confidence) + 0.5 + np.log(z)))
    lower, upper = shares * (1 - tolerance), shares * (1 + tolerance)
    variance = np.where(lower > 0, lower * (1 - lower), 0.0)
    variance = np.maximum(variance, np.where(upper < 1, upper * (1 - upper), 0.0))
    n = float((u**2 * variance / (shares * tolerance) ** 2).max())
    return max(n / (z**2 - 1), 1.0)


def prior(shares: Floats, weight: float) -> tuple[Floats, Floats]:
    """Give the parameters of each share's beta distribution, whose mean is the expected share."""
    # An only instance's share is 1, and its prior must not be degenerate.
    return np.maximum(shares * weight, 0.5), np.maximum((1 - shares) * weight, 0.5)


def log_mixture(x: Floats, n: float | Floats, a: Floats, b: Floats) -> Floats:
    """Give the logarithm of the average likelihood of x of n units, over beta(a, b)."""
    mixed: Any = betaln(a + x, b + n - x) - betaln(a, b)
    return np.asarray(mixed)


def log_likelihood(x: Floats, n: float | Floats, share: Floats) -> Floats:
    """Give the logarithm of the likelihood of x of n units with a share."""
    likelihood: Any = xlogy(x, share) + xlog1py(n - x, -share)
    return np.asarray(likelihood)


def anytime_at_least(x: Floats, n: float | Floats, bound: Floats, a: Floats, b: Floats) -> Floats:
    """Give the p-value of "the share is at the bound or below": x of n units are too many for it.

    Every share of the hypothesis has a ratio of its own; the smallest one counts, which is that of the
    share closest to x / n.
    """
    closest = np.minimum(bound, x / np.maximum(n, 1e-300))
    return np.exp(np.minimum(log_likelihood(x, n, closest) - log_mixture(x, n, a, b), 0.0))


def anytime_at_most(x: Floats, n: float | Floats, bound: Floats, a: Floats, b: Floats) -> Floats:
    """Give the p-value of "the share is at the bound or above": x of n units are too few for it."""
    closest = np.maximum(bound, x / np.maximum(n, 1e-300))
    return np.exp(np.minimum(log_likelihood(x, n, closest) - log_mixture(x, n, a, b), 0.0))


def confidence_limits(x: Floats, missing: float, alpha: float, a: Floats, b: Floats) -> Floats:
    """Give the shares whose ratio is below 1 / alpha; shape (instances, 2).

    The lower limit takes `missing` units as none of the instance's, the upper one as all of them.
    """
    n = float(x.sum() + missing)
    if n <= 0:
        return np.tile([0.0, 1.0], (x.size, 1))
    lower, upper = (
        _limit(y, n, log_mixture(y, n, a, b) + np.log(alpha), side=side)
        for y, side in ((x, -1), (x + missing, 1))
    )
    return np.stack([lower, upper], axis=1)


def _limit(x: Floats, n: float, least: Floats, *, side: int) -> Floats:
    """Halve, in log-odds, the range between x / n, whose likelihood exceeds the least, and 0 or 1."""
    peak = x / n
    # An instance without units has no lower limit but 0, one with all of them no upper one but 1.
    inner = np.clip(logit(np.clip(peak, 1e-300, 1 - 1e-16)), -690.0, 36.0)
    outer = np.full(x.shape, -690.0 if side < 0 else 36.0)
    for _ in range(_HALVINGS):
        middle = (inner + outer) / 2
        within = log_likelihood(x, n, expit(middle)) > least
        inner, outer = np.where(within, middle, inner), np.where(within, outer, middle)
    # The outer end, so that rounding never makes an interval too narrow.
    limit = np.asarray(expit(outer))
    return np.where(x <= 0, 0.0, limit) if side < 0 else np.where(x >= n, 1.0, limit)


def log_fit_ratio(x: Floats, missing: float, shares: Floats, weight: float) -> float:
    """Give the logarithm of the Dirichlet mixture's ratio against exactly the expected shares.

    `missing` units are taken to have gone where they make the ratio smallest: to the instances that have
    least of what they expect, until all of these are level.
    """
    order = np.argsort(x / shares)
    level, part = (x / shares)[order], shares[order].cumsum()
    # The units that fill the first ones up to the next one's level.
    filled = level * part - x[order].cumsum()
    last = int(np.searchsorted(filled, missing, side="right")) - 1
    height = level[last] + (missing - filled[last]) / part[last]
    y = np.maximum(x, height * shares) if missing > 0 else x
    prior_counts = shares * weight
    n = y.sum()
    mixed: Any = gammaln(prior_counts + y).sum() - gammaln(prior_counts).sum()
    mixed += gammaln(weight) - gammaln(weight + n)
    return float(mixed - xlogy(y, shares).sum())
