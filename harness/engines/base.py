"""What every engine offers: instances on a host, and what they counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.strategies.base import Member


@dataclass(frozen=True)
class Served:
    """What an instance itself counted since it started."""

    connections: int
    requests: int

    def __sub__(self, earlier: Served) -> Served:
        """Give what was served since an earlier count."""
        return Served(self.connections - earlier.connections, self.requests - earlier.requests)


class Engine(Protocol):
    """Runs instances of one application on a host."""

    def start(self, names: Sequence[str]) -> list[Member]:
        """Start one instance for each name and wait until all of them listen.

        Raises
        ------
        EngineError
            One died, or does not listen; the message holds its last words.
        """

    def served(self) -> list[Served] | None:
        """Read what each instance counted, in the order of `start`; None where they do not count."""

    def died(self) -> list[str]:
        """Tell of each instance that has ended since it started, one sentence each."""
