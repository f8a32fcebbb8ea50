"""The impact of an event and its duration, from the recording alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from harness.recording.layout import ERRORS, NO_INSTANCE, NOT_THERE, STATUS
from harness.stats.latency import quantiles_ns
from harness.stats.recovery import LOST, Distribution
from harness.summary.events import EventLatency, EventRecovery, EventRow, Losses, WindowLatency

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from harness.faults.events import FaultEvent
    from harness.recording.table import Recording
    from harness.scenario import Scenario
    from harness.stats.recovery import Recovery
    from harness.types import Unit

    Moments = NDArray[np.int64]
    Mask = NDArray[np.bool_]

_NEVER: Final = int(np.iinfo(np.int64).max)
_SECOND_NS: Final = 10**9


def impacts(
    recording: Recording, happened: Sequence[FaultEvent], scenario: Scenario, unit: Unit
) -> tuple[Impact, ...]:
    """Give what came after each event, until the next one or the end.

    Parameters
    ----------
    recording
        All requests of the load.
    happened
        The events, in the order of time.
    scenario
        Says what tolerance and confidence a recovery is judged with.
    unit
        What the strategy balances.
    """
    if not happened:
        return ()
    times = _Times(recording)
    begins = [recording.started_ns, *(event.began_ns for event in happened), _NEVER]
    return tuple(
        Impact(times, event, (begins[i], begins[i + 2]), scenario, unit) for i, event in enumerate(happened)
    )


def event_rows(
    recording: Recording, happened: Sequence[FaultEvent], scenario: Scenario, unit: Unit
) -> tuple[EventRow, ...]:
    """Tell what each event cost, until the next one; parameters as for `impacts`."""
    return tuple(impact.row() for impact in impacts(recording, happened, scenario, unit))


class _Times:
    """A recording's moments on the monotonic clock, of requests and of connections."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.rows = recording.rows
        self.starts_ns: Moments = self.rows["start_ns"]
        self.ends_ns: Moments = self.starts_ns + self.rows["latency_ns"]

    @cached_property
    def opened_ns(self) -> Moments:
        """When each connection was known to be there, by its number; `_NEVER` for one that never was.

        That is told by the request that connected; where the generator does not time that, by the first
        answer.
        """
        connecting = self.rows["connect_ns"]
        moments = np.where(connecting == NOT_THERE, self.ends_ns, self.starts_ns + connecting)
        answered = (self.rows["first_byte_ns"] != NOT_THERE) | (self.rows["status"] > 0)
        there = (connecting != NOT_THERE) | answered
        return self._earliest(np.where(there, moments, _NEVER))

    @cached_property
    def begun_ns(self) -> Moments:
        """When the first request of each connection began, by its number."""
        return self._earliest(self.starts_ns)

    def _earliest(self, moments: Moments) -> Moments:
        """Give the earliest of the requests' moments for each connection."""
        earliest = np.full(int(self.rows["connection"].max(initial=0)) + 1, _NEVER, dtype=np.int64)
        np.minimum.at(earliest, self.rows["connection"], moments)
        return earliest


@dataclass(frozen=True)
class _Chosen:
    """Units in the order of time: when each one's choice was made, whose it is, and its source or network."""

    times_ns: Moments
    instances: NDArray[np.int64]
    sources: NDArray[np.integer]


