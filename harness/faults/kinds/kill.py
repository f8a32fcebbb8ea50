"""`kill`: instances end by SIGKILL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.faults.kind import FaultKind
from harness.faults.population import Population

if TYPE_CHECKING:
    from harness.engines.base import Engine
    from harness.faults.membership import Membership
    from harness.faults.population import PlannedFault


def _apply(fault: PlannedFault, engine: Engine, _membership: Membership) -> None:
    engine.end(fault.members, kill=True)


KILL: Final = FaultKind(
    name="kill",
    does=(
        "End these instances by SIGKILL: one by its name, so many, a share of those there, or all; of a "
        "number, the last ones."
    ),
    plan=Population.end,
    apply=_apply,
    ends=True,
)
