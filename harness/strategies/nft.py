"""Destination NAT by nftables: one rule that looks its member up in a map.

A number generator gives a number below N, and the map gives the member of that number. The cost of
a choice does not grow with N as it does with a cascade of rules. The map's entries count how often
they were looked up: since a NAT rule sees a connection's first packet only, they count connections.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar

from harness.errors import StrategyError
from harness.strategies.base import Endpoint, Member, Strategy, Unit
from harness.words import last_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.hosts.base import Host

# Made with the table it names, in one transaction: the old table goes as the new one comes.
_TABLE = """
table ip {table}
delete table ip {table}
table ip {table} {{
    map members {{
        typeof {number} : ip daddr . tcp dport
        counter
        elements = {{ {elements} }}
    }}
    chain choose {{
        meta l4proto tcp dnat ip to {number} map @members
    }}
    chain prerouting {{
        type nat hook prerouting priority dstnat
        ip daddr {address} tcp dport {port} jump choose
    }}
    chain output {{
        type nat hook output priority -100
        ip daddr {address} tcp dport {port} jump choose
    }}
}}
"""


class _Nft(Strategy):
    """A table of its own for each endpoint; `mode` is nft's word for how numbers are made."""

    mode: ClassVar[str]
    unit: ClassVar[Unit] = "connection"
    engines: ClassVar[frozenset[str]] = frozenset({"process"})
    commands: ClassVar[Mapping[str, str]] = {"nft": "nftables"}
    versions: ClassVar[Mapping[str, tuple[str, ...]]] = {"nft": ("nft", "--version")}

    def expose(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
        """Put in the table."""
        elements = (f"{k} : {member.address} . {member.port}" for k, member in enumerate(members))
        text = _TABLE.format(
            table=_table(endpoint),
            number=f"numgen {self.mode} mod {len(members)}",
            elements=", ".join(elements),
            address=endpoint.address,
            port=endpoint.port,
        )
        _nft(host, ["-f", "-"], text)

    def update(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
        """Replace the table at once; the kernel remembers established connections."""
        self.expose(host, endpoint, members)

    def withdraw(self, host: Host, endpoint: Endpoint) -> None:
        """Take out the table."""
        _nft(host, ["delete", "table", "ip", _table(endpoint)])

    def kernel_counts(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> list[int]:
        """Read how often each member was looked up."""
        listed = json.loads(_nft(host, ["-j", "list", "map", "ip", _table(endpoint), "members"]))
        (elements,) = (item["map"]["elem"] for item in listed["nftables"] if "map" in item)
        counts = {key["elem"]["val"]: key["elem"]["counter"]["packets"] for key, _ in elements}
        return [counts[k] for k in range(len(members))]


class NftRandom(_Nft):
    """A random number for each connection."""

    name: ClassVar[str] = "nft-random"
    summary: ClassVar[str] = "one nftables rule, a random number looked up in a map"
    policy: ClassVar[str] = "random"
    mode: ClassVar[str] = "random"


class NftRoundRobin(_Nft):
    """The next number for each connection, all over again after N."""

    name: ClassVar[str] = "nft-round-robin"
    summary: ClassVar[str] = "one nftables rule, numbers in turn looked up in a map"
    policy: ClassVar[str] = "round robin"
    mode: ClassVar[str] = "inc"


def _table(endpoint: Endpoint) -> str:
    return f"sameport-{endpoint.port}"


def _nft(host: Host, arguments: list[str], text: str = "") -> str:
    finished = host.run(["nft", *arguments], text)
    if finished.status:
        raise StrategyError(f"nft refused the rules: {last_words(finished.stderr.encode())}")
    return finished.stdout
