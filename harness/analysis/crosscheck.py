"""Cross-checked counters: what the client counted, against what instances, kernel and proxy did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.summary.run import Witnesses, WitnessTotals
from harness.types import TOTAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.analysis.units import Units
    from harness.recording.table import Recording
    from harness.types import Layer, Unit, WitnessTable

_KINDS = ("connections", "requests")


def crosscheck(
    recording: Recording,
    units: Mapping[Unit, Units],
    layer: Layer,
    tables: Mapping[str, WitnessTable],
) -> Witnesses:
    """Compare what the client counted with what others did.

    Parameters
    ----------
    recording, units
        What the client recorded, and its units.
    layer
        Where the strategy balances.
    tables
        The other counters' tables, by the counter's name.
    """
    pairs = zip(units["connection"].counts.tolist(), units["request"].counts.tolist(), strict=True)
    client: WitnessTable = dict(zip(recording.instances, pairs, strict=True))
    nameless = not units["request"].counts.any()
    if nameless:  # the protocol has no names, so only totals can be compared
        client = {TOTAL: (units["connection"].total, units["request"].total)}
    # A proxy at layer 7 keeps connections of its own to the instances: only requests can agree.
    kinds = ("requests",) if layer == 7 else _KINDS
    compared = False
    differences: list[str] = []
    for counter, table in tables.items():
        # Instances have names of their own here, or the counter has none: only totals can be compared.
        only_total = nameless or not recording.named or TOTAL in table
        for kind in kinds:
            mine, theirs = _column(client, kind), _column(table, kind)
            if all(count is None for count in theirs.values()):
                continue
            compared = True
            if only_total:
                mine, theirs = {TOTAL: _total(mine)}, {TOTAL: _total(theirs)}
            differences += [
                f"{name}: client {_said(count)}, {counter} {_said(theirs.get(name))} {kind}"
                for name, count in mine.items()
                if count != theirs.get(name)
            ]
    totals = {counter: _totals(table) for counter, table in {"client": client, **tables}.items()}
    return Witnesses(
        client=totals["client"],
        instances=totals.get("instances"),
        kernel=totals.get("kernel"),
        proxy=totals.get("proxy"),
        agree=not differences if compared else None,
        differences=tuple(differences),
    )


def _totals(table: WitnessTable) -> WitnessTotals:
    return WitnessTotals(**{kind: _total(_column(table, kind)) for kind in _KINDS})


def _column(table: WitnessTable, kind: str) -> dict[str, int | None]:
    return {name: counts[kind == "requests"] for name, counts in table.items()}


def _total(column: Mapping[str, int | None]) -> int | None:
    """Add up; None where an instance's count is unknown, since a part would read as all."""
    known = [count for count in column.values() if count is not None]
    return sum(known) if len(known) == len(column) else None


def _said(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,}"
