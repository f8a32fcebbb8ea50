"""The members that a strategy knows, while instances come and go."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.engines.base import Change
    from harness.types import Member

    Follow = Callable[[Sequence[Member]], None]


class Membership:
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
                return  # a strategy needs one member at least
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
