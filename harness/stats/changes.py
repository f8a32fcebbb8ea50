"""Where shares change in a sequence of units: seeded binary segmentation by the likelihood ratio.

Nothing here is a verdict. It finds the places at which shares change, to be tested one by one: averaged
over all that follows it, a disturbance would soon look like none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import chdtrc, xlogy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Counts = NDArray[np.int64]

CHANGE_ALPHA: Final = 0.001
"""Largest p-value, after the correction for all places, at which a sequence is cut."""

_SHORTEST: Final = 32


def change_points(tables: Sequence[Counts], *, alpha: float = CHANGE_ALPHA) -> list[int]:
    """Find the blocks at which the shares of some categories change.

    Parameters
    ----------
    tables
        Counts in successive blocks, each of shape (blocks, categories): several ways to put the same
        units into categories. A change in any of them is one.
    alpha
        Largest p-value at which a sequence is cut, adjusted for the places at which it could be, and for
        the number of tables.

    Returns
    -------
    list of int
        The first blocks of the new shares, in ascending order; without block 0.

    Raises
    ------
    ValueError
        The tables have not equally many blocks, or alpha is not between 0 and 1.

    Notes
    -----
    A sequence is cut where the likelihood ratio of two multinomial distributions to one is largest, if
    that is significant; then each part is looked at in the same way (A. J. Scott and M. Knott,
    Biometrics 30, 1974). Shares that come and go may hide each other in the whole; so the ratios of
    halves, quarters and so on, which overlap, are looked at as well (S. Kovács, P. Bühlmann, H. Li and
    A. Munk, Biometrika 110, 2023). Twice the logarithm is compared with chi-square (S. S. Wilks, Ann.
    Math. Statist. 9, 1938) and Bonferroni's correction for all places.
    """
    blocks = {len(table) for table in tables}
    if len(blocks) != 1 or not 0 < alpha < 1:
        raise ValueError(f"tables of equal length and an alpha from 0 to 1 are needed, not {blocks}, {alpha}")
    sums = [np.vstack([np.zeros((1, table.shape[1]), np.int64), table.cumsum(axis=0)]) for table in tables]
    found: list[int] = []
    parts = [(0, blocks.pop())]
    while parts:
        begin, end = parts.pop()
        if end - begin < 2:
            continue
        spans = _spans(begin, end)
        places = sum(until - since - 1 for since, until in spans) * len(sums)
        p_value, place = min(_best_cut(each, *span) for each in sums for span in spans)
        if p_value * places <= alpha:
            found.append(place)
            parts += [(begin, place), (place, end)]
    return sorted(found)


def _spans(begin: int, end: int) -> list[tuple[int, int]]:
    """Give a part, and its halves, quarters and so on, each overlapping the next by half."""
    spans = [(begin, end)]
    length = (end - begin) // 2
    while length >= _SHORTEST:
        spans += [(since, since + length) for since in range(begin, end - length, length // 2)]
        spans.append((end - length, end))
        length //= 2
    return spans


def _best_cut(sums: Counts, begin: int, end: int) -> tuple[float, int]:
    """Give the p-value of the best place to cut a span at, of that place alone, and the place."""
    sums = sums[begin : end + 1]
    whole = sums[-1] - sums[0]
    dof = int(np.count_nonzero(whole)) - 1
    if dof < 1:
        return 1.0, begin + 1
    left = (sums[1:-1] - sums[0])[:, whole > 0]
    right = whole[whole > 0] - left
    ratios = _log_likelihood(left) + _log_likelihood(right) - _log_likelihood(whole[None])
    place = int(ratios.argmax())
    return float(chdtrc(dof, 2 * ratios[place])), begin + place + 1


def _log_likelihood(counts: Counts) -> Floats:
    """Give the largest log-likelihood of multinomial counts, but for a constant; of each row."""
    totals = counts.sum(axis=1)
    likelihood: Floats = xlogy(counts, counts).sum(axis=1) - xlogy(totals, totals)
    return likelihood
