"""What a scenario's events amount to: who comes and goes, in which order, and who is to get what then.

All of it is known before anything runs. A replacement is one step where everything changes at once
(blue-green, canary), and a step for each instance where it goes from one to the next (rolling).
"""

from __future__ import annotations

import heapq
import itertools
import math
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

from harness.common.quantities import format_duration, format_percentage, parse_percentage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.scenario.events import Event

_Done: TypeAlias = "tuple[tuple[str, ...], tuple[str, ...], str]"  # members, joined, label
_MOST_WEIGHT = 256
_MOST_LISTED = 3
_CLOSE = Fraction(1, 200)  # of a canary's share: weights are whole numbers, and small ones go everywhere


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
        Whose step it is.
    action
        What is done.
    members
        To whom; of a replacement, those whose place is taken, none of a canary's.
    joined
        Who comes by it.
    weights
        What each instance so far is to get from then on, in relation to the others; 0 for who is gone or
        frozen.
    label
        What it is, for people.
    source
        The replacement that brought the version of those who join; None for the first version.
    """

    at_ns: int
    event: Event
    action: str
    members: tuple[str, ...]
    joined: tuple[str, ...]
    weights: Mapping[str, int]
    label: str
    source: Event | None = None

    @property
    def shares(self) -> dict[str, float]:
        """Give each instance's intended share of the units from then on."""
        total = sum(self.weights.values())
        return {name: weight / total for name, weight in self.weights.items()}


def script(events: Sequence[Event], instances: Mapping[str, int]) -> list[PlannedFault]:
    """Give the steps of all events, in their order.

    Parameters
    ----------
    events
        In any order.
    instances
        Name and weight of those that are there at the beginning.

    Raises
    ------
    ImpossibleError
        An event means more instances than there are, leaves nobody, or comes while another goes on.
    """
    _require_apart(events)
    population = _Population(instances)
    turns = [_Turn(event.at_ns, place, event) for place, event in enumerate(events)]
    heapq.heapify(turns)
    steps: list[PlannedFault] = []
    while turns:
        turn = heapq.heappop(turns)
        if turn.event.style == "rolling" and not turn.whom:
            for one in population.rolled(turn):
                heapq.heappush(turns, one)
        else:
            steps.append(population.taken(turn))
    return steps


def _require_apart(events: Sequence[Event]) -> None:
    """See that no replacement begins while another goes on, as far as that is known."""
    replaces = [(event.at_ns, place) for place, event in enumerate(events) if event.replace is not None]
    replaces.sort()
    for (before_ns, before), (at_ns, place) in itertools.pairwise(replaces):
        until_ns = before_ns + (events[before].for_ns or 0)
        if at_ns == before_ns or at_ns < until_ns:
            words = f"the replacement before it, at {format_duration(before_ns)}, goes on until then"
            raise ImpossibleError(words, place, "replace")


@dataclass(frozen=True, order=True)
class _Turn:
    """An event's turn, or that of one instance in a rolling replacement: `whom`, the `number`th of `of`."""

    at_ns: int
    place: int
    event: Event = field(compare=False)
    number: int = 0
    of: int = 1
    whom: str = ""

    def impossible(self, words: str) -> ImpossibleError:
        return ImpossibleError(words, self.place, self.event.action)


