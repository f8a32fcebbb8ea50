"""The `netns` host: Linux namespaces on this machine, made for one run and thrown away with it.

Needs no root. One supervisor process owns all namespaces (see `harness.hosts.supervisor`); when it
ends, or when this process ends, the kernel removes every process, link and rule inside.
"""

from __future__ import annotations

import errno
import os
import platform
import select
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from harness.common.channel import Channel, ChannelClosedError, Message
from harness.common.memory import environment
from harness.errors import HarnessError, HostError
from harness.hosts import DEFAULT_SOURCES, cgroups
from harness.hosts.address_plan import IPV4
from harness.hosts.client import AskingHost, SpawnedProgram
from harness.hosts.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from harness.hosts.address_plan import Clients
    from harness.hosts.client import AskedService
    from harness.types import ClientSide, Role, Side

_SPAWNED: dict[Role, str] = {
    "generator": "the load generator",
    "instances": "the process that instances are forked from",
    "proxy": "a program of the strategy",
    "engine": "the engine",
}
_UP_DEADLINE_S = 20
_END_DEADLINE_S = 10
_CONNECTED_DEADLINE_S = 10
# Debian keeps iptables and the proxies where an ordinary user's path does not look.
_ADMIN_PATH = "/usr/local/sbin:/usr/sbin:/sbin"


def search_path() -> str:
    """Give the path on which a host's programs are looked for."""
    # Programs that pip installed beside the harness come last: those of the machine go before them.
    return f"{os.environ.get('PATH', os.defpath)}:{_ADMIN_PATH}:{sysconfig.get_path('scripts')}"


def find_program(name: str) -> str | None:
    """Find a program that the host could run; None where there is none."""
    return shutil.which(name, path=search_path())


