"""Types that several packages share: what the words of the architecture are in code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Verdict = Literal["even", "uneven", "inconclusive"]
"""What the data show of a distribution, against the tolerance."""

ClientSide = Literal["external", "local"]
"""Where the load comes from: another network namespace or machine, or the host itself."""

Side = Literal["host", "client", "here"]
"""Where a program runs: on the host, where clients are, or on the harness's own machine."""

Placement = Literal["own", "host", "sandbox"]
"""Which network namespace an instance is in: one of its own, the host's, or one that all share."""

Role = Literal["instances", "proxy", "generator", "engine"]
"""What a program's processor time is counted for."""

User = Literal["wire", "gevent", "http", "locustfile"]
"""What sent the requests: the compiled data plane, users of plain Python, Locust's own, a locustfile's."""

Unit = Literal["connection", "request", "source", "network"]
"""What a strategy balances: connections, requests, client addresses, or networks of them."""

ONE_UNIT: Final[Mapping[Unit, str]] = {
    "connection": "one connection: what an instance is chosen for is told by both ends' addresses and ports",
    "request": "one request",
    "source": "one client address, whatever its ports: all of its connections and requests are one choice",
    "network": "one network of /24: all clients with the same first three bytes are one choice",
}
"""What counts as one of each unit."""

Layer = Literal[4, 7]
"""4 where a client's connection is one of an instance's, 7 where requests are passed on."""

Transport = Literal["tcp", "udp"]
"""What carries bytes between clients, proxies and instances."""

Family = Literal["ipv4", "ipv6"]
"""The kind of an address."""


class Listener(NamedTuple):
    """A port on which a program takes connections, or datagrams."""

    transport: Transport
    port: int

    def __str__(self) -> str:
        """Name it in a message; TCP goes without saying."""
        return (
            f"port {self.port}" if self.transport == "tcp" else f"{self.transport.upper()} port {self.port}"
        )


def family_of(address: str) -> Family:
    """Tell an address's family; a name counts as IPv4, the only family that names are looked up for."""
    return "ipv6" if ":" in address else "ipv4"


def bracketed(address: str) -> str:
    """Write an address as URLs do: IPv6 in brackets (RFC 3986, section 3.2.2)."""
    return f"[{address}]" if family_of(address) == "ipv6" else address


def authority(address: str, port: int) -> str:
    """Join an address or a name and a port as a URL has them (RFC 3986, section 3.2)."""
    return f"{bracketed(address)}:{port}"


def network_of(address: str) -> str:
    """Give an IPv4 address's network of /24, its first three bytes; an IPv6 address is its own."""
    return address.rpartition(".")[0] or address


def networks_of(addresses: Sequence[str]) -> tuple[int, ...]:
    """Give the number of each address's network, in the order of their coming, from 0."""
    numbers: dict[str, int] = {}
    return tuple(numbers.setdefault(network_of(address), len(numbers)) for address in addresses)


class _Place:
    """What an endpoint and a member have in common: an address and a port, and what is spoken there."""

    address: str
    port: int
    transport: Transport

    @property
    def family(self) -> Family:
        """Tell the address's family."""
        return family_of(self.address)

    @property
    def authority(self) -> str:
        """Give address and port as URLs and most configurations have them: IPv6 in brackets."""
        return authority(self.address, self.port)

    @property
    def network(self) -> str:
        """Give the address alone as a network, as packet filters have it."""
        return f"{self.address}/{32 if self.family == 'ipv4' else 128}"

    @property
    def listener(self) -> Listener:
        """Give what listens there."""
        return Listener(self.transport, self.port)


@dataclass(frozen=True)
class Endpoint(_Place):
    """The one address and port that clients know.

    Attributes
    ----------
    transport
        What carries the bytes.
    tls
        Whether clients speak TLS.
    """

    address: str
    port: int
    transport: Transport = "tcp"
    tls: bool = False


@dataclass(frozen=True)
class Route:
    """Requests that belong together: those whose path begins so or, with a host, those for this name."""

    name: str
    path: str = "/"
    host: str = ""


@dataclass(frozen=True)
class Member(_Place):
    """An instance as a strategy sees it: a name, where it listens, and how much of the load it is to get.

    Members' shares are to each other as their weights; those of a route share its requests alone.

    Attributes
    ----------
    transport
        What carries the bytes.
    tls
        Whether the instance speaks TLS.
    """

    name: str
    address: str
    port: int
    weight: int = 1
    route: Route | None = None
    transport: Transport = "tcp"
    tls: bool = False


@dataclass(frozen=True)
class Health:
    """How an instance tells that it is well, or ready.

    Attributes
    ----------
    path
        What a GET request asks for; empty for the path that the route of an instance begins with.
    status
        The one status of a good answer; None for any from 200 to 399.
    tcp
        Whether a connection is enough, and nothing is asked.
    """

    path: str = ""
    status: int | None = None
    tcp: bool = False

    def accepts(self, status: int) -> bool:
        """Tell whether this is the status of a good answer."""
        return status == self.status if self.status is not None else 200 <= status < 400

    def path_for(self, route: str) -> str:
        """Give what to ask an instance of a route for, which is known by how its paths begin."""
        return self.path or route


@dataclass(frozen=True)
class Counted:
    """What the kernel or a program counted since `Strategy.expose`.

    Attributes
    ----------
    by
        The counter: the kernel's rules, or a program.
    what
        What was counted.
    total
        How many in all.
    members
        How many for each member, in the members' order; None where it can't tell them apart.
    """

    by: Literal["kernel", "proxy"]
    what: Literal["connections", "requests"]
    total: int
    members: tuple[int, ...] | None = None


class TcpCounts(NamedTuple):
    """What a network namespace counts of TCP, or several of them together.

    Segments sent, those sent again, those sent again that had arrived (DSACK), and connections that met a
    full queue.
    """

    segments: int
    resent: int
    needless: int
    overflowed: int


TOTAL: Final = "in all"
"""The name of a count that is known for all instances together only."""

WitnessTable: TypeAlias = "Mapping[str, tuple[int | None, int | None]]"
"""Connections and requests by instance, as one counter has them; None where it can't count them."""
