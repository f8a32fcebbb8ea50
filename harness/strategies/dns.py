"""A name server on the host with the members' addresses: dnsmasq, as small networks run it."""

from __future__ import annotations

import signal
import socket
import struct
import time
from typing import TYPE_CHECKING

from harness.errors import HostError, StrategyError
from harness.hosts.address_plan import IPV4
from harness.strategies.actions import Command, File, Pause, Served, Signal, Stop, WaitListening, WaitUntil
from harness.types import Listener

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.hosts.base import Host, Service
    from harness.strategies.actions import Actions, Facts
    from harness.types import Member

COMMANDS = {"dnsmasq": "apt-get install dnsmasq-base"}
ADDRESS, PORT = IPV4.loopback, 53
NAME = "instances.sameport.test"
"""The name that all members answer to; .test is reserved for such use (RFC 6761)."""
TTL_S = 1
"""How long an answer holds."""

HOSTS_FILE = "/run/sameport/dns/hosts"
"""Where the addresses are, on the host."""

_PUBLISH_DEADLINE_S = 10
_LOOK_EVERY_S = 0.005
# RFC 1035: a question for addresses, recursion desired, and what comes before an answer's address.
_HEADER = struct.Struct("!6H")
_QUESTION_END = struct.pack("!2H", 1, 1)
_RECORD = struct.Struct("!2x2HIH")  # behind a name that is a pointer: type, class, time to live, length


class Dns:
    """Answers `NAME` with the addresses of all members, in changing order.

    Answers hold for `TTL_S`. Weights have no place in it. Where the host has a name server that knows the
    members, as container engines have for their networks, that one answers, for as long as it likes.

    Attributes
    ----------
    address
        The name server.
    """

    def __init__(self, facts: Facts) -> None:
        self._own = facts.resolver is None
        self.address = facts.resolver or ADDRESS
        self._service: Service | None = None
        self._published_s = 0.0

    def publish(self, members: Sequence[Member]) -> Actions[None]:
        """Answer with these members from now on; ends when it does.

        Raises
        ------
        StrategyError
            dnsmasq is missing or does not start; the message holds its words.
        """
        self._published_s = time.monotonic()
        if not self._own:
            return  # it has them already
        lines = [f"{member.address} {NAME} {member.name}.{NAME}\n" for member in members]
        yield File(HOSTS_FILE, "".join(lines))
        if self._service is None:
            yield from self._start()
        else:
            yield Signal(self._service, signal.SIGHUP)  # it reads the file again
        expected = {member.address for member in members}
        yield WaitUntil(
            "a run waits here until dnsmasq answers with these addresses",
            lambda host: answer(host) == expected,
            f"dnsmasq did not take the new addresses within {_PUBLISH_DEADLINE_S} s",
            deadline_s=_PUBLISH_DEADLINE_S,
            every_s=_LOOK_EVERY_S,
        )
        self._published_s = time.monotonic()

    def wait_forgotten(self) -> Actions[None]:
        """Wait until every answer from before `publish` has expired.

        Clients that count in whole seconds, such as nginx, keep it for nearly twice its time.
        """
        yield Pause(max(0.0, self._published_s + 2 * TTL_S - time.monotonic()))

    def _start(self) -> Actions[None]:
        argv = (
            "dnsmasq",
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            f"--addn-hosts={HOSTS_FILE}",
            f"--listen-address={ADDRESS}",
            f"--port={PORT}",
            "--bind-interfaces",
            f"--local-ttl={TTL_S}",
            # Over loopback, an answer as long as it may be: some ask by UDP alone.
            "--edns-packet-max=65535",
            "--user=root",
            "--group=",  # none: where root is the only user, a change to any is refused
            "--pid-file=",
            "--log-facility=-",
        )
        try:
            for program, install in COMMANDS.items():
                if (yield Command(("sh", "-c", f"command -v {program}"))).status:
                    raise StrategyError(f"discovery dns needs {program}, which is not on the host: {install}")
            self._service = yield Served("dnsmasq", argv)
            yield WaitListening(self._service, (Listener("tcp", PORT),))
        except HostError as error:
            raise StrategyError(str(error)) from error

    def stop(self) -> Actions[None]:
        """Stop answering."""
        if self._service is not None:
            yield Stop(self._service)
            self._service = None


def answer(host: Host) -> set[str]:
    """Ask for the addresses, over TCP, which has room for all of them.

    Raises
    ------
    StrategyError
        It does not answer.
    """
    name = b"".join(bytes([len(label)]) + label.encode() for label in NAME.split("."))
    asked = _HEADER.pack(0, 0x0100, 1, 0, 0, 0) + name + b"\0" + _QUESTION_END
    try:
        with host.connect(PORT) as connected, connected.makefile("rb") as stream:
            connected.sendall(struct.pack("!H", len(asked)) + asked)
            (length,) = struct.unpack("!H", stream.read(2))
            told = stream.read(length)
            (count,) = struct.unpack_from("!H", told, 6)
    except (HostError, OSError, struct.error) as error:
        raise StrategyError(f"dnsmasq does not answer: {error}") from error
    return set(_addresses(told, len(asked), count))


def _addresses(message: bytes, offset: int, count: int) -> list[str]:
    """Read an answer's records, each of which has the question's name, as a pointer to it."""
    addresses = []
    for _ in range(count):
        kind, _, _, length = _RECORD.unpack_from(message, offset)
        offset += _RECORD.size
        if kind == 1:
            addresses.append(socket.inet_ntoa(message[offset : offset + length]))
        offset += length
    return addresses