class Impact:
    """What came after one event, until the next one or the end.

    Parameters
    ----------
    times
        The recording's.
    event
        What happened.
    span_ns
        When the event before was, or the load began; and when the next one was, or later than all.
    scenario, unit
        As for `impacts`.
    """

    def __init__(
        self, times: _Times, event: FaultEvent, span_ns: tuple[int, int], scenario: Scenario, unit: Unit
    ) -> None:
        self._times = times
        self._recording = times.recording
        self._event = event
        self._before_ns, self._until_ns = span_ns
        self._scenario = scenario
        self._unit = unit
        self._since = (times.ends_ns >= event.began_ns) & (times.starts_ns < self._until_ns)
        self._starts_ns = times.starts_ns[self._since]
        self._ends_ns = times.ends_ns[self._since]
        self._failed = self._column("error") != 0

    def row(self) -> EventRow:
        """Tell all of it."""
        event, lost, theirs = self._event, self._failed, self._by_the_gone()
        opened_ns = self._times.opened_ns[self._column("connection")]
        established = opened_ns <= event.began_ns
        unreached = lost & (opened_ns == _NEVER)
        no_byte = (self._column("first_byte_ns") == NOT_THERE) & (self._column("status") == 0)
        followed_ns = event.followed_ns
        cut_ns = event.done_ns if followed_ns is None else followed_ns
        recovery = self._told_recovery()
        return EventRow(
            at_s=max(event.began_ns - self._recording.started_ns, 0) / 1e9,
            action=event.action,
            label=event.label,
            members=event.members,
            joined=event.joined,
            took_s=(event.done_ns - event.began_ns) / 1e9,
            followed_s=None if followed_ns is None else (followed_ns - event.began_ns) / 1e9,
            requests=lost.size,
            lost=_count(lost),
            errors=self._classes(lost),
            established=self._losses(established),
            new=self._losses(~established),
            first_error_s=self._first(self._ends_ns[lost]),
            last_error_s=self._last(self._ends_ns[lost]),
            last_lost_began_s=self._last(self._starts_ns[lost]),
            last_answer_s=self._last(self._ends_ns[theirs]),
            answered_after=_count(theirs & (self._starts_ns >= cut_ns)),
            unanswered=_count(lost & no_byte & ~unreached),
            unreached=_count(unreached),
            unreached_after_followed=(
                None if followed_ns is None else _count(unreached & (self._starts_ns >= followed_ns))
            ),
            recovery=recovery,
            latency_ns=self._latency(recovery.after_s),
        )

    def _column(self, name: str) -> NDArray[Any]:
        """Give what a column says of the requests under way at the event or begun after it."""
        column: NDArray[Any] = self._times.rows[name][self._since]
        return column

    def outside_after(self, within_ns: int) -> bool:
        """Say whether the distribution is shown not to be what it should, so long after the event."""
        if self._distribution is None:
            return False
        chosen = self._chosen
        first = int(np.searchsorted(chosen.times_ns, self._event.began_ns + within_ns))
        return first < chosen.times_ns.size and self._distribution.outside(first)

    def losses_to_the_end(self) -> tuple[int, int]:
        """Count the requests under way at the event or begun after it, and of them the lost ones."""
        since = self._times.ends_ns >= self._event.began_ns
        return _count(since), _count(since & (self._times.rows["error"] != 0))

    def _by_the_gone(self) -> Mask:
        """Find the answers after the event by instances whose share is 0 from then on."""
        shares, names = self._event.shares, self._recording.instances
        gone = [i for i, name in enumerate(names) if name in self._event.members and not shares.get(name)]
        mask: Mask = np.isin(self._column("instance"), gone)
        return mask

    def _losses(self, which: Mask) -> Losses:
        lost = self._failed & which
        return Losses(requests=_count(which), lost=_count(lost), errors=self._classes(lost))

    def _classes(self, lost: Mask) -> dict[str, int]:
        """Count lost requests by what went wrong."""
        kinds = Counter(self._column("error")[lost].tolist())
        kinds.pop(STATUS, 0)
        classes = {ERRORS[kind]: count for kind, count in sorted(kinds.items())}
        statuses = Counter(self._column("status")[lost & (self._column("error") == STATUS)].tolist())
        return classes | {f"status {code}": count for code, count in sorted(statuses.items())}

    @cached_property
    def _chosen(self) -> _Chosen:
        """Give the units whose choice was made after the event."""
        connections = self._column("connection")
        chosen = self._starts_ns >= self._event.began_ns
        if self._unit != "request":
            chosen &= self._times.begun_ns[connections] >= self._event.began_ns
        index = np.flatnonzero(chosen)
        index = index[np.argsort(self._starts_ns[index], kind="stable")]
        instances = self._column("instance")[index].astype(np.int64)
        instances[instances == NO_INSTANCE] = LOST
        if self._unit != "request":
            kept, answered = _first_of_each(connections[index], instances)
            index, instances = index[kept], instances[answered]
        return _Chosen(self._starts_ns[index], instances, self._hashed()[index])

    def _hashed(self) -> NDArray[np.integer]:
        """Give what a strategy that goes by clients' addresses goes by: the address, or its network."""
        hashed: NDArray[np.integer] = self._recording.column_of(
            "network" if self._unit == "network" else "source"
        )
        return hashed[self._since]

    @cached_property
    def _distribution(self) -> Distribution | None:
        """Give the units to judge; None where the shares are unknown."""
        if not self._recording.named or not self._event.shares:
            return None
        return Distribution(
            self._chosen.instances,
            [self._event.shares.get(name, 0.0) for name in self._recording.instances],
            self._scenario.tolerance,
            self._scenario.confidence,
            self._chosen.sources if self._unit in {"source", "network"} else None,
        )

    def _told_recovery(self) -> EventRecovery:
        if self._distribution is None:
            reason = "answers give no names of the scenario's instances, so their shares are unknown"
            return EventRecovery(
                state="unknown", after_s=None, unit=self._unit, units=0, needed=None, reason=reason
            )
        found = self._distribution.recovery()
        after_s = None
        if found.first is not None:
            # From the event itself on, where nothing that came after it disturbs.
            moment_ns = int(self._chosen.times_ns[found.first]) if found.first else self._event.began_ns
            after_s = (moment_ns - self._event.began_ns) / 1e9
        return EventRecovery(
            state=found.state,
            after_s=after_s,
            unit=self._unit,
            units=found.units,
            needed=found.needed,
            reason=self._why(found, after_s),
        )

    def _why(self, found: Recovery, after_s: float | None) -> str:
        within = f"within {self._scenario.tolerance * 100:.4g} % of the intended shares"
        units = f"{found.units:,} {self._unit}{'' if found.units == 1 else 's'}"
        if after_s is not None:
            return f"the distribution is {within} from {after_s:.3f} s after the event on, by {units}"
        if found.state == "disturbed":
            done_ns = self._event.done_ns if self._event.followed_ns is None else self._event.followed_ns
            late = "" if (self._chosen.times_ns >= done_ns).any() else "; the event was still under way then"
            return f"the distribution is not {within} at the end, by the last {units}{late}"
        enough = f"; about {found.needed:,} would do" if found.needed and found.needed > found.units else ""
        return f"{units} after the last change are too few to show that the distribution is {within}{enough}"

    def _latency(self, recovered_s: float | None) -> EventLatency:
        began_ns = self._event.began_ns
        recovered_ns = self._until_ns if recovered_s is None else began_ns + round(recovered_s * 1e9)
        return EventLatency(
            before=self._window(self._before_ns, began_ns),
            during=self._window(began_ns, recovered_ns),
            first_second=self._window(began_ns, min(began_ns + _SECOND_NS, self._until_ns)),
        )

    def _window(self, begin_ns: int, end_ns: int) -> WindowLatency:
        rows = self._times.rows
        arrived = rows["intended_start_ns"]
        asked = (arrived >= begin_ns) & (arrived < end_ns) & (rows["error"] == 0)
        found = quantiles_ns(self._times.ends_ns[asked] - arrived[asked])
        return WindowLatency(p50=found.p50, p99=found.p99)

    def _first(self, moments_ns: Moments) -> float | None:
        return (int(moments_ns.min()) - self._event.began_ns) / 1e9 if moments_ns.size else None

    def _last(self, moments_ns: Moments) -> float | None:
        return (int(moments_ns.max()) - self._event.began_ns) / 1e9 if moments_ns.size else None


def _first_of_each(
    connections: NDArray[np.uint32], instances: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the place of each connection's first request, and of its first answer, else that again."""
    most = int(connections.max(initial=0)) + 1
    first, answered = np.full((2, most), len(connections), dtype=np.int64)
    places = np.arange(len(connections))[::-1]  # of assignments to one place numpy keeps the last
    first[connections[places]] = places
    some = places[instances[places] != LOST]
    answered[connections[some]] = some
    there = np.flatnonzero(first < len(connections))
    there = there[np.argsort(first[there])]
    answers = np.where(answered[there] < len(connections), answered[there], first[there])
    return first[there], answers


def _count(mask: Mask) -> int:
    return int(np.count_nonzero(mask))
