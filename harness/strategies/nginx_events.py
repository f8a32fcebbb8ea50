"""nginx, configured anew at each event of the engine: by the harness's watcher, or by nginx-proxy's own."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from harness.errors import HostError, StrategyError
from harness.strategies.actions import Served, WaitListening
from harness.strategies.dns import NAME
from harness.strategies.nginx import Nginx, NginxOptions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.hosts.base import Host
    from harness.strategies.actions import Actions, Facts
    from harness.strategies.base import Options
    from harness.strategies.capabilities import Capabilities
    from harness.types import Counted, Endpoint, Member

_NGINX_PROXY = "nginxproxy/nginx-proxy:1.7.1"
_NGINX_PROXY_ARGV = ("/app/docker-entrypoint.sh", "forego", "start", "-r")
# What it has written, and nginx's processes. It reloads at once when it has written; nothing tells when the
# new workers are there, but after a second without a new one they are.
_NGINX_PROXY_STATE = """
cat /etc/nginx/conf.d/default.conf
grep -l '^nginx: ' /proc/[0-9]*/cmdline
"""
_SETTLED_S = 1.0


class NginxEventsOptions(NginxOptions):
    """What can be chosen for nginx that is configured anew at each of the engine's events."""

    discovery: Literal["events"] = Field(  # type: ignore[assignment]  # it has no other
        default="events",
        description="Source of the members: a watcher of the engine's events.",
    )
    program: Literal["watcher", "nginx-proxy"] = Field(
        default="watcher",
        description="watcher: the harness's own; nginx-proxy: the image of that name, with its own watcher, "
        "template and settings, so that no other option can be chosen.",
    )

    @field_validator("program")
    @classmethod
    def _settings_of_its_own(cls, program: str, info: ValidationInfo) -> str:
        changed = [
            name
            for name, value in info.data.items()
            if name != "discovery" and value != cls.model_fields[name].default
        ]
        if program == "nginx-proxy" and changed:
            raise ValueError(f"nginx-proxy has settings of its own; take out {', '.join(changed)}")
        return program


class NginxEvents(Nginx):
    """Requests, each to the next of the containers that run."""

    name: ClassVar[str] = "nginx-events"
    summary: ClassVar[str] = "nginx, configured anew and reloaded at each event of the container engine"
    follows: ClassVar[str] = "the engine's events, failures of what it passes on"
    needs_root: ClassVar[bool] = True
    routes: bool = False  # an event does not tell whose requests a newcomer answers
    options: NginxEventsOptions
    caveats: ClassVar[str] = f"""
- A watcher reads the engine's events, writes the configuration from a template, and has nginx read it
  (`nginx -s reload`), as nginx-proxy does with docker-gen. Docker's event comes after the end of a container.
  Between the end and the reload, requests to the dead instance are tried again on the next one
  (`proxy_next_upstream`); those that it had begun to answer are lost.
- With `program: nginx-proxy`, the image {_NGINX_PROXY} does all of that. Its own template
  decides what nginx does. It has no counters to read, so no proxy is among the witnesses (the cross-checked
  counters).\
{Nginx.caveats}"""
    options_model: ClassVar[type[Options]] = NginxEventsOptions
    checker: ClassVar[tuple[str, ...]] = (*Nginx.checker[:-1], "/run/sameport/nginx-events/nginx.conf")

    @classmethod
    def capabilities(cls, options: Options) -> Capabilities:
        """Tell what it can do: nginx-proxy brings a watcher of its own."""
        told = replace(super().capabilities(options), engine_option="program")
        if isinstance(options, NginxEventsOptions) and options.program == "nginx-proxy":
            return replace(told, discovery="self", asks_engine=True, image=_NGINX_PROXY)
        return replace(told, watcher=True)

    def __init__(self, options: NginxEventsOptions) -> None:
        super().__init__(options)
        self._own_program = options.program == "watcher"
        self._state, self._since_s = "", 0.0

    def environment(self, port: int) -> Mapping[str, str]:
        """Say as nginx-proxy's README does what a container is to be found by."""
        return {} if self._own_program else {"VIRTUAL_HOST": NAME, "VIRTUAL_PORT": str(port)}

    def exposing(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Start nginx, or nginx-proxy, and wait until it serves all members."""
        if self._own_program:
            yield from super().exposing(facts, endpoint, members)
            return
        env = {
            "DOCKER_HOST": f"unix://{facts.engine_socket}",
            "DEFAULT_HOST": NAME,  # whatever a request's own is
            "HTTP_PORT": str(endpoint.port),
            "DHPARAM_SKIP": "true",
        }
        try:
            self._service = yield Served("nginx-proxy", _NGINX_PROXY_ARGV, tuple(env.items()))
            yield WaitListening(self._service, (endpoint.listener,))
            yield from self._until_found(endpoint, members)
        except HostError as error:
            raise StrategyError(str(error)) from error

    def _until_found(self, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        wanted = {member.authority for member in members}
        yield from self._until(endpoint, "has not found its members", lambda host: self._found(host, wanted))

    def _found(self, host: Host, wanted: set[str]) -> bool:
        """See whether the configuration names these members, and nginx has settled with it."""
        state = host.run(["sh", "-c", _NGINX_PROXY_STATE]).stdout
        if state != self._state:
            self._state, self._since_s = state, time.monotonic()
        named = set(re.findall(r"^\s*server ((?:\[[\da-f:]+\]|[\d.]+):\d+)", state, re.MULTILINE))
        return named == wanted and time.monotonic() > self._since_s + _SETTLED_S

    def updating(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Reload; nginx-proxy does it by itself, and is waited for."""
        if self._own_program:
            yield from super().updating(facts, endpoint, members)
        elif self._service is not None:
            yield from self._until_found(endpoint, members)

    def counted(  # type: ignore[override]  # nginx-proxy tells nothing
        self, host: Host, endpoint: Endpoint, members: Sequence[Member]
    ) -> Counted | None:
        """Read how many requests came in all; nginx-proxy does not tell it."""
        return super().counted(host, endpoint, members) if self._own_program else None
