"""Whole weights as turns in a round."""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def turns(weights: Sequence[int]) -> list[int]:
    """List positions, each as often as its weight says, in the shortest round.

    Each comes once before any comes twice, as long as its weight lasts, so that a heavy one is not
    served in one go: weights 4, 2, 2 give 0, 1, 2, 0.
    """
    divisor = gcd(*weights)
    each = [weight // divisor for weight in weights]
    return [k for turn in range(max(each)) for k, weight in enumerate(each) if weight > turn]
