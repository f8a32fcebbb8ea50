"""What happens to instances while load runs: carried out on time, and told to whoever follows them.

Two threads stand beside the one that drives the load. One carries out the scenario's events. The other is the
watcher, of which there is one for all strategies that do not follow their members themselves: it reads the
engine's stream of changes, and has the strategy take over the members that there are. A replacement switches
members itself, whether or not anybody watches.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from harness.engines.base import Version
from harness.errors import HarnessError
from harness.faults.events import Happened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.engines.base import Change, Engine
    from harness.faults.membership import Cast
    from harness.scenario.script import Step

_END_DEADLINE_S = 30
_WATCHED = ("kill", "stop", "start")  # nobody tells of one that is frozen, or slow: it is there


class Watcher:
    """Follows the engine's changes, in a thread of its own, and tells the strategy by its cast.

    Parameters
    ----------
    engine
        What runs the members.
    cast
        The members that the strategy knows.

    Attributes
    ----------
    failures
        Changes that could not be followed, one sentence each.
    """

    def __init__(self, engine: Engine, cast: Cast) -> None:
        self._changes = engine.changes()
        self._cast = cast
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
            self._cast.take(change)
        except HarnessError as error:
            self.failures.append(f"{change.name} could not be followed: {error}")


class Timeline:
    """Carries out events, in a thread of its own, against the clock of the load that begins with it.

    Parameters
    ----------
    steps
        What is to happen, in this order.
    engine
        What runs the instances.
    cast
        The members that the strategy knows, which replacements switch.
    """

    def __init__(self, steps: Sequence[Step], engine: Engine, cast: Cast) -> None:
        self._steps = steps
        self._engine = engine
        self._cast = cast
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._carry_out, name="events", daemon=True)
        self._happened: list[Happened] = []
        self._failure: HarnessError | None = None

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
                followed_ns = self._do(step)
            except HarnessError as error:
                self._failure = error
                return
            self._happened.append(
                Happened(
                    action=step.action,
                    members=step.members,
                    began_ns=began_ns,
                    done_ns=time.monotonic_ns(),
                    followed_ns=followed_ns,
                    joined=step.joined,
                    shares=step.shares,
                    label=step.label,
                )
            )

    def _do(self, step: Step) -> int | None:
        """Carry a step out; gives when the strategy had followed it, where that is part of it."""
        engine, event = self._engine, step.event
        if step.action in {"kill", "stop"}:
            engine.end(step.members, kill=step.action == "kill")
        elif step.action in {"pause", "resume"}:
            engine.freeze(step.members, frozen=step.action == "pause")
        elif step.action in {"slow", "fail"}:
            engine.hamper(step.members, slow_ns=event.slow_ns, fail=event.fail)
        elif step.action == "start":
            engine.start(step.joined, _version(step), step.weights)
        else:
            self._cast.hold(step.joined)
            members = engine.start(step.joined, _version(step), step.weights)
            followed_ns = self._cast.switch(step.members, members, step.weights)
            if step.members:
                engine.end(step.members, kill=False)
            return followed_ns
        return None

    def told(self) -> list[Happened]:
        """Give what happened, with the moments at which the strategy had followed it.

        Raises
        ------
        HarnessError
            An event could not be carried out.
        """
        if self._failure is not None:
            raise self._failure
        return [self._with_follower(each) for each in self._happened]

    def _with_follower(self, each: Happened) -> Happened:
        if each.followed_ns is not None or each.action not in _WATCHED:
            return each
        whose = {(name, False) for name in each.members} | {(name, True) for name in each.joined}
        moments: dict[tuple[str, bool], int] = {}
        for name, joined, moment_ns in self._cast.followed:
            if moment_ns >= each.began_ns:
                moments.setdefault((name, joined), moment_ns)
        if not whose or not whose <= moments.keys():
            return each
        return replace(each, followed_ns=max(moments[one] for one in whose))


def _version(step: Step) -> Version | None:
    """Give what newcomers are a version of; None for what was there first."""
    if step.source is None:
        return None
    release, name = step.source.application, step.source.with_ or ""
    if release is None:
        return Version(name)
    return Version(name, release.command, release.image, release.env)
