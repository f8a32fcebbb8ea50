"""A recording in windows of time: answers and failures by instance, and latency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.recording.layout import NO_INSTANCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.recording.table import Recording

_FEWEST, _MOST = 10, 50
_ANSWERS: Final = 20
"""For each instance and window: with much fewer, shares would show little but chance."""


@dataclass(frozen=True)
class Windows:
    """What ended in each of `n` windows; a request counts where it ended.

    Attributes
    ----------
    edges_s
        The windows' limits, in seconds from the first request's start; shape (n + 1,). All windows are alike
        but the last, which may be up to half longer or shorter.
    per_s, errors_per_s
        Successful and failed requests for each second; shape (n,).
    shares
        Each instance's part of the answers whose instance is known, of its route where there are routes;
        shape (n, instances), NaN in a window without any.
    p50_ms, p99_ms
        Latency of the successful requests, in milliseconds; shape (n,), NaN in a window without any.
    """

    edges_s: NDArray[np.float64]
    per_s: NDArray[np.float64]
    errors_per_s: NDArray[np.float64]
    shares: NDArray[np.float64]
    p50_ms: NDArray[np.float64]
    p99_ms: NDArray[np.float64]


def in_windows(recording: Recording) -> Windows:
    """Divide a recording into 10 to 50 windows, fewer where there are fewer requests."""
    rows = recording.rows
    ends_s = (rows["start_ns"] + rows["latency_ns"] - recording.started_ns) / 1e9
    edges = _edges(float(ends_s.max(initial=0.0)), len(rows) / max(len(recording.instances), 1))
    count = len(edges) - 1
    window = np.clip(np.searchsorted(edges, ends_s, side="right") - 1, 0, count - 1)
    good = rows["error"] == 0
    widths = np.diff(edges)
    known = rows["instance"] != NO_INSTANCE
    cells = window[known] * len(recording.instances) + rows["instance"][known]
    answers = np.bincount(cells, minlength=count * len(recording.instances)).reshape(count, -1)
    totals = recording.in_all_of_route(answers)
    p50, p99 = _quantiles_ms(recording.latencies_ns(), window[good], count)
    return Windows(
        edges_s=edges,
        per_s=np.bincount(window[good], minlength=count) / widths,
        errors_per_s=np.bincount(window[~good], minlength=count) / widths,
        shares=np.divide(answers, totals, out=np.full(answers.shape, np.nan), where=totals > 0),
        p50_ms=p50,
        p99_ms=p99,
    )


def _edges(end_s: float, answers: float) -> NDArray[np.float64]:
    """Give the limits of windows of 1, 2 or 5 times a power of ten."""
    end_s = end_s or 1e-3  # nothing took any time
    wanted = min(max(answers / _ANSWERS, _FEWEST), _MOST)
    power = 10.0 ** np.floor(np.log10(end_s / wanted))
    width = next(step * power for step in (1, 2, 5, 10) if step * power * wanted >= end_s * (1 - 1e-9))
    edges: NDArray[np.float64] = np.arange(max(round(end_s / width), 1) + 1) * width
    edges[-1] = end_s  # a rest below half a window is added to the last
    return edges


def _quantiles_ms(
    latencies_ns: NDArray[np.int64], window: NDArray[np.int64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    order = np.argsort(window, kind="stable")
    parts = np.split(latencies_ns[order], np.searchsorted(window[order], range(1, count)))
    found = [
        np.quantile(part, (0.5, 0.99), method="inverted_cdf") / 1e6 if part.size else (np.nan, np.nan)
        for part in parts
    ]
    p50, p99 = np.array(found, dtype=np.float64).T
    return p50, p99
