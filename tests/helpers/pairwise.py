"""Few combinations of many options, in which each pair of values stands side by side at least once."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    Pair = tuple[tuple[str, Hashable], tuple[str, Hashable]]


def pairwise_cover(possible: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Choose, one after another, the combination with the most pairs that none before it has.

    Parameters
    ----------
    possible
        Every combination that is allowed, with the same options each.

    Returns
    -------
    list of dict
        As few as this way finds; together they have every pair of values that a possible combination has.
    """
    pairs = [_pairs(combination) for combination in possible]
    missing = set().union(*pairs)
    chosen = []
    while missing:
        best = max(range(len(possible)), key=lambda position: len(pairs[position] & missing))
        chosen.append(possible[best])
        missing -= pairs[best]
    return chosen


def _pairs(combination: dict[str, Any]) -> set[Pair]:
    return set(combinations(combination.items(), 2))
