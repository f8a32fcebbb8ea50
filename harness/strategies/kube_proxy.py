"""The chains that kube-proxy writes in its iptables mode, for one Service with an external address.

The layout is that of pkg/proxy/iptables/proxier.go of Kubernetes: KUBE-SERVICES finds the Service,
KUBE-EXT-… marks traffic from outside for masquerading, KUBE-SVC-… chooses an endpoint by a cascade of
random rules, KUBE-SEP-… translates, and KUBE-POSTROUTING masquerades what was marked.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from harness.errors import StrategyError
from harness.strategies import iptables
from harness.strategies.base import Options, Strategy
from harness.strategies.iptables import MOST_RULES, fill, restore, with_chance
from harness.types import Counted, Unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.hosts.base import Host
    from harness.strategies.actions import Actions, Facts
    from harness.strategies.capabilities import Capabilities
    from harness.types import Endpoint, Member

_SERVICE = "default/sameport"
_MARK = "0x4000"  # kube-proxy's --iptables-masquerade-bit 14
# A Service's endpoints have two rules and a chain each; together they must fit one transaction.
_ENDPOINTS_AT_ONCE = MOST_RULES // 3


class TrafficPolicy(Options):
    """How traffic from outside the cluster is treated."""

    external_traffic_policy: Literal["cluster", "local"] = Field(
        default="cluster",
        description="cluster masquerades the client's address, local keeps it, as a Service's "
        "externalTrafficPolicy says.",
    )


class KubeProxyIptables(Strategy):
    """A Service of Kubernetes, without Kubernetes."""

    name: ClassVar[str] = "kube-proxy-iptables"
    summary: ClassVar[str] = "the chains of kube-proxy's iptables mode: service, endpoints, masquerade"
    unit: Unit = "connection"
    policy = "random"
    predicted: ClassVar[str] = "multinomial"
    family: ClassVar[str] = "iptables"
    needs_root: ClassVar[bool] = True
    commands: ClassVar[Mapping[str, str]] = iptables.COMMANDS
    versions: ClassVar[Mapping[str, tuple[str, ...]]] = iptables.VERSIONS
    options_model: ClassVar[type[Options]] = TrafficPolicy
    options: TrafficPolicy
    packet_path: ClassVar[str] = """
client --> host:PORT --> KUBE-SERVICES --> KUBE-EXT-… (mark) --> KUBE-SVC-… (random)
             --> KUBE-SEP-… (DNAT) --> KUBE-POSTROUTING (masquerade) --> instance
"""
    caveats: ClassVar[str] = """
- With externalTrafficPolicy cluster, the default, instances see the node's address: every connection is
  masqueraded. `external_traffic_policy: local` keeps the client's.
- The choice is made once for a connection, by a cascade as in `dnat-random`: the last of N endpoints is found
  after N rules.
