"""`replace`: a new version comes, in place of instances or beside them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from harness.common.quantities import format_percentage
from harness.faults.kind import FaultKind
from harness.faults.population import Effect, ImpossibleError, listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.engines.base import Engine
    from harness.faults.membership import Membership
    from harness.faults.population import PlannedFault, Population, Turn
    from harness.faults.request import Request

_MOST_WEIGHT = 256
_CLOSE = Fraction(1, 200)  # of a canary's share: weights are whole numbers, and small ones go everywhere


def _check(event: Request) -> str:
    if event.with_ is None or event.style is None:
        return "a replacement has a version and a style, as in {with: green, style: rolling}; write both"
    if event.for_ns is not None and event.style != "rolling":
        return f"for belongs to style: rolling; take it out of {event.style}"
    if event.weights and event.style != "canary":
        return f"weights belong to style: canary; take them out of {event.style}"
    for name, share in (event.weights or {}).items():
        if name != event.with_:
            return f"weights: there is no version {name!r}; write {event.with_}"
        if not 0 < share < 1:
            words = f"weights.{name}: {format_percentage(share)} is out of range"
            return f"{words}; write more than 0% and less than 100%"
    return ""


def _split(population: Population, turn: Turn) -> list[Turn]:
    """Give the turns of a rolling replacement, one for each instance that is replaced."""
    if turn.event.style != "rolling":
        return []
    whom = _replaced(population, turn)
    spread_ns = turn.event.for_ns or 0
    return [
        replace(turn, at_ns=turn.at_ns + k * spread_ns // len(whom), number=k + 1, of=len(whom), whom=name)
        for k, name in enumerate(whom)
    ]


def _replaced(population: Population, turn: Turn) -> tuple[str, ...]:
    new, source = turn.event.with_, population.source
    old = [one for one in population.there if one not in source or source[one].with_ != new]
    return population.chosen(turn, old)


def _plan(population: Population, turn: Turn) -> Effect:
    version = turn.event.with_ or ""
    canary, rolling = turn.event.style == "canary", turn.event.style == "rolling"
    # Another event may have ended the one whose turn it is.
    old = (turn.whom,) if rolling else _replaced(population, turn)
    joined = population.named(version, len(old))
    population.source |= dict.fromkeys(joined, turn.event)
    if canary:
        _weigh(population, turn, joined)
        return Effect((), joined, f"canary {listed(joined)}")
    for name, new in zip(old, joined, strict=True):
        population.there[new] = population.there.get(name, 1)
    old = tuple(name for name in old if name in population.there)
    population.take_out(old)
    part = f" ({turn.number} of {turn.of})" if rolling else ""
    return Effect(old, joined, f"{turn.event.style} to {version}{part}")


def _weigh(population: Population, turn: Turn, joined: Sequence[str]) -> None:
    """Give newcomers, and those that are there, the weights by which newcomers get their share."""
    share = (turn.event.weights or {}).get(turn.event.with_ or "")
    if share is None:
        population.there |= dict.fromkeys(joined, 1)
        return
    wanted = Fraction(share).limit_denominator(10_000)
    there, most = sum(population.there.values()), max(population.there.values())
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
            f"{len(population.there)}; write another share, or replace more",
            turn.place,
            "weights",
        )
    population.there = {name: before * times for name, before in population.there.items()}
    population.there |= dict.fromkeys(joined, weight)


def _apply(fault: PlannedFault, engine: Engine, membership: Membership) -> int:
    membership.hold(fault.joined)
    members = engine.start(fault.joined, fault.version(), fault.weights)
    followed_ns = membership.switch(fault.members, members, fault.weights)
    if fault.members:
        engine.end(fault.members, kill=False)
    return followed_ns


REPLACE: Final = FaultKind(
    name="replace",
    does="Which instances a new version takes the place of, or beside how many it is.",
    plan=_plan,
    apply=_apply,
    keys=("with", "style", "weights", "for", "application"),
    check=_check,
    split=_split,
    ends=True,
    joins=True,
    switches=True,
)
