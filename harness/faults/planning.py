"""What events amount to: which instances come and go, in which order, and what each is to get then.

All of it is known before anything runs. A replacement is one planned fault where everything changes at once
(blue-green, canary), and one for each instance where it goes from one to the next (rolling).
"""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

from harness.common.quantities import format_duration
from harness.faults import FAULTS
from harness.faults.population import ImpossibleError, PlannedFault, Population, Turn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.faults.request import Request


def plan_faults(events: Sequence[Request], instances: Mapping[str, int]) -> list[PlannedFault]:
    """Give the planned faults of all events, in their order.

    Parameters
    ----------
    events
        In any order.
    instances
        Name and weight of those that are there at the beginning.

    Raises
    ------
    ImpossibleError
        An event means more instances than there are, leaves none, or comes while another goes on.
    """
    _require_apart(events)
    population = Population(instances)
    turns = [Turn(event.at_ns, place, event) for place, event in enumerate(events)]
    heapq.heapify(turns)
    planned: list[PlannedFault] = []
    while turns:
        turn = heapq.heappop(turns)
        parts = [] if turn.whom else FAULTS.find(turn.event.action).split(population, turn)
        for part in parts:
            heapq.heappush(turns, part)
        if not parts:
            planned.append(_taken(population, turn))
    return planned


def _taken(population: Population, turn: Turn) -> PlannedFault:
    """Take an event's turn."""
    effect = FAULTS.find(turn.event.action).plan(population, turn)
    weights = population.weights()
    if not any(weights.values()):
        raise turn.impossible("no instance would be left")
    source = population.source.get(effect.joined[0]) if effect.joined else None
    return PlannedFault(
        turn.at_ns,
        turn.event,
        turn.event.action,
        effect.members,
        effect.joined,
        weights,
        effect.label,
        source,
    )


def _require_apart(events: Sequence[Request]) -> None:
    """See that no replacement begins while another goes on, as far as that is known."""
    replaces = [
        (event.at_ns, place) for place, event in enumerate(events) if FAULTS.find(event.action).switches
    ]
    replaces.sort()
    for (before_ns, before), (at_ns, place) in itertools.pairwise(replaces):
        until_ns = before_ns + (events[before].for_ns or 0)
        if at_ns == before_ns or at_ns < until_ns:
            words = f"the replacement before it, at {format_duration(before_ns)}, goes on until then"
            raise ImpossibleError(words, place, events[place].action)
