"""Faults as they were applied: what was done to which instances, and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class FaultEvent:
    """An event that was carried out; moments are on the monotonic clock.

    A rolling replacement is one of these for each instance that is replaced, one after the other; a
    blue-green one, and a canary, are one each.

    Attributes
    ----------
    action, members
        What was done (a key of `harness.scenario.Event`) and its instances; of a replacement, those
        whose place was taken, none of a canary's.
    began_ns, done_ns
        When it was requested, and when the engine reported it as done: instances that were to end had
        ended, those that were to start listened.
    followed_ns
        When the strategy had taken over the members that there are since: the watcher told it, or a
        replacement did, whose cut this is. None where no component tells it.
    joined
        The instances that it started.
    shares
        Each instance's intended share of the units from then on, by its name; 0 if it is gone or frozen.
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
