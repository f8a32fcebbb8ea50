"""What happens to instances while load runs: carried out on time, and told to whoever follows them.

Two threads stand beside the one that drives the load. One carries out the scenario's events. The other is the
watcher, of which there is one for all strategies that do not follow their members themselves: it reads the
engine's stream of changes, and has the strategy take over the members that there are. A replacement switches
members itself, whether or not anybody watches.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from harness.engines.base import Version
from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.engines.base import Change, Engine
    from harness.scenario.script import Step
    from harness.types import Member

    Follow = Callable[[Sequence[Member]], None]

_END_DEADLINE_S = 30
_WATCHED = ("kill", "stop", "start")  # nobody tells of one that is frozen, or slow: it is there


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


class Cast:
    """The members that a strategy knows, changed by one at a time: the watcher, or a replacement.

    Parameters
    ----------
    members
        Those that it was exposed with.
    follow
        Has the strategy take over members.

    Attributes
    ----------
    followed
        Of each change that was followed, whose it was, whether it had joined, and when it had been followed.
    """

    def __init__(self, members: Sequence[Member], follow: Follow) -> None:
        self._members = {member.name: member for member in members}
        self._follow = follow
        self._held: set[str] = set()
        self._lock = threading.Lock()
        self.followed: list[tuple[str, bool, int]] = []

    def hold(self, names: Sequence[str]) -> None:
        """Leave these out, though they are there, until a replacement takes them in."""
        with self._lock:
            self._held.update(names)

    def take(self, change: Change) -> None:
        """Follow a change.

        Raises
        ------
        HarnessError
            The strategy could not.
        """
        with self._lock:
            members = {name: member for name, member in self._members.items() if name != change.name}
            if change.member is not None and change.name not in self._held:
                before = self._members.get(change.name)
                members[change.name] = replace(change.member, weight=before.weight if before else 1)
            if members == self._members or not members:
                return  # there is nobody that could be named to anybody
            self._set(members, [(change.name, change.member is not None)])

    def switch(self, leave: Sequence[str], join: Sequence[Member], weights: Mapping[str, int]) -> int:
        """Take members in and others out in one step, with the weights of all; gives when it was done.

        Raises
        ------
        HarnessError
            The strategy could not.
        """
        with self._lock:
            stay = [member for name, member in self._members.items() if name not in leave]
            members = [replace(one, weight=weights.get(one.name) or one.weight) for one in [*stay, *join]]
            self._held.difference_update(member.name for member in join)
            changes = [(name, False) for name in leave] + [(member.name, True) for member in join]
            return self._set({member.name: member for member in members}, changes)

    def _set(self, members: dict[str, Member], changes: Sequence[tuple[str, bool]]) -> int:
        self._follow(list(members.values()))
        self._members = members
        now_ns = time.monotonic_ns()
        self.followed += [(name, joined, now_ns) for name, joined in changes]
        return now_ns


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
