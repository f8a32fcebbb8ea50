"""Types that several packages share: what the words of the architecture are in code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

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

Unit = Literal["connection", "request", "source"]
"""What a strategy balances: connections, requests, or client addresses."""

Layer = Literal[4, 7]
"""4 where a client's connection is one of an instance's, 7 where requests are passed on."""


def authority(address: str, port: int) -> str:
    """Join an address or a name and a port as a URL has them (RFC 3986, section 3.2): IPv6 in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


@dataclass(frozen=True)
class Endpoint:
    """The one address and port that clients know."""

    address: str
    port: int


@dataclass(frozen=True)
class Route:
    """Requests that belong together: those whose path begins so or, with a host, those for this name."""

    name: str
    path: str = "/"
    host: str = ""


@dataclass(frozen=True)
class Member:
    """An instance as a strategy sees it: a name, where it listens, and how much of the load it is to get.

    Members' shares are to each other as their weights; those of a route share its requests alone.
    """

    name: str
    address: str
    port: int
    weight: int = 1
    route: Route | None = None


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


TOTAL: Final = "in all"
"""The name of a count that is known for all instances together only."""

WitnessTable: TypeAlias = "Mapping[str, tuple[int | None, int | None]]"
"""Connections and requests by instance, as one counter has them; None where it can't count them."""
