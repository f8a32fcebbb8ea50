"""A relay in user land: what a published port's own proxy would be, had it several targets."""

from __future__ import annotations

import errno
import sys
from typing import TYPE_CHECKING, ClassVar

from harness.common.channel import ChannelClosedError
from harness.errors import StrategyError
from harness.strategies.base import Options, Strategy
from harness.types import Counted, Unit, authority

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.common.channel import Message
    from harness.hosts.base import Host, Program
    from harness.types import Endpoint, Member

_START_DEADLINE_S = 20
_ANSWER_DEADLINE_S = 20


class PortTakenError(StrategyError):
    """Another program listens on the port already."""


class RelayProgram:
    """A relay (`harness.strategies.relay`) on a host.

    Raises
    ------
    PortTakenError
        Another program listens there already.
    StrategyError
        It does not start; the message holds its words.
    """

    def __init__(self, host: Host, address: str, port: int, members: Sequence[Member]) -> None:
        argv = [sys.executable, "-m", "harness.strategies.relay", address, str(port)]
        self._program: Program = host.spawn(argv, "host", "proxy")
        started = self._receive(_START_DEADLINE_S)
        if started["event"] == "failed":
            refused = PortTakenError if started["errno"] == errno.EADDRINUSE else StrategyError
            raise refused(f"the relay can't listen on {authority(address, port)}: {started['error']}")
        self.lead_to(members)

    def lead_to(self, members: Sequence[Member]) -> None:
        """Give new connections to these members."""
        listed = [[member.address, member.port, member.weight] for member in members]
        self._ask({"do": "members", "members": listed})

    def counts(self, members: Sequence[Member]) -> tuple[int, ...]:
        """Read how many connections each member has got."""
        counts = {(address, port): count for address, port, count in self._ask({"do": "counts"})["counts"]}
        return tuple(counts.get((member.address, member.port), 0) for member in members)

    def stop(self) -> None:
        """Free the port, and end it with all connections that it relays."""
        self._ask({"do": "leave"})
        self._program.channel.close()

    def _ask(self, request: Message) -> Message:
        try:
            self._program.channel.send(request)
        except ChannelClosedError as error:
            raise StrategyError(self._gone()) from error
        return self._receive(_ANSWER_DEADLINE_S)

    def _receive(self, patience_s: float) -> Message:
        try:
            return self._program.channel.receive(patience_s)
        except ChannelClosedError as error:
            raise StrategyError(self._gone()) from error
        except TimeoutError as error:
            raise StrategyError(f"the relay has not answered for {patience_s:.0f} s") from error

    def _gone(self) -> str:
        return f"the relay has gone: {self._program.stderr_tail() or 'it was killed'}"


class Userland(Strategy):
    """One process that takes every connection and opens one of its own to the next member."""

    name: ClassVar[str] = "userland"
    summary: ClassVar[str] = "a plain TCP relay in user land, one connection to the next instance for each"
    family: ClassVar[str] = "proxies for TCP"
    unit: Unit = "connection"
    policy = "round robin"
    predicted: ClassVar[str] = "exactly by weight"
    weights: bool = True
    options_model: ClassVar[type[Options]] = Options
    way: ClassVar[str] = """
client --> host:PORT --> relay (one thread, bytes copied twice) --> connection of its own --> instance
"""
    seams: ClassVar[str] = """
- Every byte is copied through one process, which is one thread: the bottleneck long before the instances.
- Instances see the host's address instead of the client's.
- A member that refuses connections still gets its turns; the client's connection is reset then.
- It is this project's own relay, written in Python: its cost is not that of one in Go or C.
"""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._relay: RelayProgram | None = None

    def expose(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
        """Start the relay on the endpoint."""
        self._relay = RelayProgram(host, endpoint.address, endpoint.port, members)

    def update(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
        """Tell the relay, which keeps the connections that it has."""
        del host, endpoint
        if self._relay is not None:
            self._relay.lead_to(members)

    def withdraw(self, host: Host, endpoint: Endpoint) -> None:
        """End the relay."""
        del host, endpoint
        if self._relay is not None:
            self._relay.stop()
            self._relay = None

    def counted(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> Counted | None:
        """Read the relay's counts of each member."""
        del host, endpoint
        if self._relay is None:
            return None
        each = self._relay.counts(members)
        return Counted("proxy", "connections", sum(each), each)
