"""Are instances chosen in turn, at random, or the same one again and again? The runs test.

Shares tell nothing of order: round robin and random choice may both be even. Successive choices do.
The number of runs (stretches of one instance) is compared with what it would be if the same choices
had been made in a random order. Turns leave nearly no repeats, so many runs; stickiness leaves few.

Requests that are under way at the same time overtake each other, so the order that a client sees is
the order of the choices shuffled locally. With many more requests under way than instances, turns
look like chance in the order; counts more even than chance allows still reveal them
(`harness.stats.fairness`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Kind = Literal["in turn", "random", "sticky"]

FEWEST_EXPECTED = 20
"""Repeats and changes that chance is to give, each, for the number of runs to be about normal.

No repeats at all are then 4.5 standard deviations or more from what is expected, so turns can show.
"""

FEW_REPEATS, MANY_REPEATS = 0.8, 1.25
"""Repeat ratios between these are too near to 1 to call the order anything but random."""

# Pairs of choices that are counted at a time: ten million at once would need 240 MB.
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Order:
    """What the order of choices is like.

    Attributes
    ----------
    runs
        Stretches of units that went to one instance.
    expected_runs, variance
        Mean and variance of the number of runs when these choices are in random order.
    z
        (runs - expected_runs) / sqrt(variance): above 0 for turns, below 0 for stickiness.
    p_value
        Probability that random order gives a z at least this far from 0.
    repeat_ratio
        Repeats of the instance before, divided by those that random order would give: 0 for turns, 1 for
        chance, at most about the number of instances.
    dependence
        Cramer's V between each choice and the one before, corrected for bias: 0 for independence, 1 where
        each choice follows from the one before. None where the table of successive choices is too sparse
        to tell.
    kind
        "in turn" or "sticky" where p_value is at most alpha and repeat_ratio far enough from 1, else
        "random": no order is shown.
    """

    runs: int
    expected_runs: float
    variance: float
    z: float
    p_value: float
    repeat_ratio: float
    dependence: float | None
    kind: Kind


def order_of_choices(choices: NDArray[np.integer], instances: int, *, alpha: float = 0.001) -> Order | None:
    """Tell turns from chance from stickiness.

    Parameters
    ----------
    choices
        Index of the instance that each unit went to, in order of time; shape (units,).
    instances
        How many instances there are.
    alpha
        Largest p-value at which an order is believed.

    Returns
    -------
    Order or None
        None where there are too few units to tell: where random order would give fewer than 20 repeats
        or fewer than 20 changes. N instances with equal shares take some 20 N units.

    Raises
    ------
    ValueError
        A choice is no instance's index, or alpha is not between 0 and 1.

    Notes
    -----
    The runs test for any number of categories: D. E. Barton and F. N. David, Multiple runs, Biometrika
    44 (1957). For two categories it is that of A. Wald and J. Wolfowitz (Ann. Math. Statist. 11, 1940).
    The counts are taken as given, so uneven shares don't look like an order; shares that drift do look
    sticky, if only a little.

    With millions of units, any tiny dependence has a tiny p-value. So a size is required, too: repeats
    below 0.8 or above 1.25 times their expected number. Bias correction of V: W. Bergsma, J. Korean
    Statist. Soc. 42 (2013).
    """
    if choices.ndim != 1 or not 0 < alpha < 1:
        raise ValueError(f"one choice a unit and an alpha between 0 and 1 are needed, not alpha {alpha}")
    if choices.size == 0:
        return None
    if not (choices.min() >= 0 and choices.max() < instances):
        raise ValueError(f"a choice must be from 0 to {instances - 1}: {choices.min()} to {choices.max()}")
    counts = np.bincount(choices.astype(np.int64, copy=False))
    expected, variance = _repeats(counts)
    units = choices.size
    if min(expected, units - 1 - expected) < FEWEST_EXPECTED:
        return None
    repeats = int(np.count_nonzero(choices[1:] == choices[:-1]))
    z = (expected - repeats) / math.sqrt(variance)
    p_value = math.erfc(abs(z) / math.sqrt(2))
    ratio = repeats / expected
    kind: Kind = "random"
    if p_value <= alpha and not FEW_REPEATS <= ratio <= MANY_REPEATS:
        kind = "in turn" if ratio < 1 else "sticky"
    return Order(
        units - repeats, units - expected, variance, z, p_value, ratio, _dependence(choices, counts), kind
    )


def _repeats(counts: NDArray[np.int64]) -> tuple[float, float]:
    """Give mean and variance of the repeats that random order gives; runs are units less repeats.

    With n units, A = sum of c(c - 1) and B = sum of c(c - 1)(c - 2) over the counts c, the mean is A/n.
    The second moment follows from the chances that two neighbours are equal, A/(n(n - 1)); that three in
    a row are, B/(n(n - 1)(n - 2)); and that two pairs apart are, (A² - 4B - 2A)/(n(n - 1)(n - 2)(n - 3)).
    Whole numbers without limit keep the variance exact, which is a small difference of large numbers.
    """
    each = [int(count) for count in counts]
    n = sum(each)
    if n < 2:
        return 0.0, 0.0
    a = sum(c * (c - 1) for c in each)
    b = sum(c * (c - 1) * (c - 2) for c in each)
    return a / n, (a * n * (n - 3) - 2 * b * n + a * a) / (n * n * (n - 1))


def _dependence(chosen: NDArray[np.integer], counts: NDArray[np.int64]) -> float | None:
    """Give Cramer's V, corrected for bias, of the table of each choice and the next."""
    used = np.flatnonzero(counts)
    pairs = chosen.size - 1
    # Below one pair a cell, chi-square says nothing; the table of 1,000 instances has a million cells.
    if used.size**2 > pairs:
        return None
    place = np.zeros(counts.size, dtype=np.int64)
    place[used] = np.arange(used.size)
    cells = np.zeros(used.size**2, dtype=np.int64)
    for begin in range(0, pairs, _CHUNK):
        part = place[chosen[begin : begin + _CHUNK + 1]]
        cells += np.bincount(part[:-1] * used.size + part[1:], minlength=cells.size)
    table = cells.reshape(used.size, used.size)
    rows, columns = table.sum(axis=1).astype(np.float64), table.sum(axis=0).astype(np.float64)
    # The last choice has no next one, the first none before: an instance chosen once may lack either.
    table = table[rows > 0][:, columns > 0]
    rows, columns = rows[rows > 0], columns[columns > 0]
    expected = np.outer(rows, columns) / pairs
    phi2 = float(((table - expected) ** 2 / expected).sum()) / pairs
    r, c = rows.size - 1, columns.size - 1
    limit = min(r - r * r / (pairs - 1), c - c * c / (pairs - 1))
    if limit <= 0:
        return None
    return math.sqrt(min(max(phi2 - r * c / (pairs - 1), 0.0) / limit, 1.0))
