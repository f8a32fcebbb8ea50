"""What a run observes, put together from single values."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from harness.analysis.observed import Balancing, Environment, Observed, Readings
from harness.load.driver import PhaseResult

_DRIVEN: dict[str, Any] = {
    "identities": (),
    "requests": 0,
    "errors": 0,
    "error_counts": {},
    "cpu_ns": 0,
    "odd_answer": None,
}


def observed_of(*, wall_ns: int, generator_cpu_ns: int = 0, **values: Any) -> Observed:
    """Sort values into the groups of `Observed` by the names of their fields."""
    groups = {"balancing": Balancing, "readings": Readings, "environment": Environment}
    made: dict[str, Any] = {
        group: kind(**{one.name: values.pop(one.name) for one in fields(kind) if one.name in values})
        for group, kind in groups.items()
    }
    own = {one.name: values.pop(one.name) for one in fields(PhaseResult) if one.name in values}
    load = PhaseResult(**(_DRIVEN | {"wall_ns": wall_ns, "cpu_ns": generator_cpu_ns} | own))
    return Observed(**made, load=load, **values)
