"""Do the instances' shares change during a run? A chi-square test of heterogeneity over time windows.

The binomial tests of a verdict take every unit as a choice of its own. Shares that drift, and choices
that come in bursts, make counts vary more than such choices would, so that counts carry less evidence
than their number says. Both show when the run is cut into windows: then the windows' counts differ
from each other by more than chance allows. How many times more is the dispersion, by which counts are
divided before they serve as evidence.

What alternates faster than a window lasts can't be seen here; `harness.stats.ordering` looks at that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

# Not scipy.stats.chi2_contingency: importing scipy.stats takes a second, scipy.special a fraction of it.
from scipy.special import chdtrc

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST_EXPECTED = 5
"""Units that the rarest instance is to expect in a mean window, for chi-square's approximation to hold."""

FEWEST_DOF = 5
"""Degrees of freedom from which a dispersion is worth estimating: six windows of two instances."""


@dataclass(frozen=True)
class Drift:
    """Result of the test of heterogeneity.

    Attributes
    ----------
    windows, instances
        How many windows and instances have units; the others take no part.
    statistic
        Sum of (observed - expected)² / expected over all windows and instances.
    dof
        Degrees of freedom: (windows - 1)(instances - 1).
    p_value
        Probability of a statistic at least this large when every unit's choice is independent and the
        shares stay what they are.
    dispersion
        statistic / dof: by how much the counts' variance exceeds that of independent choices. About 1
        for these, below 1 for a strategy that takes turns.
    varies
        Whether p_value is at most alpha.
    inflation
        What to divide counts by before they serve as evidence: the dispersion, at least 1. Not only where
        the counts vary significantly: drift too mild to be found by a test would still make a tenth of
        the verdicts wrong where a twentieth is stated. With fewer than 5 degrees of freedom, which
        estimate little, only where they do.
    """

    windows: int
    instances: int
    statistic: float
    dof: int
    p_value: float
    dispersion: float
    varies: bool
    inflation: float


