"""Ctrl-C, at moments when a run has something to lose."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """SIGTERM: treated as Ctrl-C is."""


def end_on_sigterm() -> None:
    """Let SIGTERM end this process in the orderly way that Ctrl-C does."""

    def raise_terminated(_number: int, _frame: object) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, raise_terminated)


@dataclass
class Deferred:
    """Whether somebody asked for the end meanwhile, and by which signal."""

    number: int | None = None

    @property
    def came(self) -> bool:
        """Whether somebody did."""
        return self.number is not None

    def heed(self) -> None:
        """Raise what the signal would have raised, if one came."""
        if self.number is not None:
            raise Terminated if self.number == signal.SIGTERM else KeyboardInterrupt


@contextmanager
def deferred() -> Iterator[Deferred]:
    """Finish what is inside before heeding a first Ctrl-C; a second one is heeded at once."""
    asked = Deferred()
    if threading.current_thread() is not threading.main_thread():
        yield asked  # signals are the main thread's matter
        return

    def remember(number: int, _frame: object) -> None:
        if asked.came:
            raise KeyboardInterrupt
        asked.number = number

    former = {number: signal.signal(number, remember) for number in _SIGNALS}
    try:
        yield asked
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