- kube-proxy learns of a dead endpoint from Kubernetes' readiness probes; the rules by themselves do not.
- All masqueraded connections to one endpoint share 64,512 source ports.
"""

    @classmethod
    def capabilities(cls, options: Options) -> Capabilities:
        """Tell what it can do: it keeps the client's address where it masquerades nothing."""
        told = super().capabilities(options)
        local = isinstance(options, TrafficPolicy) and options.external_traffic_policy == "local"
        return replace(told, keeps_source=local)

    def __init__(self, options: TrafficPolicy) -> None:
        super().__init__(options)
        self._endpoints: set[str] = set()  # the chains that there are, one for each endpoint

    def exposing(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Put in all chains; nothing leads to them before the last transaction."""
        del facts
        there = yield from iptables.declared()
        first = "KUBE-SERVICES" not in there
        if first:
            yield from restore(_common_chains())
        try:
            yield from self._fill(there, endpoint, members, _entries("-A", endpoint))
        except StrategyError:
            yield from self._take_out(endpoint)
            raise
        if first:
            yield from restore(_hooks("-A"))

    def updating(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Write the endpoints' chains, switch the service to them at once, and take out what is left over."""
        del facts
        there = yield from iptables.declared()
        yield from self._fill(there, endpoint, members, [])
        left_over = self._endpoints - {_endpoint_chain(endpoint, member) for member in members}
        yield from _remove(sorted(left_over))
        self._endpoints -= left_over

    def _fill(
        self, there: Sequence[str], endpoint: Endpoint, members: Sequence[Member], then: Sequence[str]
    ) -> Actions[None]:
        chains = [_endpoint_chain(endpoint, member) for member in members]
        new = [pair for pair in zip(chains, members, strict=True) if pair[0] not in self._endpoints]
        for start in range(0, len(new), _ENDPOINTS_AT_ONCE):
            some = new[start : start + _ENDPOINTS_AT_ONCE]
            yield from restore([line for chain, member in some for line in _endpoint_rules(chain, member)])
            self._endpoints.update(chain for chain, _ in some)
        external = [] if self.options.external_traffic_policy == "local" else ["-j KUBE-MARK-MASQ"]
        external.append(f"-j {_chain('SVC', endpoint)}")
        chances = [with_chance(1 / left) for left in range(len(members), 0, -1)]
        choices = [
            f'-m comment --comment "{_SERVICE} -> {member.authority}" '
            + (f"-m statistic {chance} " if chance else "")
            + f"-j {chain}"
            for chain, member, chance in zip(chains, members, chances, strict=True)
        ]
        lines = [*iptables.declaration(_chain("EXT", endpoint), external), *then]
        yield from fill(there, _chain("SVC", endpoint), choices, lines, overflow=_overflow(endpoint))

    def withdrawing(self, facts: Facts, endpoint: Endpoint) -> Actions[None]:
        """Take out the service's chains; those that all services share, if this was the last one."""
        del facts
        yield from restore(_entries("-D", endpoint))
        if "-A KUBE-SERVICES " not in (yield from iptables.saved()):
            yield from restore(_hooks("-D"))
        yield from self._take_out(endpoint)

    def _take_out(self, endpoint: Endpoint) -> Actions[None]:
        """Take out all chains of this service, to which nothing leads any more."""
        own = (_chain("EXT", endpoint), _chain("SVC", endpoint), f"{_overflow(endpoint)}-", *self._endpoints)
        there = yield from iptables.declared()
        yield from _remove([chain for chain in there if chain.startswith(own)])
        self._endpoints.clear()
        if "-A KUBE-SERVICES " not in (yield from iptables.saved()):
            yield from restore(iptables.removal(["KUBE-SERVICES", "KUBE-POSTROUTING", "KUBE-MARK-MASQ"]))

    def counted(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> Counted:
        """Read the connections that each endpoint's chain has taken."""
        chains = {_endpoint_chain(endpoint, member) for member in members}
        counts = iptables.counts_by_destination(host, lambda chain: chain in chains)
        each = tuple(counts[member.authority] for member in members)
        return Counted("kernel", "connections", sum(each), each)


def _hashed(text: str) -> str:
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode()[:16]


def _chain(kind: str, endpoint: Endpoint) -> str:
    return f"KUBE-{kind}-{_hashed(f'{_SERVICE}:{endpoint.port}{endpoint.transport}')}"


def _overflow(endpoint: Endpoint) -> str:
    # A chain's name has 28 characters at most; this leaves room for the number of a further chain.
    return _chain("SVC", endpoint)[:20]


def _endpoint_chain(endpoint: Endpoint, member: Member) -> str:
    port = f"{_SERVICE}:{endpoint.port}{endpoint.transport}"
    return f"KUBE-SEP-{_hashed(f'{port}{member.authority}')}"


def _endpoint_rules(chain: str, member: Member) -> list[str]:
    comment = f'-m comment --comment "{_SERVICE}"'
    match = f"-p {member.transport} {comment} -m {member.transport}"
    return iptables.declaration(
        chain,
        [
            # An endpoint that talks to its own service must not be answered by itself directly.
            f"-s {member.network} {comment} -j KUBE-MARK-MASQ",
            f"{match} -j DNAT --to-destination {member.authority}",
        ],
    )


def _common_chains() -> list[str]:
    snat = '-m comment --comment "kubernetes service traffic requiring SNAT"'
    return [
        ":KUBE-SERVICES - [0:0]",
        *iptables.declaration("KUBE-MARK-MASQ", [f"-j MARK --or-mark {_MARK}"]),
        *iptables.declaration(
            "KUBE-POSTROUTING",
            [
                f"-m mark ! --mark {_MARK}/{_MARK} -j RETURN",
                f"-j MARK --xor-mark {_MARK}",
                f"{snat} -j MASQUERADE --random-fully",
            ],
        ),
    ]


def _hooks(action: str) -> list[str]:
    portals = '-m comment --comment "kubernetes service portals" -j KUBE-SERVICES'
    postrouting = '-m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING'
    return [
        f"{action} PREROUTING {portals}",
        f"{action} OUTPUT {portals}",
        f"{action} POSTROUTING {postrouting}",
    ]


def _entries(action: str, endpoint: Endpoint) -> list[str]:
    comment = f'-m comment --comment "{_SERVICE} external IP"'
    match = f"-d {endpoint.network} -p {endpoint.transport} {comment} -m {endpoint.transport}"
    return [f"{action} KUBE-SERVICES {match} --dport {endpoint.port} -j {_chain('EXT', endpoint)}"]


def _remove(chains: Sequence[str]) -> Actions[None]:
    """Take out chains that nothing in force leads to, in pieces that a transaction holds."""
    for start in range(0, len(chains), MOST_RULES):
        yield from restore([f"-F {chain}" for chain in chains[start : start + MOST_RULES]])
    for start in range(0, len(chains), MOST_RULES):
        yield from restore([f"-X {chain}" for chain in chains[start : start + MOST_RULES]])
