"""What every engine offers: instances on a host, and what they counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.hosts.base import Host
    from harness.types import Endpoint, Member


@dataclass(frozen=True)
class Served:
    """What an instance itself counted since it started."""

    connections: int
    requests: int

    def __sub__(self, earlier: Served) -> Served:
        """Give what was served since an earlier count."""
        return Served(self.connections - earlier.connections, self.requests - earlier.requests)


@dataclass(frozen=True)
class Version:
    """What instances of a new version are, where they differ from those that were there first.

    Attributes
    ----------
    name
        As its instances say it in `X-Version`, which they have from the variable `VERSION`.
    command, image
        What they run instead; None for what all others do.
    env
        Variables of theirs.
    """

    name: str = ""
    command: tuple[str, ...] | None = None
    image: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def told(self) -> Mapping[str, str]:
        """Give what its instances have in their environment beside what all others have."""
        return {**self.env, "VERSION": self.name}


@dataclass(frozen=True)
class Change:
    """An instance that has ended, or one that listens since now.

    Attributes
    ----------
    name
        The instance.
    member
        Where it listens; None for one that has ended.
    """

    name: str
    member: Member | None = None


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

    def start(
        self, names: Sequence[str], version: Version | None = None, weights: Mapping[str, int] | None = None
    ) -> list[Member]:
        """Start one instance for each name and wait until all of them listen.

        Once the first are there, others may follow, and those that have ended be started again: they are
        new processes, whose counts go on where the old ones' ended.

        Parameters
        ----------
        names
            What they are called.
        version
            What they are, where they differ from the first.
        weights
            Each one's weight; 1 where nothing is said.

        Raises
        ------
        EngineError
            One died, or does not listen; the message holds its last words.
        """

    def exposure(self, endpoint: Endpoint) -> tuple[Host, Endpoint]:
        """Give the host as a strategy is to see it, and the endpoint that it is to open there."""

    def end(self, names: Sequence[str], *, kill: bool) -> None:
        """End instances, all at once: by SIGKILL, or by asking them to; wait until they have ended.

        Raises
        ------
        EngineError
            One could not be ended.
        """

    def freeze(self, names: Sequence[str], *, frozen: bool) -> None:
        """Freeze instances, all their processes, or let them go on."""

    def degrade(self, names: Sequence[str], *, slow_ns: int | None = None, fail: float | None = None) -> None:
        """Have instances of the sample answer so much later, or this share of requests with status 500.

        What is None stays as it is; 0 ends it.
        """

    def changes(self) -> Changes:
        """Watch the instances from now on; a new instance is reported once it listens."""

    def memory_bytes(self) -> dict[str, int]:
        """Read how much memory each role's containers had at most; empty without containers."""

    def served(self) -> list[Served] | None:
        """Read what each instance counted, in the order of their first start, those that have ended too.

        None where they do not count.
        """

    def died(self) -> list[str]:
        """Describe each instance that has ended by itself, one sentence each."""

    def versions(self) -> dict[str, str]:
        """Give the version of what runs the instances, by its name."""
