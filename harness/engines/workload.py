"""What an engine runs: the application, how many there will be, and what each may use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.types import Health

_DEFAULT_PORT = 8080
_START_TIMEOUT_NS = 10_000_000_000


@dataclass(frozen=True)
class Limits:
    """What one container may use.

    Attributes
    ----------
    cpus
        Processor cores; None for all.
    memory_bytes
        Memory; None for the engine's default.
    """

    cpus: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class Workload:
    """What every instance of a run is.

    Attributes
    ----------
    command
        The program and its arguments, or a container's arguments; None for the sample, or the image's own.
    image
        A container image; None for the sample, or a command.
    env
        Environment variables of every instance.
    port
        Where an instance listens that has a network namespace of its own, or shares one with others.
    endpoint_port
        Where the strategy is reached, and where instances in the host's own namespace listen.
    delay_ns
        How long the sample waits before each answer.
    start_timeout_ns
        How long all instances may take to listen.
    most
        The most instances there will be.
    ready
        How an instance tells that it is ready, before it gets load; None where it is as soon as it listens.
    limits, proxy_limits
        What each instance's container, and the strategy's, may use.
    """

    command: tuple[str, ...] | None = None
    image: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    port: int = _DEFAULT_PORT
    endpoint_port: int = _DEFAULT_PORT
    delay_ns: int = 0
    start_timeout_ns: int = _START_TIMEOUT_NS
    most: int = 1
    ready: Health | None = None
    limits: Limits = Limits()
    proxy_limits: Limits = Limits()
