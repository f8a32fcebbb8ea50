"""nginx, the web server: as a reverse proxy for HTTP, and as one for TCP."""

from __future__ import annotations

import re
import signal
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from harness.errors import HostError, StrategyError
from harness.strategies.actions import Command, File, Question, Served, Signal, WaitUntil
from harness.strategies.capabilities import Policy, table
from harness.strategies.dns import NAME, TTL_S
from harness.strategies.limits import granted
from harness.strategies.proxy import Layer4Options, Proxy, ProxyOptions, grouped, rendered
from harness.types import Counted, Layer, Unit, bracketed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.hosts.base import Host
    from harness.strategies.actions import Actions, Facts
    from harness.strategies.base import Options
    from harness.types import Endpoint, Member

_RELOAD_DEADLINE_S = 20
_CLIENTS = 100_000
_LEAST_CONNECTIONS = 16_384  # of a worker; more cost memory, some 420 bytes each, before there are any
_OTHER_FILES = 256  # logs, listeners, pipes between the processes
_IDLE = 1_024  # idle connections to instances that each worker keeps


_BY_PATTERN = (
    "a checksum (CRC-32) of the address modulo the sum of weights: addresses in a pattern, such as "
    "consecutive ones, are more even or less even than scattered ones (load.sources.pattern)"
)


def _policies(unit: Unit) -> tuple[Policy, ...]:
    return (
        Policy("round-robin", unit, "exactly by weight", ""),
        Policy("random", unit, "multinomial", "random"),
        Policy("p2c", unit, "more even than multinomial", "random two least_conn"),
        Policy("least-connections", unit, "even where instances are alike", "least_conn"),
        Policy("hash", "source", "over addresses, by their pattern", "hash $remote_addr", remark=_BY_PATTERN),
        Policy("consistent-hash", "source", "over addresses, by the ring", "hash $remote_addr consistent"),
    )


_IP_HASH = Policy("ip-hash", "network", "over networks of /24", "ip_hash")
_PATH = """
client ==HTTP==> host:PORT  nginx: whichever worker accepts --> upstream ==HTTP==> instance k
                                   (chooses for each request)   (connections that each
                                                                 worker keeps for itself)
"""
_STREAM_PATH = """
client ==TCP==> host:PORT  nginx: whichever worker accepts --> upstream ==TCP==> instance k
                                  (chooses for each connection, and copies bytes)
"""
_COMMON_CAVEATS = """
- Without a shared-memory `zone`, each worker has its own round robin and its own counts of failures and
  connections. Here all workers share one zone (ngx_http_upstream_module, directive zone).
- The open-source nginx has no active health checks. With `health_checks`, an instance that failed once is
  left out for 10 s (`max_fails=1 fail_timeout=10s`, nginx's own default); then a client's request tries it
  again. Without, every turn tries it (`max_fails=0`). Either way a failed try goes on to the next instance.
- `p2c` (`random two least_conn`) draws two different instances, and takes the second unless it is busier.
  With weights 9 and 1 and little load, that is nearly always the light one: 196 of 1,000 requests went to
  the heavy one. Use equal weights only.
- nginx counts its requests and connections, but not by instance.
- With `discovery: dns`, nginx looks the name up at run time, since the address stands in a variable. There
  is no upstream block then: no weights, no policy, no memory of failures. Each choice begins at a random
  place of the answer (src/core/ngx_resolver.c, ngx_resolver_export), so it is random. A worker keeps an
  answer for up to 2 s with valid=1s, as it counts in whole seconds. From 1.27.3 on, `server NAME resolve`
  does that in an upstream.
"""
_CAVEATS = f"""
- A change of the configuration starts new workers, and the old ones close idle connections. A client that
  sends its next request in that moment finds its connection closed, and has to send it again;
  `keepalive_min_timeout` prevents that from 1.27.4 on.
- Connections to instances are kept only with `keepalive`, `proxy_http_version 1.1` and an empty Connection
  header; up to 1.29.6 the default is HTTP/1.0 and a new connection for each request.
- `keepalive_requests` is 1,000 by default: a busy client's connection is closed after so many. Here it is
  a million.
- `ip-hash` uses only the first three bytes of an IPv4 address: a whole /24 goes to one instance.
- With `discovery: dns`, connections to instances are not kept.
{_COMMON_CAVEATS.lstrip()}"""
_STREAM_CAVEATS = f"""
- The choice is made once for a connection: all requests on a kept-alive connection go to the same
  instance.
- Instances see the host's address, not the client's.
- A change of the configuration starts new workers; an old one goes on until its last connection has ended.
- On Debian the stream module is a package of its own (libnginx-mod-stream), to be loaded by `load_module`.
{_COMMON_CAVEATS.lstrip()}"""
_POLICY = (
    "How an instance is chosen. p2c: the one with fewer connections of two drawn at random; hash: by "
    "the client's address{}. With discovery dns it is random and nothing else."
)
_DISCOVERY = "static: the configuration lists the instances; dns: nginx looks addresses up at run time."
_HEALTH_CHECKS = (
    "Whether an instance that fails is left out for ten seconds. nginx notices failures of requests that it "
    "passes on; it sends no checks."
)

