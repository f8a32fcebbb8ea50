"""Pairwise choices: no pair of values is lost, and they are far fewer than all combinations."""

from __future__ import annotations

from itertools import combinations, product

from tests.helpers.pairwise import pairwise_cover

_ALL = [
    dict(zip("abcde", values, strict=True)) for values in product(range(5), range(4), *[(True, False)] * 3)
]


def test_each_pair_of_values_is_chosen() -> None:
    """Twenty pairs of the two longest options take twenty combinations; hardly more do for all the others."""
    chosen = pairwise_cover(_ALL)
    pairs = {pair for one in chosen for pair in combinations(one.items(), 2)}
    assert pairs == {pair for one in _ALL for pair in combinations(one.items(), 2)}
    assert len(chosen) <= 22


def test_only_possible_combinations_are_chosen() -> None:
    """What an option forbids to another is in none of them."""
    possible = [one for one in _ALL if not (one["a"] == 0 and one["c"])]
    assert all(one in possible for one in pairwise_cover(possible))
