"""Do the counts differ from the expected shares by more than chance? Tests and measures of fit.

A small p-value says that some difference exists, however little it matters; whether the difference
matters is what `harness.stats.equivalence` tells. A p-value near 1 is no merit either: it says that
counts are more even than independent choices make them, as those of a strategy that takes turns are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

# Not scipy.stats.chisquare: importing scipy.stats takes a second, scipy.special a fraction of it.
from scipy.special import chdtr, chdtrc, kl_div

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Spread = Literal["less even", "by chance", "more even"]

FEWEST_EXPECTED = 5
"""Units that every instance is to expect, for chi-square's approximation to hold (W. G. Cochran, 1954)."""

_COARSEST = 1e-4
"""Largest probability of single counts at which the statistic's lower tail counts as continuous."""

_CELLS = 2_000_000
"""Counts that a Monte-Carlo test draws at most, as far as 2,000 draws need no more: 0.2 s."""


@dataclass(frozen=True)
class ChiSquare:
    """Result of Pearson's test of goodness of fit.

    Attributes
    ----------
    statistic
        Sum of (observed - expected)² / expected.
    dof
        Degrees of freedom: instances - 1.
    p_value
        Probability of a statistic at least this large when the expected shares hold.
    """

    statistic: float
    dof: int
    p_value: float


