"""Strategies that do nothing on the host: what listens is exposed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.strategies.base import Strategy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.strategies.actions import Actions, Facts
    from harness.types import Endpoint, Member


class Passive(Strategy):
    """Instances that listen on the endpoint themselves; only they can stop it."""

    def exposing(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Do nothing: an instance that listens is exposed."""
        del facts, endpoint, members
        yield from ()

    def updating(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Do nothing: instances join by listening and leave by closing."""
        del facts, endpoint, members
        yield from ()

    def withdrawing(self, facts: Facts, endpoint: Endpoint) -> Actions[None]:
        """Do nothing: only the instances themselves can stop listening."""
        del facts, endpoint
        yield from ()
