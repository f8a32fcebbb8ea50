"""The summary's rows of instances: units, shares, deviations and routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.summary.run import InstanceRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.analysis.evidence import Evidence
    from harness.analysis.routes import OnRoute
    from harness.analysis.units import Sample, Units
    from harness.types import Unit


def instance_rows(
    names: Sequence[str],
    units: Mapping[Unit, Units],
    sample: Sample,
    shown: Evidence,
    on_routes: Mapping[str, OnRoute],
) -> tuple[InstanceRow, ...]:
    """Give each instance's row.

    Parameters
    ----------
    names, units
        All instances that there ever were, and all units.
    sample, shown
        What the verdict is on, and what it shows: only instances that were there before the first fault
        have a share.
    on_routes
        By instance, its route and what it counted there; empty without routes.
    """
    place = {name: i for i, name in enumerate(sample.recording.instances)}
    found = []
    for i, name in enumerate(names):
        counts: dict[str, Any] = {f"{kind}s": int(of.counts[i]) for kind, of in units.items()}
        if name in on_routes:
            counts |= on_routes[name]._asdict()
        if name in place:
            found.append(_judged_row(name, place[name], sample.shares, shown, counts))
        else:
            found.append(InstanceRow(name=name, share=None, expected_share=0, deviation=None, **counts))
    return tuple(found)


def _judged_row(
    name: str, i: int, shares: Sequence[float], shown: Evidence, counts: Mapping[str, Any]
) -> InstanceRow:
    residual = shown.residuals[i] if shown.residuals else None
    return InstanceRow(
        name=name,
        share=shown.judged.instances[i].share,
        expected_share=shares[i],
        deviation=shown.judged.instances[i].deviation,
        interval=None if residual is None else (shown.intervals[i, 0], shown.intervals[i, 1]),
        residual=residual,
        **counts,
    )
