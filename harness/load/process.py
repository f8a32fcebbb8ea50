"""What every process that sends load does, and how it ends."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from typing import NoReturn


def leave(status: int) -> NoReturn:
    """End the process at once, users in the middle of their requests and all."""
    sys.stderr.flush()
    os._exit(status)


def quieten() -> None:
    """Keep pauses and chatter out of the measurement."""
    # Ctrl-C reaches the whole process group; what then happens to a run is the parent's to decide.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Standard error is shown when the process dies; Locust's advice about spawn rates and CPU is not why.
    logging.basicConfig(level=logging.ERROR)
    # Locust's 200,000 objects live as long as the process: looking through them takes 50 ms, in the
    # middle of a request. A request itself leaves no cycles, so collecting can be rare.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
