"""What a strategy is: data that says what it does, and three things to do.

A strategy puts N members behind one endpoint of a host. It knows nothing of load and statistics.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict

from harness.types import Counted, Endpoint, Layer, Member, Placement, Route, Unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.hosts.base import Host

# Strategies of other packages import the types from here.
__all__ = ["Counted", "Endpoint", "Layer", "Member", "Options", "Placement", "Route", "Strategy", "Unit"]


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


class Strategy(ABC):
    """One way to put several instances on one port.

    Attributes
    ----------
    name
        As a scenario says it.
    summary
        One line for tables and help.
    family
        The mechanism that it is a variant of, such as iptables, for tables in groups.
    unit
        What it balances; options may change it for one object.
    layer
        4 where a client's connection is one of an instance's, 7 where requests are passed on.
    policy
        How it chooses: random, round robin, hash, …
    predicted
        The distribution that theory predicts, in a few words.
    engines
        The engines on which it runs; None for all that there are.
    image
        Of which of the harness's own images its programs run, on an engine of containers; empty for
        programs of the host itself.
    published
        Whether an engine that can publish a port does so in place of `expose`: the instances', or the
        sandbox's.
    asks_engine
        Whether its programs ask the engine of the containers, by its socket.
    watched
        Whether a watcher of the engine's events is part of it, as of `nginx-events`.
    placement
        Where the instances run: each in a network namespace of its own, all in the host's, or all in
        one sandbox.
    most_members
        How many members it can have; None for any number.
    weights
        Whether members may have different shares; options may change it for one object.
    routes
        Whether it can lead requests to different members, by path or by host; options may change it for
        one object.
    follows
        By what it follows members that come and go without being told; empty where it does not.
    adopts
        Whether `update` changes whom it leads to; options may change it for one object.
    cooperation
        Whether the application has to do something for it, such as setting SO_REUSEPORT.
    keeps_source
        Whether instances see the client's own address.
    needs_root
        Whether its parts change the kernel's rules or use the container engine's socket, which takes root on
        a machine of your own; a throw-away host needs none.
    health_checks
        Whether it can find out by itself that a member is ill.
    way
        A packet's way from the client to an instance, as a small diagram.
    seams
        What surprises people: a Markdown list.
    commands
        Programs that must be on the host, each with the command that installs it.
    versions
        What to ask on the host for the versions of its parts, by the part's name.
    options_model
        The model of its options.
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
    asks_engine: bool = False
    watched: bool = False
    placement: ClassVar[Placement] = "own"
    most_members: ClassVar[int | None] = None
    weights: bool = False
    routes: bool = False
    follows: ClassVar[str] = ""
    adopts: bool = True
    cooperation: ClassVar[bool] = False
    keeps_source: ClassVar[bool] = False
    needs_root: ClassVar[bool] = False
    health_checks: ClassVar[bool] = False
    way: ClassVar[str] = ""
    seams: ClassVar[str] = ""
    commands: ClassVar[Mapping[str, str]] = {}
    versions: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    options_model: ClassVar[type[Options]] = Options

    def __init__(self, options: Options) -> None:
        self.options = options

    @classmethod
    def runs_on(cls, engine: str) -> bool:
        """Tell whether it runs on an engine, given by its name."""
        return cls.engines is None or engine in cls.engines

    @abstractmethod
    def expose(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
        """Make the members reachable at the endpoint.

        Raises
        ------
        StrategyError
            The host refused; the message holds its words.
        RefusedError
            The strategy cannot put so many members on one port, whatever the host.
        KernelLacksError
            The host's kernel has not the part that this needs.
        """

    @abstractmethod
    def update(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
        """Change the member set in one step; established connections keep their instance."""

    @abstractmethod
    def withdraw(self, host: Host, endpoint: Endpoint) -> None:
        """Undo `expose`; other users of the host's mechanisms are left alone."""

    def labels(self, port: int, weight: int) -> Mapping[str, str]:
        """Give what the container of a member is labelled with, so that the strategy's programs find it."""
        del port, weight
        return {}

    def environment(self, port: int) -> Mapping[str, str]:
        """Give what the container of a member has in its environment, so that programs find it."""
        del port
        return {}

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
        """Read what the kernel or a program counted since `expose`; None where nobody did."""
        del host, endpoint, members
        return None