class _Population:
    """Who is there, while event after event is gone through."""

    def __init__(self, instances: Mapping[str, int]) -> None:
        self._there = dict(instances)
        self._gone: dict[str, int] = {}
        self._frozen: set[str] = set()
        self._source: dict[str, Event] = {}
        self._numbers = {"instance": len(instances)}

    def taken(self, turn: _Turn) -> PlannedFault:
        """Take an event's turn."""
        members, joined, label = getattr(self, f"_{turn.event.action}")(turn)
        weights = {name: 0 if name in self._frozen else weight for name, weight in self._there.items()}
        if not any(weights.values()):
            raise turn.impossible("nobody would be left")
        weights |= dict.fromkeys(self._gone, 0)
        source = self._source.get(joined[0]) if joined else None
        return PlannedFault(
            turn.at_ns, turn.event, turn.event.action, members, joined, weights, label, source
        )

    def rolled(self, turn: _Turn) -> list[_Turn]:
        """Give the turns of a rolling replacement, one for each instance that is replaced."""
        whom = self._replaced(turn)
        spread_ns = turn.event.for_ns or 0
        return [
            replace(
                turn, at_ns=turn.at_ns + k * spread_ns // len(whom), number=k + 1, of=len(whom), whom=name
            )
            for k, name in enumerate(whom)
        ]

    def _chosen(self, turn: _Turn, names: Sequence[str]) -> tuple[str, ...]:
        """Give those whom an event means, of these."""
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

    def _awake(self) -> list[str]:
        return [name for name in self._there if name not in self._frozen]

    def _end(self, names: Sequence[str]) -> None:
        for name in names:
            self._gone[name] = self._there.pop(name)
            self._frozen.discard(name)

    def _named(self, prefix: str, number: int) -> tuple[str, ...]:
        """Give the next names of this kind that nobody has or had."""
        names: list[str] = []
        while len(names) < number:
            self._numbers[prefix] = self._numbers.get(prefix, 0) + 1
            name = f"{prefix}-{self._numbers[prefix]}"
            if name not in self._there and name not in self._gone:
                names.append(name)
        return tuple(names)

    def _kill(self, turn: _Turn) -> _Done:
        # By its name, a frozen one can be meant, too.
        members = self._chosen(turn, self._awake() if isinstance(turn.event.whom, int) else [*self._there])
        self._end(members)
        return members, (), f"{turn.event.action} {_listed(members)}"

    _stop = _kill

    def _pause(self, turn: _Turn) -> _Done:
        members = self._chosen(turn, self._awake())
        self._frozen.update(members)
        return members, (), f"pause {_listed(members)}"

    def _resume(self, turn: _Turn) -> _Done:
        members = self._chosen(turn, [name for name in self._there if name in self._frozen])
        self._frozen.difference_update(members)
        return members, (), f"resume {_listed(members)}"

    def _slow(self, turn: _Turn) -> _Done:
        members = self._chosen(turn, [*self._there])
        return members, (), f"slow {_listed(members)} {format_duration(turn.event.slow_ns or 0)}"

    def _fail(self, turn: _Turn) -> _Done:
        members = self._chosen(turn, [*self._there])
        return members, (), f"fail {_listed(members)} {format_percentage(turn.event.fail or 0)}"

    def _start(self, turn: _Turn) -> _Done:
        whom = turn.event.whom
        if isinstance(whom, int):
            joined = self._named("instance", whom)
        elif whom in self._there:
            raise turn.impossible(f"{whom} is there already")
        else:
            joined = self._chosen(turn, [*self._gone])
        for name in joined:
            self._there[name] = self._gone.pop(name, 1)
        return (), joined, f"start {_listed(joined)}"

    def _replaced(self, turn: _Turn) -> tuple[str, ...]:
        new = turn.event.with_
        old = [one for one in self._there if one not in self._source or self._source[one].with_ != new]
        return self._chosen(turn, old)

    def _replace(self, turn: _Turn) -> _Done:
        version = turn.event.with_ or ""
        canary, rolling = turn.event.style == "canary", turn.event.style == "rolling"
        # Somebody else may have ended the one whose turn it is.
        old = (turn.whom,) if rolling else self._replaced(turn)
        joined = self._named(version, len(old))
        self._source |= dict.fromkeys(joined, turn.event)
        if canary:
            self._weigh(turn, joined)
            return (), joined, f"canary {_listed(joined)}"
        for name, new in zip(old, joined, strict=True):
            self._there[new] = self._there.get(name, 1)
        old = tuple(name for name in old if name in self._there)
        self._end(old)
        part = f" ({turn.number} of {turn.of})" if rolling else ""
        return old, joined, f"{turn.event.style} to {version}{part}"

    def _weigh(self, turn: _Turn, joined: Sequence[str]) -> None:
        """Give newcomers, and those that are there, the weights by which newcomers get their share."""
        share = (turn.event.weights or {}).get(turn.event.with_ or "")
        if share is None:
            self._there |= dict.fromkeys(joined, 1)
            return
        wanted = Fraction(share).limit_denominator(10_000)
        there, most = sum(self._there.values()), max(self._there.values())
        # Each newcomer's weight to what the others' weights are multiplied by.
        ratio = wanted * there / ((1 - wanted) * len(joined))
        for times in range(1, _MOST_WEIGHT // most + 1):
            weight = min(max(round(ratio * times), 1), _MOST_WEIGHT)
            got = Fraction(weight * len(joined), weight * len(joined) + there * times)
            if abs(got - wanted) <= wanted * _CLOSE:
                break
        else:
            raise ImpossibleError(
                f"weights up to {_MOST_WEIGHT} can't give {format_percentage(share)} to {len(joined)} beside "
                f"{len(self._there)}; write another share, or replace more",
                turn.place,
                "weights",
            )
        self._there = {name: before * times for name, before in self._there.items()}
        self._there |= dict.fromkeys(joined, weight)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= _MOST_LISTED else f"{len(names)} instances"
