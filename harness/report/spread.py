"""A figure of several runs: its median, and its range."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def spread(values: Iterable[float | None]) -> str:
    """Write the median of what is known, and the range below it if there are several."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    middle = number(median(known), 3)
    return middle if len(known) == 1 else f"{middle}\n{number(min(known), 2)}-{number(max(known), 2)}"


def number(value: float, digits: int) -> str:
    """Write a number with so many significant digits."""
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f}" if rounded >= 1000 else f"{rounded:g}"
