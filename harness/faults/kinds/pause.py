"""`pause`: instances freeze."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.faults.kind import FaultKind
from harness.faults.population import Effect, listed

if TYPE_CHECKING:
    from harness.engines.base import Engine
    from harness.faults.membership import Membership
    from harness.faults.population import PlannedFault, Population, Turn


def _plan(population: Population, turn: Turn) -> Effect:
    members = population.chosen(turn, population.awake())
    population.frozen.update(members)
    return Effect(members, (), f"pause {listed(members)}")


def _apply(fault: PlannedFault, engine: Engine, _membership: Membership) -> None:
    engine.freeze(fault.members, frozen=True)


PAUSE: Final = FaultKind(
    name="pause",
    does="Freeze them, as `docker pause` does.",
    plan=_plan,
    apply=_apply,
)
