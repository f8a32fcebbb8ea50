"""What a kind of fault is: how a scenario writes it, what it means for instances, how it is applied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.engines.base import Engine
    from harness.faults.membership import Membership
    from harness.faults.population import Effect, PlannedFault, Population, Turn
    from harness.faults.request import Request


def _no_complaint(_request: Request) -> str:
    return ""


def _one_turn(_population: Population, _turn: Turn) -> list[Turn]:
    return []


@dataclass(frozen=True)
class FaultKind:
    """A kind of fault. Other packages add theirs by the entry-point group ``harness.faults``.

    Attributes
    ----------
    name
        Its key in an event: ``{at: 3s, NAME: ...}``.
    does
        What it does, in a sentence for the scenario's schema and `harness list faults`.
    plan
        Carries it out on the population, before anything runs, and says which instances it concerns.
    apply
        Carries it out by the engine. Gives when the strategy had followed it, on the monotonic clock; None
        where telling the strategy is no part of it.
    value
        What stands behind the name in an event: ``whom``, ``duration`` or ``share`` (0% to 100%). A kind with
        a duration or a share needs ``who`` among its `keys`, for the instances that are meant.
    keys
        The keys that may stand beside the name: of ``who``, ``with``, ``style``, ``weights``, ``for`` and
        ``application``.
    check
        Says what is wrong with an event of this kind; empty where nothing is.
    split
        Gives the turns that an event consists of, in place of its own; none where it has one turn.
    sample
        Whether only the sample application can do it.
    ends, joins
        Whether instances end, or come.
    switches
        Whether it tells the strategy of its members itself. One such event ends before the next begins.
    """

    name: str
    does: str
    plan: Callable[[Population, Turn], Effect]
    apply: Callable[[PlannedFault, Engine, Membership], int | None]
    value: Literal["whom", "duration", "share"] = "whom"
    keys: tuple[str, ...] = ()
    check: Callable[[Request], str] = _no_complaint
    split: Callable[[Population, Turn], list[Turn]] = _one_turn
    sample: bool = False
    ends: bool = False
    joins: bool = False
    switches: bool = False

    @property
    def watched(self) -> bool:
        """Whether a watcher tells the strategy of it: one that is frozen or slow is still a member."""
        return (self.ends or self.joins) and not self.switches
