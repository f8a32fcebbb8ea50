"""HAProxy: as a reverse proxy for HTTP, and as one for TCP."""

from __future__ import annotations

import csv
import signal
import socket
from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.errors import HostError, StrategyError
from harness.strategies import dns
from harness.strategies.actions import File, Look, Served, Signal
from harness.strategies.capabilities import Policy, table
from harness.strategies.haproxy_options import MOST_THREADS, MOST_WEIGHT, HaproxyOptions, HaproxyTcpOptions
from harness.strategies.haproxy_ring import ring_shares
from harness.strategies.limits import granted
from harness.strategies.proxy import Proxy, grouped, rendered
from harness.types import Counted, Layer, Unit, authority

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from harness.hosts.base import Host
    from harness.strategies.actions import Actions, Facts
    from harness.strategies.base import Options
    from harness.types import Endpoint, Member

_MOST_CONNECTIONS = 200_000
_OTHER_FILES = 512  # pipes, listeners, statistics
_LEAST_SPARE_PLACES = 10
_DONE = ("New server registered", "IP changed", "no need to change")

_PATH = """
client ==HTTP==> host:PORT  haproxy: frontend --> backend ==HTTP==> instance k
                                     (one process,  (chooses for     (connections that all
                                      its threads)   each request)    clients share)
"""
_TCP_PATH = """
client ==TCP==> host:PORT  haproxy: frontend --> backend ==TCP==> instance k
                                    (one process,  (chooses for each connection,
                                     its threads)   and copies bytes)
"""
_COMMON_CAVEATS = """
- `random` draws a place on the ring that serves consistent hashing. A server has 16 points on the ring for
  each unit of its weight, at hashes of its id and the point's number (src/lb_chash.c), and gets the nearest
  values. So with ten servers of weight 1, `random` gives the tenth 34 % more than its share and the seventh
  29 % less, in every run alike; with four, 15.6 % more to 25.9 % less. A published measurement of 3,000
  connections as 850, 533, 763, 854 fits the ring's 867, 556, 728, 849. Measured here with ten: +35 % to -28 %
  of 43,943 requests at weight 1, +9 % to -14 % at 10, +4 % to -5 % at 100 and at 256, of which +2 % to -2 %
  are the ring's. `base_weight: 100` corrects it. `consistent-hash` uses the same ring.
- `balance random`, with no number, draws two servers and takes the less busy one: `p2c` here. According to
  the documentation, this removes the ring's bias. It does so only if requests in flight tell the servers
  apart: of two equally busy ones, it takes the later draw (src/backend.c, get_server_rnd).
  With weight 1, two users came to the ring's own +34 % to -25 %, 16 users to +19 % to -19 %, and 200 to
  +9 % to -11 %.
- `hash` (`balance source`) is the address modulo the sum of weights, unless `hash_type: avalanche` mixes it:
  consecutive addresses are dealt in turn, "+0.0 %" for each instance; 256 clients 127.5.K.1 all met one of
  four. The clients here are scattered, unless `load.sources.pattern` says otherwise.
- `least-connections` takes turns among servers with as few connections, whatever their weights: with 9 and 1
  and nothing under way, 1,000 requests went 500:500 (nginx: 900:100).
- All threads share one round robin, so `round-robin` is exact. It is limited to 4,095 servers.
- A weight is 256 at most, `base_weight` included.
- If an instance refuses a connection, no request is lost: HAProxy tries another one at once (`option
  redispatch 1`). Without health checks that happens again at each of the instance's turns.
- A dead instance whose address is gone, such as a killed container, refuses nothing: an attempt to connect
  waits (`timeout connect`; 5 s, since the manual wants it to outlast a lost packet or two) until two health
  checks have failed. The first begins up to a second after the death and times out after a second, the
  second begins a second later and takes as long: 3 to 4 s. Clients that give up after a second lost the dead
  instance's quarter in that time: 379 to 499 of 2,500 requests in five runs. Retries don't help before
  HAProxy has noticed a failure.
- With `connect_timeout: 200ms` it notices in time, and tries another instance: none of 2,505 requests was
  lost in one run, and one in another, which the dead instance was just answering; 505 took 0.2 s longer
  (`scenarios/failover/kill-one-haproxy-tuned.yaml`). Both options are needed: with `retries: 0`, 438 got 503;
  with 1.5 s, clients had given up before, and 442 were lost. `check_interval: 200ms` alone shortens the time
  to 0.7 s, and 91 requests were lost; with both, none was, and 87 took longer.
- `discovery: static` changes the set by a reload: a new process takes the listening sockets over from the
  old one (`expose-fd listeners`), which ends with its last connection. Counts end with their process;
  there are no statistics after a reload.
- `discovery: api` adds servers through the runtime socket. HAProxy 2.6 does that with dynamic policies
  only (`hash` is a fixed table), in maintenance at first, without the settings of `default-server`, and not
  beyond a reload. `del server` requires maintenance and no connection, not even an idle one; so servers that
  leave the set stay, in maintenance.
- `discovery: dns` has a fixed number of places (`server-template`), here twice the instances and at least
  ten to spare; more need a reload. The order of the answer decides the places. A new address
  takes the place of one that has gone.
"""
_CAVEATS = f"""
- With `discovery: dns` and kept connections to instances, a place with a new address keeps using its old
  connections as long as they stay busy: after one of two instances was replaced and another added, the
  removed one still got its third of all requests, and its successor none (HAProxy 2.6.12). So `keep_alive`
  is off there unless the scenario sets it.
- A reload closes idle client connections. A client that sends its next request in that moment has to send it
  again; `option idle-close-on-response` would wait for one more request instead, which the old process would
  give to an instance of the old set.
- `http-reuse` is `safe` by default: a client's first request has a connection of its own. Here it is
  `always`.
{_COMMON_CAVEATS.lstrip()}"""
_TCP_CAVEATS = f"""
- The choice is made once for a connection: all requests on a kept-alive connection go to the same
  instance.
- Instances see the host's address, not the client's (the PROXY protocol could pass it on).
- A connection that is quiet for ten minutes is closed (`timeout client`, `timeout server`).
{_COMMON_CAVEATS.lstrip()}"""