# Every worker and what it calls itself: one that is to end says so there.
_WORKERS = r"""
read -r master <"$0"
for pid in $(cat "/proc/$master/task/$master/children"); do
    echo "$pid $(tr '\0' ' ' <"/proc/$pid/cmdline")"
done 2>/dev/null
"""


def _as_dns_has_it(given: Any, **only: Any) -> Any:
    """Fill in what nginx leaves no choice of when addresses come from a name server."""
    return only | given if isinstance(given, dict) and given.get("discovery") == "dns" else given


def _discovered_as_chosen(discovery: str, info: ValidationInfo) -> str:
    policy = info.data.get("policy", "random")
    if discovery == "dns" and policy != "random":
        raise ValueError(
            f"nginx takes the addresses that a name server gives it at random; policy {policy} needs "
            "discovery: static"
        )
    return discovery


def _not_with_dns(value: bool, info: ValidationInfo) -> bool:
    if value and info.data.get("discovery") == "dns":
        raise ValueError(
            "nginx takes a name server's addresses anew for each request, and remembers nothing of the last; "
            "take it out, or write discovery: static"
        )
    return value


class NginxStreamOptions(Layer4Options):
    """What can be chosen for nginx as a TCP proxy."""

    policy: Literal["round-robin", "random", "p2c", "least-connections", "hash", "consistent-hash"] = Field(
        default="round-robin", description=_POLICY.format("")
    )
    discovery: Literal["static", "dns"] = Field(default="static", description=_DISCOVERY)
    health_checks: bool = Field(default=False, description=_HEALTH_CHECKS)

    _discovered_as_chosen = field_validator("discovery")(_discovered_as_chosen)
    _not_with_dns = field_validator("health_checks")(_not_with_dns)

    @model_validator(mode="before")
    @classmethod
    def _as_dns_has_it(cls, given: Any) -> Any:
        return _as_dns_has_it(given, policy="random")


class NginxOptions(ProxyOptions):
    """What can be chosen for nginx as a proxy for HTTP."""

    policy: Literal[
        "round-robin", "random", "p2c", "least-connections", "hash", "consistent-hash", "ip-hash"
    ] = Field(
        default="round-robin", description=_POLICY.format("; ip-hash: by the first three bytes of it only")
    )
    discovery: Literal["static", "dns"] = Field(default="static", description=_DISCOVERY)
    health_checks: bool = Field(default=False, description=_HEALTH_CHECKS)

    _discovered_as_chosen = field_validator("discovery")(_discovered_as_chosen)
    _not_with_dns = field_validator("health_checks", "keep_alive")(_not_with_dns)

    @model_validator(mode="before")
    @classmethod
    def _as_dns_has_it(cls, given: Any) -> Any:
        return _as_dns_has_it(given, policy="random", keep_alive=False)


