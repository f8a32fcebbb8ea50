"""Do the counts differ from the expected shares by more than chance? Pearson's chi-square test.

A small p-value says that some difference exists, however little it matters; whether the difference
matters is what `harness.stats.equivalence` tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

# Not scipy.stats.chisquare: importing scipy.stats takes a second, scipy.special a fraction of it.
from scipy.special import chdtrc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


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
