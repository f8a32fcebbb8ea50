"""Whether answers tell instances apart: what they name, against what others saw served."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.types import TOTAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.analysis.units import Units
    from harness.recording.table import Recording
    from harness.types import WitnessTable

_ADVICE = "application.identity is not what tells instances apart, so no share is known"
_MOST_CHARACTERS = 60


def mistaken(recording: Recording, units: Units, tables: Mapping[str, WitnessTable]) -> str | None:
    """Say why a recording's identities are not its instances; None where nothing contradicts them.

    Parameters
    ----------
    recording, units
        All requests of a run, and its units of the kind that the strategy balances.
    tables
        The other counters' tables, by the counter's name.
    """
    seen = int((units.counts > 0).sum())
    if seen == 0 or len(units.counts) == 1:
        return None
    told = False
    for by, table in tables.items():
        served = _served(table)
        if served is None:
            continue
        told = True
        # Units without a name may be all that the other instances got.
        hidden = sum(sorted(served)[: max(len(served) - seen, 0)])
        if len(served) > seen and units.missing < hidden:
            names = "one name" if seen == 1 else f"{seen} names"
            return f"answers give {names}, but {len(served)} instances served by the {by}'s count: {_ADVICE}"
    if seen == 1 and not told and not recording.named:
        name = recording.instances[int(units.counts.argmax())]
        return (
            f"every answer names {name[:_MOST_CHARACTERS]!r}, and no other counter tells "
            f"{len(units.counts)} instances apart: either one got everything, or {_ADVICE}"
        )
    return None


def _served(table: WitnessTable) -> list[int] | None:
    """Give the counts of the instances that got anything; None where a counter has no such counts."""
    if TOTAL in table:
        return None
    counts = [next((count for count in pair if count is not None), None) for pair in table.values()]
    if None in counts:
        return None
    return [count for count in counts if count is not None and count > 0]
