"""The `vagrant` host: a virtual machine of its own with Docker Engine, brought up by Vagrant.

The harness reaches it by one SSH session (`harness.hosts.vm.session`); the agent at its other end is
`harness.hosts.vm.guest`. The load comes from outside, from where the machine's private network
is, or from inside it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from harness.common.channel import Channel
from harness.errors import HostError
from harness.hosts import DEFAULT_SOURCES
from harness.hosts.address_plan import IPV4, MACHINE_ENDPOINT, MACHINE_GATEWAY
from harness.hosts.agent import FOR_CLIENTS
from harness.hosts.client import AskingHost, SpawnedProgram
from harness.hosts.vm.machine import Machine
from harness.hosts.vm.providers import choose
from harness.hosts.vm.session import ENGINE_SOCKET, PYTHON, Session, code

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence

    from harness.common.channel import Message
    from harness.hosts.address_plan import Clients
    from harness.hosts.base import Finished, Program
    from harness.hosts.client import AskedService
    from harness.types import ClientSide, Role, Side

_GENERATOR = ("locust", "h11", "numpy")
"""What the load generator needs beside the harness."""


class _GuestProgram:
    """A program in the virtual machine that speaks over a channel."""

    def __init__(self, channel: Channel, ask: Callable[[Message], Message], number: int) -> None:
        self._channel = channel
        self._ask = ask
        self._number = number

    @property
    def channel(self) -> Channel:
        return self._channel

    def stderr_tail(self) -> str:
        return str(self._ask({"do": "words", "program": self._number})["words"])


class VagrantHost(AskingHost):
    """A virtual machine; a context manager that ends it, or leaves it up for the next run.

    Parameters
    ----------
    side
        Where clients come from: ``external`` (outside the machine) or ``local`` (inside).
    sources
        How many addresses clients have, where the private network is the harness's own, or inside.
    keep
        Whether to leave the machine up. One that was up before is left in any case.
    tell
        Receives a line about each long step.

    Attributes
    ----------
    group
        The control group below which containers' groups are to be: a slice of systemd's.
    apart
        Whether the clients' side is another machine than the harness's.
    emulated
        Whether no hardware runs the machine, so that its times are not those of any.
    client_address
        This machine's own on the network between the two, where workers of other machines join.
    kernel, cores
        Its release, and how many processor cores it has.
    """

    kind: ClassVar[str] = "vagrant"
    address = MACHINE_ENDPOINT
    client_address = MACHINE_GATEWAY
    published = False
    resolver: str | None = None
    engine_socket = ""
    group = "sameport.slice"

    def __init__(
        self,
        side: ClientSide,
        sources: int | Clients = DEFAULT_SOURCES,
        *,
        keep: bool = False,
        tell: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._side = side
        self._wanted_sources = sources
        self._keep = keep
        self._tell = tell
        self._provider = choose()
        self.emulated = self._provider.emulated
        self.apart = side == "local"
        self.sources: tuple[str, ...] = ()
        self.kernel, self.cores = "", 1
        self._machine = Machine(self._provider, tell)
        self._programs: list[tuple[subprocess.Popen[bytes], SpawnedProgram]] = []
        self._guest_programs: list[_GuestProgram] = []
        self._session: Session | None = None
        self._up = False
        self._sockets = tempfile.TemporaryDirectory(prefix="sameport-")

    def __enter__(self) -> Self:
        return self

    def start(self) -> None:
        """Bring the machine up, and enter it.

        Raises
        ------
        HostError
            It does not come up, or can't be entered; the message says why, and what to do.
        """
        self._keep = self._machine.up() or self._keep
        self._up = True
        self._provider = self._machine.provider
        self.emulated = self._provider.emulated
        session = Session(self._machine.ssh, self._machine.network, Path(self._sockets.name))
        try:
            session.open(code(_GENERATOR if self.apart else ()))
        except BaseException:
            session.close()
            raise
        self._session, self._channel = session, session.channel

    def link(self) -> None:
        """Prepare the network on both sides."""
        own = self._provider.own and self._side == "external"
        told = self._ask({"do": "link", "gateway": MACHINE_GATEWAY if own else ""})
        self.kernel, self.cores = told["kernel"], told["cores"]
        if own:
            self._prepare_clients()
        if own or self.apart:
            self.sources = IPV4.sources("external" if own else "local", self._wanted_sources)

    def _prepare_clients(self) -> None:
        limits = [f"{name.replace('/', '.')}={value}" for name, value in FOR_CLIENTS.items()]
        for argv in (
            ["sysctl", "--quiet", "--write", *limits],
            ["ip", "route", "replace", "local", IPV4.external_sources, "dev", "lo"],
        ):
            finished = subprocess.run(
                self._machine.network(argv),
                capture_output=True,
                text=True,
                check=False,
                stdin=subprocess.DEVNULL,
            )
            if finished.returncode:
                raise HostError(f"the clients' side can't be prepared: {finished.stderr.strip()}")

    def run(self, argv: Sequence[str], text: str = "") -> Finished:
        """Run a program in the machine to its end; `text` is its standard input."""
        return super().run(_inside(argv), text)

    def serve(
        self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None, role: Role = "proxy"
    ) -> AskedService:
        """Start a program that goes on serving in the machine."""
        return super().serve(name, _inside(argv), env, role)

    def spawn(self, argv: Sequence[str], side: Side, role: Role, fds: Sequence[int] = ()) -> Program:
        """Start a program that speaks over a channel: in the machine, or outside it."""
        if side == "host" or (side == "client" and self.apart):
            if fds:
                raise HostError(f"{argv[0]} can't be given descriptors in a virtual machine")
            number = self._ask({"do": "spawn", "argv": _inside(argv), "role": role})["program"]
            connected = self._connected({"program": number})
            connected.settimeout(None)
            inside = _GuestProgram(Channel(connected), self._ask, number)
            self._guest_programs.append(inside)  # which end when their channels do
            return inside
        stderr = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the host
        channel, theirs = Channel.pair()
        with theirs:
            passed = (theirs.fileno(), *fds)
            child = subprocess.Popen(
                self._machine.network([*argv, *map(str, passed)]),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                pass_fds=passed,
                start_new_session=True,
            )
        program = SpawnedProgram(channel, stderr)
        self._programs.append((child, program))
        return program

    def connect(self, place: int | str, pid: int = 0) -> socket.socket:
        """Connect to a service in the machine: a TCP port of its loopback, or the path of a Unix socket.

        With the number of a process, a port of that one's loopback.
        """
        return self._connected({"place": place, "pid": pid})

    def _connected(self, meant: Message) -> socket.socket:
        if self._session is None:
            raise HostError("the vagrant host has gone")
        return self._session.connect(meant)

    def let_in(self, port: int) -> None:
        """Let programs in the machine reach this port of the harness's side, as one of their loopback."""
        if self._session is not None:
            self._session.let_in(port)

    def attach(self, pids: Sequence[int], addresses: Sequence[str] = ()) -> list[str]:
        """Refuse: instances are containers here."""
        del pids, addresses
        raise HostError("host vagrant runs containers, and no processes")

    def local_path(self, path: str) -> str:
        """Give the path by which this machine reaches the engine's socket."""
        if self._session is None or path != ENGINE_SOCKET:
            raise HostError(f"{path} of the virtual machine can't be reached from here")
        return str(self._session.engine)

    def missing(self, names: Sequence[str]) -> list[str]:
        """Tell which of these programs the machine does not have."""
        found: list[str] = self._ask({"do": "find", "names": list(names)})["missing"]
        return found

    def _last_words(self) -> str:
        return self._session.stderr_tail() if self._session is not None else ""

    def close(self) -> None:
        """End everything inside, and the machine unless it is kept."""
        for child, program in self._programs:
            program.channel.close()
            child.kill()
            child.wait()
            program.stderr.close()
        self._programs.clear()
        if self._session is not None:
            if self._keep:
                self._leave()
            self._session.close()
            self._session = None
        if self._up and self._keep:
            self._machine.keep()
        elif self._up:
            self._machine.destroy()
        self._up = False
        self._sockets.cleanup()

    def _leave(self) -> None:
        try:
            self._ask({"do": "leave"})
        except HostError as error:
            self._tell(f"the virtual machine was not tidied up, which the next run has to do: {error}")

    def __exit__(self, *exc: object) -> None:
        self.close()


def _inside(argv: Sequence[str]) -> list[str]:
    """Have the machine's own Python run what is the harness's."""
    return [PYTHON, *argv[1:]] if argv[0] == sys.executable else list(argv)