_BY_PATTERN = (
    "without hash_type: avalanche, the instance is the address modulo the sum of weights: consecutive "
    "addresses are dealt in turn, others may all meet one instance (load.sources.pattern)"
)


def _policies(unit: Unit) -> dict[str, Policy]:
    consistent = ("balance source", "hash-type consistent")
    return table(
        Policy("round-robin", unit, "exactly by weight", ("balance roundrobin",)),
        Policy("random", unit, "multinomial, by the ring", ("balance random(1)",)),
        Policy("p2c", unit, "by the ring where servers are equally busy", ("balance random(2)",)),
        Policy(
            "least-connections",
            unit,
            "even where instances are alike",
            ("balance leastconn",),
            weights_remark="weights have no effect while instances are idle, as those with equally few "
            "connections take turns: 9:1 gave 500:500",
        ),
        Policy("hash", "source", "over addresses, by their pattern", ("balance source",), remark=_BY_PATTERN),
        Policy("consistent-hash", "source", "over addresses, by the ring", consistent),
    )


class _Haproxy(Proxy):
    """What both have in common: all but the mode."""

    options: HaproxyOptions | HaproxyTcpOptions
    most_members: ClassVar[int | None] = 4_095
    tcp_checks: ClassVar[bool] = True
    image = "haproxy"
    commands: ClassVar[Mapping[str, str]] = {"haproxy": "apt-get install haproxy"}
    versions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "haproxy": ("sh", "-c", "haproxy -v | head -n 1 | cut -d ' ' -f 1-3"),
    }
    _mode: ClassVar[Literal["http", "tcp"]]
    _what: ClassVar[Literal["requests", "connections"]]

    def __init__(self, options: HaproxyOptions | HaproxyTcpOptions) -> None:
        super().__init__(options)
        self._places = 0
        self._ids: dict[str, int] = {}  # of servers, by their addresses
        self._reloaded = False
        self._moved = False

    def exposing(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Write the configuration, start HAProxy, and wait until it knows all members."""
        self._reloaded = self._moved = False
        yield from super().exposing(facts, endpoint, members)
        yield from self._until(endpoint, "has no master", lambda host: bool(self._processes(host)))
        yield from self._in_force(endpoint, members)

    def _configure(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        del facts
        options = self.options
        _require_weights(members, options.base_weight)
        self._places = len(members) + max(len(members), _LEAST_SPARE_PLACES)
        limits = yield from granted()
        text = rendered(
            "haproxy.cfg.j2",
            mode=self._mode,
            folder=self.folder,
            endpoint=endpoint,
            members=members,
            groups=grouped(members),
            connections=min(_MOST_CONNECTIONS, (limits.files - _OTHER_FILES) // 2),
            workers=min(self._take_workers(limits), MOST_THREADS),
            balance=self._balance,
            base_weight=options.base_weight,
            check=self._checks,
            health=self.health,
            retries=options.retries,
            connect_timeout=options.connect_timeout,
            keep_alive=getattr(options, "keep_alive", False),
            resolver=self._name_server and authority(self._name_server, dns.PORT),
            ttl=dns.TTL_S,
            name=dns.NAME,
            places=self._places,
            port=members[0].port,
        )
        yield File(self.checker[-1], text)

    @property
    def _balance(self) -> tuple[str, ...]:
        """Give the lines that say how it chooses."""
        algorithm, *rest = self.policies[self.options.policy].written
        if self.can.unit != "source" or self.options.hash_type == "plain":
            return (algorithm, *rest)
        method = rest[0] if rest else "hash-type map-based"
        return (algorithm, f"{method} sdbm avalanche")

    def remarks(self, weights: Collection[int]) -> tuple[str, ...]:
        """Give what is so without mixing, only where nothing mixes."""
        return () if self.options.hash_type == "avalanche" else super().remarks(weights)

    @property
    def _checks(self) -> str:
        options = self.options
        return f"check inter {options.check_interval} fall 2 rise 1" if options.health_checks else ""

    def _served(self, endpoint: Endpoint) -> Served:
        del endpoint
        argv = ("haproxy", "-W", "-S", f"{self.folder}/master.sock", "-f", self.checker[-1])
        return Served("haproxy", argv)

    def updating(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Change the servers by the means of the discovery, and wait until the change is in force."""
        _require_weights(members, self.options.base_weight)
        if self._dns is not None:
            yield from self._dns.publish(members)
            self._moved = True
        if self.options.discovery == "static" or (self._dns is not None and len(members) > self._places):
            yield from self._reload(facts, endpoint, members)
        elif self.options.discovery == "api":
            yield Look(f"{self.folder}/admin.sock", lambda host: self._change(host, members))
        yield from self._in_force(endpoint, members)

    def _reload(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Have the master start a process on the new configuration, and wait until the old one has let go."""
        before = set((yield Look(f"{self.folder}/master.sock", self._processes)))
        yield from self._configure(facts, endpoint, members)
        yield from self._check()
        self._reloaded = True
        if self._service is not None:
            yield Signal(self._service, signal.SIGUSR2)
        yield from self._until(endpoint, "has not taken over", lambda host: self._taken_over(host, before))

    def _processes(self, host: Host) -> list[int]:
        """List the processes that serve or have served; none while the master starts, or starts anew."""
        try:
            rows = [line.split() for line in self._ask(host, "show proc", "master.sock").splitlines()]
        except StrategyError:
            return []
        return [int(row[0]) for row in rows if row[1:2] == ["worker"]]

    def _taken_over(self, host: Host, before: set[int]) -> bool:
        now = self._processes(host)
        return not before.issuperset(now) and not any(
            self._accepts(host, pid) for pid in before.intersection(now)
        )

    def _accepts(self, host: Host, pid: int) -> bool:
        """Tell whether a process takes connections: not once it is to end."""
        rows = _table(self._ask(host, f"@!{pid} show stat endpoint 1 -1", "master.sock"))
        return any(row["status"] == "OPEN" for row in rows)

    def _change(self, host: Host, members: Sequence[Member]) -> None:
        """Add servers, bring some back, and put into maintenance those that are to leave."""
        known = {row["svname"]: row for row in self._servers(host)}
        for member in members:
            server, weight = f"instances/{member.name}", member.weight * self.options.base_weight
            if member.name not in known:
                check = f" {self._checks}" if self._checks else ""
                self._order(host, f"add server {server} {member.authority} weight {weight}{check}")
                if check:
                    self._order(host, f"enable health {server}")
            elif known[member.name]["addr"] != member.authority:
                self._order(host, f"set server {server} addr {member.address} port {member.port}")
            self._order(host, f"set server {server} weight {weight}")
            self._order(host, f"set server {server} state ready")
        for name in known.keys() - {member.name for member in members}:
            self._order(host, f"set server instances/{name} state maint")

    def _in_force(self, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Wait until just these are servers that may be chosen."""
        expected = {member.authority for member in members}

        def in_force(host: Host) -> bool:
            rows = [row for row in self._servers(host) if not row["status"].startswith("MAINT")]
            self._ids = {row["addr"]: int(row["sid"]) for row in rows}
            return self._ids.keys() == expected

        yield from self._until(endpoint, "has not its servers", in_force)

    def _servers(self, host: Host) -> list[dict[str, str]]:
        """Read the statistics of each server."""
        return _table(self._ask(host, "show stat -1 4 -1"))

    def _order(self, host: Host, command: str) -> None:
        """Have HAProxy change something; what it does not do, it says."""
        said = self._ask(host, command).strip()
        if said and not said.startswith(_DONE):
            raise StrategyError(f"HAProxy refused '{command}': {said}")

    def _ask(self, host: Host, command: str, place: str = "admin.sock") -> str:
        """Give a command to one of its sockets, and read all that it answers."""
        try:
            with host.connect(f"{self.folder}/{place}") as connected, connected.makefile("rb") as stream:
                connected.sendall(f"{command}\n".encode())
                connected.shutdown(socket.SHUT_WR)  # it is the only one
                return stream.read().decode()
        except (HostError, OSError) as error:
            raise StrategyError(f"HAProxy does not answer '{command}': {error}") from error

    def predicted_shares(self, members: Sequence[Member]) -> list[float]:
        """Give the shares of its ring where it has one, the servers being alike in how busy they are."""
        if self.options.policy not in {"random", "p2c", "consistent-hash"}:
            return super().predicted_shares(members)
        base = self.options.base_weight
        shares: dict[Member, float] = {}
        for group in grouped(members):  # each backend has a ring of its own, and ids from 1 on
            servers = [
                (self._ids.get(member.authority, k), member.weight * base)
                for k, member in enumerate(group.members, start=1)
            ]
            shares |= zip(group.members, ring_shares(servers), strict=True)
        return [shares[member] for member in members]

    def counted(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> Counted | None:
        """Read each server's count; None once it was reloaded, as counts end with their process."""
        del endpoint
        if self._reloaded:
            return None
        counts: dict[str, int] = {}
        for row in self._servers(host):
            counts[row["addr"]] = counts.get(row["addr"], 0) + self._count(row)
        total = sum(counts.values())
        if self._moved:  # a place may have had another address before
            return Counted("proxy", self._what, total)
        each = tuple(counts.get(member.authority, 0) for member in members)
        return Counted("proxy", self._what, total, each)

    @staticmethod
    @abstractmethod
    def _count(row: Mapping[str, str]) -> int:
        """Read what a server got from its statistics."""


def _table(said: str) -> list[dict[str, str]]:
    return list(csv.DictReader(said.removeprefix("# ").splitlines()))


def _require_weights(members: Sequence[Member], base_weight: int) -> None:
    heaviest = max(members, key=lambda member: member.weight)
    if (weight := heaviest.weight * base_weight) > MOST_WEIGHT:
        raise StrategyError(
            f"base_weight {base_weight} makes {heaviest.name} weigh {weight}, and HAProxy's weights end at "
            f"{MOST_WEIGHT}; write base_weight: {MOST_WEIGHT // heaviest.weight} or less"
        )


class Haproxy(_Haproxy):
    """Requests, each to the next instance."""

    name: ClassVar[str] = "haproxy"
    policies: ClassVar[Mapping[str, Policy]] = _policies("request")
    summary: ClassVar[str] = "HAProxy as a reverse proxy for HTTP"
    routes: bool = True
    packet_path: ClassVar[str] = _PATH
    caveats: ClassVar[str] = _CAVEATS
    options_model: ClassVar[type[Options]] = HaproxyOptions
    options: HaproxyOptions
    checker: ClassVar[tuple[str, ...]] = ("haproxy", "-c", "-q", "-f", "/run/sameport/haproxy/haproxy.cfg")
    keeps_connections: ClassVar[frozenset[str]] = frozenset({"dns", "api"})
    _mode: ClassVar[Literal["http", "tcp"]] = "http"
    _what: ClassVar[Literal["requests", "connections"]] = "requests"

    @staticmethod
    def _count(row: Mapping[str, str]) -> int:
        return int(row["req_tot"])


class HaproxyTcp(_Haproxy):
    """Connections, each to the next instance."""

    name: ClassVar[str] = "haproxy-tcp"
    policies: ClassVar[Mapping[str, Policy]] = _policies("connection")
    protocols: ClassVar[frozenset[str] | None] = None
    summary: ClassVar[str] = "HAProxy as a TCP proxy"
    family: ClassVar[str] = "proxies for TCP"
    packet_path: ClassVar[str] = _TCP_PATH
    caveats: ClassVar[str] = _TCP_CAVEATS
    layer: ClassVar[Layer] = 4
    unit: Unit = "connection"
    options_model: ClassVar[type[Options]] = HaproxyTcpOptions
    options: HaproxyTcpOptions
    checker: ClassVar[tuple[str, ...]] = (
        "haproxy",
        "-c",
        "-q",
        "-f",
        "/run/sameport/haproxy-tcp/haproxy.cfg",
    )
    keeps_connections: ClassVar[frozenset[str]] = frozenset({"static", "dns", "api"})
    _mode: ClassVar[Literal["http", "tcp"]] = "tcp"
    _what: ClassVar[Literal["requests", "connections"]] = "connections"

    @staticmethod
    def _count(row: Mapping[str, str]) -> int:
        """Count those given to it, less those that it did not take."""
        return int(row["stot"]) - int(row["wredis"]) - int(row["econ"])
