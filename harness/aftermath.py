"""What an event cost, and how long it lasted: told from the recording alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.load.records import ERRORS
from harness.summary import EventRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from harness.recording import Recording
    from harness.timeline import Happened


def event_rows(recording: Recording, happened: Sequence[Happened]) -> tuple[EventRow, ...]:
    """Tell what each event cost, until the next one.

    A request is lost to an event if it failed, and was under way at the event or began after it.
    """
    rows = recording.rows
    ends_ns = rows["start_ns"] + rows["latency_ns"]
    never = int(np.iinfo(np.int64).max)
    until = [event.began_ns for event in happened[1:]] + [never] * bool(happened)
    return tuple(
        _row(recording, ends_ns, event, until_ns) for event, until_ns in zip(happened, until, strict=True)
    )


def _row(recording: Recording, ends_ns: NDArray[np.int64], event: Happened, until_ns: int) -> EventRow:
    rows = recording.rows
    since = (ends_ns >= event.began_ns) & (rows["start_ns"] < until_ns)
    lost = since & (rows["error"] != 0)
    numbers = [recording.instances.index(name) for name in event.members if name in recording.instances]
    theirs = (rows["error"] == 0) & np.isin(rows["instance"], numbers) & (ends_ns >= event.began_ns)
    counts = np.bincount(rows["error"][lost], minlength=len(ERRORS))
    return EventRow(
        at_s=(event.began_ns - recording.started_ns) / 1e9,
        action=event.action,
        members=event.members,
        took_s=(event.done_ns - event.began_ns) / 1e9,
        followed_s=None if event.followed_ns is None else (event.followed_ns - event.began_ns) / 1e9,
        last_answer_s=_until(ends_ns[theirs], event),
        requests=int(np.count_nonzero(since)),
        lost=int(np.count_nonzero(lost)),
        errors={str(ERRORS[i]): int(counts[i]) for i in range(1, len(ERRORS)) if counts[i]},
        last_lost_began_s=_until(rows["start_ns"][lost], event),
        last_error_s=_until(ends_ns[lost], event),
    )


def _until(moments_ns: NDArray[np.int64], event: Happened) -> float | None:
    """Give the time from an event to the last of some moments; None where there is none."""
    return (int(moments_ns.max()) - event.began_ns) / 1e9 if moments_ns.size else None
