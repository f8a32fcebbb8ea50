"""What all reverse proxies have in common: a configuration from a template, and a program that serves.

Templates are Jinja's, below ``templates/``, each a configuration as a person would write it.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from harness.errors import HostError, StrategyError
from harness.strategies.base import Layer, Options, Strategy, Unit
from harness.strategies.dns import Dns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jinja2 import Environment

    from harness.hosts.base import Host, Service
    from harness.strategies.base import Endpoint, Member


class ProxyOptions(Options):
    """Options that all proxies have; each adds those policies and discoveries that it has."""

    policy: str = "round-robin"
    workers: Literal["auto"] | int = Field(
        default="auto", description="Worker processes or threads; auto is one for each processor core."
    )
    keep_alive: bool = Field(
        default=True, description="Whether connections to instances are kept for further requests."
    )
    discovery: str = "static"
    health_checks: bool = Field(default=False, description="Whether the proxy asks instances how they are.")


class Proxy(Strategy):
    """A program that takes clients' connections, and passes requests or bytes on over its own.

    Attributes
    ----------
    folder
        Where it finds its files on the host.
    """

    layer: ClassVar[Layer] = 7
    unit: Unit = "request"
    policy = "round robin"
    predicted: ClassVar[str] = "exactly each its weight"
    weights: bool = True
    health_checks: ClassVar[bool] = True
    follows: ClassVar[str] = "health checks"
    options_model: ClassVar[type[Options]] = ProxyOptions
    options: ProxyOptions

    def __init__(self, options: ProxyOptions) -> None:
        super().__init__(options)
        self.folder = f"/run/sameport/{self.name}"
        self.policy = options.policy.replace("-", " ")
        if options.policy == "hash":
            self.unit = "source"
        if options.discovery == "dns":
            self.weights = False  # an address has none
        self._dns: Dns | None = None
        self._service: Service | None = None

    def expose(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
        """Write the configuration, start the proxy, and wait until it listens."""
        if self.options.discovery == "dns":
            self._dns = Dns(host)
            self._dns.publish(members)
        self._configure(host, endpoint, members)
        try:
            self._service = self._start(host)
            self._service.wait_listening([endpoint.port])
        except HostError as error:
            raise StrategyError(str(error)) from error

    @abstractmethod
    def _configure(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
        """Write all files that the proxy reads."""

    @abstractmethod
    def _start(self, host: Host) -> Service:
        """Start the proxy on its files."""

    def withdraw(self, host: Host, endpoint: Endpoint) -> None:
        """Stop the proxy, and the name server if there is one."""
        del host, endpoint
        if self._service is not None:
            self._service.stop()
            self._service = None
        if self._dns is not None:
            self._dns.stop()
            self._dns = None


def rendered(template: str, **values: Any) -> str:
    """Fill a template of the folder ``templates/``; a value that it does not get is an error."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415  20 ms, for proxies only

    return Environment(
        loader=PackageLoader("harness.strategies"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  none of these files is HTML; names and addresses are checked before
    )
