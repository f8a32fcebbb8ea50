"""SO_REUSEPORT: every instance listens on the same port, and the kernel picks a socket.

Sockets that listen on one address and port with this option are a group. A connection's first packet
goes to the socket that a hash of both addresses and ports selects (socket(7), reuseport_select_sock
of net/core/sock_reuseport.c), or to the one that a program attached to the group names.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from harness.common.text import stderr_tail
from harness.errors import StrategyError
from harness.strategies.actions import Command
from harness.strategies.base import Options, Strategy
from harness.strategies.iptables import IptablesStrategy, counted_anywhere, dnat
from harness.strategies.passive import Passive
from harness.types import Counted, Unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.hosts.base import Host
    from harness.strategies.actions import Actions, Facts
    from harness.strategies.capabilities import Capabilities, Discovery
    from harness.types import Endpoint, Member, Placement

_COOPERATION = """
- The application must set SO_REUSEPORT before it binds, or the second instance fails with "Address already
  in use"; and all instances must run as the same user (socket(7)).
- A dead instance leaves the group at once, without any message. But connections that wait in its backlog are
  reset, unless net.ipv4.tcp_migrate_req is set (kernel documentation, ip-sysctl).
- While an instance joins or leaves, the kernel may look a half-made connection up in another socket, and
  resets it then.
"""


class _Group(Strategy):
    """Instances that share a port by themselves."""

    unit: Unit = "connection"
    policy = "kernel hash"
    predicted: ClassVar[str] = "multinomial"
    follows: ClassVar[str] = "the kernel drops a closed socket"
    discovery: Discovery = "self"
    family: ClassVar[str] = "sockets that share a port"
    cooperation: ClassVar[bool] = True
    keeps_source: ClassVar[bool] = True
    caveats: ClassVar[str] = _COOPERATION


class SoReuseportHost(_Group, Passive):
    """All instances listen on the endpoint's port in the host's own network namespace."""

    name: ClassVar[str] = "so-reuseport-host"
    summary: ClassVar[str] = "all instances in the host's network, on one port with SO_REUSEPORT"
    placement: ClassVar[Placement] = "host"
    packet_path: ClassVar[str] = """
client --> host:PORT --> hash of addresses and ports --> socket of instance k
"""


class SoReuseportSandbox(_Group, IptablesStrategy):
    """All instances listen on their port in one network namespace, to which the endpoint leads."""

    name: ClassVar[str] = "so-reuseport-sandbox"
    summary: ClassVar[str] = "all instances in one sandbox's network (a pod), whose port is published"
    placement: ClassVar[Placement] = "sandbox"
    published: ClassVar[bool] = True
    packet_path: ClassVar[str] = """
client --> host:PORT --> nat table: DNAT --> sandbox:PORT --> hash of addresses and ports
                                                          --> socket of instance k
"""
    caveats: ClassVar[str] = f"""{_COOPERATION}\
- All instances have one address, one loopback and one set of ports; a second port of theirs would clash.
- The sandbox must outlive them all: when its holder dies, so does the network of every instance.
"""

    def _rules(self, members: Sequence[Member]) -> list[str]:
        return [dnat(members[0])]  # all have the same address

    def exposing(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Lead the endpoint to the sandbox, unless its engine has published its port."""
        if not facts.published:
            yield from super().exposing(facts, endpoint, members)

    def updating(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Lead the endpoint to the sandbox, where instances come and go by themselves."""
        if not facts.published:
            yield from super().updating(facts, endpoint, members)

    def withdrawing(self, facts: Facts, endpoint: Endpoint) -> Actions[None]:
        """Take out the rule, if it is this strategy's."""
        if not facts.published:
            yield from super().withdrawing(facts, endpoint)

    def counted(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> Counted:
        """Read how many connections the published port took; the rule does not count by instance."""
        sandbox = members[:1]
        published = host.published
        counted = counted_anywhere(host, sandbox) if published else super().counted(host, endpoint, sandbox)
        return Counted(counted.by, counted.what, counted.total)


_STEERING = {"random": "random", "cpu": "by processor"}


class Steering(Options):
    """How the attached program chooses."""

    policy: Literal["random", "cpu"] = Field(
        default="random",
        description="A random socket, or the one with the number of the processor that took the packet.",
    )


class SoReuseportBpf(SoReuseportHost):
    """The group's sockets are chosen by a classic BPF program (SO_ATTACH_REUSEPORT_CBPF)."""

    name: ClassVar[str] = "so-reuseport-bpf"
    summary: ClassVar[str] = "SO_REUSEPORT in the host's network, steered by a classic BPF program"
    policy = "random"
    predicted: ClassVar[str] = "multinomial; by processor: as packets come"
    options_model: ClassVar[type[Options]] = Steering
    options: Steering
    discovery: Discovery = "pushed"
    packet_path: ClassVar[str] = """
client --> host:PORT --> BPF program: a number below N --> socket of instance k
"""
    caveats: ClassVar[str] = f"""{_COOPERATION}\
- `policy: cpu` keeps a connection on the processor that took its first packet; with more instances than
  processors, some get nothing.
- The program counts sockets in the order in which they began to listen; when one leaves, the last takes its
  number, and a number beyond the end falls back to the hash.
"""

    @classmethod
    def capabilities(cls, options: Options) -> Capabilities:
        """Tell what it can do: how it chooses is an option."""
        told = super().capabilities(options)
        return replace(told, policy=_STEERING[options.policy]) if isinstance(options, Steering) else told

    def exposing(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Attach the program to the group."""
        del facts
        steering = (sys.executable, "-m", "harness.strategies.steering")
        policy = self.options.policy
        finished = yield Command((*steering, str(endpoint.port), policy, str(len(members))))
        if finished.status:
            words = stderr_tail(finished.stderr.encode())
            raise StrategyError(f"the program can't be attached to port {endpoint.port}: {words}")

    def updating(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Attach a program for so many sockets as there are now."""
        yield from self.exposing(facts, endpoint, members)
