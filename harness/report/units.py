"""Quantities as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.common.text import printable

if TYPE_CHECKING:
    from harness.summary.run import Summary


def duration(duration_ns: int, encoding: str) -> str:
    """Write a duration with the unit that needs the fewest digits."""
    if duration_ns < 1_000_000:
        micro = "u" if printable("µ", encoding) != "µ" else "µ"
        return f"{duration_ns / 1e3:.3g} {micro}s"
    return f"{duration_ns / 1e6:.3g} ms" if duration_ns < 999_500_000 else f"{duration_ns / 1e9:.3g} s"


def whose_units(summary: Summary) -> str:
    """Say what an instance's share is of."""
    whose = "its route's" if summary.routes else "the"
    return f"{whose} {summary.unit}s"
