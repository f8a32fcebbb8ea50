"""Figures and durations as text for people, and where commands print it."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from rich.console import Console

from harness.common.text import printable, wants_no_colour

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.summary.run import RouteRow, Summary


_TIMES = "\u00d7"


def standard_output() -> Console:
    """Give standard output, without any escape sequence where it is no terminal or colours are unwanted."""
    # rich takes NO_COLOR for colours alone; bold and dim would still be escape sequences.
    return Console(color_system=None) if wants_no_colour() else Console()


def duration(duration_ns: int, encoding: str) -> str:
    """Write a duration with the unit that needs the fewest digits."""
    if duration_ns < 1_000_000:
        micro = "u" if printable("µ", encoding) != "µ" else "µ"
        return f"{duration_ns / 1e3:.3g} {micro}s"
    return f"{duration_ns / 1e6:.3g} ms" if duration_ns < 999_500_000 else f"{duration_ns / 1e9:.3g} s"


def error_words(outcome: Summary | RouteRow, encoding: str = "utf-8") -> str:
    """Count failed requests by what went wrong, those that were answered by the status and whose it was."""
    whose = {"instance": "instances", "proxy": "the proxy", "unknown": "an instance or a proxy, unnamed"}
    times = _TIMES if printable(_TIMES, encoding) == _TIMES else "x"
    words = [f"{row.status} {times} {row.count:,}, answered by {whose[row.by]}" for row in outcome.statuses]
    known = {"status"} if words else set()  # results of before have no more than their sum
    words = [f"{count:,} {name}" for name, count in outcome.errors.items() if name not in known] + words
    return "; ".join(words)


def whose_units(summary: Summary) -> str:
    """Say what an instance's share is of."""
    whose = "its route's" if summary.routes else "the"
    return f"{whose} {summary.unit}s"


def spread(values: Iterable[float | None]) -> str:
    """Write the median of several runs' figures that are known, and the range below it."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    middle = number(median(known), 3)
    return middle if len(known) == 1 else f"{middle}\n{number(min(known), 2)}-{number(max(known), 2)}"


def number(value: float, digits: int) -> str:
    """Write a number with so many significant digits."""
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f}" if rounded >= 1000 else f"{rounded:g}"
