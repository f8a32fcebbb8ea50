"""`resume`: frozen instances go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.faults.kind import FaultKind
from harness.faults.population import Effect, listed

if TYPE_CHECKING:
    from harness.engines.base import Engine
    from harness.faults.membership import Membership
    from harness.faults.population import PlannedFault, Population, Turn


def _plan(population: Population, turn: Turn) -> Effect:
    members = population.chosen(turn, [name for name in population.there if name in population.frozen])
    population.frozen.difference_update(members)
    return Effect(members, (), f"resume {listed(members)}")


def _apply(fault: PlannedFault, engine: Engine, _membership: Membership) -> None:
    engine.freeze(fault.members, frozen=False)


RESUME: Final = FaultKind(
    name="resume",
    does="Let frozen ones go on.",
    plan=_plan,
    apply=_apply,
)
