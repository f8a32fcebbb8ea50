"""What a strategy is: data that says what it can do, and the actions of three things to do.

A strategy puts N members behind one endpoint of a host. It knows nothing of load and statistics.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.strategies.actions import ByItself
from harness.strategies.capabilities import Capabilities, Discovery
from harness.strategies.executor import carry_out, facts_of
from harness.types import Counted, Endpoint, Family, Health, Layer, Member, Placement, Route, Transport, Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from harness.hosts.base import Host
    from harness.strategies.actions import Actions, Facts

# Strategies of other packages import the types from here.
__all__ = [
    "Capabilities",
    "Counted",
    "Endpoint",
    "Layer",
    "Member",
    "Options",
    "Placement",
    "Route",
    "Strategy",
    "Unit",
]


class Options(BaseModel):
    """A strategy's options in a scenario; a strategy that has some derives its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


FAMILIES = (
    "nothing in between",
    "sockets that share a port",
    "iptables",
    "nftables",
    "IPVS",
    "proxies for TCP",
    "proxies for HTTP",
)
"""The mechanisms of the strategies that come with the harness, in the order of tables."""


class Strategy:
    """One way to put several instances on one port.

    Its attributes are its capabilities, as `Capabilities` explains them, where options change none of them;
    one whose options do says so in `capabilities`.

    Attributes
    ----------
    name
        As a scenario says it.
    summary
        One line for tables and help.
    family
        The mechanism that it is a variant of, such as iptables, for tables in groups.
    adopts, watched
        What strategies of other packages may say in place of `discovery` and `watcher`: whether `update`
        changes where it leads to, and whether a watcher of the engine's events is part of it.
    packet_path
        The path of a packet from the client to an instance, as a small diagram.
    caveats
        What differs from what users expect: a Markdown list.
    commands
        Programs that must be on the host, each with the command that installs it.
    versions
        What to ask on the host for the versions of its parts, by the part's name.
    options_model
        The model of its options.
    health
        How instances tell that they are well, for those that check them.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    family: ClassVar[str] = "others"
    unit: Unit
    layer: ClassVar[Layer] = 4
    policy: str
    predicted: ClassVar[str]
    engines: ClassVar[frozenset[str] | None] = None
    image: str = ""
    published: ClassVar[bool] = False
    relays: ClassVar[bool] = True
    asks_engine: bool = False
    engine_option: ClassVar[str] = "discovery"
    placement: ClassVar[Placement] = "own"
    most_members: ClassVar[int | None] = None
    joinable: ClassVar[bool] = True
    weights: bool = False
    routes: bool = False
    discovery: Discovery = "pushed"
    adopts: bool = True
    follows: ClassVar[str] = ""
    watcher: ClassVar[bool] = False
    watched: bool = False
    transports: ClassVar[frozenset[Transport]] = frozenset({"tcp"})
    families: ClassVar[frozenset[Family]] = frozenset({"ipv4"})
    protocols: ClassVar[frozenset[str] | None] = None
    terminates_tls: ClassVar[bool] = False
    cooperation: ClassVar[bool] = False
    keeps_source: ClassVar[bool] = False
    needs_root: ClassVar[bool] = False
    health_checks: ClassVar[bool] = False
    tcp_checks: ClassVar[bool] = False
    packet_path: ClassVar[str] = ""
    caveats: ClassVar[str] = ""
    commands: ClassVar[Mapping[str, str]] = {}
    versions: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    options_model: ClassVar[type[Options]] = Options

    def __init_subclass__(cls, **given: object) -> None:
        super().__init_subclass__(**given)
        # What strategies of other packages may still call them.
        for former, name in (("way", "packet_path"), ("seams", "caveats")):
            if former in cls.__dict__:
                setattr(cls, name, cls.__dict__[former])
        for does, gives in (("expose", "exposing"), ("update", "updating"), ("withdraw", "withdrawing")):
            if does in cls.__dict__ and gives not in cls.__dict__:
                setattr(cls, gives, getattr(Strategy, gives))  # what it does replaces the actions it inherits
            elif gives in cls.__dict__ and does not in cls.__dict__:
                setattr(cls, does, _carrying_out(cls.__dict__[gives]))  # super().expose() is the parent's own

    def __init__(self, options: Options) -> None:
        self.options = options
        self.health = Health()

    @classmethod
    def runs_on(cls, engine: str) -> bool:
        """Tell whether it runs on an engine, given by its name."""
        return cls.engines is None or engine in cls.engines

    @classmethod
    def capabilities(cls, options: Options) -> Capabilities:
        """Tell what it can do with these options; nothing is made or asked for it."""
        made = cls(options)  # whose attributes may be its own, as those of other packages' strategies
        values = {one.name: getattr(made, one.name) for one in fields(Capabilities)}
        if not made.adopts:
            values["discovery"] = "self" if made.follows else "static"
        return Capabilities(**values | {"watcher": made.watcher or made.watched})

    @classmethod
    def default_capabilities(cls) -> Capabilities:
        """Tell what it can do where no option is given; of options that must be given, it leaves out all."""
        try:
            options = cls.options_model()
        except ValidationError:
            options = cls.options_model.model_construct()
        return cls.capabilities(options)

    @cached_property
    def can(self) -> Capabilities:
        """Tell what this one can do."""
        return self.capabilities(self.options)

    def exposing(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Give the actions that make the members reachable at the endpoint.

        A strategy has either this, `updating` and `withdrawing`, whose actions the plan of a run lists, or
        `expose`, `update` and `withdraw`, which are given the host itself.

        Raises
        ------
        StrategyError
            The host refused; the message holds its words.
        RefusedError
            The strategy cannot put so many members on one port, whatever the host.
        KernelLacksError
            The host's kernel has not the part that this needs.
        """
        del facts
        self._require_own("expose")
        yield ByItself(lambda host: self.expose(host, endpoint, members))

    def updating(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Give the actions that change the member set in one step; connections keep their instance."""
        del facts
        self._require_own("update")
        yield ByItself(lambda host: self.update(host, endpoint, members))

    def withdrawing(self, facts: Facts, endpoint: Endpoint) -> Actions[None]:
        """Give the actions that undo `exposing`; other users of the host's mechanisms are left alone."""
        del facts
        self._require_own("withdraw")
        yield ByItself(lambda host: self.withdraw(host, endpoint))

    def _require_own(self, name: str) -> None:
        if getattr(type(self), name) is getattr(Strategy, name):
            raise NotImplementedError(f"strategy {self.name} has neither {name} nor the actions for it")

    def expose(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
        """Make the members reachable at the endpoint; raises what `exposing` does."""
        carry_out(self.exposing(facts_of(host), endpoint, members), host)

    def update(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
        """Change the member set in one step; established connections keep their instance."""
        carry_out(self.updating(facts_of(host), endpoint, members), host)

    def withdraw(self, host: Host, endpoint: Endpoint) -> None:
        """Undo `expose`; other users of the host's mechanisms are left alone."""
        carry_out(self.withdrawing(facts_of(host), endpoint), host)

    def labels(self, port: int, weight: int) -> Mapping[str, str]:
        """Give what the container of a member is labelled with, so that the strategy's programs find it."""
        del port, weight
        return {}

    def environment(self, port: int) -> Mapping[str, str]:
        """Give what the container of a member has in its environment, so that programs find it."""
        del port
        return {}

    def remarks(self, weights: Collection[int]) -> tuple[str, ...]:
        """Give what is to be known of its choices before a run, with members of these weights."""
        del weights
        return ()

    def expected_shares(self, members: Sequence[Member]) -> list[float]:
        """Give each member's share of the units as intended; they add up to 1, for each route."""
        total: Counter[Route | None] = Counter()
        for member in members:
            total[member.route] += member.weight
        return [member.weight / total[member.route] for member in members]

    def predicted_shares(self, members: Sequence[Member]) -> list[float]:
        """Give each member's share as theory predicts it, which may differ from what is intended."""
        return self.expected_shares(members)

    def counted(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> Counted | None:
        """Read what the kernel or a program counted since `expose`; None where neither did."""
        del host, endpoint, members
        return None


def _carrying_out(actions: Callable[..., Actions[None]]) -> Callable[..., None]:
    """Give the method that carries out what one class's method gives, and no subclass's."""

    def carried_out(self: Strategy, host: Host, endpoint: Endpoint, *members: Sequence[Member]) -> None:
        carry_out(actions(self, facts_of(host), endpoint, *members), host)

    return carried_out