class NetnsHost(AskingHost):
    """A host made of namespaces; a context manager that ends it.

    Parameters
    ----------
    side
        Where clients come from: ``external`` (a namespace of their own) or ``local`` (the host).
    sources
        How many addresses clients have.
    privileged
        Whether it has root's real privileges inside, as container engines need them.

    Attributes
    ----------
    group
        The control group below which containers' groups are to be; empty unless privileged.
    apart, emulated
        As of every host: clients share this machine's memory, and no machine is emulated.
    client_address
        The client side's own address, where workers of other machines join.
    kernel, cores
        Its release, and how many processor cores there are.
    """

    kind: ClassVar[str] = "netns"
    address = IPV4.endpoint
    published = False
    resolver: str | None = None
    engine_socket = ""
    apart = False
    emulated = False

    def __init__(
        self, side: ClientSide, sources: int | Clients = DEFAULT_SOURCES, *, privileged: bool = False
    ) -> None:
        super().__init__()
        self._side = side
        self._sources = sources
        self._privileged = privileged
        self.group = ""
        if privileged and not may_map_everyone():
            raise HostError(
                "container engines on host netns need root: run the harness with sudo, or take engine process"
            )
        self.sources: tuple[str, ...] = ()
        self.kernel = platform.release()
        self.cores = len(os.sched_getaffinity(0))
        self.client_address = IPV4.client if side == "external" else IPV4.endpoint
        self._programs: list[SpawnedProgram] = []
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the host
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._watchdog: Watchdog | None = None
        self._inside = 0  # the first process inside, whose end is that of all others

    def __enter__(self) -> Self:
        return self

    def start(self) -> None:
        """Make the namespaces.

        Raises
        ------
        HostError
            This machine forbids user namespaces; the message says which setting does, and what to do.
        """
        self._channel, theirs = Channel.pair()
        with theirs:
            self._supervisor = subprocess.Popen(
                [
                    *(sys.executable, "-m", "harness.hosts.supervisor", str(theirs.fileno())),
                    *(["privileged"] if self._privileged else []),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                pass_fds=[theirs.fileno()],
                # Ctrl-C at the terminal is for the harness alone, which then ends the others in order.
                start_new_session=True,
                env=environment() | {"PATH": search_path()},
            )
        try:
            self.group = self._expect("unshared")["group"]
            if not self._privileged:
                _map_ids(self._supervisor.pid)
            self._channel.send({"event": "mapped"})
            self._expect("up")
            self._inside = _only_child(self._supervisor.pid)
            self._inside_ends = os.pidfd_open(self._inside)
            self._watchdog = Watchdog(self._inside, self._inside_ends)
            self._watchdog.add("the supervisor of the netns host", self._supervisor.pid, inside=False)
            self._watchdog.add("the first process of the netns host", self._inside, inside=False)
        except ChannelClosedError as error:
            words = self._last_words() or "it was killed"
            raise HostError(f"the netns host ended while it was being made: {words}") from error

    def _expect(self, event: str) -> Message:
        try:
            message = self._channel.receive(_UP_DEADLINE_S)
        except TimeoutError as error:
            raise HostError(f"the netns host was not up within {_UP_DEADLINE_S} s") from error
        if message["event"] != event:
            raise HostError(why_no_namespaces(message["errno"]))
        return message

    def link(self) -> None:
        """Make the network between host and client; programs may be spawned before."""
        self._ask({"do": "link"})
        self.sources = IPV4.sources(self._side, self._sources)

    def spawn(self, argv: Sequence[str], side: Side, role: Role, fds: Sequence[int] = ()) -> SpawnedProgram:
        """Start a program that speaks over a channel, on the host or where clients are."""
        place = "client" if side == "client" and self._side == "external" else "host"
        stderr = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the host
        channel, theirs = Channel.pair()
        program = SpawnedProgram(channel, stderr)
        self._programs.append(program)
        with theirs:
            handed = (stderr.fileno(), theirs.fileno(), *fds)
            request = {"do": "spawn", "argv": list(argv), "side": place, "role": role, "fds": len(handed)}
            self._watch(_SPAWNED[role], self._ask(request, handed)["pid"])
        return program

    def serve(
        self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None, role: Role = "proxy"
    ) -> AskedService:
        """Start a program that goes on serving on the host, such as a proxy."""
        service = super().serve(name, argv, env, role)
        self._watch(name, service.pid)
        return service

    def _watch(self, name: str, pid: int) -> None:
        if self._watchdog is not None:
            self._watchdog.add(name, pid)

    def connect(self, place: int | str, pid: int = 0) -> socket.socket:
        """Connect to a service on the host: a TCP port of its loopback, or the path of a Unix socket.

        With the number of a process, a port of that one's loopback.
        """
        with self._asking:
            self._ask({"do": "connect", "place": place, "pid": pid})
            connected = socket.socket(fileno=self._channel.take_fd())
        connected.settimeout(_CONNECTED_DEADLINE_S)
        return connected

    def missing(self, names: Sequence[str]) -> list[str]:
        """Tell which of these programs the host would not have; it need not have started."""
        return [name for name in names if find_program(name) is None]

    def let_in(self, port: int) -> None:
        """Do nothing: clients are not apart."""
        del port

    def attach(self, pids: Sequence[int], addresses: Sequence[str] = ()) -> list[str]:
        """Connect these processes' network namespaces to the host; gives each one's address."""
        asked = {"do": "attach", "pids": list(pids), "addresses": list(addresses)}
        given: list[str] = self._ask(asked)["addresses"]
        return given

    def local_path(self, path: str) -> str:
        """Give the path by which this machine reaches a file or a socket of the host."""
        return f"/proc/{self._inside}/root{path}"

    def _last_words(self) -> str:
        return SpawnedProgram(self._channel, self._stderr).stderr_tail()

    def close(self) -> None:
        """End everything inside, and wait until it has ended."""
        if self._supervisor is None:
            return
        if self._watchdog is not None:
            self._watchdog.close()
            if self._watchdog.found:
                self._supervisor.kill()  # it may be what stands still
        self._channel.close()
        try:
            self._supervisor.wait(_END_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._supervisor.kill()
            self._supervisor.wait()
        if self._inside:
            # Where the supervisor was killed, others inside may not have ended yet; its end comes last.
            select.select([self._inside_ends], [], [], _END_DEADLINE_S)
            os.close(self._inside_ends)
            self._inside = 0
        if self.group:
            cgroups.remove(self.group)  # where the supervisor was killed before it could
        for program in self._programs:
            program.channel.close()
            program.stderr.close()
        self._supervisor = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._stderr.close()
        if self._watchdog is not None and self._watchdog.found and isinstance(error, HarnessError):
            raise HostError(self._watchdog.found) from error


def _only_child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


def _map_ids(pid: int) -> None:
    """Map the users inside: root inside is this user outside (user_namespaces(7)).

    A process that may map every user does so, one to one; then files of other users, such as a home
    folder that root runs from, are as readable inside as outside.
    """
    process = Path("/proc", str(pid))
    try:
        if may_map_everyone():
            for kind in ("uid_map", "gid_map"):
                ranges = [line.split() for line in Path("/proc/self", kind).read_text().splitlines()]
                own = "\n".join(f"{inside} {inside} {count}" for inside, _, count in ranges)
                (process / kind).write_text(own + "\n")
        else:
            (process / "uid_map").write_text(f"0 {os.geteuid()} 1\n")
            (process / "setgroups").write_text("deny")
            (process / "gid_map").write_text(f"0 {os.getegid()} 1\n")
    except OSError as error:
        raise HostError(why_no_namespaces(error.errno or 0)) from error


def may_map_everyone() -> bool:
    """Tell whether a host of this user knows every user of this machine, and not root alone."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    both = 1 << 6 | 1 << 7  # CAP_SETGID and CAP_SETUID of linux/capability.h
    return os.geteuid() == 0 and int(status["CapEff"], 16) & both == both


def why_no_namespaces(number: int, settings: Path = Path("/proc/sys")) -> str:
    """Explain a refused user namespace, and what to do.

    Parameters
    ----------
    number
        The errno.
    settings
        Where the kernel shows its settings.
    """
    sudo = "or run the harness as root (sudo)"
    if number == errno.ENOSPC:
        return (
            "this machine allows no further user or network namespaces (user.max_user_namespaces, "
            f"user.max_net_namespaces): sudo sysctl -w user.max_user_namespaces=15000, {sudo}"
        )
    for name, forbids in (
        ("kernel.apparmor_restrict_unprivileged_userns", "1"),
        ("kernel.unprivileged_userns_clone", "0"),
    ):
        setting = settings / name.replace(".", "/")
        if setting.exists() and setting.read_text().strip() == forbids and os.geteuid():
            allowed = int(not int(forbids))
            return (
                f"this machine forbids user namespaces to ordinary users ({name} = {forbids}): "
                f"sudo sysctl -w {name}={allowed}, {sudo}"
            )
    return (
        f"namespaces can't be made here: {os.strerror(number)}. In a container, start it with --privileged; "
        f"else have the administrator allow user namespaces, {sudo}"
    )
