"""The phases of a run as they pass: shown, and timed."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.report.progress import Progress
    from harness.summary.run import Phases as PhaseSeconds


class Phases:
    """Shows each phase while it goes on, and keeps how long it took.

    Parameters
    ----------
    progress
        Shows them.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._began_s = time.monotonic()
        self._seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str, title: str, detail: str = "") -> Iterator[None]:
        """Let a phase pass; `name` is its field in the summary, `title` and `detail` are shown."""
        self.progress.phase(title, detail)
        began_s = time.monotonic()
        yield
        self._seconds[name] = time.monotonic() - began_s

    def passed(self) -> PhaseSeconds:
        """Give how long each phase took that has ended."""
        from harness.summary.run import Phases as PhaseSeconds  # noqa: PLC0415  imported with the analysis

        return PhaseSeconds(**self._seconds, total=time.monotonic() - self._began_s)
