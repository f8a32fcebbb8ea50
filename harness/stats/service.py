"""Was the service there all the time? What counts of errors hide, moments show.

A user of a closed loop waits after a failure, so a service that has gone is asked seldom: thousands of
successes stand beside a few hundred failures. Here spans of time between successes are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.stats.tails import at_least

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOWS: Final = 20
"""Into how many windows of equal length a load is divided, where it has requests enough."""

_REQUESTS_A_WINDOW = 5
_SHORTEST_NS = 250_000_000
_LONG_NS = 1_000_000_000
_FAILED_IN_A_ROW = 3
_SURE = 1e-4
_TIMES_AS_LONG = 10


@dataclass(frozen=True)
class Silence:
    """A span from one success to the next, or from the start or to the end, with the failures in it."""

    from_ns: int
    to_ns: int
    failed: int

    @property
    def lasted_ns(self) -> int:
        """Give its length."""
        return self.to_ns - self.from_ns


@dataclass(frozen=True)
class Service:
    """When requests succeeded, and when none did.

    Attributes
    ----------
    requests, failed
        How many ended, and how many of them without success.
    longest
        The longest span without a success; None where nothing ended.
    gone
        The spans that neither chance nor a slow answer explains, one after the other.
    windows, windows_without
        Into how many windows the time was divided, and in how many there was no success.
    last_requests, last_failed
        How many requests ended in the last window, and how many of them failed.
    """

    requests: int
    failed: int
    longest: Silence | None
    gone: tuple[Silence, ...]
    windows: int
    windows_without: int
    last_requests: int
    last_failed: int


def service(ends_ns: NDArray[np.int64], failed: NDArray[np.bool_], start_ns: int, end_ns: int) -> Service:
    """Look at when requests ended, and how.

    The service had gone in a span without a success that lasted a quarter of a second or longer, if as
    many failures in a row, three or more, come about with a probability below 1 in 10,000 where each
    request fails as often as those outside of the span; or, with any failure in it, if it lasted a second or
    longer and ten times as long as any span without a failure.

    Parameters
    ----------
    ends_ns, failed
        Of each request, in any order, when it ended, and whether it failed.
    start_ns, end_ns
        The time in which requests were begun. Some may end later: successes make the time longer; failures do
        not, since nothing is begun any more that could succeed.
    """
    order = np.argsort(ends_ns, kind="stable")
    ends_ns, failed = ends_ns[order], failed[order]
    end_ns = max(end_ns, int(ends_ns[~failed].max(initial=end_ns)))
    requests, lost = int(ends_ns.size), int(np.count_nonzero(failed))
    windows = max(1, min(WINDOWS, requests // _REQUESTS_A_WINDOW))
    edges = np.linspace(start_ns, end_ns, windows + 1)
    succeeded, _ = np.histogram(ends_ns[~failed], edges)
    last = ends_ns >= edges[-2]
    silences = _silences(ends_ns, failed, start_ns, end_ns)
    return Service(
        requests=requests,
        failed=lost,
        longest=max(silences, key=lambda one: one.lasted_ns) if requests else None,
        gone=_gone(silences, requests, lost),
        windows=windows,
        windows_without=int(np.count_nonzero(succeeded == 0)),
        last_requests=int(np.count_nonzero(last)),
        last_failed=int(np.count_nonzero(failed & last)),
    )


def more_than(failed: int, requests: int, limit: float) -> bool:
    """Say whether so many failures are more than chance makes of a share of `limit`."""
    return bool(failed) and bool(at_least(failed, requests, limit) < _SURE)


def _silences(
    ends_ns: NDArray[np.int64], failed: NDArray[np.bool_], start_ns: int, end_ns: int
) -> list[Silence]:
    """Give the spans between successes: all in which something failed, and the longest of the others."""
    successes = ends_ns[~failed]
    starts = np.concatenate(([start_ns], successes))
    ends = np.concatenate((successes, [end_ns]))
    # The failures before each success: by how many successes came before each of them.
    inside = np.bincount(np.cumsum(~failed)[failed], minlength=starts.size)
    told = np.flatnonzero(inside)
    quiet = np.where(inside == 0, ends - starts, -1)
    told = np.union1d(told, [int(np.argmax(quiet))]).astype(np.int64)
    return [Silence(int(starts[i]), int(ends[i]), int(inside[i])) for i in told]


def _gone(silences: list[Silence], requests: int, lost: int) -> tuple[Silence, ...]:
    quiet_ns = max((one.lasted_ns for one in silences if not one.failed), default=0)

    def by_number(one: Silence) -> bool:
        if one.failed < _FAILED_IN_A_ROW or one.lasted_ns < _SHORTEST_NS:
            return False
        share = (lost - one.failed + 1) / (requests - one.failed + 2)
        return float(requests * share**one.failed) < _SURE

    def by_time(one: Silence) -> bool:
        return one.failed > 0 and one.lasted_ns >= max(_LONG_NS, _TIMES_AS_LONG * quiet_ns)

    return tuple(one for one in silences if by_number(one) or by_time(one))
