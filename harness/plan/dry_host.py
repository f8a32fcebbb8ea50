"""What a run would set up, without a run: a dry run of the real strategy.

The strategy is given a host that carries nothing out and writes down what is asked of it. Each program
is taken to succeed. Where the strategy needs an answer, it gets what is known: what a new host holds, what
this machine grants, what the strategy itself has put there. Where it needs one that only a program could
give, the dry run ends, and says so.
"""

from __future__ import annotations

import errno
import io
import os
import re
import resource
import socket
import struct
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast

from harness.common.channel import Channel, Message
from harness.engines import ENGINES
from harness.errors import RefusedError
from harness.hosts import HOSTS
from harness.hosts.address_plan import IPV4
from harness.hosts.base import Finished
from harness.hosts.netns import NetnsHost, may_map_everyone
from harness.strategies import dns
from harness.strategies.actions import Command, File, Served, Spawned, Told
from harness.strategies.proxy import ASK_LIMITS
from harness.types import Endpoint, Member

if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping, Sequence
    from typing import Self

    from harness.scenario import Scenario
    from harness.types import ClientSide, Listener, Placement, Role, Side

NGINX_MODULES = "$NGINX_MODULES"
"""Stands for the folder of nginx's modules, which only nginx can tell."""

_RELAY = ["-m", "harness.strategies.relay"]
_SILENT = (["iptables-restore"], ["nft", "-f"])  # programs that say nothing when they succeed
_CHAIN = re.compile(r"^(?::(?P<made>\S+)|-X (?P<removed>\S+))", re.MULTILINE)
_LONGEST_ANSWER = 65_535  # RFC 1035, section 4.2.2: over TCP, two bytes say how long a message is


@dataclass(frozen=True)
class Machine:
    """The throw-away host, its endpoint, and where its clients are: their first address, and how many."""

    host: str
    endpoint: Endpoint
    client: ClientSide
    first_source: str
    sources: int


@dataclass(frozen=True)
class Instances:
    """What is started: `command`, or the sample where it is None."""

    members: tuple[Member, ...]
    placement: Placement
    command: tuple[str, ...] | None


@dataclass(frozen=True)
class Remark:
    """What has to be known of a step, or why there are no more."""

    text: str


Step = Machine | Instances | Command | File | Served | Spawned | Told | Remark


def provisioned(scenario: Scenario) -> list[Step]:
    """List what a run would set up, in order; nothing is carried out.

    Raises
    ------
    StrategyError
        A run would fail with it. That the strategy refuses so many members is a remark, and no error.
    """
    strategy = scenario.strategy.made()
    host = DryHost(scenario.client, scenario.load.sources, HOSTS[scenario.host].address)
    endpoint = Endpoint(host.address, scenario.port)
    members = members_of(scenario, strategy.can.placement)
    steps = host.steps
    steps.append(Machine(scenario.host, endpoint, scenario.client, host.sources[0], len(host.sources)))
    steps.append(Instances(tuple(members), strategy.can.placement, scenario.application.command))
    if ENGINES.find(scenario.engine).images:
        words = "instances are containers: their addresses are the engine's to give, so others than these"
        if strategy.can.image:
            words += (
                f"; the strategy's programs run in a container of the image {strategy.can.image}, on the "
                f"instances' network, which publishes port {scenario.port}"
            )
        elif strategy.can.published:
            words += f"; the engine publishes port {scenario.port}, in place of all that follows"
        steps.append(Remark(words))
    try:
        strategy.expose(host, endpoint, members)
    except _AnswerNeeded as needed:
        steps.append(Remark(str(needed)))
    except RefusedError as error:
        steps.append(Remark(f"here the strategy refuses: {error}"))
    return steps


def members_of(scenario: Scenario, placement: Placement) -> list[Member]:
    """Give the members that a run's engine would start, where they would listen."""
    port = scenario.port if placement == "host" else scenario.application.port
    members, routes = [], scenario.routes_by_instance()
    for position, (name, weight) in enumerate(scenario.instances().items()):
        own = {"own": position, "sandbox": 0}.get(placement)
        address = HOSTS[scenario.host].address if own is None else IPV4.instance(own)
        members.append(Member(name, address, port, weight, routes.get(name)))
    return members


