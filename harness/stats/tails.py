"""Exact binomial tails, for counts that may have been divided, and p-values adjusted for their number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

# bdtr and bdtrc lose seven digits at ten million units; the incomplete beta functions don't.
from scipy.special import betainc, betaincc

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


def at_least(counts: ArrayLike, n: ArrayLike, p: ArrayLike) -> Floats:
    """Give P(X ≥ count) for X binomial(n, p): the incomplete beta function I_p(count, n - count + 1).

    Counts and n need not be whole: divided by a dispersion, they are the evidence of as many units.
    """
    x, total = np.asarray(counts, dtype=np.float64), np.asarray(n, dtype=np.float64)
    some = x > 0
    tail: Any = betainc(np.where(some, x, 1.0), np.where(some, total - x, total) + 1, p)
    return np.where(some, tail, 1.0)


def at_most(counts: ArrayLike, n: ArrayLike, p: ArrayLike) -> Floats:
    """Give P(X ≤ count) for X binomial(n, p): 1 - I_p(count + 1, n - count)."""
    x, total = np.asarray(counts, dtype=np.float64), np.asarray(n, dtype=np.float64)
    some = x < total
    tail: Any = betaincc(np.where(some, x, 0.0) + 1, np.where(some, total - x, 1.0), p)
    return np.where(some, tail, 1.0)


def holm(p_values: ArrayLike) -> Floats:
    """Adjust p-values for their number: S. Holm, Scandinavian Journal of Statistics 6 (1979).

    Parameters
    ----------
    p_values
        In one dimension, in any order.

    Returns
    -------
    ndarray of float
        In the same order; whatever is at most alpha is shown at level alpha among all of them.
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(values.size, 0, -1)), 1.0)
    return adjusted
