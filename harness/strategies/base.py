"""What a strategy is: data that says what it does, and three things to do.

A strategy puts N members behind one endpoint of a host. It knows nothing of load and statistics.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.hosts.base import Host

Unit = Literal["connection", "request", "source"]


@dataclass(frozen=True)
class Endpoint:
    """The one address and port that clients know."""

    address: str
    port: int


@dataclass(frozen=True)
class Member:
    """An instance as a strategy sees it: a name, and where it listens."""

    name: str
    address: str
    port: int


class Options(BaseModel):
    """A strategy's options in a scenario; a strategy that has some derives its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Strategy(ABC):
    """One way to put several instances on one port.

    Attributes
    ----------
    name
        As a scenario says it.
    summary
        One line for tables and help.
    unit
        What it balances.
    policy
        How it chooses: random, round robin, hash, …
    engines
        The engines on which it runs.
    commands
        Programs that must be on the host, each with the Debian package that holds it.
    versions
        What to ask on the host for the versions of its parts, by the part's name.
    options_model
        The model of its options.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    unit: ClassVar[Unit]
    policy: ClassVar[str]
    engines: ClassVar[frozenset[str]]
    commands: ClassVar[Mapping[str, str]] = {}
    versions: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    options_model: ClassVar[type[Options]] = Options

    def __init__(self, options: Options) -> None:
        self.options = options

    @abstractmethod
    def expose(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
        """Make the members reachable at the endpoint.

        Raises
        ------
        StrategyError
            The host refused; the message holds its words.
        """

    @abstractmethod
    def update(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
        """Change the member set in one step; established connections keep their instance."""

    @abstractmethod
    def withdraw(self, host: Host, endpoint: Endpoint) -> None:
        """Undo `expose`; other users of the host's mechanisms are left alone."""

    def expected_shares(self, members: Sequence[Member]) -> list[float]:
        """Give each member's share of the units as intended; they add up to 1."""
        return [1 / len(members)] * len(members)

    def predicted_shares(self, members: Sequence[Member]) -> list[float]:
        """Give each member's share as theory predicts it, which may differ from what is intended."""
        return self.expected_shares(members)

    def kernel_counts(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> list[int] | None:
        """Give the units that the kernel itself counted for each member, where it counts.

        Returns
        -------
        list of int, or None
            One number a member since `expose`, in the members' order; None where the kernel
            does not count by member.
        """
        del host, endpoint, members
        return None
