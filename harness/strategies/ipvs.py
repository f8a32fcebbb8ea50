"""IPVS, the kernel's IP virtual server, with masquerading (network address translation).

The endpoint is a virtual service, the members are its real servers. ipvsadm(8) has the schedulers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from harness.errors import KernelLacksError, StrategyError
from harness.strategies.base import Counted, Strategy, Unit
from harness.words import last_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.hosts.base import Host
    from harness.strategies.base import Endpoint, Member, Options

_SERVER = re.compile(r"^\s+-> (\S+):(\d+)\s+(\d+)", re.MULTILINE)
_SEAMS = """
- The kernel must have IPVS (CONFIG_IP_VS) with the scheduler; distributions' kernels do, as modules.
- The choice is made once for a connection. It is made behind the nat table's PREROUTING and the routing
  decision, so the endpoint's address must be the host's own.
- A server that is taken out while connections to it are established is given weight 0 first, which drains it.
"""


class _Ipvs(Strategy):
    """A virtual service; its scheduler is the strategy's."""

    scheduler: ClassVar[str]
    flags: ClassVar[str] = ""
    keeps_source: ClassVar[bool] = True
    weights: bool = True
    commands: ClassVar[Mapping[str, str]] = {"ipvsadm": "apt-get install ipvsadm"}
    versions: ClassVar[Mapping[str, tuple[str, ...]]] = {"ipvsadm": ("ipvsadm", "--version")}
    way: ClassVar[str] = """
client --> host:PORT --> INPUT hook: virtual service --> scheduler --> translated --> instance
"""
    seams: ClassVar[str] = _SEAMS

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._members: list[Member] = []

    def expose(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
        """Make the virtual service and its servers."""
        probe = host.run(["ipvsadm", "--list", "--numeric"])
        if probe.status:
            words = probe.stderr.strip().splitlines()[0]
            raise KernelLacksError(
                f"this kernel has no IPVS ({words}); where it is a module: sudo modprobe ip_vs"
            )
        flags = f" -b {self.flags}" if self.flags else ""
        service = f"-A -t {_service(endpoint)} -s {self.scheduler}{flags}"
        _ipvsadm(host, [service, *(_line("-a", endpoint, member, member.weight) for member in members)])
        self._members = list(members)

    def update(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
        """Take new servers in, and let the others keep the connections that they have but get no more."""
        known = {(member.address, member.port) for member in self._members}
        wanted = {(member.address, member.port) for member in members}
        lines = [
            _line("-e" if (member.address, member.port) in known else "-a", endpoint, member, member.weight)
            for member in members
        ]
        gone = [member for member in self._members if (member.address, member.port) not in wanted]
        _ipvsadm(host, [*lines, *(_line("-e", endpoint, member, 0) for member in gone)])
        self._members = [*members, *gone]

    def withdraw(self, host: Host, endpoint: Endpoint) -> None:
        """Take out the virtual service."""
        _ipvsadm(host, [f"-D -t {_service(endpoint)}"])
        self._members = []

    def counted(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> Counted:
        """Read how many connections each server has been given."""
        listing = ["ipvsadm", "-L", "-n", "--stats", "--exact", "-t", _service(endpoint)]
        found = _SERVER.findall(_succeed(host, listing, ""))
        counts = {f"{address}:{port}": int(connections) for address, port, connections in found}
        each = tuple(counts.get(f"{member.address}:{member.port}", 0) for member in members)
        return Counted("kernel", "connections", sum(each), each)


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
    flags: ClassVar[str] = "sh-fallback"
    seams: ClassVar[str] = f"""{_SEAMS}\
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
    flags: ClassVar[str] = "mh-fallback"
    seams: ClassVar[str] = f"""{_SEAMS}\
- A changed set of servers moves few addresses, unlike `ipvs-sh` (Eisenbud et al., "Maglev", NSDI 2016).
"""


def _service(endpoint: Endpoint) -> str:
    return f"{endpoint.address}:{endpoint.port}"


def _line(action: str, endpoint: Endpoint, member: Member, weight: int) -> str:
    return f"{action} -t {_service(endpoint)} -r {member.address}:{member.port} -m -w {weight}"


def _ipvsadm(host: Host, lines: Sequence[str]) -> None:
    _succeed(host, ["ipvsadm", "--restore"], "\n".join([*lines, ""]))


def _succeed(host: Host, argv: list[str], text: str) -> str:
    finished = host.run(argv, text)
    if finished.status:
        raise StrategyError(f"ipvsadm refused: {last_words(finished.stderr.encode())}")
    return finished.stdout
