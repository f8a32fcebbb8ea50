"""What every host offers: a place to run programs, and a side that clients come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.channel import Channel

ClientSide = Literal["external", "local"]
Side = Literal["host", "client"]


@dataclass(frozen=True)
class Finished:
    """A program that has ended: its exit status and its words."""

    status: int
    stdout: str
    stderr: str


class Program(Protocol):
    """A program that runs on a host."""

    @property
    def channel(self) -> Channel:
        """Give the channel to it."""

    def last_words(self) -> str:
        """Give the last lines that it wrote to its standard error, one line of text."""


class Host(Protocol):
    """A throw-away Linux machine.

    Attributes
    ----------
    address
        The address that clients know.
    sources
        The addresses from which the client side may speak, so that ports never run out.
    """

    address: str
    sources: tuple[str, ...]

    def run(self, argv: Sequence[str], text: str = "") -> Finished:
        """Run a program on the host to its end; `text` is its standard input.

        Raises
        ------
        HostError
            The program is missing, does not end, or the host has gone.
        """

    def spawn(self, argv: Sequence[str], side: Side, fds: Sequence[int] = ()) -> Program:
        """Start a program that speaks over a channel.

        The number of the channel's descriptor, then those of `fds`, follow as its last arguments.
        """

    def attach(self, pids: Sequence[int]) -> list[str]:
        """Connect these processes' network namespaces to the host; gives each one's address."""

    def exposed(self) -> None:
        """Be told that a strategy has exposed its members; no load may come before."""

    def dropped(self) -> int:
        """Count the packets that connection tracking had to drop so far."""
