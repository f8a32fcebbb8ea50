"""Faults: what happens to instances while the load runs, planned and applied.

In: the events of a scenario and an engine; out: fault events, with their times. Each kind of fault is one
file of `harness.faults.kinds`; those of other packages are found through the entry-point group
``harness.faults``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.common.registry import Registry
from harness.errors import ScenarioError

if TYPE_CHECKING:
    from harness.faults.kind import FaultKind

_BUILT_IN = {
    "fail": "harness.faults.kinds.fail:FAIL",
    "kill": "harness.faults.kinds.kill:KILL",
    "pause": "harness.faults.kinds.pause:PAUSE",
    "replace": "harness.faults.kinds.replace:REPLACE",
    "resume": "harness.faults.kinds.resume:RESUME",
    "slow": "harness.faults.kinds.slow:SLOW",
    "start": "harness.faults.kinds.start:START",
    "stop": "harness.faults.kinds.stop:STOP",
}

FAULTS: Registry[FaultKind] = Registry("fault", "harness.faults", _BUILT_IN, ScenarioError)


def fault_kinds() -> list[FaultKind]:
    """List every kind of fault, by name."""
    return [FAULTS.find(name) for name in FAULTS.names()]
