"""A relay in user land: what a published port's own proxy would be, had it several targets."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING, ClassVar, Self

from harness.common.channel import ChannelClosedError
from harness.errors import StrategyError
from harness.strategies.actions import Close, Hear, Spawned, Tell
from harness.strategies.base import Options, Strategy
from harness.types import Counted, Unit, authority

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.common.channel import Message
    from harness.hosts.base import Host, Program
    from harness.strategies.actions import Actions, Facts
    from harness.types import Endpoint, Member

_START_DEADLINE_S = 20
_ANSWER_DEADLINE_S = 20


class PortTakenError(StrategyError):
    """Another program listens on the port already."""


_LISTENING: Message = {"event": "listening"}
TAKEN: Message = {"event": "failed", "errno": errno.EADDRINUSE, "error": os.strerror(errno.EADDRINUSE)}
"""What a relay says that finds its port taken."""


class RelayProgram:
    """A relay (`harness.strategies.relay`) on a host."""

    def __init__(self, program: Program) -> None:
        self._program = program

    @classmethod
    def started(
        cls, address: str, port: int, members: Sequence[Member], on_new_host: Message = _LISTENING
    ) -> Actions[Self]:
        """Give the actions that start one, and the relay itself.

        Parameters
        ----------
        address, port, members
            Where it listens, and where its connections go to.
        on_new_host
            What it would say on a host that was just made.

        Raises
        ------
        PortTakenError
            Another program listens there already.
        StrategyError
            It does not start; the message holds its words.
        """
        argv = (sys.executable, "-m", "harness.strategies.relay", address, str(port))
        relay = cls((yield Spawned(argv)))
        started = yield from relay._heard(_START_DEADLINE_S, on_new_host)
        if started["event"] == "failed":
            refused = PortTakenError if started["errno"] == errno.EADDRINUSE else StrategyError
            raise refused(f"the relay can't listen on {authority(address, port)}: {started['error']}")
        yield from relay.lead_to(members)
        return relay

    def lead_to(self, members: Sequence[Member]) -> Actions[None]:
        """Give new connections to these members."""
        listed = [[member.address, member.port, member.weight] for member in members]
        yield from self._asked({"do": "members", "members": listed})

    def counts(self, members: Sequence[Member]) -> tuple[int, ...]:
        """Read how many connections each member has got."""
        try:
            self._program.channel.send({"do": "counts"})
            told = self._program.channel.receive(_ANSWER_DEADLINE_S)
        except (ChannelClosedError, TimeoutError) as error:
            raise self._unheard(error, _ANSWER_DEADLINE_S) from error
        counts = {(address, port): count for address, port, count in told["counts"]}
        return tuple(counts.get((member.address, member.port), 0) for member in members)

    def stopped(self) -> Actions[None]:
        """Free the port, and end it with all connections that it relays."""
        yield from self._asked({"do": "leave"})
        yield Close(self._program)

    def _asked(self, request: Message) -> Actions[Message]:
        try:
            yield Tell(self._program, request)
        except ChannelClosedError as error:
            raise self._unheard(error, 0) from error
        return (yield from self._heard(_ANSWER_DEADLINE_S, {}))

    def _heard(self, patience_s: float, on_new_host: Message) -> Actions[Message]:
        try:
            heard: Message = yield Hear(self._program, patience_s, on_new_host)
        except (ChannelClosedError, TimeoutError) as error:
            raise self._unheard(error, patience_s) from error
        return heard

    def _unheard(self, error: Exception, patience_s: float) -> StrategyError:
        if isinstance(error, TimeoutError):
            return StrategyError(f"the relay has not answered for {patience_s:.0f} s")
        return StrategyError(f"the relay has gone: {self._program.stderr_tail() or 'it was killed'}")


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
    packet_path: ClassVar[str] = """
client --> host:PORT --> relay (one thread, bytes copied twice) --> connection of its own --> instance
"""
    caveats: ClassVar[str] = """
- Every byte is copied through one process, which is one thread: the bottleneck long before the instances.
- Instances see the host's address instead of the client's.
- A member that refuses connections still gets its turns; the client's connection is reset then.
- It is this project's own relay, written in Python: its cost is not that of one in Go or C.
"""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._relay: RelayProgram | None = None

    def exposing(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Start the relay on the endpoint."""
        del facts
        self._relay = yield from RelayProgram.started(endpoint.address, endpoint.port, members)

    def updating(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Tell the relay, which keeps the connections that it has."""
        del facts, endpoint
        if self._relay is not None:
            yield from self._relay.lead_to(members)

    def withdrawing(self, facts: Facts, endpoint: Endpoint) -> Actions[None]:
        """End the relay."""
        del facts, endpoint
        if self._relay is not None:
            yield from self._relay.stopped()
            self._relay = None

    def counted(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> Counted | None:
        """Read the relay's counts of each member."""
        del host, endpoint
        if self._relay is None:
            return None
        each = self._relay.counts(members)
        return Counted("proxy", "connections", sum(each), each)
