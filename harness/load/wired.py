"""Locust users whose requests go through the compiled data plane.

Locust decides how many users there are, and when; each is one more connection of the engine, which asks
in a thread of its own, without the interpreter (`harness/load/wire/engine.h`). In an open loop, arrivals
come from the engine's clock, and one user stands for all of them.
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final

import gevent
import gevent.event
from locust import User, constant

from harness.load.codecs import CODECS
from harness.recording.layout import STRUCT

try:
    from harness.load import _wire
except ImportError:  # no compiler when the harness was installed
    _wire = None  # type: ignore[assignment]  # told by AVAILABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.load.profile import LoadProfile

AVAILABLE: Final = _wire is not None
"""Whether the compiled part is installed."""

# Locust counts a block of so many in some milliseconds, in which no user waits: they are elsewhere.
_BLOCK_BYTES: Final = (1 << 15) * STRUCT.size


class WirePhase:
    """What the users of one phase share: the engine.

    Parameters
    ----------
    profile
        The requests and their target.
    duration_ns
        Time in which requests may begin, from the moment at which the first could.
    records
        Descriptor of the file that the engine writes packed records to, from its beginning.

    Attributes
    ----------
    started_ns : int
        Monotonic clock; 0 before the first user runs.
    started_cpu_ns : int
        The process's CPU time at `started_ns`.
    stopped : bool
        Whether the phase was told to end early.
    opened_ns : int
        Monotonic clock: when the phase began for all users; by default, when the first user runs.
    ended : gevent.event.Event
        Set when the last request has ended.
    """

    def __init__(self, profile: LoadProfile, duration_ns: int, records: int) -> None:
        self.profile = profile
        self.started_ns = 0
        self.started_cpu_ns = 0
        self.opened_ns = 0
        self.stopped = False
        self.ended: Any = gevent.event.Event()
        self._duration_ns = duration_ns
        self._records = records
        self._taken = 0
        self._body_bytes = 0
        self._users = 0
        self._names: list[str] = []
        self._engine = _wire.Engine(
            (profile.address, profile.port),
            CODECS.find(profile.codec).requests(profile),
            records,
            profile.users,
            profile.timeout_ns,
            requests_per_connection=profile.requests_per_connection or 0,
            requests=-1 if profile.requests is None else profile.requests,
            reset=profile.reset,
            header=profile.identity_header.lower().encode() if profile.identity_header else None,
            find=_finder(profile.identity_body) if profile.identity_body else None,
            sources=profile.sources,
            stages=profile.stages,
            poisson=profile.poisson,
            seed=profile.seed,
            turns=bytes(profile.turns()),
            transport=profile.transport,
            codec=profile.codec,
            think_ns=profile.think_ns,
            once=profile.once,
        )
        self._watcher: Any = gevent.get_hub().loop.io(self._engine.done_fd(), 1)
        self._watcher.start(self._on_done)

    feeds: ClassVar[bool] = True
    """Whether requests have to be reported to Locust's statistics."""

    ends_itself: ClassVar[bool] = True
    """Whether users know by themselves when the phase is over."""

    def attach(self, environment: Any) -> None:
        """Have no need of Locust's events."""

    @property
    def locust_users(self) -> int:
        """How many Locust users there are to be."""
        return 1 if self.profile.stages else self.profile.users

    @property
    def over(self) -> bool:
        """Whether the last request has ended, or none can begin any more."""
        if self.started_ns:
            return bool(self.ended.is_set())
        if self.stopped:
            return True
        return bool(self.opened_ns) and time.monotonic_ns() >= self.opened_ns + self._duration_ns

    def join(self) -> None:
        """Take one more user; the first one starts the clock."""
        self._users += 1
        self._engine.set_users(self._users)
        if not self.started_ns:
            self.started_cpu_ns = time.process_time_ns()
            self.started_ns = time.monotonic_ns()
            self._engine.start(self.started_ns, (self.opened_ns or self.started_ns) + self._duration_ns)

    def leave(self) -> None:
        """Take one user less, after its request."""
        self._users -= 1
        self._engine.set_users(self._users)

    def stop(self) -> None:
        """Let no further request begin."""
        self.stopped = True
        self._engine.stop()

    def blocks(self) -> Iterator[tuple[bytes, int]]:
        """Give the packed records that came since the last time, with how many bytes their bodies had."""
        due = os.fstat(self._records).st_size
        while self._taken < due:
            block = os.pread(self._records, min(due - self._taken, _BLOCK_BYTES), self._taken)
            block = block[: len(block) // STRUCT.size * STRUCT.size]
            if not block:
                return
            self._taken += len(block)
            body_bytes = self._engine.counters()["body_bytes"]
            yield block, body_bytes - self._body_bytes
            self._body_bytes = body_bytes

    @property
    def identities(self) -> list[str]:
        """The names of the instances, in the order of their first answer."""
        self._names += [
            name.decode("utf-8", "backslashreplace") for name in self._engine.identities(len(self._names))
        ]
        return self._names

    def report(self) -> dict[str, Any]:
        """Give what the phase came to, beside its records; it has ended.

        Raises
        ------
        OSError
            The engine itself failed.
        """
        if number := self._engine.failure():
            raise OSError(number, f"the data plane: {os.strerror(number)}")
        counters = self._engine.counters()
        odd = self._engine.odd_answer()
        return {
            "user": "wire",
            "connections": counters["established"],
            "resent": counters["resent"],
            "unsent": counters["unsent"],
            "odd_answer": odd.decode("utf-8", "backslashreplace") if odd else None,
        }

    def close(self) -> None:
        """End whatever still runs."""
        self._engine.stop()
        self._watcher.stop()
        self._engine.join()

    def _on_done(self) -> None:
        self._watcher.stop()
        self.ended.set()


class WireUser(User):  # type: ignore[misc]  # Locust carries no types
    """One connection of the engine, as long as Locust lets it live."""

    wait_time = constant(0)

    def be_there(self) -> None:
        """Let the engine send requests until the phase ends."""
        phase: WirePhase = self.environment.phase
        if not phase.stopped:
            phase.join()
            try:
                phase.ended.wait()
            finally:
                phase.leave()
        self.stop()

    tasks: ClassVar[list[Any]] = [be_there]


def _finder(pattern: str) -> Callable[[bytes], bytes | None]:
    """Give a function that finds the instance's name in a body."""
    search = re.compile(pattern.encode()).search

    def find(body: bytes) -> bytes | None:
        match = search(body)
        return match[1] if match else None

    return find
