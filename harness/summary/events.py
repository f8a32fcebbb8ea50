"""What an event cost, as a summary has it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from harness.types import Unit  # noqa: TC001  pydantic reads it when the model is made


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Losses(_Model):
    """Requests of one kind, those of them that failed, and these by class.

    Classes are those of the recording; but answers with an error's status have theirs, such as `status 503`.
    """

    requests: int = 0
    lost: int = 0
    errors: dict[str, int] = {}


class WindowLatency(_Model):
    """Latency of the successful requests that arrived in a window, in nanoseconds; null where none did."""

    p50: int | None = None
    p99: int | None = None


class EventLatency(_Model):
    """Latency before an event (since the one before), and after.

    `during` is from the event to the recovery, or, where none is shown, to the next event or the end.
    `first_second` is the second after the event.
    """

    before: WindowLatency = WindowLatency()
    during: WindowLatency = WindowLatency()
    first_second: WindowLatency = WindowLatency()


class EventRecovery(_Model):
    """When the distribution was within the tolerance of the shares that were intended from the event on.

    `recovered`: shown to be, `after_s` seconds after the event. `disturbed`: shown to be outside at the end.
    `unknown`: neither is shown. `units` is how many the answer rests on; `needed` about how many would give
    one, null where they do or nothing would. `reason` says it in a sentence.
    """

    state: Literal["recovered", "disturbed", "unknown"]
    after_s: float | None
    unit: Unit
    units: int
    needed: int | None
    reason: str


class EventRow(_Model):
    """Something that happened to instances during the load, and what it cost until the next event.

    Times are in seconds; all but `at_s`, which counts from the first request, count from the event. The
    engine `took_s` to carry it out; `followed_s` is when the watcher's strategy had taken over the members
    left, null without a watcher. `requests` were under way at the event or began after it; `lost` of
    them failed: `established` are those on connections that were there at the event, `new` the others. The
    last lost one to begin did so at `last_lost_began_s`: all later requests were answered. The first
    and the last to fail did so at `first_error_s` and `last_error_s`.

    The last answer of an instance that should get nothing from then on came at `last_answer_s`.
    `answered_after` requests were begun after the members had been followed (without a watcher: after
    the event was done), and yet answered by such an instance. As the clients see it, `unanswered`
    requests were lost on a connection that was established, without any byte of an answer: for a closed
    listening socket, those in its backlog. `unreached` never had a connection;
    `unreached_after_followed` of them wanted one after the members had been followed, which for rules
    with connection tracking are those still sent to the dead; null without a watcher.
    """

    at_s: float
    action: str
    label: str = ""
    members: tuple[str, ...]
    joined: tuple[str, ...] = ()
    took_s: float
    followed_s: float | None
    requests: int
    lost: int
    errors: dict[str, int]
    established: Losses = Losses()
    new: Losses = Losses()
    first_error_s: float | None = None
    last_error_s: float | None
    last_lost_began_s: float | None
    last_answer_s: float | None
    answered_after: int = 0
    unanswered: int = 0
    unreached: int = 0
    unreached_after_followed: int | None = None
    recovery: EventRecovery | None = None
    latency_ns: EventLatency = EventLatency()


class Recovers(_Model):
    """Whether a run met what its scenario requires after its events; null for what it does not require.

    Required is that the distribution recovers `within_s` of each event, and that no more than the share
    `lost` of the requests from the first event to the end is lost. Measured is how long the slowest
    recovery took, `slowest_s`, null where one is not shown, and that `lost_requests` of `requests` were
    lost. `inconclusive`: the data can't show it.
    """

    within_s: float | None
    lost: float | None
    slowest_s: float | None
    lost_requests: int
    requests: int
    passed: Literal["yes", "no", "inconclusive"]
    reason: str
