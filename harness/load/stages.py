"""Locust's shape of a load whose number of users changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import locust

if TYPE_CHECKING:
    from collections.abc import Sequence


class Stages(locust.LoadTestShape):  # type: ignore[misc]  # Locust carries no types
    """Numbers of users, one after the other; Locust asks for them once a second."""

    def __init__(self, stages: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self._stages = stages

    def tick(self) -> tuple[int, float]:
        """Give the users that there are to be now, all at once."""
        passed_ns = self.get_run_time() * 1e9
        for users, lasts_ns in self._stages:
            passed_ns -= lasts_ns
            if passed_ns < 0:
                return users, max(users, 1000)
        return self._stages[-1][0], 1000
