"""What every host offers: a place to run programs, and a side that clients come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import signal
    import socket
    from collections.abc import Mapping, Sequence

    from harness.channel import Channel

ClientSide = Literal["external", "local"]
Side = Literal["host", "client"]
Placement = Literal["own", "host", "sandbox"]
"""Which network namespace an instance is in: one of its own, the host's, or one that all share."""
Role = Literal["instances", "proxy", "generator"]
"""Whom a program's processor time is counted for."""


@dataclass(frozen=True)
class Finished:
    """A program that has ended: its exit status and its words."""

    status: int
    stdout: str
    stderr: str


class Program(Protocol):
    """A program that runs on a host and speaks over a channel."""

    @property
    def channel(self) -> Channel:
        """Give the channel to it."""

    def last_words(self) -> str:
        """Give the last lines that it wrote to its standard error, one line of text."""


class Service(Protocol):
    """A program that serves on a host until it is stopped."""

    def wait_listening(self, ports: Sequence[int]) -> None:
        """Wait until it, or a process that it started, listens on these TCP ports.

        Raises
        ------
        HostError
            It ended, or does not listen; the message holds its last words.
        """

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its first process; nothing happens where that has ended."""

    def stop(self) -> None:
        """End it and all that it started: SIGTERM, and SIGKILL for what is still there after 5 s."""


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

    def spawn(self, argv: Sequence[str], side: Side, role: Role, fds: Sequence[int] = ()) -> Program:
        """Start a program that speaks over a channel.

        The number of the channel's descriptor, then those of `fds`, follow as its last arguments.
        """

    def serve(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> Service:
        """Start a program that goes on serving on the host, such as a proxy.

        Parameters
        ----------
        name
            What messages call it. Another service of this name may run or have run.
        argv, env
            The program, and what is added to the environment.
        """

    def write(self, path: str, text: str) -> None:
        """Put a file on the host, below /run, at once: who reads it finds the old text or the new."""

    def connect(self, place: int | str) -> socket.socket:
        """Connect to a service on the host: a TCP port of its loopback, or the path of a Unix socket.

        Raises
        ------
        HostError
            Nobody listens there.
        """

    def attach(self, pids: Sequence[int]) -> list[str]:
        """Connect these processes' network namespaces to the host; gives each one's address."""

    def exposed(self) -> None:
        """Be told that a strategy has exposed its members; no load may come before."""

    def dropped(self) -> int:
        """Count the packets that connection tracking had to drop so far."""

    def died(self) -> list[str]:
        """Tell of each service that has ended without being stopped, one sentence each."""

    def cpu_ns(self) -> dict[str, int]:
        """Read the processor time used so far: of each role's living processes, and `softirq`.

        `softirq` is what the machine spent in soft and hard interrupts, on whosever behalf.
        """
