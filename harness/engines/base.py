"""What every engine offers: instances on a host, and what they counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.hosts.base import Host
    from harness.strategies.base import Endpoint, Member


@dataclass(frozen=True)
class Served:
    """What an instance itself counted since it started."""

    connections: int
    requests: int

    def __sub__(self, earlier: Served) -> Served:
        """Give what was served since an earlier count."""
        return Served(self.connections - earlier.connections, self.requests - earlier.requests)


@dataclass(frozen=True)
class Change:
    """An instance that has ended, or runs again."""

    name: str
    running: bool


class Changes(Protocol):
    """What becomes of instances, as the engine tells it; closing it from another thread ends it."""

    def __iter__(self) -> Iterator[Change]:
        """Give the changes as they come."""

    def close(self) -> None:
        """End it."""


class Engine(Protocol):
    """Runs instances of one application on a host.

    Attributes
    ----------
    title
        What its makers call it.
    """

    title: str

    def prepare(self) -> None:
        """Do what has to be done once, before the first instance, and takes its time.

        Raises
        ------
        EngineError
            What runs the instances does not start; the message holds its last words.
        """

    def start(self, names: Sequence[str]) -> list[Member]:
        """Start one instance for each name and wait until all of them listen.

        Raises
        ------
        EngineError
            One died, or does not listen; the message holds its last words.
        """

    def exposure(self, endpoint: Endpoint) -> tuple[Host, Endpoint]:
        """Give the host as a strategy is to see it, and the endpoint that it is to open there."""

    def end(self, names: Sequence[str], *, kill: bool) -> None:
        """End instances, all at once: by SIGKILL, or first by asking them to.

        Raises
        ------
        EngineError
            One could not be ended.
        """

    def changes(self) -> Changes:
        """Follow what becomes of the instances from now on."""

    def memory_bytes(self) -> dict[str, int]:
        """Read how much memory each role's containers had at most; empty without containers."""

    def served(self) -> list[Served] | None:
        """Read what each instance counted, in the order of `start`; None where they do not count."""

    def died(self) -> list[str]:
        """Tell of each instance that has ended since it started, one sentence each."""

    def versions(self) -> dict[str, str]:
        """Give the version of what runs the instances, by its name."""
