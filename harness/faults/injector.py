"""What happens to instances while load runs: faults are injected on time, and membership is kept up to date.

Two threads stand beside the one that drives the load. One, the injector, carries out the scenario's planned
faults. The other is the watcher, of which there is one for all strategies that do not follow their members
themselves: it reads the engine's stream of changes, and has the strategy take over the members that there
are. A replacement switches members itself, with a watcher or without.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from harness.errors import HarnessError
from harness.faults import FAULTS
from harness.faults.events import FaultEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.engines.base import Change, Engine
    from harness.faults.membership import Membership
    from harness.faults.population import PlannedFault

_END_DEADLINE_S = 30


class Watcher:
    """Follows the engine's changes, in a thread of its own, and tells the strategy through its membership.

    Parameters
    ----------
    engine
        What runs the members.
    membership
        The members that the strategy knows.

    Attributes
    ----------
    failures
        Changes that could not be followed, one sentence each.
    """

    def __init__(self, engine: Engine, membership: Membership) -> None:
        self._changes = engine.changes()
        self._membership = membership
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self.failures: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._changes.close()
        self._thread.join(_END_DEADLINE_S)

    def _watch(self) -> None:
        try:
            for change in self._changes:
                self._take(change)
        except HarnessError as error:
            self.failures.append(f"members could not be followed any further: {error}")

    def _take(self, change: Change) -> None:
        try:
            self._membership.take(change)
        except HarnessError as error:
            self.failures.append(f"{change.name} could not be followed: {error}")


class FaultInjector:
    """Carries out planned faults, in a thread of its own, against the clock of the load that begins with it.

    Parameters
    ----------
    faults
        What is to happen, in this order.
    engine
        What runs the instances.
    membership
        The members that the strategy knows, which replacements switch.
    """

    def __init__(self, faults: Sequence[PlannedFault], engine: Engine, membership: Membership) -> None:
        self._faults = faults
        self._engine = engine
        self._membership = membership
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._carry_out, name="events", daemon=True)
        self._events: list[FaultEvent] = []
        self._failure: HarnessError | None = None
        self._began_s = 0.0

    def __enter__(self) -> Self:
        self._began_s = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join(_END_DEADLINE_S)

    def _carry_out(self) -> None:
        for fault in self._faults:
            if self._over.wait(max(0.0, self._began_s + fault.at_ns / 1e9 - time.monotonic())):
                return
            began_ns = time.monotonic_ns()
            try:
                followed_ns = FAULTS.find(fault.action).apply(fault, self._engine, self._membership)
            except HarnessError as error:
                self._failure = error
                return
            self._events.append(
                FaultEvent(
                    action=fault.action,
                    members=fault.members,
                    began_ns=began_ns,
                    done_ns=time.monotonic_ns(),
                    followed_ns=followed_ns,
                    joined=fault.joined,
                    shares=fault.shares,
                    label=fault.label,
                )
            )

    def events(self) -> list[FaultEvent]:
        """Give the faults that were applied, with the moments at which the strategy had followed it.

        Raises
        ------
        HarnessError
            A fault could not be carried out.
        """
        if self._failure is not None:
            raise self._failure
        return [self._with_follower(each) for each in self._events]

    def _with_follower(self, each: FaultEvent) -> FaultEvent:
        if each.followed_ns is not None or not FAULTS.find(each.action).watched:
            return each
        whose = {(name, False) for name in each.members} | {(name, True) for name in each.joined}
        moments: dict[tuple[str, bool], int] = {}
        for name, joined, moment_ns in self._membership.followed:
            if moment_ns >= each.began_ns:
                moments.setdefault((name, joined), moment_ns)
        if not whose or not whose <= moments.keys():
            return each
        return replace(each, followed_ns=max(moments[one] for one in whose))
