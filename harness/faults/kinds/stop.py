"""`stop`: instances end in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.faults.kind import FaultKind
from harness.faults.population import Population

if TYPE_CHECKING:
    from harness.engines.base import Engine
    from harness.faults.membership import Membership
    from harness.faults.population import PlannedFault


def _apply(fault: PlannedFault, engine: Engine, _membership: Membership) -> None:
    engine.end(fault.members, kill=False)


STOP: Final = FaultKind(
    name="stop",
    does="End them in order, as `docker stop` does: SIGTERM.",
    plan=Population.end,
    apply=_apply,
    ends=True,
)
