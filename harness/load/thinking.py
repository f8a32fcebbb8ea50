"""Users' time to think, in Python: between an answer and the next request."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import gevent

if TYPE_CHECKING:
    from collections.abc import Callable

_SLICE_NS: Final = 100_000_000


def think(time_ns: int, goes_on: Callable[[], bool]) -> None:
    """Wait as a user does, and not much longer than the phase goes on."""
    until_ns = time.monotonic_ns() + time_ns
    while (left_ns := until_ns - time.monotonic_ns()) > 0 and goes_on():
        gevent.sleep(min(left_ns, _SLICE_NS) / 1e9)
