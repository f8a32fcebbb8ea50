"""Which scenario runs when."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def rounds(repeats: Mapping[str, int], seed: int) -> list[list[str]]:
    """Put scenarios in an order that is shuffled anew in each round.

    The machine's drift (heat, neighbours, caches) then hits all scenarios alike, and none always
    follows the same other.

    Parameters
    ----------
    repeats
        How many times each scenario runs, by its name.
    seed
        The same seed and scenarios give the same order.

    Returns
    -------
    list
        In each round, every scenario that has repeats left, once.
    """
    chance = Random(seed)  # noqa: S311  an order, no secret
    planned = []
    for index in range(max(repeats.values(), default=0)):
        names = [name for name, repeat in repeats.items() if repeat > index]
        chance.shuffle(names)
        planned.append(names)
    return planned
