"""One phase of load in one process: counts what its users recorded, whatever started them."""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import gevent
import numpy as np

from harness.load.clients import AskingUser, ClientPhase
from harness.load.feed import StatsFeed
from harness.load.locustfile import classes_of, shape_of
from harness.load.stages import Stages
from harness.load.user import BareUser, Phase
from harness.load.wired import WirePhase, WireUser
from harness.recording.layout import ERRORS, NONE, as_array, failed_statuses

if TYPE_CHECKING:
    from locust import LoadTestShape, User

    from harness.common.channel import Message
    from harness.load.profile import LoadProfile

PROGRESS_S: Final = 0.25
"""How often a generator tells of its progress."""

_BREATH_S: Final = 0.001
_SPARE_FILES: Final = 64

AnyPhase: TypeAlias = Phase | WirePhase | ClientPhase

_PHASES: Final[dict[str, type[AnyPhase]]] = {
    "wire": WirePhase,
    "gevent": Phase,
    "http": ClientPhase,
}


def user_classes(profile: LoadProfile) -> list[type[User]]:
    """Give the classes of the Locust users that this load is of."""
    if profile.locustfile:
        return classes_of(profile.locustfile)
    classes: dict[str, type[User]] = {"wire": WireUser, "gevent": BareUser, "http": AskingUser}
    return [classes[profile.user]]


def shape(profile: LoadProfile, runner: Any) -> LoadTestShape | None:
    """Give Locust's shape of this load; None where the number of users stays.

    Raises
    ------
    ValueError
        The locustfile has several.
    """
    if profile.user_stages:
        return Stages(profile.user_stages)
    return shape_of(profile.locustfile, runner) if profile.locustfile else None


class Drive:
    """A phase's users, and what is counted of their requests.

    Parameters
    ----------
    profile, duration_ns
        What to drive, and for how long.
    records
        Descriptor that the packed records are written to.

    Attributes
    ----------
    phase
        What the users share.
    """

    def __init__(self, profile: LoadProfile, duration_ns: int, records: int) -> None:
        make = ClientPhase if profile.locustfile else _PHASES[profile.user]
        self.phase: AnyPhase = make(profile, duration_ns, records)
        self.requests = 0
        self._error_counts = np.zeros(len(ERRORS), np.int64)
        self._statuses: Counter[int] = Counter()
        self._bug: BaseException | None = None

    def attach(self, environment: Any) -> None:
        """Let Locust's users have the phase, and its statistics the requests.

        Raises
        ------
        SystemExit
            The users need more open files than there may be.
        """
        _allow_files(self.phase.profile.users)
        environment.phase = self.phase
        self.phase.attach(environment)
        environment.events.user_error.add_listener(self._on_user_error)
        offset_ns = time.time_ns() - time.monotonic_ns()
        asked = ", ".join(f"{asked.host}{asked.path}" for asked in self.phase.profile.asked())
        self._feed = StatsFeed(environment.stats, asked, offset_ns)

    def _on_user_error(self, exception: BaseException, **_: object) -> None:
        """Let a defect of the user end the process: Locust would log it and try again for ever.

        What a locustfile raises is its own affair: it goes on, and the result says what was raised.
        """
        if isinstance(self.phase, ClientPhase) and self.phase.note_raised(exception):
            return
        self._bug = self._bug or exception
        self.phase.stop()

    @staticmethod
    def check(runner: Any) -> None:
        """See whether users could come.

        Raises
        ------
        Exception
            What their class raised.
        """
        for greenlet in (runner.spawning_greenlet, runner.shape_greenlet):
            if greenlet is not None and greenlet.exception is not None:
                raise greenlet.exception

    def flush(self) -> list[bytes]:
        """Count what was recorded since the last time, and give it, packed."""
        blocks = []
        for block, body_bytes in self.phase.blocks():
            array = as_array(block)
            self.requests += len(array)
            self._error_counts += np.bincount(array["error"], minlength=len(ERRORS))
            self._statuses.update(failed_statuses(array))
            if self.phase.feeds:
                self._feed.add(array, body_bytes)
            blocks.append(block)
            # Not 0: gevent runs what is due at once without looking at sockets in between.
            gevent.sleep(_BREATH_S)
        return blocks

    def end(self, environment: Any) -> Message:
        """Count the last requests and give what the phase came to: all users have gone.

        Raises
        ------
        Exception
            A user had a defect.
        """
        ended_ns, cpu_ns = time.monotonic_ns(), self.cpu_ns
        environment.events.user_error.remove_listener(self._on_user_error)
        if self._bug is not None:
            raise self._bug
        self.flush()
        phase = self.phase
        counts = {name: int(count) for name, count in zip(ERRORS, self._error_counts, strict=True)}
        return {
            "elapsed_ns": ended_ns - (phase.started_ns or ended_ns),
            "started_ns": phase.started_ns,
            "ended_ns": ended_ns,
            "requests": self.requests,
            "errors": self.errors,
            "error_counts": {name: n for name, n in counts.items() if n and name != ERRORS[NONE]},
            "statuses": sorted(self._statuses.items()),
            "identities": phase.identities,
            "cpu_ns": cpu_ns,
            "stopped_early": phase.stopped,
            "rejections": {},
            "raised": {},
            **phase.report(),
        }

    @property
    def errors(self) -> int:
        """How many of the requests failed."""
        return self.requests - int(self._error_counts[NONE])

    @property
    def cpu_ns(self) -> int:
        """The processor time that this process has used since the phase began."""
        return time.process_time_ns() - self.phase.started_cpu_ns if self.phase.started_ns else 0


def _allow_files(users: int) -> None:
    """Raise the limit of open files to what these users need.

    A user without a descriptor would be recorded as a failure of the endpoint.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = users + _SPARE_FILES
    if hard != resource.RLIM_INFINITY and needed > hard:
        sys.exit(f"{users} users need {needed} open files, and the limit is {hard} (ulimit -Hn)")
    if soft != resource.RLIM_INFINITY and needed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
