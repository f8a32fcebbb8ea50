"""Ctrl-C, at moments when a run has something to lose."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """SIGTERM: treated as Ctrl-C is."""


def end_on_signals() -> None:
    """Let Ctrl-C and SIGTERM end this process in order, and say so at once: the end itself takes a while."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # a background process may ignore it
        signal.signal(signal.SIGINT, _end)
    signal.signal(signal.SIGTERM, _end)


def _end(number: int, _frame: object) -> None:
    _say_stopping()
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def _say_stopping() -> None:
    """Write past Python's buffers, which the main program may be writing to just now."""
    with suppress(OSError):
        os.write(2, b"\nstopping ...\n" if os.isatty(2) else b"stopping ...\n")


@dataclass
class Deferred:
    """Whether a signal to end came meanwhile, and which."""

    number: int | None = None

    @property
    def came(self) -> bool:
        """Whether one came."""
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
        if former[signal.Signals(number)] is _end:
            _say_stopping()
        if asked.came:
            raise KeyboardInterrupt
        asked.number = number

    former = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        signal.signal(number, remember)
    try:
        yield asked
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
