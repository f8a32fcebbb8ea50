"""`slow`: the sample waits before each answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.common.quantities import format_duration
from harness.faults.kind import FaultKind
from harness.faults.population import Effect, listed

if TYPE_CHECKING:
    from harness.engines.base import Engine
    from harness.faults.membership import Membership
    from harness.faults.population import PlannedFault, Population, Turn


def _plan(population: Population, turn: Turn) -> Effect:
    members = population.chosen(turn, [*population.there])
    return Effect(members, (), f"slow {listed(members)} {format_duration(turn.event.value)}")


def _apply(fault: PlannedFault, engine: Engine, _membership: Membership) -> None:
    engine.degrade(fault.members, slow_ns=fault.event.value)


SLOW: Final = FaultKind(
    name="slow",
    does="Have the sample wait so long before each answer; 0s ends it.",
    plan=_plan,
    apply=_apply,
    value="duration",
    keys=("who",),
    sample=True,
)
