"""What is done while a phase of load goes on: its records are kept, looked at, and shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from harness.analysis.early_stop import EarlyStop
    from harness.analysis.routes import RoutedEarlyStop
    from harness.common.channel import Message
    from harness.load.driver import Driver, OnProgress
    from harness.recording.spool import Spool
    from harness.report.progress import Progress


@dataclass(frozen=True)
class Kept:
    """What the records of the measured load go to; a warm-up's go nowhere.

    Attributes
    ----------
    spool
        Takes all of them.
    early_stop
        Ends the load when it has its verdict; None where the load goes on to its end.
    """

    spool: Spool
    early_stop: EarlyStop | RoutedEarlyStop | None = None


class _Rate:
    """Requests a second since the last call."""

    def __init__(self) -> None:
        self._elapsed_ns = 0
        self._requests = 0

    def per_s(self, elapsed_ns: int, requests: int) -> float:
        rate = (requests - self._requests) / max(elapsed_ns - self._elapsed_ns, 1) * 1e9
        self._elapsed_ns, self._requests = elapsed_ns, requests
        return rate


def on_progress(progress: Progress, driver: Driver, duration_ns: int, kept: Kept | None = None) -> OnProgress:
    """Give what the driver is to call while a phase goes on, and at its end.

    Parameters
    ----------
    progress
        Shows how far the phase is.
    driver
        Drives it, and ends it early when no more is needed.
    duration_ns
        How long the phase is to take.
    kept
        Where its records go.
    """
    rate = _Rate()

    def take(message: Message, rows: NDArray[np.void]) -> None:
        known = ""
        if kept is not None:
            kept.spool.add(rows, message["identities"])
            known = _looked(kept.early_stop, driver, message, rows)
        progress.live(
            message["elapsed_ns"] / 1e9,
            duration_ns / 1e9,
            message["requests"],
            rate_per_s=rate.per_s(message["elapsed_ns"], message["requests"]),
            errors=message["errors"],
            known=known,
        )

    return take


def _looked(
    early_stop: EarlyStop | RoutedEarlyStop | None, driver: Driver, message: Message, rows: NDArray[np.void]
) -> str:
    """Look at new records, end the load if they suffice, and say how well the shares are known."""
    if early_stop is None or early_stop.decided or message["event"] != "progress":
        return ""
    early_stop.take(rows, message["elapsed_ns"], message["identities"])
    if early_stop.decided:
        driver.end()
    return early_stop.known
