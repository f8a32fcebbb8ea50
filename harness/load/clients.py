"""Locust's own users: `FastHttpUser`, or the classes of a locustfile.

What they ask, and how, is theirs. Every request that Locust is told of (its event `request`) becomes a
record. Connections are counted where they are made: every socket that connects to the endpoint has a
number, and a request belongs to the connection that its user made last. That is the right one for users
that have one connection at a time, as Locust's have.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import time
from http.client import RemoteDisconnected
from itertools import cycle
from typing import TYPE_CHECKING, Any, ClassVar, Final

import gevent
import gevent.socket
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError
from locust import FastHttpUser, constant
from locust.contrib.fasthttp import LocustBadStatusCode
from locust.exception import CatchResponseError, StopUser
from requests.exceptions import HTTPError

from harness.load.locustfile import AssertionsCount, Words
from harness.load.resending import Resending
from harness.load.thinking import think
from harness.recording.layout import (
    ERROR_OF,
    NO_INSTANCE,
    NO_PORT,
    NONE,
    NOT_THERE,
    OTHER,
    REJECTED,
    STATUS,
    STRUCT,
    TIMED_OUT,
    TRUNCATED,
    UNIDENTIFIED,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.load.profile import Asked, LoadProfile

_NS_PER_MS: Final = 1e6
_ODD_BYTES: Final = 300

# ip(7), Linux 4.2: bind() reserves no port, connect() chooses one that is free for this destination.
_IP_BIND_ADDRESS_NO_PORT: Final = 24

_connect = gevent.socket.socket.connect

# What Locust's clients raise by themselves: for a status, and where there was no answer.
_OF_STATUS: Final = (HTTPError, LocustBadStatusCode)
_OF_CLIENT: Final = (OSError, HTTPParseError, HTTPConnectionClosed)


class ClientPhase:
    """What the users of one phase share.

    Parameters
    ----------
    profile
        The requests; its `locustfile` has the users, else they are `AskingUser`.
    duration_ns
        Time in which requests may begin, from the moment at which the first could.
    records
        Descriptor of the file that packed records are written to.

    Attributes
    ----------
    as in `harness.load.user.Phase`.
    """

    feeds: ClassVar[bool] = False
    """Whether requests have to be reported to Locust's statistics: it counts these itself."""

    ends_itself: ClassVar[bool] = False
    """Whether users know by themselves when the phase is over: a locustfile's have no idea of it."""

    def __init__(self, profile: LoadProfile, duration_ns: int, records: int) -> None:
        self.profile = profile
        self.started_ns = 0
        self.started_cpu_ns = 0
        self.opened_ns = 0
        self.stopped = False
        self.identities: list[str] = []
        self._end_ns = 0
        self._unbegun = profile.requests or -1
        self._duration_ns = duration_ns
        self._asked, self._turns = profile.asked(), cycle(profile.turns())
        self._file = records
        self._packed = bytearray()
        self._body_bytes = 0
        self._events: Any = None
        self._indexes: dict[str, int] = {}
        self._body = re.compile(profile.identity_body.encode()) if profile.identity_body else None
        self._odd: str | None = None
        self._attempts = 0
        self._established = 0
        self._rejections, self._raised = Words(), Words()
        self._resending = Resending()
        self._assertions = AssertionsCount()
        # A function, which becomes a method of the socket; a method of this object would not.
        gevent.socket.socket.connect = lambda sock, address: self._connect(sock, address)  # noqa: PLW0108

    @property
    def locust_users(self) -> int:
        """How many Locust users there are to be."""
        return self.profile.users

    def attach(self, environment: Any) -> None:
        """Listen to what Locust says of its requests."""
        environment.host = f"http://{self.profile.authority()}"
        # At the end, users finish what they are at: every request that an instance saw is recorded.
        environment.stop_timeout = self.profile.timeout_ns / 1e9
        self._events = environment.events
        self._events.request.add_listener(self._on_request)
        self.started_cpu_ns = time.process_time_ns()
        self.started_ns = time.monotonic_ns()
        self._end_ns = 0 if self.stopped else self.started_ns + self._duration_ns

    def begins(self) -> bool:
        """Whether one more request may begin; if so, it is counted."""
        if time.monotonic_ns() >= self._end_ns or not self._unbegun:
            return False
        self._unbegun -= 1
        return True

    def next_asked(self) -> Asked:
        """Give the next request of the running user."""
        route = gevent.getcurrent().route = next(self._turns)
        return self._asked[route]

    @property
    def over(self) -> bool:
        """Whether no request may begin any more."""
        return time.monotonic_ns() >= self._end_ns or not self._unbegun

    def stop(self) -> None:
        """Let no further request begin."""
        self.stopped = True
        self._end_ns = 0

    def blocks(self) -> Iterator[tuple[bytes, int]]:
        """Write what was recorded, and give it, with how many bytes the bodies had."""
        if not self._packed:
            return
        block, self._packed = bytes(self._packed), bytearray()
        body_bytes, self._body_bytes = self._body_bytes, 0
        view = memoryview(block)
        while view:
            view = view[os.write(self._file, view) :]
        yield block, body_bytes

    def report(self) -> dict[str, Any]:
        """Give what the phase came to, beside its records."""
        return {
            "user": "locustfile" if self.profile.locustfile else "http",
            "connections": self._established,
            "resent": self._resending.count,
            "unsent": 0,
            "odd_answer": self._odd,
            "rejections": dict(self._rejections.counts),
            "raised": dict(self._raised.counts),
        }

    def note_raised(self, exception: BaseException) -> bool:
        """Count what a task of a locustfile has raised; Locust goes on with the next one."""
        if self.profile.locustfile:
            self._raised.add(exception)
        return bool(self.profile.locustfile)

    def close(self) -> None:
        """Leave sockets and events as they were."""
        gevent.socket.socket.connect = _connect
        self._resending.end()
        self._assertions.end()
        self._events.request.remove_listener(self._on_request)

    def _connect(self, sock: Any, address: Any) -> None:
        """Connect, from the next source, and count it, where it goes to the endpoint."""
        if tuple(address[:2]) != (self.profile.address, self.profile.port):
            _connect(sock, address)
            return
        number, sources = self._attempts, self.profile.sources
        self._attempts += 1
        here = gevent.getcurrent()
        here.wire = _Made(number, self.profile.source_of(number))
        if sources:
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((sources[here.wire.source], 0))
        if self.profile.reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        _connect(sock, address)
        self._established += 1

    def _on_request(self, response_time: float, response: Any = None, **said: Any) -> None:
        """Record a request that has ended just now."""
        latency_ns = round(response_time * _NS_PER_MS)
        start_ns = time.monotonic_ns() - latency_ns
        made = getattr(gevent.getcurrent(), "wire", _Made(0, 0))
        status = int(getattr(response, "status_code", 0) or 0)
        exception = said.get("exception")
        error = self._error_of(exception, status)
        self._resending.ended(error)
        instance = NO_INSTANCE
        if status:
            instance = self._instance(response)
            if error == NONE and instance == NO_INSTANCE and self._names:
                error = UNIDENTIFIED
                self._note(response)
        self._body_bytes += int(said.get("response_length") or 0)
        self._packed += STRUCT.pack(
            start_ns,
            start_ns,
            latency_ns,
            NOT_THERE,
            NOT_THERE,
            made.connection,
            instance,
            status,
            made.source,
            0,
            0,
            error,
            getattr(gevent.getcurrent(), "route", 0),
        )

    def _error_of(self, exception: Any, status: int) -> int:
        """Classify how a request ended; a locustfile decides for itself what is a success."""
        if not self.profile.locustfile:
            return STATUS if status >= 400 else _failure(exception)
        if exception is None or isinstance(exception, _OF_STATUS):
            return NONE if exception is None else STATUS
        failure = OTHER if isinstance(exception, CatchResponseError) else _failure(exception)
        if failure == OTHER and not isinstance(exception, _OF_CLIENT):
            self._rejections.add(exception)
            return REJECTED
        return failure

    @property
    def _names(self) -> bool:
        return bool(self.profile.identity_header) or self._body is not None

    def _instance(self, response: Any) -> int:
        name: str | None = None
        if self.profile.identity_header:
            name = response.headers.get(self.profile.identity_header)
        if not name and self._body is not None:
            match = self._body.search(response.content or b"")
            name = match[1].decode("utf-8", "backslashreplace") if match and match[1] else None
        if not name:
            return NO_INSTANCE
        if name not in self._indexes:
            self._indexes[name] = len(self.identities)
            self.identities.append(name)
        return self._indexes[name]

    def _note(self, response: Any) -> None:
        if self._odd is None:
            body = (response.content or b"")[:_ODD_BYTES]
            self._odd = f"HTTP {response.status_code} {body.decode('utf-8', 'backslashreplace')}"