class _AnswerNeeded(BaseException):
    """The strategy waits for an answer that only a run gives; no strategy is to catch it."""


class _Unknown(Finished):
    """A program that succeeded; what it said can't be known."""

    def __init__(self, argv: Sequence[str]) -> None:
        object.__setattr__(self, "status", 0)
        object.__setattr__(self, "_argv", tuple(argv))

    @property
    def stdout(self) -> str:
        """End the dry run."""
        self._end()

    @property
    def stderr(self) -> str:
        """End the dry run."""
        self._end()

    def _end(self) -> NoReturn:
        argv: tuple[str, ...] = self._argv  # type: ignore[attr-defined]  # set above, as the class is frozen
        raise _AnswerNeeded(_what_it_answers(argv))


class DryHost:
    """A host that carries nothing out, and logs all actions.

    Parameters
    ----------
    side, sources
        As for `NetnsHost`.
    address
        That clients know.

    Attributes
    ----------
    steps
        The actions, in order.
    """

    published = False
    resolver: str | None = None
    engine_socket = ""

    def __init__(self, side: ClientSide, sources: int, address: str = NetnsHost.address) -> None:
        self.address = address
        self.sources = IPV4.sources(side, sources)
        self.steps: list[Step] = []
        self._chains: dict[str, None] = {}  # of the nat table, which is empty on a new host
        self._files: dict[str, str] = {}
        self._taken: set[tuple[str, ...]] = set()

    def run(self, argv: Sequence[str], text: str = "") -> Finished:
        """Write a command down, and give what is known of its answer."""
        argv = list(argv)
        self.steps.append(Command(tuple(argv), text))
        if argv[0] == "iptables-restore":
            self._change_chains(text)
        if any(argv[: len(silent)] == silent for silent in _SILENT):
            return Finished(0, "", "")
        if argv[0] == "iptables-save":
            return Finished(0, "".join(f":{chain} - [0:0]\n" for chain in self._chains), "")
        if argv == ["sh", "-c", ASK_LIMITS]:
            return Finished(0, _limits_here(), "")
        if argv == ["nginx", "-V"]:
            self.steps.append(
                Remark(
                    f"{NGINX_MODULES} stands for the folder of modules that `nginx -V` tells; an nginx with "
                    "its stream module built in gets no load_module line"
                )
            )
            return Finished(0, "", f"configure arguments: --modules-path={NGINX_MODULES}\n")
        return _Unknown(argv)

    def _change_chains(self, transaction: str) -> None:
        for change in _CHAIN.finditer(transaction):
            if change["made"]:
                self._chains[change["made"]] = None
            else:
                self._chains.pop(change["removed"], None)

    def spawn(self, argv: Sequence[str], side: Side, role: Role, fds: Sequence[int] = ()) -> _DryProgram:
        """Write down a program that is spoken to; the project's own relay is taken to listen."""
        del side, role, fds
        self.steps.append(Spawned(tuple(argv)))
        if list(argv[1:3]) != _RELAY:
            return _DryProgram(_DryChannel(self.steps, argv))
        place = tuple(argv[3:5])
        if place in self._taken:
            refused = {"event": "failed", "errno": errno.EADDRINUSE, "error": os.strerror(errno.EADDRINUSE)}
            return _DryProgram(_DryChannel(self.steps, argv, refused))
        self._taken.add(place)
        return _DryProgram(_DryChannel(self.steps, argv, {"event": "listening"}, obeys=True))

    def serve(
        self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None, role: Role = "proxy"
    ) -> _DryService:
        """Write down a program that goes on."""
        del role
        self.steps.append(Served(name, tuple(argv), tuple((env or {}).items())))
        return _DryService()

    def write(self, path: str, text: str) -> None:
        """Write down a file."""
        self.steps.append(File(path, text))
        self._files[path] = text

    def connect(self, place: int | str) -> socket.socket:
        """Give a connection to the name server, which answers what its file says; end the dry run else."""
        if place == dns.PORT and dns.HOSTS_FILE in self._files:
            return cast("socket.socket", _Resolver(self._files[dns.HOSTS_FILE]))
        where = f"port {place}" if isinstance(place, int) else place
        raise _AnswerNeeded(f"from here on a run talks to the running program, at {where}")

    def attach(self, pids: Sequence[int], addresses: Sequence[str] = ()) -> list[str]:
        """Give the addresses that the first namespaces would have."""
        del addresses
        return [IPV4.instance(position) for position in range(len(pids))]

    def exposed(self) -> None:
        """Do nothing: there are no limits to set."""

    def dropped(self) -> int:
        """End the dry run: nothing was counted."""
        raise _AnswerNeeded("from here on a run counts packets")

    def died(self) -> list[str]:
        """Give none: nothing was started."""
        return []

    def cpu_ns(self) -> dict[str, int]:
        """End the dry run: nothing used a processor."""
        raise _AnswerNeeded("from here on a run reads processor time")


