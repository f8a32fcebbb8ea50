"""What all reverse proxies have in common: a configuration from a template, and a program that serves.

Templates are Jinja's, below ``templates/``, each a configuration as a person would write it.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from harness.common.text import stderr_tail
from harness.errors import HostError, StrategyError
from harness.strategies.actions import Command, Served, Stop, WaitListening, WaitUntil
from harness.strategies.base import Options, Strategy
from harness.strategies.dns import Dns

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from jinja2 import Environment

    from harness.hosts.base import Finished, Host, Service
    from harness.strategies.actions import Actions, Facts
    from harness.strategies.capabilities import Capabilities, Policy
    from harness.strategies.limits import Limits
    from harness.types import Endpoint, Layer, Member, Route, Unit


def _workers(value: Any) -> str | int:
    if value == "auto" or (type(value) is int and value >= 1):
        return value  # type: ignore[no-any-return]  # just checked
    raise ValueError(f"{value!r} is no number of workers; write auto, or a whole number of at least 1")


Workers = Annotated[
    Literal["auto"] | int,
    PlainValidator(_workers),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1}]}),
]


_SPAN = re.compile(r"([1-9][0-9]{0,4})(ms|s)")
_LONGEST_MS = 60_000
_DEADLINE_S = 20


def milliseconds(span: str) -> int:
    """Give how long a `Span` is; ValueError for what is none."""
    found = _SPAN.fullmatch(span)
    number = int(found[1]) * (1000 if found[2] == "s" else 1) if found else 0
    if not 0 < number <= _LONGEST_MS:
        raise ValueError(f"{span!r} is no duration from 1ms to 60s; write a whole number, as in 200ms or 5s")
    return number


def _span(span: str) -> str:
    milliseconds(span)
    return span


Span = Annotated[
    str,
    AfterValidator(_span),
    WithJsonSchema({"type": "string", "pattern": f"^{_SPAN.pattern}$", "examples": ["200ms"]}),
]
"""A duration as proxies write it themselves: whole milliseconds or seconds."""


class Layer4Options(Options):
    """Options that all proxies have; each narrows policy and discovery to those that it has."""

    policy: str = Field(default="round-robin", description="How an instance is chosen.")
    workers: Workers = Field(
        default="auto",
        description="Worker processes or threads; auto is one for each processor core that the "
        "proxy may use, by its affinity and its quota.",
    )
    discovery: str = Field(default="static", description="How the proxy learns of its instances.")
    health_checks: bool = Field(
        default=False, description="Whether the proxy finds out that instances are ill."
    )
    connect_timeout: Span = Field(
        default="5s", description="How long an attempt to connect to an instance may take."
    )


class ProxyOptions(Layer4Options):
    """Options of those proxies that pass requests on, over connections of their own."""

    keep_alive: bool = Field(
        default=True, description="Whether connections to instances are kept for further requests."
    )


@dataclass(frozen=True)
class Group:
    """Members that requests of one kind go to: those of a route, or all where there are no routes.

    Attributes
    ----------
    name
        What the proxy calls them: its upstream, backend, cluster or service.
    path, host
        What these requests have in common: how their path begins, and their host; an empty host
        is any.
    members
        The members that answer them.
    """

    name: str
    path: str
    host: str
    members: tuple[Member, ...]


def grouped(members: Sequence[Member]) -> list[Group]:
    """Put the members of each route together; the longest path, which says most, comes first."""
    of_route: dict[Route | None, list[Member]] = {}
    for member in members:
        of_route.setdefault(member.route, []).append(member)
    groups = [
        Group(f"instances-{route.name}", route.path, route.host, tuple(found))
        if route
        else Group("instances", "/", "", tuple(found))
        for route, found in of_route.items()
    ]
    return sorted(groups, key=lambda group: len(group.path), reverse=True)


class Proxy(Strategy):
    """A program that takes clients' connections, and passes requests or bytes on over its own.

    Attributes
    ----------
    policies
        All policies that it has, by their names.
    folder
        Where it finds its files on the host.
    workers
        How many workers or threads it has been started with; 0 before.
    checker
        What checks the files there, without serving; empty where the program has no such thing.
    keeps_connections
        The discoveries with which a client's kept-alive connection outlives an update.
    """

    family: ClassVar[str] = "proxies for HTTP"
    layer: ClassVar[Layer] = 7
    unit: Unit = "request"
    policy = "round robin"
    predicted: ClassVar[str] = "exactly by weight"
    weights: bool = True
    health_checks: ClassVar[bool] = True
    follows: ClassVar[str] = "health checks"
    policies: ClassVar[Mapping[str, Policy]]
    protocols: ClassVar[frozenset[str] | None] = frozenset({"http1"})
    checker: ClassVar[tuple[str, ...]] = ()
    keeps_connections: ClassVar[frozenset[str]] = frozenset()
    options_model: ClassVar[type[Options]] = ProxyOptions
    options: Layer4Options

    @classmethod
    def capabilities(cls, options: Options) -> Capabilities:
        """Tell what it can do: its policy is a row of its table, and discovery takes some of it away."""
        told = super().capabilities(options)
        if not isinstance(options, Layer4Options):
            return told
        policy = cls.policies[options.policy]
        return replace(
            told,
            unit=policy.unit,
            policy=policy.name.replace("-", " "),
            predicted=policy.predicted,
            weights=policy.weights and options.discovery != "dns",  # an address has none
            # Other discoveries find instances, and not which application each is.
            routes=told.routes and options.discovery == "static",
        )

    def __init__(self, options: Layer4Options) -> None:
        super().__init__(options)
        self.folder = f"/run/sameport/{self.name}"
        self.workers = 0
        self._dns: Dns | None = None
        self._service: Service | None = None

    def exposing(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Write the configuration, start the proxy, and wait until it listens."""
        if self.options.discovery == "dns":
            self._dns = Dns(facts)
            yield from self._dns.publish(members)
        yield from self._configure(facts, endpoint, members)
        try:
            self._service = yield self._served(endpoint)
            yield WaitListening(self._service, (endpoint.listener,))
        except HostError as error:
            raise StrategyError(str(error)) from error

    def remarks(self, weights: Collection[int]) -> tuple[str, ...]:
        """Give what its policy's row says."""
        policy = self.policies[self.options.policy]
        told = (policy.remark, policy.weights_remark if len(set(weights)) > 1 else "")
        return tuple(f"{self.name}, policy {policy.name}: {words}" for words in told if words)

    def _take_workers(self, limits: Limits) -> int:
        """Give how many workers there are to be: as many as the host grants cores, or as the option says."""
        wanted = self.options.workers
        self.workers = limits.cores if isinstance(wanted, str) else wanted
        return self.workers

    @property
    def _name_server(self) -> str:
        """Where the instances' name is looked up; empty unless it is."""
        return self._dns.address if self._dns is not None else ""

    def _check(self) -> Actions[None]:
        """Have the program itself check its files: where it would go on as before, or not tell why."""
        require_success((yield Command(self.checker)), f"{self.checker[0]} refuses its configuration")

    @abstractmethod
    def _configure(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Write all files that the proxy reads."""

    @abstractmethod
    def _served(self, endpoint: Endpoint) -> Served:
        """Give what starts the proxy on its files."""

    def _until(self, endpoint: Endpoint, what: str, holds: Callable[[Host], bool]) -> Actions[None]:
        """Wait until something holds, as long as the proxy lives.

        Parameters
        ----------
        endpoint
            Where it listens.
        what
            What it has not done if the time is over, such as ``does not know its members``.
        holds
            Tells whether it holds.

        Raises
        ------
        HostError
            The program ended; the message holds its last words.
        StrategyError
            It did not come to hold in time.
        """
        yield WaitUntil(
            f"a run waits here as long as the proxy {what}",
            holds,
            f"the proxy {what} after {_DEADLINE_S} s",
            self._service,
            endpoint.listener,
            _DEADLINE_S,
        )

    def withdrawing(self, facts: Facts, endpoint: Endpoint) -> Actions[None]:
        """Stop the proxy, and the name server if there is one."""
        del facts, endpoint
        if self._service is not None:
            yield Stop(self._service)
            self._service = None
        if self._dns is not None:
            yield from self._dns.stop()
            self._dns = None


class CheckedOptions(Options):
    """Options of proxies with health checks and retries."""

    check_interval: Span = Field(
        default="1s",
        description="With health checks, the time between two checks, and the limit for an answer.",
    )
    retries: int = Field(
        default=0,
        ge=0,
        le=10,
        description="How many more instances are tried if connecting to one fails.",
    )


def require_success(finished: Finished, what: str) -> None:
    """Raise StrategyError with the last words of a program that failed."""
    if finished.status:
        words = stderr_tail((finished.stderr or finished.stdout).encode()) or "it said nothing"
        raise StrategyError(f"{what}: {words}")


def rendered(template: str, **values: Any) -> str:
    """Fill a template of the folder ``templates/``; a value that it does not get is an error."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415  20 ms, for proxies only

    environment = Environment(
        loader=PackageLoader("harness.strategies"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  none of these files is HTML; names and addresses are checked before
    )
    # A path holds no blanks; what else a proxy's own syntax gives a meaning is taken as it stands.
    environment.filters["haproxy"] = lambda text: re.sub(r"""([\\#"'])""", r"\\\1", text)
    environment.filters["caddy"] = lambda text: '"' + text.replace('"', '\\"') + '"'
    return environment
