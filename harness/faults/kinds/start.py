"""`start`: further instances come, or one that has ended comes again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.faults.kind import FaultKind
from harness.faults.population import Effect, listed

if TYPE_CHECKING:
    from harness.engines.base import Engine
    from harness.faults.membership import Membership
    from harness.faults.population import PlannedFault, Population, Turn


def _plan(population: Population, turn: Turn) -> Effect:
    whom = turn.event.whom
    if isinstance(whom, int):
        joined = population.named("instance", whom)
    elif whom in population.there:
        raise turn.impossible(f"{whom} is there already")
    else:
        joined = population.chosen(turn, [*population.gone])
    for name in joined:
        population.there[name] = population.gone.pop(name, 1)
    return Effect((), joined, f"start {listed(joined)}")


def _apply(fault: PlannedFault, engine: Engine, _membership: Membership) -> None:
    engine.start(fault.joined, fault.version(), fault.weights)


START: Final = FaultKind(
    name="start",
    does="Start so many further instances, or this one, which has ended, again.",
    plan=_plan,
    apply=_apply,
    joins=True,
)
