"""The sample application: one epoll loop that accepts, and a codec that speaks the protocol.

It answers every request after a given delay (`harness.instance.http1` says with what), and counts the
requests that it answered and the connections that brought them. A health check is answered at once and not
counted. A word in its memory makes it slower, or makes some of its answers failures. When it is to end, it
accepts what has connected, closes its listener, and answers each of its connections for the last time.

Plain epoll, because the application must not be what a measurement measures: the
standard library's ``http.server`` serves a twelfth of what this loop serves.
"""

from __future__ import annotations

import heapq
import os
import select
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import MutableSequence

    from harness.instance.codec import Codec, Exchanges

_CHUNK = 1 << 16
_MOST_ACCEPTS = 64
_LOOK_EVERY_NS = 10_000_000  # whether the last one has been answered
_LINGER_NS = 1_000_000_000
"""How long an instance that is to end keeps idle connections."""
CONTROL_WORD = 2
"""The word in an instance's memory, behind its two counters, that others write: its lower half is how many
microseconds later it is to answer, its upper half how many of a million answers are to have status 500."""
_LOWER = (1 << 32) - 1
_MILLION = 1_000_000


def control(word: int, slow_ns: int | None, fail: float | None) -> int:
    """Give the control word that makes a server slower, or fail, from its previous one.

    Parameters
    ----------
    word
        The previous one.
    slow_ns
        How much later to answer; None leaves that as it is.
    fail
        What share of the answers to give status 500; None leaves that as it is.
    """
    slow_us = word & _LOWER if slow_ns is None else min(slow_ns // 1_000, _LOWER)
    failing = word >> 32 if fail is None else round(fail * _MILLION)
    return failing << 32 | slow_us


@dataclass(slots=True, eq=False)
class _Connection:
    sock: socket.socket
    exchanges: Exchanges
    unsent: bytearray = field(default_factory=bytearray)
    waiting: bool = False  # a delayed answer is due
    closing: bool = False  # close once everything is sent
    counted: bool = False


class Server:
    """One instance.

    Parameters
    ----------
    listener
        A listening TCP socket.
    codec
        What it speaks.
    delay_ns
        Time between a request and its answer.
    counters
        Three numbers. The server raises the first two: connections that brought a request, requests
        answered. Both are counted before the answer is sent, so a client that has an answer finds it
        counted. The third is `CONTROL_WORD`.
    """

    def __init__(
        self,
        listener: socket.socket,
        codec: Codec,
        delay_ns: int,
        counters: MutableSequence[int] | memoryview[int],
    ) -> None:
        self._listener = listener
        self._codec = codec
        self._delay_ns = delay_ns
        self._counters = counters
        self._connections: dict[int, _Connection] = {}
        self._due: list[tuple[int, int, _Connection]] = []
        self._asked = 0
        self._failed = 0  # of a million, the requests due for status 500
        self._epoll = select.epoll()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._ends_ns = 0  # once it is to end: until when idle connections are kept

    def end(self) -> None:
        """Have `serve` return in order; may be called from a signal's handler."""
        os.eventfd_write(self._bell, 1)

    def serve(self) -> None:
        """Serve until the process ends, or until `end` was called and all requests are answered."""
        self._listener.setblocking(False)
        listener = self._listener.fileno()
        self._epoll.register(listener, select.EPOLLIN)
        while not self._ends_ns or self._still_needed():
            for fd, events in self._epoll.poll(self._patience_s()):
                if fd == listener:
                    if not self._ends_ns:
                        self._accept()
                    continue
                if fd == self._bell:
                    self._begin_to_end()
                    continue
                connection = self._connections.get(fd)
                if connection is None:
                    continue  # what it did just now has closed it
                try:
                    if events & select.EPOLLOUT:
                        self._send(connection, b"")
                    else:
                        self._receive(connection)
                except OSError:
                    # The peer reset the connection: that is its right, and the client's record to make.
                    self._close(connection)
            self._answer_due()
        for connection in list(self._connections.values()):
            self._close(connection)

    def _begin_to_end(self) -> None:
        """Accept the connections that are waiting, and no further ones."""
        os.eventfd_read(self._bell)
        if self._ends_ns:
            return
        self._ends_ns = time.monotonic_ns() + _LINGER_NS
        before = -1
        while before < len(self._connections):  # waiting connections would be reset
            before = len(self._connections)
            self._accept()
        self._epoll.unregister(self._listener.fileno())
        self._listener.close()
        for connection in self._connections.values():
            connection.closing |= connection.waiting  # what it waits for is the last answer on it

    def _still_needed(self) -> bool:
        """Tell whether requests are unanswered, or may yet come; idle connections are kept for a while."""
        if time.monotonic_ns() < self._ends_ns:
            return bool(self._connections)
        # Connections that are still idle when the time is over count as done.
        return any(one.waiting or one.unsent for one in self._connections.values())

    def _patience_s(self) -> float:
        if not self._due and not self._ends_ns:
            return -1
        now_ns = time.monotonic_ns()
        until_ns = [max(self._ends_ns, now_ns + _LOOK_EVERY_NS)] if self._ends_ns else []
        until_ns += [due_ns for due_ns, _, _ in self._due[:1]]
        return max(0.0, (min(until_ns) - now_ns) / 1e9)

    def _accept(self) -> None:
        for _ in range(_MOST_ACCEPTS):
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue  # reset before it was accepted
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections[sock.fileno()] = _Connection(sock, self._codec.exchanges())
            self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _receive(self, connection: _Connection) -> None:
        try:
            data = connection.sock.recv(_CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._close(connection)
            return
        connection.exchanges.feed(data)
        if not connection.waiting:
            self._answer_received(connection)

    def _answer_received(self, connection: _Connection) -> None:
        """Answer the whole requests received so far; with a delay, one at a time."""
        while not connection.closing and not connection.waiting:
            try:
                request = connection.exchanges.next()
            except ValueError:
                connection.closing = True
                self._send(connection, connection.exchanges.refusal())
                return
            if request is None:
                return
            connection.closing = request.last or self._ends_ns > 0
            if request.health:
                self._send(connection, connection.exchanges.answer(good=True, last=connection.closing))
            elif self._delay_ns or self._counters[CONTROL_WORD]:
                self._answer_later(connection)
            else:
                self._answer(connection, good=True)

    def _answer_later(self, connection: _Connection) -> None:
        """Answer when it is time, which it may be at once."""
        connection.waiting = True
        self._asked += 1
        delay_ns = self._delay_ns + (self._counters[CONTROL_WORD] & _LOWER) * 1_000
        heapq.heappush(self._due, (time.monotonic_ns() + delay_ns, self._asked, connection))

    def _answer_due(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic_ns():
            connection = heapq.heappop(self._due)[2]
            if connection.sock.fileno() < 0:
                continue
            connection.waiting = False
            try:
                self._answer_as_told(connection)
                if connection.sock.fileno() >= 0:
                    self._answer_received(connection)
            except OSError:
                self._close(connection)

    def _answer(self, connection: _Connection, *, good: bool) -> None:
        if not connection.counted:
            connection.counted = True
            self._counters[0] += 1
        self._counters[1] += 1
        self._send(connection, connection.exchanges.answer(good=good, last=connection.closing))

    def _answer_as_told(self, connection: _Connection) -> None:
        """Answer with status 500 where that is due; evenly spread, so that any stretch has its share."""
        self._failed += self._counters[CONTROL_WORD] >> 32
        good = self._failed < _MILLION
        if not good:
            self._failed -= _MILLION
        self._answer(connection, good=good)

    def _send(self, connection: _Connection, data: bytes) -> None:
        """Send what is still unsent, then this; close behind the last answer."""
        fd = connection.sock.fileno()
        blocked = bool(connection.unsent)
        if blocked:
            data = bytes(connection.unsent + data)
            connection.unsent.clear()
        try:
            sent = connection.sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            connection.unsent += data[sent:]
            self._epoll.modify(fd, select.EPOLLIN | select.EPOLLOUT)
        elif connection.closing:
            self._close(connection)
        elif blocked:
            self._epoll.modify(fd, select.EPOLLIN)

    def _close(self, connection: _Connection) -> None:
        fd = connection.sock.fileno()
        if self._connections.pop(fd, None) is not None:
            connection.sock.close()
