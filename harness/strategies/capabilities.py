"""What a strategy can do with given options, as data that checks read before anything is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from harness.types import Family, Layer, Placement, Transport, Unit

Discovery = Literal["static", "pushed", "self"]
"""How a strategy learns that members come and go: never, by `Strategy.update`, or by its own means alone."""


@dataclass(frozen=True)
class Policy:
    """One way in which a proxy chooses, as a row of its table.

    Attributes
    ----------
    name
        As a scenario says it.
    unit
        What is balanced then.
    predicted
        The distribution that theory predicts, in a few words.
    written
        What the proxy's own configuration says for it.
    weights
        Whether members may have different shares.
    remark
        What else is to be known of it before a run: on what its evenness depends.
    weights_remark
        What is to be known of it where weights differ.
    """

    name: str
    unit: Unit
    predicted: str
    written: Any
    weights: bool = True
    remark: str = ""
    weights_remark: str = ""


def table(*policies: Policy) -> dict[str, Policy]:
    """Put policies into a table, by their names."""
    return {policy.name: policy for policy in policies}


@dataclass(frozen=True)
class Capabilities:
    """What a strategy can do with the options that it was given.

    Attributes
    ----------
    unit
        What it balances.
    policy
        How it chooses: random, round robin, hash, …
    predicted
        The distribution that theory predicts, in a few words.
    layer
        4 where a client's connection is one of an instance's, 7 where requests are passed on.
    weights
        Whether members may have different shares.
    routes
        Whether it can lead requests to different members, by path or by host.
    discovery
        How it learns that members come and go.
    follows
        By what it finds out by itself that members have come or gone; empty where it does not.
    watcher
        Whether a watcher of the engine's events is part of it, as of `nginx-events`.
    joinable
        Whether instances can join; not where the endpoint is one instance's alone.
    most_members
        How many members it can have; None for any number.
    placement
        Where the instances run: each in a network namespace of its own, all in the host's, or all in
        one sandbox.
    engines
        The engines on which it runs; None for all that there are.
    image
        Of which image its programs run, on an engine of containers; empty for programs of the host itself.
    published
        Whether an engine that can publish a port does so in place of `expose`: the instances', or the
        sandbox's.
    relays
        Whether the engine's own relay serves published ports, too, where it has one.
    asks_engine
        Whether its programs use the socket of the container engine.
    engine_option
        The option by which it uses the engine.
    transports, families
        Between clients and instances: what carries the bytes, and kinds of addresses.
    protocols
        What it understands of what it carries; None where it carries whatever comes.
    terminates_tls
        Whether it can speak TLS with clients, and something else with instances.
    cooperation
        Whether the application has to do something for it, such as setting SO_REUSEPORT.
    keeps_source
        Whether instances see the client's own address.
    needs_root
        Whether its parts need root on a machine of one's own.
    health_checks
        Whether it can find out by itself that a member is ill.
    tcp_checks
        Whether a health check of its can be a connection alone.
    """

    unit: Unit
    policy: str
    predicted: str
    layer: Layer = 4
    weights: bool = False
    routes: bool = False
    discovery: Discovery = "pushed"
    follows: str = ""
    watcher: bool = False
    joinable: bool = True
    most_members: int | None = None
    placement: Placement = "own"
    engines: frozenset[str] | None = None
    image: str = ""
    published: bool = False
    relays: bool = True
    asks_engine: bool = False
    engine_option: str = "discovery"
    transports: frozenset[Transport] = field(default_factory=lambda: frozenset({"tcp"}))
    families: frozenset[Family] = field(default_factory=lambda: frozenset({"ipv4"}))
    protocols: frozenset[str] | None = None
    terminates_tls: bool = False
    cooperation: bool = False
    keeps_source: bool = False
    needs_root: bool = False
    health_checks: bool = False
    tcp_checks: bool = False

    @property
    def in_turn(self) -> bool:
        """Whether it chooses in turn, so that counts are those expected, and not by chance."""
        return "round" in self.policy and self.predicted.startswith("exactly")
