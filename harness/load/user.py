"""The bare Locust user: one raw socket, one gevent watcher, one endless task.

Locust's own users cost more than 100 µs of CPU a request: a gevent socket with a timer for every wait, an
event and a statistics entry for every request. This one waits on a single reusable watcher, leaves
timing out to one sweeper for all users, and packs a record for each request, from which Locust's
statistics are fed in batches (`harness.load.feed`).
"""

from __future__ import annotations

import os
import time
from itertools import cycle
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn

import gevent
from locust import User, constant

from harness.load.codecs import CODECS, Answer
from harness.load.thinking import think
from harness.load.transports import READ, TRANSPORTS, WRITE, FlowFailedError
from harness.recording.layout import (
    ERROR_OF,
    MALFORMED,
    NO_INSTANCE,
    NO_PORT,
    NOT_THERE,
    OTHER,
    REFUSED,
    RESET,
    STRUCT,
    TIMED_OUT,
    TRUNCATED,
    UNREACHABLE,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.load.profile import LoadProfile

_CHUNK: Final = 1 << 14

# Writing and counting this many takes some 0.5 ms; the users get their turn before the next.
_BLOCK_RECORDS: Final = 4096

# After these the connection is gone, and the next attempt may fail as fast.
_BROKEN: Final = {REFUSED, RESET, TIMED_OUT, TRUNCATED, MALFORMED, UNREACHABLE, NO_PORT, OTHER}

_LEAST_PAUSE_S: Final = 0.001
_MOST_PAUSE_S: Final = 0.1
_LEAST_SWEEP_S: Final = 0.005
_MOST_SWEEP_S: Final = 0.1


class Phase:
    """What the users of one phase share.

    Parameters
    ----------
    profile
        The requests and their target.
    duration_ns
        Time in which requests may begin, from the moment at which the first could.
    records
        Descriptor of the file that packed records are written to.

    Attributes
    ----------
    codec, transport
        The phase's codec, and the class of the users' transports.
    turns
        The order of the routes' requests.
    records : bytearray
        Packed records that are not written yet.
    body_bytes : int
        Body bytes of the answers in them.
    attempts, established, resent : int
        Connections tried, connections made, and requests sent again because the server had closed the
        kept-alive connection.
    started_ns, end_ns : int
        Monotonic clock; 0 before the first user runs. No request begins at `end_ns` or later.
    unbegun : int
        Requests that may still begin; negative where the profile sets no bound.
    started_cpu_ns : int
        The process's CPU time at `started_ns`.
    opened_ns : int
        Monotonic clock: when the phase began for all users; by default, when the first user runs.
    """

    def __init__(self, profile: LoadProfile, duration_ns: int, records: int) -> None:
        self.profile = profile
        self._file = records
        self.codec = CODECS.find(profile.codec)(profile)
        self.transport = TRANSPORTS.find(profile.transport)
        self.turns = cycle(profile.turns())
        self.records = bytearray()
        self.users: list[BareUser] = []
        self.body_bytes = 0
        self.attempts = 0
        self.established = 0
        self.resent = 0
        self.started_ns = 0
        self.end_ns = 0
        self.unbegun = profile.requests or -1
        self.started_cpu_ns = 0
        self.opened_ns = 0
        self.stopped = False
        self._duration_ns = duration_ns
        self._sweeper = gevent.spawn(self.sweep)

    feeds: ClassVar[bool] = True
    """Whether requests have to be reported to Locust's statistics."""

    ends_itself: ClassVar[bool] = True
    """Whether users know by themselves when the phase is over."""

    def attach(self, environment: Any) -> None:
        """Have no need of Locust's events."""

    @property
    def locust_users(self) -> int:
        """How many Locust users there are to be."""
        return self.profile.users

    @property
    def identities(self) -> list[str]:
        """The names of the instances, in the order of their first answer."""
        return self.codec.identities

    def blocks(self) -> Iterator[tuple[bytes, int]]:
        """Write what was recorded, and give it, in blocks that don't hold the users up, with body bytes."""
        body_bytes, self.body_bytes = self.body_bytes, 0
        due = len(self.records)  # what comes while the blocks are written waits for the next time
        while due:
            block = bytes(self.records[: min(due, _BLOCK_RECORDS * STRUCT.size)])
            # The users hold the bytearray itself, so it must be emptied and not replaced.
            del self.records[: len(block)]
            due -= len(block)
            view = memoryview(block)
            while view:
                view = view[os.write(self._file, view) :]
            yield block, body_bytes
            body_bytes = 0

    def report(self) -> dict[str, Any]:
        """Give what the phase came to, beside its records."""
        return {
            "user": "gevent",
            "connections": self.established,
            "resent": self.resent,
            "unsent": 0,
            "odd_answer": self.codec.odd_answer,
        }

    def close(self) -> None:
        """End whatever still runs."""
        self._sweeper.kill()

    def begin(self) -> None:
        """Start the clock, with the first user."""
        if not self.started_ns:
            self.started_cpu_ns = time.process_time_ns()
            self.started_ns = time.monotonic_ns()
            self.end_ns = 0 if self.stopped else (self.opened_ns or self.started_ns) + self._duration_ns

    @property
    def over(self) -> bool:
        """Whether no request may begin any more."""
        if self.stopped or not self.unbegun:
            return True
        began_ns = self.opened_ns or self.started_ns
        return bool(began_ns) and time.monotonic_ns() >= began_ns + self._duration_ns

    def stop(self) -> None:
        """Let no further request begin."""
        self.stopped = True
        self.end_ns = 0

    def sweep(self) -> NoReturn:
        """Wake every user whose request has run out of time, for ever.

        That costs less than a timer for every request; a timeout is noticed late by a twentieth of itself.
        """
        hub = gevent.get_hub()
        interval_s = min(max(self.profile.timeout_ns / 20e9, _LEAST_SWEEP_S), _MOST_SWEEP_S)
        while True:
            gevent.sleep(interval_s)
            now = time.monotonic_ns()
            for user in self.users:
                if user.deadline_ns <= now and user.watcher.active:
                    user.watcher.stop()
                    hub.loop.run_callback(user.wake, False)


class BareUser(User):  # type: ignore[misc]  # Locust carries no types
    """One user of the closed loop; Locust's environment carries the `phase`.

    Attributes
    ----------
    deadline_ns : int
        When the request at hand must be complete, on the monotonic clock.
    watcher
        The libev watcher of its socket; active exactly while the user waits on it.
    wake
        Continues the user's task: with True because the socket is ready, False because time is up.
    """

    wait_time = constant(0)

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        phase: Phase = environment.phase
        profile = phase.profile
        hub = gevent.get_hub()
        self.watcher = hub.loop.io(0, READ)
        self._waits_for = READ
        self.deadline_ns = 0
        self.wake: Any = None
        self._phase = phase
        self._hub_switch = hub.switch
        self._transport = phase.transport(profile)
        self._exchanges = phase.codec.exchanges()
        self._connection = 0
        self._source = 0
        self._route = 0
        self._left = 0
        self._connected_ns = 0
        self._first_byte_ns = 0
        self._received_ns = 0
        self._failures = 0

    def ask_for_ever(self) -> None:
        """Make one request after the other until the phase ends.

        One endless task, because each turn of Locust's own loop costs 3 µs and more.
        """
        phase = self._phase
        records, pack, now = phase.records, STRUCT.pack, time.monotonic_ns
        timeout_ns = phase.profile.timeout_ns
        self.wake = gevent.getcurrent().switch
        phase.users.append(self)
        phase.begin()
        while (start := now()) < phase.end_ns and phase.unbegun:
            phase.unbegun -= 1
            self._route = next(phase.turns)
            self.deadline_ns = start + timeout_ns
            self._connected_ns = self._first_byte_ns = 0
            try:
                answer = self._exchange()
            except (FlowFailedError, OSError) as failure:
                self._received_ns = now()
                answer = _failed(failure)
            latency = self._received_ns - start
            records += pack(
                start,
                start,
                latency,
                self._connected_ns - start if self._connected_ns else NOT_THERE,
                self._first_byte_ns - start if self._first_byte_ns else NOT_THERE,
                self._connection,
                answer.instance,
                answer.status,
                self._source,
                answer.stream,
                answer.protocol_status,
                answer.error,
                self._route,
            )
            phase.body_bytes += answer.body_bytes
            self._left -= 1  # an endless connection starts at 0 and counts away from it
            if not answer.keep:
                self._close()
                if answer.error in _BROKEN:
                    self._pause()
                    continue
            elif not self._left:
                self._close()
            self._failures = 0
            think(phase.profile.think_ns, lambda: now() < phase.end_ns)
        self._close()
        self.stop()

    tasks: ClassVar[list[Any]] = [ask_for_ever]

    def on_stop(self) -> None:
        """Leave nothing behind, also where Locust ended the task."""
        self.watcher.stop()
        self._close()

    def _exchange(self) -> Answer:
        """Send the request and read its answer."""
        data = b""
        if self._transport.is_open:
            data = self._ask_again()
        if not data:
            self._open()
            data = self._receive()
            if not data:
                raise FlowFailedError(TRUNCATED)
        feed = self._exchanges.feed
        while (answer := feed(data)) is None:
            data = self._receive()
        return answer

    def _ask_again(self) -> bytes:
        """Send on a connection that has served before; empty when the server had closed it.

        A server may close an idle connection at any time, and a client can't see that in time. Every
        HTTP client then sends a GET again, on a new connection (RFC 9110 §9.2.2), so this one does:
        when the connection was gone before the request was out, or ended before any byte of an
        answer. A reset after the request was sent is an error: a server lost it.
        """
        try:
            self._send()
        except (ConnectionResetError, BrokenPipeError):
            data = b""
        else:
            data = self._receive()
        if not data:
            self._close()
            if self._phase.profile.once:
                raise FlowFailedError(TRUNCATED)
            self._phase.resent += 1
        return data

    def _open(self) -> None:
        """Connect and send the request."""
        phase = self._phase
        profile = phase.profile
        self._connection = number = phase.attempts
        phase.attempts = number + 1
        source = None
        if profile.sources:
            self._source = profile.source_of(number)
            source = profile.sources[self._source]
        self.watcher.fd = self._transport.open(source)
        self._exchanges = phase.codec.exchanges()
        self._left = profile.requests_per_connection or 0
        try:
            # On a short path the handshake is over when connect() returns: no need to wait first.
            self._send()
        except (ConnectionResetError, BrokenPipeError):
            self._is_there()  # only a connection that was there can be reset: before, it is refused
            raise
        self._is_there()

    def _is_there(self) -> None:
        """Note that the connection was established, as soon as a request could be sent on it."""
        self._connected_ns = time.monotonic_ns()
        self._phase.established += 1

    def _send(self) -> None:
        request, sent = self._exchanges.encode(self._route), 0
        while sent < len(request):
            try:
                sent += self._transport.send(request[sent:])
            except BlockingIOError:
                self._wait(WRITE)

    def _receive(self) -> bytes:
        """Wait for bytes; none are the end of the stream."""
        while True:
            self._wait(READ)
            try:
                data = self._transport.receive(_CHUNK)
            except BlockingIOError:
                continue
            self._received_ns = time.monotonic_ns()
            if data and not self._first_byte_ns:
                self._first_byte_ns = self._received_ns
            return data

    def _wait(self, event: int) -> None:
        """Wait until the transport can go on with what blocked."""
        watcher, wanted = self.watcher, self._transport.wants(event)
        if wanted != self._waits_for:
            self._waits_for = watcher.events = wanted
        watcher.start(self.wake, True)
        if not self._hub_switch():
            raise FlowFailedError(TIMED_OUT)
        watcher.stop()

    def _pause(self) -> None:
        """Wait after a failure of the connection, longer while failures follow one another.

        Without a pause, users whose instance is gone would spin, and fill the recording with one event.
        """
        pause_s = min(_LEAST_PAUSE_S * 2**self._failures, _MOST_PAUSE_S)
        self._failures = min(self._failures + 1, 10)
        gevent.sleep(pause_s)

    def _close(self) -> None:
        self._transport.close()


def _failed(failure: FlowFailedError | OSError) -> Answer:
    """Give the answer that there wasn't one."""
    error = failure.error if isinstance(failure, FlowFailedError) else ERROR_OF.get(failure.errno or 0, OTHER)
    return Answer(0, NO_INSTANCE, error, 0, keep=False)
