"""What every host offers: a place to run programs, and a side that clients come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import signal
    import socket
    from collections.abc import Mapping, Sequence

    from harness.common.channel import Channel
    from harness.types import Listener, Role, Side, Transport


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

    def stderr_tail(self) -> str:
        """Give the last lines that it wrote to its standard error, one line of text."""


class Service(Protocol):
    """A program that serves on a host until it is stopped."""

    def wait_listening(self, ports: Sequence[Listener | int]) -> None:
        """Wait until it, or a process that it started, listens on these ports; a bare number is TCP's.

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
    published
        Whether what runs the instances has published the endpoint's port itself.
    resolver
        The address of a name server that already knows the instances; None where there is none.
    engine_socket
        Where what runs the instances answers Docker's API; empty where nothing does.
    """

    address: str
    sources: tuple[str, ...]
    published: bool
    resolver: str | None
    engine_socket: str

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

    def serve(
        self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None, role: Role = "proxy"
    ) -> Service:
        """Start a program that goes on serving on the host, such as a proxy.

        Parameters
        ----------
        name
            What messages call it. Another service of this name may run or have run.
        argv, env
            The program, and what is added to the environment.
        role
            The component that its processor time counts for.
        """

    def write(self, path: str, text: str) -> None:
        """Put a file on the host, below /run, atomically: a reader finds the old text or the new."""

    def connect(self, place: int | str) -> socket.socket:
        """Connect to a service on the host: a TCP port of its loopback, or the path of a Unix socket.

        Raises
        ------
        HostError
            No process listens there.
        """

    def attach(self, pids: Sequence[int], addresses: Sequence[str] = ()) -> list[str]:
        """Connect these processes' network namespaces to the host; gives each one's address.

        Parameters
        ----------
        pids
            The processes.
        addresses
            Those that they had before they ended, which they are to have again; none for new ones.
        """

    def exposed(self) -> None:
        """Take note that a strategy has exposed its members; no load may come before."""

    def dropped(self) -> int:
        """Count the packets that connection tracking had to drop so far."""

    def tcp(self) -> dict[str, list[int]]:
        """Read what each network namespace on the host counts of TCP (`harness.hosts.network`)."""

    def died(self) -> list[str]:
        """Tell of each service that has ended without being stopped, one sentence each."""

    def cpu_ns(self) -> dict[str, int]:
        """Read the processor time used so far: of each role's living processes, and `softirq`.

        `softirq` is what the machine spent in soft and hard interrupts, on whosever behalf.
        """


class ClientHost(Protocol):
    """What a load generator needs of a host.

    Attributes
    ----------
    apart
        Whether clients are on a machine that shares no memory with the harness's.
    client_address
        The client side's own address, where workers of other machines join.
    """

    apart: bool
    client_address: str

    def spawn(self, argv: Sequence[str], side: Side, role: Role, fds: Sequence[int] = ()) -> Program:
        """Start a program as `Host.spawn` does."""

    def let_in(self, port: int) -> None:
        """Let clients reach a port of `here`, at their own loopback, where they are apart.

        Raises
        ------
        HostError
            They can't.
        """


class ContainerHost(Host, Protocol):
    """A host on which container engines run.

    Attributes
    ----------
    group
        The control group below which containers' groups are to be.
    """

    group: str

    def local_path(self, path: str) -> str:
        """Give the path by which this machine reaches a file or a socket of the host."""

    def listeners(
        self, pids: Sequence[int], transports: Sequence[Transport] = ("tcp",)
    ) -> list[set[Listener]]:
        """Tell on what each of these processes, or one that it started, listens."""

    def connect(self, place: int | str, pid: int = 0) -> socket.socket:
        """Connect as `Host.connect` does; with the number of a process, to a port of that one's loopback."""

    def adopt(self, pids: Sequence[int], role: Role) -> None:
        """Count what containers use, known by their first processes, for a role."""

    def memory_bytes(self) -> dict[str, int]:
        """Read how much memory the containers of each role had at most, added up."""