class _Nginx(Proxy):
    """What both have in common: workers, statistics, and reloading."""

    options: NginxOptions | NginxStreamOptions
    image = "nginx"
    commands: ClassVar[Mapping[str, str]] = {"nginx": "apt-get install nginx-light"}
    versions: ClassVar[Mapping[str, tuple[str, ...]]] = {"nginx": ("sh", "-c", "nginx -v 2>&1")}
    follows: ClassVar[str] = "failures of what it passes on"
    # Reloading closes idle connections of clients; with dns nothing is reloaded.
    keeps_connections: ClassVar[frozenset[str]] = frozenset({"dns"})
    _template: ClassVar[str]

    def __init__(self, options: NginxOptions | NginxStreamOptions) -> None:
        super().__init__(options)
        self._own_questions = 0

    def exposing(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Write the configuration, start nginx, and wait until it listens."""
        self._own_questions = 0
        yield from super().exposing(facts, endpoint, members)

    def _configure(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        del facts
        limits = yield from granted()
        own = yield from self._values()
        options = self.options
        workers = self._take_workers(limits)
        wanted = max(_LEAST_CONNECTIONS, 2 * 2 * _CLIENTS // workers)
        files = min(wanted + _OTHER_FILES, limits.files)
        text = rendered(
            self._template,
            **own,
            folder=self.folder,
            endpoint=endpoint,
            members=members,
            groups=grouped(members),
            only_root=limits.only_root,
            workers=workers,
            files=files,
            connections=files - _OTHER_FILES,
            balance=self.policies[options.policy].written,
            failures="max_fails=1 fail_timeout=10s" if options.health_checks else "max_fails=0",
            connect_timeout=options.connect_timeout,
            zone_kb=64 + 2 * len(members),
            resolver=bracketed(self._name_server),
            ttl=TTL_S,
            name=NAME,
            port=members[0].port,
        )
        yield File(self.configuration, text)

    def _values(self) -> Actions[dict[str, Any]]:
        """Give what only this one's template has."""
        yield from ()
        return {}

    @property
    def configuration(self) -> str:
        """Tell where the configuration is on the host."""
        return self.checker[-1]

    def _served(self, endpoint: Endpoint) -> Served:
        del endpoint
        return Served("nginx", ("nginx", "-e", "stderr", "-c", self.configuration))

    def updating(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Reload, and wait until no worker with the old configuration takes anything new.

        With dns, wait until every old answer has expired.
        """
        if self._dns is not None:
            yield from self._dns.publish(members)
            yield from self._dns.wait_forgotten()
            return
        command = self._worker_command
        before = _workers_of((yield Question(command)).stdout)
        yield from self._configure(facts, endpoint, members)
        yield from self._check()  # the master says nothing and goes on with what it has
        if self._service is not None:
            yield Signal(self._service, signal.SIGHUP)
        yield WaitUntil(
            "a run waits here until no worker with the old configuration takes anything new",
            lambda host: _taken_over(before, _workers_of(host.run(command.argv).stdout)),
            f"nginx did not take over its configuration within {_RELOAD_DEADLINE_S} s",
            deadline_s=_RELOAD_DEADLINE_S,
        )

    @property
    def _worker_command(self) -> Command:
        """Give what lists the workers."""
        return Command(("sh", "-c", _WORKERS, f"{self.folder}/nginx.pid"))

    def _status(self, host: Host) -> dict[str, int]:
        """Read nginx's statistics, less what asking for them has added."""
        connection = HTTPConnection("nginx")
        try:
            connection.sock = host.connect(f"{self.folder}/status.sock")
            connection.request("GET", "/")
            text = connection.getresponse().read().decode()
        except (HostError, OSError) as error:
            raise StrategyError(f"nginx's statistics can't be read: {error}") from error
        finally:
            connection.close()
        self._own_questions += 1
        found = re.search(r"^ (\d+) (\d+) (\d+) $", text, re.MULTILINE)
        if found is None:
            raise StrategyError(f"nginx's statistics are not as they used to be: {text!r}")
        _, handled, requests = (int(number) - self._own_questions for number in found.groups())
        return {"connections": handled, "requests": requests}


def _workers_of(told: str) -> dict[int, bool]:
    """Read whether each worker takes new connections."""
    lines = (line.split(" ", 1) for line in told.splitlines())
    return {int(pid): "shutting down" not in title for pid, title in lines if "worker process" in title}


def _taken_over(before: Mapping[int, bool], now: Mapping[int, bool]) -> bool:
    return any(pid not in before for pid in now) and not any(now.get(pid) for pid in before)


class Nginx(_Nginx):
    """Requests, each to the next instance."""

    name: ClassVar[str] = "nginx"
    policies: ClassVar[Mapping[str, Policy]] = table(*_policies("request"), _IP_HASH)
    summary: ClassVar[str] = "nginx as a reverse proxy for HTTP"
    routes: bool = True
    packet_path: ClassVar[str] = _PATH
    caveats: ClassVar[str] = _CAVEATS
    options_model: ClassVar[type[Options]] = NginxOptions
    options: NginxOptions
    checker: ClassVar[tuple[str, ...]] = (
        "nginx",
        "-t",
        "-q",
        "-e",
        "stderr",
        "-c",
        "/run/sameport/nginx/nginx.conf",
    )
    _template: ClassVar[str] = "nginx.conf.j2"

    def _values(self) -> Actions[dict[str, Any]]:
        yield from ()
        return {"keep_alive": self.options.keep_alive, "idle": _IDLE}

    def counted(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> Counted:
        """Read how many requests came in all; nginx does not count them for each instance."""
        del endpoint, members
        return Counted("proxy", "requests", self._status(host)["requests"])


class NginxStream(_Nginx):
    """Connections, each to the next instance."""

    name: ClassVar[str] = "nginx-stream"
    policies: ClassVar[Mapping[str, Policy]] = table(*_policies("connection"))
    protocols: ClassVar[frozenset[str] | None] = None
    summary: ClassVar[str] = "nginx as a TCP proxy (its stream module)"
    family: ClassVar[str] = "proxies for TCP"
    packet_path: ClassVar[str] = _STREAM_PATH
    caveats: ClassVar[str] = _STREAM_CAVEATS
    layer: ClassVar[Layer] = 4
    unit: Unit = "connection"
    options_model: ClassVar[type[Options]] = NginxStreamOptions
    options: NginxStreamOptions
    checker: ClassVar[tuple[str, ...]] = (
        "nginx",
        "-t",
        "-q",
        "-e",
        "stderr",
        "-c",
        "/run/sameport/nginx-stream/nginx.conf",
    )
    keeps_connections: ClassVar[frozenset[str]] = frozenset({"static", "dns"})
    _template: ClassVar[str] = "nginx-stream.conf.j2"

    def _values(self) -> Actions[dict[str, Any]]:
        return {"module": (yield from _stream_module())}

    def counted(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> Counted:
        """Read how many connections came in all; nginx does not count them for each instance."""
        del endpoint, members
        return Counted("proxy", "connections", self._status(host)["connections"])


NGINX_MODULES = "$NGINX_MODULES"
"""Stands in a plan for the folder of nginx's modules, which only nginx can tell."""


def _stream_module() -> Actions[str]:
    """Find the module that makes nginx a TCP proxy; empty where it is built in."""
    finished = yield Question(
        Command(("nginx", "-V")),
        on_new_host=f"configure arguments: --modules-path={NGINX_MODULES}\n",
        remark=f"{NGINX_MODULES} stands for the folder of modules that `nginx -V` tells; an nginx with "
        "its stream module built in gets no load_module line",
    )
    built = finished.stdout + finished.stderr
    if re.search(r"--with-stream(?![\w=])", built):
        return ""
    folder = re.search(r"--modules-path=(\S+)", built) or re.search(r"--prefix=(\S+)", built)
    module = f"{folder[1] if folder else ''}/ngx_stream_module.so"
    if (yield Command(("test", "-e", module))).status:
        raise StrategyError(
            f"this nginx has no stream module ({module} is missing): apt-get install libnginx-mod-stream"
        )
    return module
