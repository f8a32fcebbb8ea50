"""A strategy of its own package: nftables chooses by a hash of the client's address and port.

Routers with several equal ways choose so: packets of one connection stay together, and no state is
needed for it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from harness.errors import StrategyError
from harness.strategies.actions import Command
from harness.strategies.base import Options, Strategy
from harness.types import Counted, Unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.hosts.base import Finished, Host
    from harness.strategies.actions import Actions, Facts
    from harness.types import Endpoint, Member

_RULES = """
table ip flow-hash
delete table ip flow-hash
table ip flow-hash {{
    map members {{
        typeof {number} : ip daddr . tcp dport
        counter
        elements = {{ {elements} }}
    }}
    chain prerouting {{
        type nat hook prerouting priority dstnat
        ip daddr {address} tcp dport {port} dnat ip to {number} map @members
    }}
    chain output {{
        type nat hook output priority -100
        ip daddr {address} tcp dport {port} dnat ip to {number} map @members
    }}
}}
"""


class FlowHashOptions(Options):
    """What a scenario may say: `strategy: {name: nft-flow-hash, seed: 7}`."""

    seed: int = Field(default=1, ge=0, le=2**32 - 1, description="Which of many hashes is taken.")


class NftFlowHash(Strategy):
    """Each connection goes where a hash of the client's address and port says."""

    name: ClassVar[str] = "nft-flow-hash"
    summary: ClassVar[str] = "one nftables rule, a hash of the client's address and port"
    unit: Unit = "connection"
    policy = "flow hash"
    predicted: ClassVar[str] = "multinomial"
    keeps_source: ClassVar[bool] = True
    packet_path: ClassVar[str] = """
client --> host:PORT --> hash below N --> map members --> DNAT --> instance
"""
    caveats: ClassVar[str] = """
- A client that takes its ports in a pattern may meet a pattern of the hash.
"""
    commands: ClassVar[Mapping[str, str]] = {"nft": "apt-get install nftables"}
    versions: ClassVar[Mapping[str, tuple[str, ...]]] = {"nft": ("nft", "--version")}
    options_model: ClassVar[type[Options]] = FlowHashOptions
    options: FlowHashOptions

    def exposing(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Put in the table; one that is there is replaced in the same transaction."""
        del facts
        rules = _RULES.format(
            number=f"jhash ip saddr . tcp sport mod {len(members)} seed {self.options.seed}",
            elements=", ".join(f"{k} : {member.address} . {member.port}" for k, member in enumerate(members)),
            address=endpoint.address,
            port=endpoint.port,
        )
        _output((yield Command(("nft", "-f", "-"), rules)))

    def updating(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Replace the table; connection tracking keeps established connections where they are."""
        yield from self.exposing(facts, endpoint, members)

    def withdrawing(self, facts: Facts, endpoint: Endpoint) -> Actions[None]:
        """Take out the table."""
        del facts, endpoint
        _output((yield Command(("nft", "delete", "table", "ip", "flow-hash"))))

    def counted(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> Counted:
        """Read the counter of each of the map's elements."""
        del endpoint
        listed = json.loads(_output(host.run(["nft", "-j", "list", "map", "ip", "flow-hash", "members"])))
        (elements,) = (item["map"]["elem"] for item in listed["nftables"] if "map" in item)
        counts = {key["elem"]["val"]: key["elem"]["counter"]["packets"] for key, _ in elements}
        each = tuple(counts[k] for k in range(len(members)))
        return Counted("kernel", "connections", sum(each), each)


def _output(finished: Finished) -> str:
    if finished.status:
        raise StrategyError(f"nft refused the rules: {finished.stderr.strip().splitlines()[0]}")
    return finished.stdout
