"""The `netns` host: Linux namespaces on this machine, made for one run and thrown away with it.

Needs no root. One supervisor process owns all namespaces (see `harness.hosts.supervisor`); when it
ends, or when this process ends, the kernel removes every process, link and rule inside.
"""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from harness.channel import Channel, ChannelClosedError, Message
from harness.errors import HostError
from harness.hosts import DEFAULT_SOURCES
from harness.hosts.base import ClientSide, Finished, Role, Side
from harness.words import last_words

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping, Sequence

_UP_DEADLINE_S = 20
_ANSWER_DEADLINE_S = 180
_END_DEADLINE_S = 10
_CONNECTED_DEADLINE_S = 10
_LISTEN_DEADLINE_S = 20
_LOOK_EVERY_S = 0.005
# Debian keeps iptables and the proxies where an ordinary user's path does not look.
_ADMIN_PATH = "/usr/local/sbin:/usr/sbin:/sbin"


def search_path() -> str:
    """Give the path on which a host's programs are looked for."""
    # Programs that pip installed beside the harness come last: those of the machine go before them.
    return f"{os.environ.get('PATH', os.defpath)}:{_ADMIN_PATH}:{sysconfig.get_path('scripts')}"


def find_program(name: str) -> str | None:
    """Find a program that the host could run; None where there is none."""
    return shutil.which(name, path=search_path())


@dataclass(frozen=True)
class _NetnsProgram:
    channel: Channel
    stderr: IO[bytes]

    def last_words(self) -> str:
        """Give the last lines that it wrote to its standard error, one line of text."""
        self.stderr.seek(0)
        return last_words(self.stderr.read())


