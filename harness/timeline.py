"""What happens to instances while load runs: carried out on time, and told to whoever follows them.

Two threads stand beside the one that drives the load. One carries out the scenario's events. The other is the
watcher, of which there is one for all strategies that do not follow their members themselves: it reads the
engine's stream of events, and has the strategy take over the members that are left.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.engines.base import Change, Engine
    from harness.scenario.script import Step
    from harness.strategies.base import Member

_END_DEADLINE_S = 30


@dataclass(frozen=True)
class Happened:
    """An event that was carried out; moments are on the monotonic clock.

    A rolling replacement is one of these for each instance that is replaced, one after the other; a
    blue-green one, and a canary, are one each.

    Attributes
    ----------
    action, members
        What was done (a key of `harness.scenario.Event`) to whom; of a replacement, those whose place was
        taken, none of a canary's.
    began_ns, done_ns
        When it was asked for, and when the engine said that it was done: those who were to end had ended,
        those who were to come listened.
    followed_ns
        When the strategy had taken over the members that there are since: the watcher told it, or a
        replacement did, whose cut this is. None where nobody tells it.
    joined
        Who came by it.
    shares
        Each instance's intended share of the units from then on, by its name; who is gone or frozen has 0.
    label
        What it was, for people, as in "kill instance-4".
    """

    action: str
    members: tuple[str, ...]
    began_ns: int
    done_ns: int
    followed_ns: int | None = None
    joined: tuple[str, ...] = ()
    shares: Mapping[str, float] = field(default_factory=dict)
    label: str = ""


class Watcher:
    """Follows the engine's events, and tells who wants to know of the members that are left.

    Parameters
    ----------
    engine
        What runs the members.
    members
        Those that there are.
    follow
        Called with the members that are left, in the watcher's thread.

    Attributes
    ----------
    followed
        Each change, and the moment on the monotonic clock at which it had been followed.
    failures
        Changes that could not be followed, one sentence each.
    """

    def __init__(
        self, engine: Engine, members: Sequence[Member], follow: Callable[[Sequence[Member]], None]
    ) -> None:
        self._changes = engine.changes()
        self._members = {member.name: member for member in members}
        self._left = set(self._members)
        self._follow = follow
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self.followed: list[tuple[Change, int]] = []
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
                if change.name in self._members:
                    self._take(change)
        except HarnessError as error:
            self.failures.append(f"members could not be followed any further: {error}")

    def _take(self, change: Change) -> None:
        before = set(self._left)
        (self._left.add if change.running else self._left.discard)(change.name)
        if self._left == before or not self._left:
            return  # nobody is left that could be named to anybody
        try:
            self._follow([member for name, member in self._members.items() if name in self._left])
        except HarnessError as error:
            self.failures.append(f"{change.name} could not be followed: {error}")
            return
        self.followed.append((change, time.monotonic_ns()))


class Timeline:
    """Carries out events, in a thread of its own, against the clock of the load that begins with it.

    Parameters
    ----------
    steps
        What is to happen, in this order.
    engine
        What runs the instances.
    """

    def __init__(self, steps: Sequence[Step], engine: Engine) -> None:
        self._steps = steps
        self._engine = engine
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._carry_out, name="events", daemon=True)
        self.happened: list[Happened] = []
        self.failure: HarnessError | None = None

    def __enter__(self) -> Self:
        self._begin_s = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join(_END_DEADLINE_S)

    def _carry_out(self) -> None:
        for step in self._steps:
            if self._over.wait(max(0.0, self._begin_s + step.at_ns / 1e9 - time.monotonic())):
                return
            began_ns = time.monotonic_ns()
            try:
                self._engine.end(step.members, kill=step.action == "kill")
            except HarnessError as error:
                self.failure = error
                return
            self.happened.append(
                Happened(
                    step.action,
                    step.members,
                    began_ns,
                    time.monotonic_ns(),
                    joined=step.joined,
                    shares=step.shares,
                    label=step.label,
                )
            )

    def told(self, watcher: Watcher | None) -> list[Happened]:
        """Give what happened, with the moments at which the watcher had followed it.

        Raises
        ------
        HarnessError
            An event could not be carried out.
        """
        if self.failure is not None:
            raise self.failure
        if watcher is None:
            return self.happened
        last = {change.name: moment_ns for change, moment_ns in watcher.followed if not change.running}
        return [
            replace(each, followed_ns=max(last[name] for name in each.members))
            if last.keys() >= set(each.members)
            else each
            for each in self.happened
        ]