def windows_table(
    times_ns: NDArray[np.integer], choices: NDArray[np.integer], instances: int, *, most: int = 20
) -> NDArray[np.int64]:
    """Count each instance's units in equal time windows.

    Parameters
    ----------
    times_ns
        When each unit's choice was made, in nanoseconds from any origin, in any order; shape (units,).
    choices
        Index of the instance that each unit went to; shape (units,).
    instances
        How many instances there are.
    most
        Largest number of windows.

    Returns
    -------
    ndarray of int64
        Shape (windows, instances). The windows cover first to last unit. There are as many as `most`,
        but fewer where the rarest of the instances with units would expect fewer than 5 in a mean
        window; none where there are no units.

    Raises
    ------
    ValueError
        Times and choices differ in length, a choice is no instance's index, or `most` is below 1.
    """
    if instances < 1 or times_ns.ndim != 1 or times_ns.shape != choices.shape:
        raise ValueError(
            f"one time and one choice a unit, and an instance, are needed, not {times_ns.size} times, "
            f"{choices.size} choices and {instances} instances"
        )
    if choices.size == 0:
        return np.zeros((_most_windows(np.zeros(1, np.int64), most), instances), np.int64)
    if not (choices.min() >= 0 and choices.max() < instances):
        raise ValueError(f"a choice must be from 0 to {instances - 1}: {choices.min()} to {choices.max()}")
    windows = _most_windows(np.bincount(choices, minlength=instances), most)
    since = times_ns.astype(np.int64)
    since -= since.min()
    # In place: ten million units are 80 MB each time that they are copied.
    length = -(-(int(since.max()) + 1) // windows)
    since //= length
    since *= instances
    np.add(since, choices, out=since, dtype=np.int64, casting="unsafe")
    return np.bincount(since, minlength=windows * instances).reshape(windows, instances)


def merged_windows(table: NDArray[np.int64], *, most: int = 20) -> NDArray[np.int64]:
    """Merge time slices that are adjacent until they are large enough for `drift`.

    Parameters
    ----------
    table
        Units in each slice, in order of time, for each instance; shape (slices, instances). Slices may
        have any lengths.
    most
        Largest number of windows.

    Returns
    -------
    ndarray of int64
        Shape (windows, instances); about equally many units in each window. There are at most as many
        as `most`, and fewer where the rarest of the instances with units would expect fewer than 5 in a
        mean window. No window is empty.

    Raises
    ------
    ValueError
        The table has not two dimensions, a count is negative, or `most` is below 1.
    """
    counts = _checked(table)
    counts = counts[counts.any(axis=1)]
    slices = counts.sum(axis=1)
    windows = _most_windows(counts.sum(axis=0), most)
    if windows == 0:
        return counts
    # A slice belongs to the window that its middle unit lies in. The limits depend on the slices' sizes
    # alone, never on the choices, so they can't bias the test. Doubled, to stay with whole numbers.
    middle = 2 * slices.cumsum() - slices
    belongs = middle * windows // (2 * int(slices.sum()))
    starts = np.flatnonzero(np.diff(belongs, prepend=-1))
    merged: NDArray[np.int64] = np.add.reduceat(counts, starts, axis=0)
    return merged


def drift(table: NDArray[np.int64], *, alpha: float = 0.05) -> Drift | None:
    """Test whether shares differ between time windows by more than independent choices would make them.

    Parameters
    ----------
    table
        Units in each window for each instance; shape (windows, instances). `windows_table` and
        `merged_windows` make windows that are large enough for the approximation.
    alpha
        Largest p-value at which counts are said to vary.

    Returns
    -------
    Drift or None
        None where fewer than two windows or fewer than two instances have units.

    Raises
    ------
    ValueError
        The table has not two dimensions, a count is negative, or alpha is not between 0 and 1.

    Notes
    -----
    The statistic is K. Pearson's for a contingency table (Biometrika 8, 1911), whose expected count is
    window total times instance total / units; degrees of freedom after R. A. Fisher (J. R. Statist. Soc. 85,
    1922). To divide it by the degrees of freedom estimates the dispersion of quasi-likelihood:
    P. McCullagh and J. A. Nelder, Generalized Linear Models, 2nd ed. (1989), section 4.5.
    """
    counts = _checked(table)
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be between 0 and 1, not {alpha}")
    counts = counts[counts.any(axis=1)][:, counts.any(axis=0)]
    windows, instances = counts.shape
    if windows < 2 or instances < 2:
        return None
    rows, columns = counts.sum(axis=1).astype(np.float64), counts.sum(axis=0).astype(np.float64)
    expected = np.outer(rows, columns) / rows.sum()
    statistic = float(((counts - expected) ** 2 / expected).sum())
    dof = (windows - 1) * (instances - 1)
    p_value = float(chdtrc(dof, statistic))
    dispersion, varies = statistic / dof, p_value <= alpha
    inflation = max(dispersion, 1.0) if dof >= FEWEST_DOF or varies else 1.0
    return Drift(windows, instances, statistic, dof, p_value, dispersion, varies, inflation)


def _checked(table: NDArray[np.int64]) -> NDArray[np.int64]:
    counts = np.asarray(table, dtype=np.int64)
    if counts.ndim != 2:
        raise ValueError(f"a table of windows and instances is needed, not {counts.ndim} dimensions")
    if counts.size and counts.min() < 0:
        raise ValueError(f"a count can't be negative: {counts.min()}")
    return counts


def _most_windows(totals: NDArray[np.int64], most: int) -> int:
    """Say how many windows keep the rarest instance's expected count from falling below the fewest.

    Its total divided by the windows is its expected count in a mean window. One window remains where
    there is any unit.
    """
    if most < 1:
        raise ValueError(f"at least one window is needed, not {most}")
    some = totals[totals > 0]
    return max(min(most, int(some.min()) // FEWEST_EXPECTED), 1) if some.size else 0
