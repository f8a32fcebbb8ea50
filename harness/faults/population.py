"""The instances that are there while one fault after another is planned."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from harness.common.quantities import parse_percentage
from harness.engines.base import Version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.faults.request import Request

_MOST_LISTED = 3


class ImpossibleError(Exception):
    """An event that can't be, as things stand when its turn comes.

    Attributes
    ----------
    place, key
        Which event, counted from 0, and which of its keys.
    """

    def __init__(self, words: str, place: int, key: str) -> None:
        super().__init__(words)
        self.place = place
        self.key = key


@dataclass(frozen=True)
class PlannedFault:
    """Something that is done at one moment.

    Attributes
    ----------
    at_ns
        When, from the beginning of the load on.
    event
        The event that it is part of.
    action
        What is done.
    members
        The instances that it is done to; of a replacement, those that are replaced, none of a canary's.
    joined
        The instances that come by it.
    weights
        What each instance so far is to get from then on, in relation to the others; 0 for one that is gone
        or frozen.
    label
        What it is, for people.
    source
        The replacement that brought the version of those that come; None for the first version.
    """

    at_ns: int
    event: Request
    action: str
    members: tuple[str, ...]
    joined: tuple[str, ...]
    weights: Mapping[str, int]
    label: str
    source: Request | None = None

    @property
    def shares(self) -> dict[str, float]:
        """Give each instance's intended share of the units from then on."""
        total = sum(self.weights.values())
        return {name: weight / total for name, weight in self.weights.items()}

    def version(self) -> Version | None:
        """Give what newcomers are a version of; None for what was there first."""
        if self.source is None:
            return None
        release, name = self.source.application, self.source.with_ or ""
        if release is None:
            return Version(name)
        return Version(name, release.command, release.image, release.env)


@dataclass(frozen=True, order=True)
class Turn:
    """An event's turn, or that of one instance in a rolling replacement: `whom`, the `number`th of `of`."""

    at_ns: int
    place: int
    event: Request = field(compare=False)
    number: int = 0
    of: int = 1
    whom: str = ""

    def impossible(self, words: str) -> ImpossibleError:
        """Make the error that says that this can't be."""
        return ImpossibleError(words, self.place, self.event.action)


class Effect(NamedTuple):
    """What a turn amounts to: the instances concerned, those that come by it, and a label for people."""

    members: tuple[str, ...]
    joined: tuple[str, ...]
    label: str


class Population:
    """The instances that are there, with their weights, while fault after fault is planned.

    Parameters
    ----------
    instances
        Name and weight of those that are there at the beginning.

    Attributes
    ----------
    there, gone
        Name and weight of those that are there, in the order of their coming, and of those that have ended.
    frozen
        Those of them that are frozen.
    source
        The replacement that brought an instance's version; no entry for the first version.
    """

    def __init__(self, instances: Mapping[str, int]) -> None:
        self.there = dict(instances)
        self.gone: dict[str, int] = {}
        self.frozen: set[str] = set()
        self.source: dict[str, Request] = {}
        self._numbers = {"instance": len(instances)}

    def weights(self) -> dict[str, int]:
        """Give what each instance so far is to get, in relation to the others; 0 if gone or frozen."""
        weights = {name: 0 if name in self.frozen else weight for name, weight in self.there.items()}
        return weights | dict.fromkeys(self.gone, 0)

    def awake(self) -> list[str]:
        """Give those that are not frozen."""
        return [name for name in self.there if name not in self.frozen]

    def chosen(self, turn: Turn, names: Sequence[str]) -> tuple[str, ...]:
        """Give the instances that an event means, of these.

        Raises
        ------
        ImpossibleError
            There are not so many, or none of this name.
        """
        whom = turn.event.whom
        if isinstance(whom, str):
            if whom in names:
                return (whom,)
            if whom != "all" and not whom.endswith("%"):
                raise turn.impossible(f"there is no {whom} then (there are: {', '.join(names) or 'none'})")
            share = 1.0 if whom == "all" else parse_percentage(whom)
            if share > 1:
                raise turn.impossible(f"{whom} are more than there are")
            whom = max(math.floor(share * len(names) + 0.5), 1)
        if whom > len(names):
            raise turn.impossible(f"{whom} are too many; there are {len(names)} then")
        return tuple(names[-whom:])

    def end(self, turn: Turn) -> Effect:
        """Have the instances end that an event means."""
        # By its name, a frozen one can be meant, too.
        names = self.awake() if isinstance(turn.event.whom, int) else [*self.there]
        members = self.chosen(turn, names)
        self.take_out(members)
        return Effect(members, (), f"{turn.event.action} {listed(members)}")

    def take_out(self, names: Sequence[str]) -> None:
        """Have these end."""
        for name in names:
            self.gone[name] = self.there.pop(name)
            self.frozen.discard(name)

    def named(self, prefix: str, number: int) -> tuple[str, ...]:
        """Give the next names of this kind that no instance has or had."""
        names: list[str] = []
        while len(names) < number:
            self._numbers[prefix] = self._numbers.get(prefix, 0) + 1
            name = f"{prefix}-{self._numbers[prefix]}"
            if name not in self.there and name not in self.gone:
                names.append(name)
        return tuple(names)


def listed(names: Sequence[str]) -> str:
    """Name instances, or say how many they are."""
    return ", ".join(names) if len(names) <= _MOST_LISTED else f"{len(names)} instances"
