"""A host as a strategy sees it whose programs run in containers: a reverse proxy, as people run it.

Strategies know nothing of containers. They write files, run programs and serve, and here the files are in
a folder that the container has as well, and the programs run in it. What is run before there is
anything to serve, such as a question for a version, has a container of its own of the same image.
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from harness.engines.docker_api import Plan
from harness.errors import EngineError, HostError
from harness.hosts.base import Finished
from harness.hosts.listening import listeners

if TYPE_CHECKING:
    import signal
    import socket
    from collections.abc import Mapping, Sequence

    from harness.engines.daemons import Daemon
    from harness.engines.docker_api import Container, Containers
    from harness.engines.workload import Limits
    from harness.hosts.base import ContainerHost, Program
    from harness.types import Listener, Role, Side

# To read and prepare its folders, to become another user, and to signal processes of that user.
_CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID", "NET_BIND_SERVICE")
_MOST_PROCESSES = 4096
_MEMORY_BYTES = 4 << 30
_LISTEN_DEADLINE_S = 20
_GRACE_S = 5
_LOOK_EVERY_S = 0.01
_KEEP = '"$@" >"$0.out" 2>"$0.err"'
_TAKE = 'cat "$0.out" && printf "\\0" && cat "$0.err" && rm "$0.out" "$0.err"'


class _ContainedService:
    """A container that serves."""

    def __init__(self, host: ContainerHost, containers: Containers, container: Container) -> None:
        self._host = host
        self._containers = containers
        self.container = container

    def wait_listening(self, ports: Sequence[Listener | int]) -> None:
        """Wait until it, or a process that it started, listens on these ports; a bare number is TCP's."""
        wanted = listeners(ports)
        transports = sorted({listener.transport for listener in wanted})
        end_s = time.monotonic() + _LISTEN_DEADLINE_S
        while True:
            if ended := self._containers.exit_reason(self.container):
                raise HostError(ended)
            if not (silent := wanted - self._host.listeners([self.container.pid], transports)[0]):
                return
            if time.monotonic() > end_s:
                what = f"did not listen on {min(silent)} within {_LISTEN_DEADLINE_S} s"
                raise HostError(f"{self.container.name} {what}: {self._containers.words(self.container)}")
            time.sleep(_LOOK_EVERY_S)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its first process; nothing happens where that has ended."""
        self._containers.signal(self.container, int(number))

    def stop(self) -> None:
        """End it and all that it started."""
        self._containers.remove(self.container, _GRACE_S)


class ContainedHost:
    """A host whose programs run in containers of one image.

    Parameters
    ----------
    host, daemon, containers
        The host itself, the engine, and its containers.
    image, places
        What the containers are made of, and the host's folders and sockets that they have.
    port
        The port that the one that serves has in common with the host.
    limits
        What it may use.
    trusted
        Whether its programs are known not to write to its root file system.
    """

    published = False

    def __init__(  # noqa: PLR0913, PLR0917  what a container takes
        self,
        host: ContainerHost,
        daemon: Daemon,
        containers: Containers,
        image: str,
        places: Sequence[str],
        port: int,
        limits: Limits,
        *,
        trusted: bool = True,
    ) -> None:
        self._host = host
        self._containers = containers
        self._image = image
        self._places = places
        self._port = port
        self._limits = limits
        self._trusted = trusted
        self._cuts_output = daemon.cuts_output
        self._numbers = count()
        self._scout: Container | None = None
        self._service: _ContainedService | None = None
        self.address = host.address
        self.sources = host.sources
        self.resolver: str | None = daemon.resolver
        self.engine_socket = daemon.socket

    def run(self, argv: Sequence[str], text: str = "") -> Finished:
        """Run a program to its end: in the container that serves, or in one like it if none does yet."""
        if text:
            raise HostError(f"{argv[0]} can't be given its input in a container")
        try:
            if self._service is None and self._scout is None:
                self._scout = self._containers.start(self._plan("scout", ("sleep",), ("infinity",)))
            container = self._service.container if self._service is not None else self._scout
            assert container is not None  # noqa: S101  one of the two is there
            return (
                self._kept(container, argv)
                if self._cuts_output
                else Finished(*self._containers.run(container, argv))
            )
        except EngineError as error:
            raise HostError(str(error)) from error

    def _kept(self, container: Container, argv: Sequence[str]) -> Finished:
        """Run a program whose output goes to files of the common folder, since the engine may lose some."""
        place = f"{self._places[0]}/said-{next(self._numbers)}"
        status, *_ = self._containers.run(container, ["sh", "-c", _KEEP, place, *argv])
        said = self._host.run(["sh", "-c", _TAKE, place])
        if said.status:
            raise HostError(
                f"{argv[0]} in {container.name}: what it said can't be read: {said.stderr.strip()}"
            )
        stdout, _, stderr = said.stdout.rpartition("\0")
        return Finished(status, stdout, stderr)

    def _plan(self, name: str, entrypoint: tuple[str, ...], command: tuple[str, ...]) -> Plan:
        return Plan(
            name=name,
            own=True,
            image=self._image,
            entrypoint=entrypoint,
            command=command,
            folders={place: place for place in self._places},
            limits=self._limits,
            memory_bytes=_MEMORY_BYTES,
            most_processes=_MOST_PROCESSES,
            capabilities=_CAPABILITIES,
            trusted=self._trusted,
            user="0",  # official images have other users, which may not read what the host wrote
        )

    def serve(
        self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None, role: Role = "proxy"
    ) -> _ContainedService:
        """Start the container that serves."""
        if self._service is not None:
            raise HostError(
                f"{name} can't be given a successor in its container, with which it ends; take a discovery "
                "that changes members without one"
            )
        plan = replace(
            self._plan(name, tuple(argv[:1]), tuple(argv[1:])),
            env=dict(env or {}),
            published={self._port: self._port},
            low_port=self._port < 1024,
        )
        try:
            if self._scout is not None:
                self._containers.remove(self._scout)
                self._scout = None
            container = self._containers.start(plan)
        except EngineError as error:
            raise HostError(str(error)) from error
        self._service = _ContainedService(self._host, self._containers, container)
        if container.pid:
            self._host.adopt([container.pid], role)
        return self._service

    def write(self, path: str, text: str) -> None:
        """Put a file into the folder that the container has, too."""
        self._host.write(path, text)

    def connect(self, place: int | str) -> socket.socket:
        """Connect to a TCP port of the container's loopback, or to a Unix socket in its folder."""
        pid = self._service.container.pid if self._service is not None else 0
        return self._host.connect(place, pid)

    def spawn(self, argv: Sequence[str], side: Side, role: Role, fds: Sequence[int] = ()) -> Program:
        """Start a program that speaks over a channel, on the host itself."""
        return self._host.spawn(argv, side, role, fds)

    def attach(self, pids: Sequence[int], addresses: Sequence[str] = ()) -> list[str]:
        """Connect processes' network namespaces to the host."""
        return self._host.attach(pids, addresses)

    def exposed(self) -> None:
        """Take note that a strategy has exposed its members."""
        self._host.exposed()

    def dropped(self) -> int:
        """Count the packets that connection tracking had to drop so far."""
        return self._host.dropped()

    def tcp(self) -> dict[str, list[int]]:
        """Read what each network namespace counts of TCP."""
        return self._host.tcp()

    def died(self) -> list[str]:
        """Tell of each service of the host itself that has ended."""
        return self._host.died()

    def cpu_ns(self) -> dict[str, int]:
        """Read the processor time used so far."""
        return self._host.cpu_ns()
