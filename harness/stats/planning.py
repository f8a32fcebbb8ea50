"""How many units a verdict takes.

A strategy that gives every instance exactly its expected share, by independent choices, may still get unlucky
counts. The plan is the number of units with which it is judged `even` with the required power (90 %), by the
tests that give the verdict, the dispersion included: that of a fair strategy's counts, as it is estimated,
exceeds 1 in half of all runs, and its counts then weigh less than their number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.special import chdtr, chdtri

from harness.stats.bands import alpha_estimated, band, binomial_evidence, checked_alpha
from harness.stats.drift import FEWEST_DOF, FEWEST_EXPECTED
from harness.stats.fairness import checked_counts
from harness.stats.mixture import anytime_at_least, anytime_at_most, prior, prior_weight
from harness.stats.tails import at_least, at_most

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from harness.stats.bands import Evidence

    Floats = NDArray[np.float64]

MOST_UNITS = 10**9
"""More units than this are nothing to wait for: a day and a half at ten thousand a second."""

WINDOWS = 20
"""Time windows that the dispersion is estimated from."""

_LARGEST = 10**13
_DISPERSIONS = 8
_DISTINCT = 64
_HALVINGS = 40


@dataclass(frozen=True)
class MoreUnits:
    """How many more units would decide an inconclusive verdict.

    Attributes
    ----------
    units
        None where no sensible number would: a share lies too close to the edge of its band, or too many
        units are missing.
    assuming
        "expected": the shares turn out as expected, and the verdict `even`, with 90 % probability.
        "observed": as many as planned are there already; the shares stay what they are.
    """

    units: int | None
    assuming: Literal["expected", "observed"]


def units_needed(
    expected_shares: Sequence[float],
    tolerance: float,
    confidence: float,
    power: float = 0.9,
    *,
    steady: bool = False,
) -> int:
    """Say how many units a fair strategy needs to be judged `even` with the power.

    Parameters
    ----------
    expected_shares
        Each instance's expected share, above 0; they add up to 1.
    tolerance
        Largest deviation that doesn't matter, as a fraction of each expected share.
    confidence
        1 - alpha of the verdict.
    power
        Probability of the verdict `even`.
    steady
        Whether instances are chosen in turn: then counts are those expected, give or take one, while the
        tests are the same.

    Returns
    -------
    int
        Rounded up to three digits. With more units the probability does not fall below the power again,
        as it would do between the steps of the exact tests.

    Raises
    ------
    ValueError
        A parameter is out of range.

    Notes
    -----
    The limits between which a count rejects both hypotheses follow from the exact binomial tails, and the
    probabilities to be outside from the same distribution with the expected share; over more than two
    instances they are added up (Bonferroni). The estimated dispersion of independent choices is distributed
    as chi-square / dof, and its excess over 1 is averaged over.
    """
    return _plan(expected_shares, tolerance, confidence, power, sequential=False, steady=steady)


def units_until_verdict(
    expected_shares: Sequence[float],
    tolerance: float,
    confidence: float,
    power: float = 0.9,
    *,
    steady: bool = False,
) -> int:
    """Say how many units a fair strategy needs until `harness.stats.sequential` has judged it `even`.

    Parameters
    ----------
    expected_shares, tolerance, confidence
        As for `units_needed`.
    power
        Probability that the verdict was reached by then.
    steady
        As for `units_needed`.

    Returns
    -------
    int
        Rounded up to three digits. Half of all runs stop much earlier: `power=0.5` tells when.

    Raises
    ------
    ValueError
        A parameter is out of range.
    """
    return _plan(expected_shares, tolerance, confidence, power, sequential=True, steady=steady)


def more_units(  # noqa: PLR0913  the question has this many parts
    counts: Sequence[int] | NDArray[np.int64],
    expected_shares: Sequence[float],
    tolerance: float,
    confidence: float,
    *,
    missing: int = 0,
    dispersion: float = 1.0,
    dispersion_dof: int | None = None,
    steady: bool = False,
) -> MoreUnits:
    """Say how many more units decide an inconclusive verdict.

    Parameters
    ----------
    counts, expected_shares, tolerance, confidence, missing, dispersion, dispersion_dof
        As for `harness.stats.equivalence.tolerance_verdict`. The fraction that is missing, and the
        dispersion, are taken to stay what they are.
    steady
        As for `units_needed`.

    Raises
    ------
    ValueError
        Counts and shares don't fit each other, or a parameter is out of range.
    """
    observed, shares = checked_counts(counts, expected_shares)

    def judged(factor: float) -> Evidence:
        return binomial_evidence(
            np.asarray(observed * factor, dtype=np.float64),
            shares,
            tolerance,
            missing * factor,
            dispersion=dispersion,
            dof=dispersion_dof,
        )

    plan = Plan(shares, tolerance, confidence, sequential=False, steady=steady)
    return plan.more(int(observed.sum()), missing, dispersion, judged)


@dataclass(frozen=True)
class Plan:
    """What is planned for: expected shares of shape (instances,), the verdict, and the kind of its test."""

    shares: Floats
    tolerance: float
    confidence: float
    sequential: bool
    steady: bool = False

    def more(
        self, total: int, missing: int, dispersion: float, judged: Callable[[float], Evidence]
    ) -> MoreUnits:
        """Say how many more units decide.

        Parameters
        ----------
        total, missing
            Units that are attributed, and those that can't be.
        dispersion
            How many times more the counts vary than by chance.
        judged
            Gives the evidence when all counts are multiplied by its argument.
        """
        lost = missing / max(total + missing, 1)
        fair = self._units(lost)
        if fair is not None and dispersion > 1:
            # The plan allows for the dispersion that fair counts show by chance; this one may be larger.
            fair = max(fair, math.ceil((self._units(lost, windows=0) or fair) * dispersion))
        if total == 0 or (fair is not None and total + missing < fair <= MOST_UNITS):
            return MoreUnits(None if fair is None else fair - total - missing, "expected")
        return MoreUnits(_until_decided(judged, total + missing, round(1 - self.confidence, 12)), "observed")

    def _units(self, lost: float, windows: int = WINDOWS) -> int | None:
        # Two digits of what is lost are enough to plan with, and let looks share the plan.
        return _units(
            _key(self.shares),
            self.tolerance,
            self.confidence,
            0.9,
            round(lost, 2),
            sequential=self.sequential,
            windows=windows,
            steady=self.steady,
        )


def _until_decided(judged: Callable[[float], Evidence], total: int, alpha: float) -> int | None:
    """Find how many units to add to `total` for a verdict, if all counts grow in proportion."""
    none, enough = 1.0, max(MOST_UNITS / total, 1.0)
    if judged(enough).verdict(alpha) == "inconclusive":
        return None
    while enough - none > 0.001 * none:
        middle = math.sqrt(none * enough)
        if judged(middle).verdict(alpha) == "inconclusive":
            none = middle
        else:
            enough = middle
    return _three_digits(max((enough - 1) * total, 1))


def _plan(  # noqa: PLR0913  what a plan depends on
    expected_shares: Sequence[float],
    tolerance: float,
    confidence: float,
    power: float,
    *,
    sequential: bool,
    steady: bool,
) -> int:
    _, shares = checked_counts([0] * len(expected_shares), expected_shares)
    checked_alpha(tolerance, confidence)
    if not 0 < power < 1:
        raise ValueError(f"a power lies between 0 and 1: {power}")
    units = _units(_key(shares), tolerance, confidence, power, 0.0, sequential=sequential, steady=steady)
    if units is None:
        raise ValueError(f"no number of units up to {_LARGEST:.0e} shows a tolerance of {tolerance}")
    return units


def _key(shares: Floats) -> tuple[float, ...]:
    """Order does not matter; rounding lets 1/3 and 0.333333333 share a plan."""
    return tuple(np.sort(shares).round(12).tolist())


def _three_digits(units: float) -> int:
    """Round up."""
    whole = math.ceil(units)
    step: int = 10 ** max(len(str(whole)) - 3, 0)
    return -(-whole // step) * step


@lru_cache(maxsize=256)
def _units(  # noqa: PLR0913  what a plan depends on
    key: tuple[float, ...],
    tolerance: float,
    confidence: float,
    power: float,
    lost: float,
    *,
    sequential: bool,
    windows: int = WINDOWS,
    steady: bool = False,
) -> int | None:
    """Find the number of units, by halving; None where there is none up to the largest."""
    plan = _Plan(np.array(key), tolerance, confidence, lost, sequential=sequential, windows=windows)
    chance = plan.steady if steady else plan.power
    few, enough = 0.0, 1.0
    while chance(enough) < power:
        few, enough = enough, 2 * enough
        if enough > _LARGEST:
            return None
    while enough - few > max(0.5, 0.0005 * enough):
        middle = (few + enough) / 2
        few, enough = (few, middle) if chance(middle) >= power else (middle, enough)
    return _three_digits(enough)


class _Plan:
    """The power of a test, by number of units."""

    def __init__(  # noqa: PLR0913  what a plan depends on
        self,
        shares: Floats,
        tolerance: float,
        confidence: float,
        lost: float,
        *,
        sequential: bool,
        windows: int,
    ) -> None:
        self._instances = shares.size
        self._rarest = float(shares.min())
        weight = prior_weight(shares, tolerance, confidence)
        # Instances that expect the same are the same. Where all are different, shares are lowered to a grid:
        # the lower the share, the more units it takes.
        distinct, times = np.unique(shares, return_counts=True)
        if distinct.size > _DISTINCT and self._instances > 2:
            steps = np.floor(np.log(distinct / distinct[0]) * 50)
            grid, belongs = np.unique(steps, return_inverse=True)
            distinct, times = distinct[0] * np.exp(grid / 50), np.bincount(belongs, weights=times)
        self._shares, self._times = distinct[:, None], times[:, None]
        self._lower, self._upper = band(self._shares, tolerance)
        self._alpha = round(1 - confidence, 12)
        self._lost = lost
        self._most_windows = windows
        self._prior = prior(self._shares, weight) if sequential else None

    def power(self, n: float) -> float:
        """Give the probability, at least, that n units show evenness."""
        dispersions, alphas, chances = self._dispersions(n)
        lower = self._limit(n / dispersions, alphas, -1) * dispersions
        upper = self._limit(n / dispersions, alphas, 1) * dispersions
        missing = self._lost * n
        if self._instances == 2:
            # What one instance doesn't get the other one does: one count decides for both.
            low = np.maximum(lower[0], n - upper[-1])[None]
            high = np.minimum(upper[0], n - lower[-1])[None] - missing
            share, times = self._shares[:1], np.ones((1, 1))
        else:
            low, high, share, times = lower, upper - missing, self._shares, self._times.astype(float)
        attributed = n - missing
        # The tails between two whole numbers are those of the worse one, and free of steps.
        too_few = np.where(low <= 0, 0.0, at_most(np.minimum(low, attributed), attributed, share))
        too_many = np.where(high >= attributed, 0.0, at_least(np.maximum(high, 0), attributed, share))
        if self._instances == 1:
            too_few = np.where(low <= attributed, 0.0, 1.0)
        failing = ((too_few + too_many) * times).sum(axis=0)
        return float((np.maximum(1 - failing, 0.0) * chances).sum())

    def steady(self, n: float) -> float:
        """Give 1 where n units in turn show evenness, and 0 where they are too few."""
        alpha = np.full(1, self._alpha)
        attributed = n * (1 - self._lost)
        # A round that is not over yet makes a count one more or less than expected.
        least = attributed * self._shares - 1 >= self._limit(np.full(1, n), alpha, -1)
        most = attributed * self._shares + 1 + self._lost * n <= self._limit(np.full(1, n), alpha, 1)
        return float((least & most).all())

    def _dispersions(self, n: float) -> tuple[Floats, Floats, Floats]:
        """Give the dispersions that independent choices are estimated to have, each alpha, each chance."""
        # The smallest count sets the number of windows; it is below what the rarest instance expects.
        expected = n * (1 - self._lost) * self._rarest
        smallest = max(expected - 2 * math.sqrt(expected), 0.0)
        windows = min(self._most_windows, int(smallest) // FEWEST_EXPECTED)
        dof = (windows - 1) * (self._instances - 1)
        if dof < FEWEST_DOF:
            # Of fair runs one in twenty varies significantly; with so few windows it gets no verdict.
            return np.ones(1), np.full(1, self._alpha), np.full(1, 0.95 if dof else 1.0)
        above = 1 - float(chdtr(dof, dof))
        parts = (np.arange(_DISPERSIONS) + 0.5) / _DISPERSIONS
        dispersions = np.append(1.0, chdtri(dof, above * parts) / dof)
        alphas = np.append(self._alpha, np.full(_DISPERSIONS, alpha_estimated(self._alpha, dof)))
        return dispersions, alphas, np.append(1 - above, np.full(_DISPERSIONS, above / _DISPERSIONS))

    def _limit(self, n: Floats, alphas: Floats, side: int) -> Floats:
        """Find the least count that shows a share above its lower bound, or the largest one for the upper.

        Infinite where no count does, or none is needed; shape (shares, dispersions).
        """
        bound = self._lower if side < 0 else self._upper
        far = 12 * np.sqrt(n * bound * (1 - bound)) + 100
        inner = n * bound
        outer = np.minimum(inner + far, n) if side < 0 else np.maximum(inner - far, 0.0)
        impossible = self._p_value(outer, n, bound, side) > alphas
        for _ in range(_HALVINGS):
            middle = (inner + outer) / 2
            shown = self._p_value(middle, n, bound, side) <= alphas
            inner, outer = np.where(shown, inner, middle), np.where(shown, middle, outer)
        trivial = bound <= 0 if side < 0 else bound >= 1
        never, always = (np.inf, -np.inf) if side < 0 else (-np.inf, np.inf)
        return np.where(trivial, always, np.where(impossible, never, outer))

    def _p_value(self, x: Floats, n: Floats, bound: Floats, side: int) -> Floats:
        if self._prior is None:
            return at_least(x, n, bound) if side < 0 else at_most(x, n, bound)
        return (anytime_at_least if side < 0 else anytime_at_most)(x, n, bound, *self._prior)
