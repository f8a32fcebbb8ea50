"""What faults read of an event, as a scenario asks for it (`harness.scenario.events.Event`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class Release(Protocol):
    """What instances of a new version run, where that differs from what the others do."""

    @property
    def command(self) -> tuple[str, ...] | None:
        """The program and its arguments."""

    @property
    def image(self) -> str | None:
        """A container image."""

    @property
    def env(self) -> Mapping[str, str]:
        """Environment variables, beside those that the others have."""


class Request(Protocol):
    """An event as a scenario asks for it; what it does not say is None."""

    @property
    def at_ns(self) -> int:
        """When, from the beginning of the load on."""

    @property
    def action(self) -> str:
        """The name of the fault."""

    @property
    def value(self) -> Any:
        """What stands behind the fault's name: whom, a duration in nanoseconds, or a share of 0 to 1."""

    @property
    def whom(self) -> str | int:
        """Which instances: a name, how many, a share of those there such as ``50%``, or ``all``."""

    @property
    def with_(self) -> str | None:
        """A new version's name."""

    @property
    def style(self) -> str | None:
        """How a new version comes: ``blue-green``, ``rolling`` or ``canary``."""

    @property
    def weights(self) -> Mapping[str, float] | None:
        """The share of the load that a canary is to get, by its version's name."""

    @property
    def for_ns(self) -> int | None:
        """Over how long it is spread."""

    @property
    def application(self) -> Release | None:
        """What a new version runs."""