def checked_counts(
    counts: Sequence[int] | NDArray[np.int64], expected_shares: Sequence[float]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Give counts and expected shares as arrays of one length.

    Raises
    ------
    ValueError
        There is no instance, the lengths differ, a count is negative, a share is not above 0, or
        the shares don't add up to 1.
    """
    observed = np.asarray(counts, dtype=np.int64)
    shares = np.asarray(expected_shares, dtype=np.float64)
    if observed.ndim != 1 or observed.size == 0 or observed.shape != shares.shape:
        raise ValueError(
            f"one count and one expected share an instance are needed, not {observed.size} and {shares.size}"
        )
    if observed.min() < 0:
        raise ValueError(f"a count can't be negative: {observed.min()}")
    if not (shares.min() > 0 and abs(shares.sum() - 1) < 1e-6):
        raise ValueError("expected shares must be above 0 and add up to 1")
    return observed, shares


def chi_square(counts: Sequence[int] | NDArray[np.int64], expected_shares: Sequence[float]) -> ChiSquare:
    """Test whether units are distributed over instances as expected.

    Parameters
    ----------
    counts
        Units for each instance.
    expected_shares
        Each instance's expected share, above 0; they add up to 1.

    Returns
    -------
    ChiSquare
        For one instance, which can't get anything but all: 0, 0 and 1.

    Raises
    ------
    ValueError
        There are no units, or counts and shares don't fit each other.

    Notes
    -----
    K. Pearson, Philosophical Magazine 50 (1900). The p-value is approximate, and poor where an
    instance is expected to get fewer than about 5 units.
    """
    observed, shares = checked_counts(counts, expected_shares)
    total = int(observed.sum())
    if total == 0:
        raise ValueError("there are no units to test")
    if observed.size == 1:
        return ChiSquare(0.0, 0, 1.0)
    expected = total * shares
    statistic = float(((observed - expected) ** 2 / expected).sum())
    dof = observed.size - 1
    return ChiSquare(statistic, dof, float(chdtrc(dof, statistic)))


def added_up(tests: Sequence[ChiSquare]) -> ChiSquare:
    """Test several independent measurements together.

    Parameters
    ----------
    tests
        One for each measurement; there is at least one.

    Returns
    -------
    ChiSquare
        Sums of statistics and degrees of freedom, which are those of a chi-square distribution again,
        and the p-value that follows.

    Notes
    -----
    R. A. Fisher, Statistical Methods for Research Workers (1925), section 20. Counts are not added up:
    what is too much in one measurement and too little in the next would then cancel out.
    """
    statistic = sum(test.statistic for test in tests)
    dof = sum(test.dof for test in tests)
    return ChiSquare(statistic, dof, float(chdtrc(dof, statistic)) if dof else 1.0)


@dataclass(frozen=True)
class GoodnessOfFit:
    """How counts and expected shares agree: tests, effect sizes and measures of evenness.

    Attributes
    ----------
    chi_square, g_test
        Pearson's test and the likelihood-ratio test, both with the chi-square approximation.
    valid
        Whether every instance expects at least 5 units, so that the approximation is good.
    simulated_p_value
        p-value of the Monte-Carlo test with Pearson's statistic; None where `valid`.
    p_value
        The one to read: the simulated p-value where there is one, else chi-square's.
    p_more_even
        Probability of a statistic at most as large as the observed one when units are distributed
        independently with the expected shares.
    spread
        "less even" than chance allows (p_value at most alpha), "more even" than chance allows
        (p_more_even at most alpha), or "by chance": neither is shown.
    residuals
        For each instance, (observed - expected) / standard deviation; about normal(0, 1) each where the
        expected shares hold.
    cohen_w
        sqrt(statistic / units): size of the difference, however many units there are. 0.1, 0.3 and 0.5
        are called small, medium and large.
    jain_index
        (sum r)² / (instances sum r²), for r = observed / expected of each instance: from 1/instances,
        where one gets everything, to 1.
    max_over_mean
        Largest r divided by the mean of all.
    coefficient_of_variation
        Standard deviation of all r (of the population) divided by their mean.
    """

    chi_square: ChiSquare
    g_test: ChiSquare
    valid: bool
    simulated_p_value: float | None
    p_value: float
    p_more_even: float
    spread: Spread
    residuals: tuple[float, ...]
    cohen_w: float
    jain_index: float
    max_over_mean: float
    coefficient_of_variation: float


def goodness_of_fit(
    counts: Sequence[int] | NDArray[np.int64],
    expected_shares: Sequence[float],
    *,
    alpha: float = 0.05,
    seed: int = 0,
) -> GoodnessOfFit:
    """Compare counts with expected shares in every way that is in use.

    Parameters
    ----------
    counts
        Units for each instance.
    expected_shares
        Each instance's expected share, above 0; they add up to 1.
    alpha
        Largest p-value, of either tail, at which chance is not believed.
    seed
        Of the Monte-Carlo test.

    Returns
    -------
    GoodnessOfFit
        For one instance, which can't get anything but all, nothing is tested: p-values and Jain's index
        are 1, differences are 0.

    Raises
    ------
    ValueError
        There are no units, counts and shares don't fit each other, or alpha is not between 0 and 1.

    Notes
    -----
    The p-values take units as independent choices. Counts of requests are none where a connection
    carries several: see `harness.stats.design`.

    Where an instance expects fewer than 5 units, counts are drawn from the multinomial distribution, and
    p = (1 + draws at least as extreme) / (1 + draws): A. C. A. Hope, J. R. Statist. Soc. B 30 (1968).
    There are 2,000 to 9,999 draws, so p has a standard error of at most 0.005 at 0.05.

    The lower tail needs drawing more often. There are few ways to be nearly even, so the statistic takes
    few small values; with two instances and a hundred units, 50 to 50 has a statistic of 0, whose
    approximate p is 0 and whose probability is 8 %. So this tail is drawn as long as the likeliest counts
    have a probability above 1/10,000.

    G-test: S. S. Wilks, Ann. Math. Statist. 9 (1938). Residuals: S. J. Haberman, Biometrics 29 (1973).
    w: J. Cohen, Statistical Power Analysis for the Behavioral Sciences, 2nd ed. (1988). Jain's index:
    R. Jain, D. Chiu and W. Hawe, DEC Research Report TR-301 (1984).
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be between 0 and 1, not {alpha}")
    pearson = chi_square(counts, expected_shares)
    observed, shares = checked_counts(counts, expected_shares)
    shares = shares / shares.sum()
    total = int(observed.sum())
    expected = total * shares
    g = 2 * float(kl_div(observed, expected).sum())
    valid = observed.size == 1 or float(expected.min()) >= FEWEST_EXPECTED
    at_least, at_most = pearson.p_value, float(chdtr(pearson.dof, pearson.statistic)) if pearson.dof else 1.0
    if observed.size > 1 and (not valid or _likeliest(expected) > _COARSEST):
        drawn_at_least, at_most = _drawn_tails(observed, shares, seed)
        at_least = at_least if valid else drawn_at_least
    ratios = observed / expected
    mean = float(ratios.mean())
    deviation = np.sqrt(expected * (1 - shares))
    return GoodnessOfFit(
        chi_square=pearson,
        g_test=ChiSquare(g, pearson.dof, float(chdtrc(pearson.dof, g)) if pearson.dof else 1.0),
        valid=valid,
        simulated_p_value=None if valid else at_least,
        p_value=at_least,
        p_more_even=at_most,
        spread="less even" if at_least <= alpha else "more even" if at_most <= alpha else "by chance",
        residuals=tuple(((observed - expected) / deviation).tolist()) if observed.size > 1 else (0.0,),
        cohen_w=float(np.sqrt(pearson.statistic / total)),
        jain_index=float(ratios.sum() ** 2 / (ratios.size * (ratios**2).sum())),
        max_over_mean=float(ratios.max()) / mean,
        coefficient_of_variation=float(ratios.std()) / mean,
    )


def _likeliest(expected: Floats) -> float:
    """Give the probability of the likeliest counts, about: Stirling's formula at the expected ones."""
    logarithm = np.log(2 * np.pi * expected.sum()) - np.log(2 * np.pi * expected).sum()
    return float(np.exp(min(logarithm / 2, 0.0)))


def _drawn_tails(observed: NDArray[np.int64], shares: Floats, seed: int) -> tuple[float, float]:
    """Give the Monte-Carlo probabilities of a statistic at least, and at most, as large as the observed."""
    # In an order that labels don't decide, so that relabelling changes nothing, drawn counts included.
    order = np.lexsort((observed, shares))
    observed, shares = observed[order], shares[order]
    expected = int(observed.sum()) * shares
    statistic = float(((observed - expected) ** 2 / expected).sum())
    draws = min(max(_CELLS // observed.size, 2_000), 9_999)
    # Half of the cells at a time: some 30 MB with what is computed from them.
    batch = max(_CELLS // 2 // observed.size, 1)
    random = np.random.default_rng(seed)
    above = below = 0
    for first in range(0, draws, batch):
        counts = random.multinomial(int(observed.sum()), shares, size=min(batch, draws - first))
        drawn = ((counts - expected) ** 2 / expected).sum(axis=1)
        # Equal statistics may differ in their last digits, and count for both tails.
        above += int(np.count_nonzero(drawn >= statistic * (1 - 1e-9) - 1e-9))
        below += int(np.count_nonzero(drawn <= statistic * (1 + 1e-9) + 1e-9))
    return (1 + above) / (1 + draws), (1 + below) / (1 + draws)
