"""What each strategy says that it can do, for each of its policies and other options that change it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import pytest

from harness.strategies import find_strategy, strategy_names
from harness.strategies.actions import ByItself, Facts
from harness.strategies.base import Options, Strategy
from harness.strategies.capabilities import Capabilities
from harness.strategies.direct import Direct
from harness.strategies.proxy import Proxy
from harness.types import Endpoint, Member

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.hosts.base import Host
    from harness.strategies.actions import Actions
    from harness.types import Unit

_UNITS = {
    ("caddy", "hash"): "source",
    ("caddy", "least-connections"): "request",
    ("caddy", "random"): "request",
    ("caddy", "round-robin"): "request",
    ("direct", ""): "connection",
    ("dnat-literal", ""): "connection",
    ("dnat-nth", ""): "connection",
    ("dnat-random", ""): "connection",
    ("envoy", "hash"): "source",
    ("envoy", "least-connections"): "request",
    ("envoy", "maglev"): "source",
    ("envoy", "p2c"): "request",
    ("envoy", "random"): "request",
    ("envoy", "round-robin"): "request",
    ("haproxy", "consistent-hash"): "source",
    ("haproxy", "hash"): "source",
    ("haproxy", "least-connections"): "request",
    ("haproxy", "p2c"): "request",
    ("haproxy", "random"): "request",
    ("haproxy", "round-robin"): "request",
    ("haproxy-tcp", "consistent-hash"): "source",
    ("haproxy-tcp", "hash"): "source",
    ("haproxy-tcp", "least-connections"): "connection",
    ("haproxy-tcp", "p2c"): "connection",
    ("haproxy-tcp", "random"): "connection",
    ("haproxy-tcp", "round-robin"): "connection",
    ("ipvs-lc", ""): "connection",
    ("ipvs-mh", ""): "source",
    ("ipvs-rr", ""): "connection",
    ("ipvs-sh", ""): "source",
    ("kube-proxy-iptables", ""): "connection",
    ("nft-hash", ""): "source",
    ("nft-random", ""): "connection",
    ("nft-round-robin", ""): "connection",
    ("nginx", "consistent-hash"): "source",
    ("nginx", "hash"): "source",
    ("nginx", "ip-hash"): "network",
    ("nginx", "least-connections"): "request",
    ("nginx", "p2c"): "request",
    ("nginx", "random"): "request",
    ("nginx", "round-robin"): "request",
    ("nginx-events", "consistent-hash"): "source",
    ("nginx-events", "hash"): "source",
    ("nginx-events", "ip-hash"): "network",
    ("nginx-events", "least-connections"): "request",
    ("nginx-events", "p2c"): "request",
    ("nginx-events", "random"): "request",
    ("nginx-events", "round-robin"): "request",
    ("nginx-stream", "consistent-hash"): "source",
    ("nginx-stream", "hash"): "source",
    ("nginx-stream", "least-connections"): "connection",
    ("nginx-stream", "p2c"): "connection",
    ("nginx-stream", "random"): "connection",
    ("nginx-stream", "round-robin"): "connection",
    ("publish", ""): "connection",
    ("so-reuseport-bpf", "cpu"): "connection",
    ("so-reuseport-bpf", "random"): "connection",
    ("so-reuseport-host", ""): "connection",
    ("so-reuseport-sandbox", ""): "connection",
    ("traefik", "hash"): "source",
    ("traefik", "least-time"): "request",
    ("traefik", "p2c"): "request",
    ("traefik", "round-robin"): "request",
    ("userland", ""): "connection",
}


def _policies(name: str) -> tuple[str, ...]:
    field = find_strategy(name).options_model.model_fields.get("policy")
    return get_args(field.annotation) if field else ("",)


def _able(name: str, **options: Any) -> Capabilities:
    found = find_strategy(name)
    return found.capabilities(found.options_model.model_validate(options))


def test_every_policy_of_every_strategy_has_its_unit_in_this_table() -> None:
    """The verdict counts these units: a wrong one gives a wrong verdict."""
    units = {
        (name, policy): _able(name, **({"policy": policy} if policy else {})).unit
        for name in strategy_names()
        for policy in _policies(name)
    }
    assert units == _UNITS


@pytest.mark.parametrize(
    "name", [name for name in strategy_names() if issubclass(find_strategy(name), Proxy)]
)
def test_proxy_has_a_row_for_each_policy_that_a_scenario_may_name(name: str) -> None:
    """No more and no fewer; what is made tells the same as its class."""
    found = find_strategy(name)
    assert issubclass(found, Proxy)
    model: Any = found.options_model
    assert sorted(found.policies) == sorted(_policies(name))
    for policy, row in found.policies.items():
        assert row.name == policy
        options = model.model_validate({"policy": policy})
        assert found(options).can == found.capabilities(options)
        assert found.capabilities(options).predicted == row.predicted


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("direct", {}, {"discovery": "static", "joinable": False, "most_members": 1}),
        ("publish", {"userland_proxy": False}, {"relays": False, "joinable": False, "most_members": None}),
        ("so-reuseport-host", {}, {"discovery": "self", "cooperation": True}),
        ("so-reuseport-bpf", {"policy": "cpu"}, {"discovery": "pushed", "policy": "by processor"}),
        ("kube-proxy-iptables", {}, {"keeps_source": False}),
        ("kube-proxy-iptables", {"external_traffic_policy": "local"}, {"keeps_source": True}),
        ("envoy", {"policy": "random"}, {"weights": False, "routes": True}),
        ("envoy", {"discovery": "dns"}, {"weights": False, "routes": False}),
        ("caddy", {"policy": "hash"}, {"weights": False}),
        ("traefik", {"policy": "p2c"}, {"weights": False, "asks_engine": False}),
        ("traefik", {"discovery": "docker"}, {"discovery": "self", "asks_engine": True, "routes": False}),
        ("nginx-events", {}, {"discovery": "pushed", "watcher": True, "asks_engine": False}),
        (
            "nginx-events",
            {"program": "nginx-proxy"},
            {"discovery": "self", "watcher": False, "asks_engine": True, "engine_option": "program"},
        ),
        ("haproxy", {}, {"protocols": frozenset({"http1"}), "layer": 7}),
        ("haproxy-tcp", {}, {"protocols": None, "layer": 4}),
    ],
)
def test_capabilities_follow_the_options(name: str, options: Any, expected: dict[str, Any]) -> None:
    """Those that options change, and some that they do not."""
    able = _able(name, **options)
    assert {key: getattr(able, key) for key in expected} == expected


class _FromElsewhere(Strategy):
    """As a package wrote it before there were capabilities: attributes, some set for one object."""

    name = "from-elsewhere"
    summary = "…"
    unit: Unit = "connection"
    policy = "none"
    predicted = "…"
    adopts = False
    follows = "a file"

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.unit = "source"

    def expose(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
        """Do nothing."""

    def update(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
        """Do nothing."""

    def withdraw(self, host: Host, endpoint: Endpoint) -> None:
        """Do nothing."""


def test_strategy_that_states_attributes_alone_has_capabilities() -> None:
    """Those of its class, those of its object, and the old words for how it learns of members."""
    able = _FromElsewhere.capabilities(Options())
    assert able == Capabilities("source", "none", "…", discovery="self", follows="a file")


def test_former_names_of_path_and_caveats_are_understood() -> None:
    """A strategy of another package that says `way` and `seams` is described like any other."""

    class Former(Strategy):
        way = "client -> instance"
        seams = "- none"

        def expose(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None: ...
        def update(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None: ...
        def withdraw(self, host: Host, endpoint: Endpoint) -> None: ...

    assert (Former.packet_path, Former.caveats) == ("client -> instance", "- none")


def test_expose_of_a_subclass_replaces_the_actions_it_inherits() -> None:
    """A strategy of another package may derive from one of ours, and say `expose` or `exposing`."""

    class Doing(Direct):
        def expose(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
            super().expose(host, endpoint, members)

    class Giving(Doing):
        def exposing(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
            yield from Direct.exposing(self, facts, endpoint, members)

    endpoint, members = Endpoint("198.18.37.99", 80), [Member("instance-1", "198.18.37.99", 80)]
    inherited, doing, giving = (
        list(kind(Options()).exposing(Facts(), endpoint, members)) for kind in (Direct, Doing, Giving)
    )
    assert [type(action) for action in doing] == [ByItself]
    assert giving == inherited