class _NetnsService:
    """A program that goes on serving on the host."""

    def __init__(self, ask: Callable[[Message], Message], name: str, pid: int) -> None:
        self._ask = ask
        self._name = name
        self._pid = pid

    def wait_listening(self, ports: Sequence[int]) -> None:
        """Wait until it, or a process that it started, listens on these TCP ports."""
        end_s = time.monotonic() + _LISTEN_DEADLINE_S
        while True:
            seen = self._ask({"do": "look", "pid": self._pid})
            if seen["ended"]:
                raise HostError(seen["ended"])
            if not (silent := set(ports) - set(seen["ports"])):
                return
            if time.monotonic() > end_s:
                what = f"did not listen on port {min(silent)} within {_LISTEN_DEADLINE_S} s"
                raise HostError(f"{self._name} {what}: {seen['words']}")
            time.sleep(_LOOK_EVERY_S)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its first process; nothing happens where that has ended."""
        self._ask({"do": "signal", "pid": self._pid, "number": int(number)})

    def stop(self) -> None:
        """End it and all that it started."""
        self._ask({"do": "stop", "pid": self._pid})


class NetnsHost:
    """A host made of namespaces; a context manager that ends it.

    Parameters
    ----------
    side
        Where clients come from: ``external`` (a namespace of their own) or ``local`` (the host).
    sources
        How many addresses clients have.
    """

    address = "198.18.37.99"

    def __init__(self, side: ClientSide, sources: int = DEFAULT_SOURCES) -> None:
        self._side = side
        self._sources = sources
        self.sources: tuple[str, ...] = ()
        self._programs: list[_NetnsProgram] = []

        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the host
        self._supervisor: subprocess.Popen[bytes] | None = None

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
                [sys.executable, "-m", "harness.hosts.supervisor", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                pass_fds=[theirs.fileno()],
                # Ctrl-C at the terminal is for the harness alone, which then ends the others in order.
                start_new_session=True,
                env=os.environ | {"PATH": search_path()},
            )
        try:
            self._expect("unshared")
            _map_ids(self._supervisor.pid)
            self._channel.send({"event": "mapped"})
            self._expect("up")
        except ChannelClosedError as error:
            words = self._last_words() or "it was killed"
            raise HostError(f"the netns host ended while it was being made: {words}") from error

    def _expect(self, event: str) -> None:
        try:
            message = self._channel.receive(_UP_DEADLINE_S)
        except TimeoutError as error:
            raise HostError(f"the netns host was not up within {_UP_DEADLINE_S} s") from error
        if message["event"] != event:
            raise HostError(why_no_namespaces(message["errno"]))

    def link(self) -> None:
        """Make the network between host and client; programs may be spawned before."""
        first = self._ask({"do": "link"})[f"first_{self._side}_source"]
        self.sources = tuple(str(IPv4Address(first) + k) for k in range(self._sources))

    def run(self, argv: Sequence[str], text: str = "") -> Finished:
        """Run a program on the host to its end; `text` is its standard input."""
        answer = self._ask({"do": "run", "argv": list(argv), "text": text})
        return Finished(answer["status"], answer["stdout"], answer["stderr"])

    def spawn(self, argv: Sequence[str], side: Side, role: Role, fds: Sequence[int] = ()) -> _NetnsProgram:
        """Start a program that speaks over a channel, on the host or where clients are."""
        place = "client" if side == "client" and self._side == "external" else "host"
        stderr = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the host
        channel, theirs = Channel.pair()
        program = _NetnsProgram(channel, stderr)
        self._programs.append(program)
        with theirs:
            handed = (stderr.fileno(), theirs.fileno(), *fds)
            request = {"do": "spawn", "argv": list(argv), "side": place, "role": role, "fds": len(handed)}
            self._ask(request, handed)
        return program

    def serve(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> _NetnsService:
        """Start a program that goes on serving on the host, such as a proxy."""
        pid = self._ask({"do": "serve", "name": name, "argv": list(argv), "env": dict(env or {})})["pid"]
        return _NetnsService(self._ask, name, pid)

    def write(self, path: str, text: str) -> None:
        """Put a file on the host, below /run, at once."""
        self._ask({"do": "write", "path": path, "text": text})

    def connect(self, place: int | str) -> socket.socket:
        """Connect to a service on the host: a TCP port of its loopback, or the path of a Unix socket."""
        self._ask({"do": "connect", "place": place})
        connected = socket.socket(fileno=self._channel.take_fd())
        connected.settimeout(_CONNECTED_DEADLINE_S)
        return connected

    def attach(self, pids: Sequence[int]) -> list[str]:
        """Connect these processes' network namespaces to the host; gives each one's address."""
        addresses: list[str] = self._ask({"do": "attach", "pids": list(pids)})["addresses"]
        return addresses

    def exposed(self) -> None:
        """Set the limits of kernel parts that are there only since a strategy has put in its rules."""
        self._ask({"do": "track"})

    def dropped(self) -> int:
        """Count the packets that connection tracking had to drop so far."""
        return int(self._ask({"do": "dropped"})["dropped"])

    def died(self) -> list[str]:
        """Tell of each service that has ended without being stopped, one sentence each."""
        sentences: list[str] = self._ask({"do": "died"})["died"]
        return sentences

    def cpu_ns(self) -> dict[str, int]:
        """Read the processor time used so far: of each role's living processes, and `softirq`."""
        return self._ask({"do": "cpu"})

    def _ask(self, request: Message, fds: tuple[int, ...] = ()) -> Message:
        try:
            self._channel.send(request, fds)
            answer = self._channel.receive(_ANSWER_DEADLINE_S)
        except ChannelClosedError as error:
            raise HostError(f"the netns host has gone: {self._last_words() or 'it was killed'}") from error
        except TimeoutError as error:
            message = f"the netns host did not {request['do']} within {_ANSWER_DEADLINE_S} s"
            raise HostError(message) from error
        if "error" in answer:
            what = next((_shown(request[key]) for key in ("argv", "path", "place") if key in request), "")
            what = f"{request['do']} {what}".strip()
            raise HostError(f"the netns host could not {what:.200}: {answer['error']}")
        return answer

    def _last_words(self) -> str:
        return _NetnsProgram(self._channel, self._stderr).last_words()

    def close(self) -> None:
        """End everything inside, and wait until it has ended."""
        if self._supervisor is None:
            return
        self._channel.close()
        try:
            self._supervisor.wait(_END_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._supervisor.kill()
            self._supervisor.wait()
        for program in self._programs:
            program.channel.close()
            program.stderr.close()
        self._supervisor = None

    def __exit__(self, *exc: object) -> None:
        self.close()
        self._stderr.close()


def _shown(what: list[str] | str | int) -> str:
    return shlex.join(what) if isinstance(what, list) else str(what)


def _map_ids(pid: int) -> None:
    """Say who is who inside: root inside is this user outside (user_namespaces(7)).

    Whoever may map every user does so, one to one; then files of other users, such as a home
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
        f"else ask who runs this machine for user namespaces, {sudo}"
    )
