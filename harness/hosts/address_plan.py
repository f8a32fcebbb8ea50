"""The addresses of throw-away machines, of one family each: one place for all pools.

IPv4's are of 198.18.0.0/15, set aside for benchmarks (RFC 2544, RFC 6890), IPv6's of one unique local prefix
(RFC 4193). What has them lives in network namespaces, or behind a virtual machine's own network.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Literal

from harness.types import family_of

if TYPE_CHECKING:
    from harness.types import ClientSide, Family

_POOL = 1 << 14
INSTANCES_PER_BRIDGE = 1_000
"""A Linux bridge has 1,023 ports."""


Pattern = Literal["scattered", "consecutive", "one-network"]
"""How clients' addresses lie: drawn from the whole pool, one after the other, or all in one /24."""


@dataclass(frozen=True)
class Clients:
    """The addresses that clients are to have.

    Attributes
    ----------
    count
        How many.
    pattern
        How they lie in their pool.
    seed
        What the draw of scattered ones begins with.
    """

    count: int
    pattern: Pattern = "consecutive"
    seed: int = 0


@dataclass(frozen=True)
class AddressPlan:
    """Where everything is that a host connects.

    Attributes
    ----------
    endpoint, client
        The host's own address, which clients know, and that of the client namespace.
    outer_bits
        How long the prefix of these two's network is.
    external_sources, local_sources
        Networks of which clients' addresses are: elsewhere, and on the host itself.
    bridges
        The network of all instances, of which each bridge has a part.
    bridge_bits
        How long the prefix of a bridge's part is; its first address is the bridge's own.
    containers
        The network that containers of instances and proxies share.
    engine_bridge, engine_pool, engine_pool_bits
        What a container engine of the host has for itself: the address of its own bridge, and networks of
        so many bits for those that others make.
    loopback, unspecified
        The host to itself, and all addresses.
    """

    endpoint: str
    client: str
    outer_bits: int
    external_sources: str
    local_sources: str
    bridges: str
    bridge_bits: int
    containers: str
    engine_bridge: str
    engine_pool: str
    engine_pool_bits: int
    loopback: str
    unspecified: str

    @property
    def family(self) -> Family:
        """Tell the family of all these addresses."""
        return family_of(self.endpoint)

    @property
    def container_gateway(self) -> str:
        """Give the host's address on the containers' network."""
        return str(ip_network(self.containers)[1])

    def sources(self, side: ClientSide, clients: int | Clients) -> tuple[str, ...]:
        """Give the addresses that clients of a side have; a number alone is of consecutive ones."""
        if isinstance(clients, int):
            clients = Clients(clients)
        network = ip_network(self.external_sources if side == "external" else self.local_sources)
        places: list[int] | range = range(1, clients.count + 1)
        if clients.pattern == "scattered":
            # A network's first and last address are no client's; of IPv6, more than are ever drawn suffice.
            usable = range(1, min(network.num_addresses, _POOL) - 1)
            places = random.Random(clients.seed).sample(usable, clients.count)  # noqa: S311  no secret
        return tuple(str(network[k]) for k in places)

    def gateway(self, bridge: int) -> str:
        """Give a bridge's own address; bridges count from 0."""
        return self._of_bridge(bridge, 1)

    def instance(self, position: int) -> str:
        """Give the address of the instance at this position, counted from 0."""
        bridge, offset = divmod(position, INSTANCES_PER_BRIDGE)
        return self._of_bridge(bridge, 2 + offset)

    def _of_bridge(self, bridge: int, offset: int) -> str:
        return str(ip_address(self._first + bridge * self._bridge_size + offset))

    @cached_property
    def _first(self) -> int:
        return int(ip_network(self.bridges).network_address)

    @cached_property
    def _bridge_size(self) -> int:
        return 1 << (ip_network(self.bridges).max_prefixlen - self.bridge_bits)


IPV4 = AddressPlan(
    endpoint="198.18.37.99",
    client="198.18.100.1",
    outer_bits=16,
    external_sources="198.18.128.0/18",
    local_sources="198.18.192.0/18",
    bridges="198.19.0.0/16",
    bridge_bits=22,
    containers="198.19.0.0/18",
    engine_bridge="198.19.255.1/24",
    engine_pool="198.19.128.0/18",
    engine_pool_bits=24,
    loopback="127.0.0.1",
    unspecified="0.0.0.0",  # noqa: S104  as published ports have it
)
IPV6 = AddressPlan(
    endpoint="fd73:616d:6570:1::2599",
    client="fd73:616d:6570:1::6401",
    outer_bits=64,
    external_sources="fd73:616d:6570:2::/64",
    local_sources="fd73:616d:6570:3::/64",
    bridges="fd73:616d:6570:4000::/50",
    bridge_bits=64,
    containers="fd73:616d:6570:8000::/64",
    engine_bridge="fd73:616d:6570:8001::1/64",
    engine_pool="fd73:616d:6570:9000::/52",
    engine_pool_bits=64,
    loopback="::1",
    unspecified="::",
)
PLANS: dict[Family, AddressPlan] = {plan.family: plan for plan in (IPV4, IPV6)}
MACHINE_NETWORK, MACHINE_GATEWAY, MACHINE_ENDPOINT = "192.168.37.", "192.168.37.1", "192.168.37.99"
"""The network between this machine and a virtual one (Vagrantfile): how addresses begin, and both ends."""