class _Made:
    """A connection as it was made."""

    __slots__ = ("connection", "source")

    def __init__(self, connection: int, source: int) -> None:
        self.connection = connection
        self.source = source


def _failure(exception: Any) -> int:
    """Classify what a client raised."""
    if exception is None:
        return NONE
    for seen in _causes(exception):
        if isinstance(seen, TimeoutError):
            return TIMED_OUT
        if isinstance(seen, RemoteDisconnected | HTTPConnectionClosed):
            return TRUNCATED
        number = seen.errno if isinstance(seen, OSError) else None
        if number == errno.EADDRNOTAVAIL or number in ERROR_OF:
            return ERROR_OF.get(number, NO_PORT)
    return OTHER


def _causes(exception: BaseException) -> Iterator[BaseException]:
    """Give an exception and those that it stems from: clients wrap what a socket said, each in its way."""
    due, seen = [exception], set()
    while due:
        one = due.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            behind = (one.__cause__, one.__context__, *one.args, *vars(one).values())
            due += [cause for cause in behind if isinstance(cause, BaseException)]


class AskingUser(FastHttpUser):  # type: ignore[misc]  # Locust carries no types
    """A full HTTP client that asks for one thing again and again."""

    wait_time = constant(0)
    abstract = False

    def __init__(self, environment: Any) -> None:
        self.network_timeout = self.connection_timeout = environment.phase.profile.timeout_ns / 1e9
        super().__init__(environment)

    def ask_for_ever(self) -> None:
        """Make one request after the other until the phase ends."""
        phase: ClientPhase = self.environment.phase
        profile = phase.profile
        asked = 0
        while phase.begins():
            ask = phase.next_asked()
            self.client.request(
                profile.method,
                ask.path,
                data=profile.body or None,
                headers=profile.fields(ask),
                allow_redirects=False,
            )
            asked += 1
            if profile.requests_per_connection and asked % profile.requests_per_connection == 0:
                self.client.client.close()
            think(profile.think_ns, lambda: not phase.over)
        self.client.client.close()
        raise StopUser  # whatever Locust has begun with it meanwhile

    tasks: ClassVar[list[Any]] = [ask_for_ever]
