"""Destination NAT by nftables: one rule that looks its member up in a map.

A number generator gives a number below N, and the map gives the member of that number. The cost of
a choice does not grow with N as it does with a cascade of rules. The map's entries count how often
they were looked up: since a NAT rule sees a connection's first packet only, they count connections.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections import Counter
from typing import TYPE_CHECKING, ClassVar

from harness.common.text import stderr_tail
from harness.errors import StrategyError
from harness.strategies.actions import Command
from harness.strategies.base import Strategy
from harness.strategies.turns import turns
from harness.types import Counted, Endpoint, Member, Unit, authority

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.hosts.base import Finished, Host
    from harness.strategies.actions import Actions, Facts

_HASH_SEED = 0x5A3E9087  # any will do; without one, nft takes another each time

# Made with the table it names, in one transaction: the old table goes as the new one comes.
_TABLE = """
table ip {table}
delete table ip {table}
table ip {table} {{
    map members {{
        typeof {key} : ip daddr . {transport} dport
        counter
        elements = {{ {elements} }}
    }}
    chain choose {{
        meta l4proto tcp dnat ip to {number} map @members
    }}
    chain prerouting {{
        type nat hook prerouting priority dstnat
        ip daddr {address} {transport} dport {port} jump choose
    }}
    chain output {{
        type nat hook output priority -100
        ip daddr {address} {transport} dport {port} jump choose
    }}
}}
"""


_PATH = """
client --> host:PORT --> table sameport-PORT: chain prerouting (or output for clients on the host)
                           --> number below N --> map members --> DNAT --> instance
"""
_CAVEATS = """
- The choice is made once for a connection, by its first packet: all requests on a kept-alive connection
  go to the same instance.
- The map keeps pointing at a dead instance: its share of the connections fails until the map is changed.
- A weight is a number of the map's entries; the choice costs the same for any number of members.
"""


class _Nft(Strategy):
    """A table of its own for each endpoint; how its numbers are made is the strategy's."""

    unit: Unit = "connection"
    weights: bool = True
    family: ClassVar[str] = "nftables"
    keeps_source: ClassVar[bool] = True
    needs_root: ClassVar[bool] = True
    packet_path: ClassVar[str] = _PATH
    caveats: ClassVar[str] = _CAVEATS
    commands: ClassVar[Mapping[str, str]] = {"nft": "apt-get install nftables"}
    versions: ClassVar[Mapping[str, tuple[str, ...]]] = {"nft": ("nft", "--version")}

    @abstractmethod
    def _number(self, below: int) -> str:
        """Write the expression that gives a connection its number."""

    def exposing(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Put in the table."""
        del facts
        chosen = turns([member.weight for member in members])
        text = _TABLE.format(
            table=_table(endpoint),
            number=self._number(len(chosen)),
            key=f"numgen inc mod {len(chosen)}",  # nft 1.0.6 can't list a map that is declared by a hash
            elements=", ".join(
                f"{k} : {members[turn].address} . {members[turn].port}" for k, turn in enumerate(chosen)
            ),
            address=endpoint.address,
            transport=endpoint.transport,
            port=endpoint.port,
        )
        command = Command(("nft", "-f", "-"), text)
        _said((yield command))

    def updating(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Replace the table at once; the kernel remembers established connections."""
        yield from self.exposing(facts, endpoint, members)

    def withdrawing(self, facts: Facts, endpoint: Endpoint) -> Actions[None]:
        """Take out the table."""
        del facts
        _said((yield Command(("nft", "delete", "table", "ip", _table(endpoint)))))

    def counted(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> Counted:
        """Read how often each member was looked up."""
        listed = json.loads(_said(host.run(["nft", "-j", "list", "map", "ip", _table(endpoint), "members"])))
        (elements,) = (item["map"]["elem"] for item in listed["nftables"] if "map" in item)
        counts: Counter[str] = Counter()
        for key, value in elements:
            address, port = value["concat"]
            counts[authority(address, port)] += key["elem"]["counter"]["packets"]
        each = tuple(counts[member.authority] for member in members)
        return Counted("kernel", "connections", sum(each), each)


class NftRandom(_Nft):
    """A random number for each connection."""

    name: ClassVar[str] = "nft-random"
    summary: ClassVar[str] = "one nftables rule, a random number looked up in a map"
    policy = "random"
    predicted: ClassVar[str] = "multinomial"

    def _number(self, below: int) -> str:
        return f"numgen random mod {below}"


class NftRoundRobin(_Nft):
    """The next number for each connection, all over again after N."""

    name: ClassVar[str] = "nft-round-robin"
    summary: ClassVar[str] = "one nftables rule, numbers in turn looked up in a map"
    policy = "round robin"
    predicted: ClassVar[str] = "exactly by weight"

    def _number(self, below: int) -> str:
        return f"numgen inc mod {below}"


class NftHash(_Nft):
    """A hash of the client's address: a returning client reaches the same instance."""

    name: ClassVar[str] = "nft-hash"
    summary: ClassVar[str] = "one nftables rule, a hash of the client's address looked up in a map"
    unit: Unit = "source"
    policy = "source hash"
    predicted: ClassVar[str] = "multinomial over addresses"
    caveats: ClassVar[str] = f"""
- It spreads addresses, not load: many users behind one address all go to one instance.
- With few addresses it is uneven, however many connections they make (`load.sources`).
- A changed number of members moves most addresses to another instance.\
{_CAVEATS}"""

    def _number(self, below: int) -> str:
        return f"jhash ip saddr mod {below} seed {_HASH_SEED:#x}"


def _table(endpoint: Endpoint) -> str:
    return f"sameport-{endpoint.port}"


def _said(finished: Finished) -> str:
    if finished.status:
        raise StrategyError(f"nft refused the rules: {stderr_tail(finished.stderr.encode())}")
    return finished.stdout
