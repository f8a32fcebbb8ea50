"""`fail`: the sample answers with errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.common.quantities import format_percentage
from harness.faults.kind import FaultKind
from harness.faults.population import Effect, listed

if TYPE_CHECKING:
    from harness.engines.base import Engine
    from harness.faults.membership import Membership
    from harness.faults.population import PlannedFault, Population, Turn


def _plan(population: Population, turn: Turn) -> Effect:
    members = population.chosen(turn, [*population.there])
    return Effect(members, (), f"fail {listed(members)} {format_percentage(turn.event.value)}")


def _apply(fault: PlannedFault, engine: Engine, _membership: Membership) -> None:
    engine.degrade(fault.members, fail=fault.event.value)


FAIL: Final = FaultKind(
    name="fail",
    does="Have the sample answer this share of its requests with status 500; 0% ends it.",
    plan=_plan,
    apply=_apply,
    value="share",
    keys=("who",),
    sample=True,
)
