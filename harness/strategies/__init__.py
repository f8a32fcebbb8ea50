"""The strategies, found by name.

In: a host, an endpoint and members; out: the members behind the endpoint, and what was counted there.

Those of other packages are found through the entry-point group ``harness.strategies``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.common.registry import Registry
from harness.errors import StrategyError

if TYPE_CHECKING:
    from harness.strategies.base import Strategy

ENTRY_POINT_GROUP = "harness.strategies"

_BUILT_IN = {
    "caddy": "harness.strategies.caddy:Caddy",
    "direct": "harness.strategies.direct:Direct",
    "dnat-literal": "harness.strategies.dnat:DnatLiteral",
    "dnat-nth": "harness.strategies.dnat:DnatNth",
    "dnat-random": "harness.strategies.dnat:DnatRandom",
    "envoy": "harness.strategies.envoy:Envoy",
    "haproxy": "harness.strategies.haproxy:Haproxy",
    "haproxy-tcp": "harness.strategies.haproxy:HaproxyTcp",
    "ipvs-lc": "harness.strategies.ipvs:IpvsLc",
    "ipvs-mh": "harness.strategies.ipvs:IpvsMh",
    "ipvs-rr": "harness.strategies.ipvs:IpvsRr",
    "ipvs-sh": "harness.strategies.ipvs:IpvsSh",
    "kube-proxy-iptables": "harness.strategies.kube_proxy:KubeProxyIptables",
    "nft-hash": "harness.strategies.nft:NftHash",
    "nft-random": "harness.strategies.nft:NftRandom",
    "nft-round-robin": "harness.strategies.nft:NftRoundRobin",
    "nginx": "harness.strategies.nginx:Nginx",
    "nginx-events": "harness.strategies.nginx_events:NginxEvents",
    "nginx-stream": "harness.strategies.nginx:NginxStream",
    "publish": "harness.strategies.publish:Publish",
    "so-reuseport-bpf": "harness.strategies.reuseport:SoReuseportBpf",
    "so-reuseport-host": "harness.strategies.reuseport:SoReuseportHost",
    "so-reuseport-sandbox": "harness.strategies.reuseport:SoReuseportSandbox",
    "traefik": "harness.strategies.traefik:Traefik",
    "userland": "harness.strategies.userland:Userland",
}


_REGISTRY: Registry[type[Strategy]] = Registry("strategy", ENTRY_POINT_GROUP, _BUILT_IN, StrategyError)


def strategy_names() -> list[str]:
    """List every strategy's name, sorted."""
    return _REGISTRY.names()


def find_strategy(name: str) -> type[Strategy]:
    """Find a strategy's class by its name.

    Raises
    ------
    KeyError
        There is none of this name.
    StrategyError
        Another package names it, but it can't be imported, or several do.
    """
    return _REGISTRY.find(name)
