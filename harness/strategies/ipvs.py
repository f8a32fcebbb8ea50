"""IPVS, the kernel's IP virtual server, with masquerading (network address translation).

The endpoint is a virtual service, the members are its real servers. ipvsadm(8) describes the schedulers.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

from harness.common.text import stderr_tail
from harness.errors import KernelLacksError, StrategyError
from harness.strategies.actions import Command, Look, Question
from harness.strategies.base import Strategy
from harness.strategies.ipvs_control import LACKS
from harness.types import Counted, Unit, authority

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.hosts.base import Finished, Host
    from harness.strategies.actions import Actions, Facts
    from harness.strategies.base import Options
    from harness.types import Endpoint, Member

_FALLBACK = 0x8  # linux/ip_vs.h, IP_VS_SVC_F_SCHED1: a server with weight 0 is passed over for the next
_ADDED_UP_DEADLINE_S = 20
_LOOK_EVERY_S = 0.1
_CAVEATS = """
- The kernel must have IPVS (CONFIG_IP_VS) with the scheduler. Distributions have them as modules, which only
  the machine's administrator can load: `sudo modprobe ip_vs`.
- The choice is made once for a connection, when its first packet has arrived for the host itself (the nat
  table's PREROUTING comes before).
- A server that leaves gets weight 0: it keeps its connections and gets no new ones.
"""


class _Ipvs(Strategy):
    """A virtual service; its scheduler is the strategy's."""

    scheduler: ClassVar[str]
    flags: ClassVar[int] = 0
    family: ClassVar[str] = "IPVS"
    keeps_source: ClassVar[bool] = True
    needs_root: ClassVar[bool] = True
    weights: bool = True
    packet_path: ClassVar[str] = """
client --> host:PORT --> INPUT hook: virtual service --> scheduler --> translated --> instance
"""
    caveats: ClassVar[str] = _CAVEATS

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._members: list[Member] = []
        # What was counted before: in all, and by servers, which the kernel may know from an earlier time.
        self._before = 0
        self._had: Counter[str] = Counter()

    def exposing(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Make the virtual service and its servers."""
        del facts
        commands: list[list[Any]] = [["version"], ["make", self.scheduler, self.flags]]
        commands += [_server("add", member, member.weight) for member in members]
        _given((yield Question(_control(endpoint, commands))))
        self._members = list(members)
        self._before = _connections((yield Question(_STATISTICS)))
        self._had = _counts((yield Question(_control(endpoint, [["counts", len(self._members)]]))))

    def updating(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Take new servers in, and let those that leave keep the connections that they have."""
        del facts
        there = {(member.address, member.port) for member in self._members}
        stay = {(member.address, member.port) for member in members}
        gone = [member for member in self._members if (member.address, member.port) not in stay]
        commands = [
            _server("edit" if (member.address, member.port) in there else "add", member, member.weight)
            for member in members
        ]
        commands += [_server("edit", member, 0) for member in gone]
        _given((yield Question(_control(endpoint, commands))))
        self._members = [*members, *gone]

    def withdrawing(self, facts: Facts, endpoint: Endpoint) -> Actions[None]:
        """Take out the virtual service."""
        del facts
        # Until then, or its servers would begin with the rest, were they taken in again.
        yield Look("IPVS", lambda host: self._added_up(host, endpoint))
        _given((yield Question(_control(endpoint, [["remove"]]))))
        self._members = []

    def counted(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> Counted:
        """Read how many connections each server has been given."""
        counts = self._added_up(host, endpoint)
        each = tuple(counts[member.authority] for member in members)
        return Counted("kernel", "connections", sum(each), each)

    def _added_up(self, host: Host, endpoint: Endpoint) -> Counter[str]:
        """Wait until the kernel has added up its servers' counters over all processors: every two seconds."""
        end_s = time.monotonic() + _ADDED_UP_DEADLINE_S
        while True:
            counts = _counts(_run(host, _control(endpoint, [["counts", len(self._members)]])))
            counts.subtract(self._had)
            there, scheduled = sum(counts.values()), _connections(_run(host, _STATISTICS)) - self._before
            if there == scheduled:
                return counts
            if time.monotonic() > end_s:
                raise StrategyError(
                    f"IPVS scheduled {scheduled} connections, but its servers' counters add up to {there}"
                )
            time.sleep(_LOOK_EVERY_S)


class IpvsRr(_Ipvs):
    """Weighted round robin, which is round robin where all weights are one."""

    name: ClassVar[str] = "ipvs-rr"
    summary: ClassVar[str] = "the kernel's IP virtual server, (weighted) round robin"
    unit: Unit = "connection"
    policy = "round robin"
    predicted: ClassVar[str] = "exactly by weight"
    scheduler: ClassVar[str] = "wrr"


class IpvsLc(_Ipvs):
    """The server with the fewest connections for its weight."""

    name: ClassVar[str] = "ipvs-lc"
    summary: ClassVar[str] = "the kernel's IP virtual server, (weighted) least connections"
    unit: Unit = "connection"
    policy = "least connections"
    predicted: ClassVar[str] = "even where instances are alike"
    scheduler: ClassVar[str] = "wlc"


class IpvsSh(_Ipvs):
    """A hash of the client's address looks up a table of 256 slots."""

    name: ClassVar[str] = "ipvs-sh"
    summary: ClassVar[str] = "the kernel's IP virtual server, source hash"
    unit: Unit = "source"
    policy = "source hash"
    predicted: ClassVar[str] = "over addresses, 256 slots"
    scheduler: ClassVar[str] = "sh"
    flags: ClassVar[int] = _FALLBACK
    caveats: ClassVar[str] = f"""{_CAVEATS}\
- Its table has 256 slots (CONFIG_IP_VS_SH_TAB_BITS): ten servers cannot have the same number of them.
"""


class IpvsMh(_Ipvs):
    """Maglev's consistent hash of the client's address."""

    name: ClassVar[str] = "ipvs-mh"
    summary: ClassVar[str] = "the kernel's IP virtual server, Maglev hash"
    unit: Unit = "source"
    policy = "source hash"
    predicted: ClassVar[str] = "over addresses, 4,093 slots"
    scheduler: ClassVar[str] = "mh"
    flags: ClassVar[int] = _FALLBACK
    caveats: ClassVar[str] = f"""{_CAVEATS}\
- A changed set of servers moves few addresses, unlike `ipvs-sh` (Eisenbud et al., "Maglev", NSDI 2016).
"""


_STATISTICS = Command(("cat", "/proc/net/ip_vs_stats_percpu"))


def _connections(finished: Finished) -> int:
    """Read how many connections IPVS has scheduled so far, on all processors."""
    # Two headings, a row for each processor (its number and hexadecimal counts, connections first), and
    # behind the row of "~" what was added up when and the rates.
    rows = finished.stdout.partition("~")[0].splitlines()[2:]
    return sum(int(row.split()[1], 16) for row in rows if row.strip())


def _counts(finished: Finished) -> Counter[str]:
    (found,) = _given(finished)
    return Counter({authority(address, port): count for address, port, count in found})


def _run(host: Host, command: Command) -> Finished:
    return host.run(command.argv, command.text)


def _server(command: str, member: Member, weight: int) -> list[Any]:
    return [command, member.address, member.port, weight]


def _control(endpoint: Endpoint, commands: Sequence[list[Any]]) -> Command:
    program = (sys.executable, "-m", "harness.strategies.ipvs_control")
    return Command((*program, endpoint.address, str(endpoint.port)), json.dumps(commands))


def _given(finished: Finished) -> list[Any]:
    words = stderr_tail(finished.stderr.encode())
    if finished.status == LACKS:
        raise KernelLacksError(
            f"this kernel lacks IPVS or its scheduler ({words}); if they are modules: sudo modprobe ip_vs"
        )
    if finished.status:
        raise StrategyError(f"IPVS refused: {words}")
    given: list[Any] = json.loads(finished.stdout)
    return given