class _DryService:
    """A program that is taken to serve."""

    def wait_listening(self, ports: Sequence[Listener | int]) -> None:
        """Take it to listen."""

    def signal(self, number: signal.Signals) -> None:
        """Do nothing: there is no process to signal."""

    def stop(self) -> None:
        """Do nothing: nothing goes on."""


class _DryChannel(Channel):
    """A channel without a peer.

    Parameters
    ----------
    steps
        Where what is said is written down.
    argv
        The program.
    first
        What the program says by itself; None if that is not known.
    obeys
        Whether it answers each message with an empty one, as the relay does.
    """

    def __init__(
        self, steps: list[Step], argv: Sequence[str], first: Message | None = None, *, obeys: bool = False
    ) -> None:
        self._steps = steps
        self._argv = argv
        self._answers = deque([] if first is None else [first])
        self._obeys = obeys

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        """Write it down."""
        del fds
        self._steps.append(Told(message))
        if self._obeys:
            self._answers.append({})

    def receive(self, timeout_s: float | None = None) -> Message:
        """Give what the program would say."""
        del timeout_s
        if not self._answers:
            raise _AnswerNeeded(_what_it_answers(self._argv))
        return self._answers.popleft()

    def close(self) -> None:
        """Do nothing: there is no other end."""


@dataclass(frozen=True)
class _DryProgram:
    """A program that is taken to run."""

    channel: Channel

    def stderr_tail(self) -> str:
        """Give nothing: it never says a word."""
        return ""


@dataclass
class _Resolver:
    """A connection to dnsmasq, as far as `Dns.answer` needs one: it tells the addresses of its file."""

    hosts: str
    _answer: io.BytesIO = field(default_factory=io.BytesIO)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Do nothing: there is no connection."""

    def makefile(self, mode: str) -> io.BytesIO:
        """Give the stream that answers will be in."""
        del mode
        return self._answer

    def sendall(self, data: bytes) -> None:
        """Answer a question, before which stands its length: the question again, and a record a line."""
        question = data[2:]
        addresses = [line.split()[0] for line in self.hosts.splitlines()]
        name_type_class_ttl_length = struct.pack("!3HIH", 0xC00C, 1, 1, dns.TTL_S, 4)
        records = (name_type_class_ttl_length + socket.inet_aton(address) for address in addresses)
        answer = question[:6] + struct.pack("!H", len(addresses)) + question[8:] + b"".join(records)
        if len(answer) > _LONGEST_ANSWER:
            raise _AnswerNeeded(_what_it_answers(["dnsmasq"]))
        self._answer.write(struct.pack("!H", len(answer)) + answer)
        self._answer.seek(0)


def _what_it_answers(argv: Sequence[str]) -> str:
    name = argv[2] if len(argv) > 2 and argv[1] == "-m" else argv[0]
    return f"from here on a run goes by what {name} answers"


def _limits_here() -> str:
    """Tell what programs of a host would be granted on this machine: they have this process's limits."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    known = Path("/proc/self/uid_map").read_text() if may_map_everyone() else f"0 {os.geteuid()} 1\n"
    return f"{files}\n{os.sysconf('SC_NPROCESSORS_ONLN')}\n{known}"
