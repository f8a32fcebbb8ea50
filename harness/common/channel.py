"""JSON messages between two processes of one run, over a Unix stream socket.

One message a line. File descriptors may ride along with a message, and arrive with it.
"""

from __future__ import annotations

import json
import select
import socket
from abc import ABC, abstractmethod
from collections import deque
from typing import Any, Self

_CHUNK = 1 << 16
_MOST_FDS = 16

Message = dict[str, Any]


class ChannelClosedError(Exception):
    """The process at the other end has gone."""


class Messages(ABC):
    """Messages both ways, over whatever carries bytes."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @abstractmethod
    def fileno(self) -> int:
        """Give the descriptor that messages come from, for a selector."""

    @abstractmethod
    def _write(self, data: bytes, fds: tuple[int, ...]) -> None: ...

    @abstractmethod
    def _read(self) -> bytes: ...

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        """Send one message, with copies of these descriptors.

        Raises
        ------
        ChannelClosedError
            The other end has gone.
        """
        try:
            self._write(json.dumps(message, separators=(",", ":")).encode() + b"\n", fds)
        except OSError as error:
            raise ChannelClosedError from error

    def receive(self, timeout_s: float | None = None) -> Message:
        """Wait for the next message.

        Raises
        ------
        ChannelClosedError
            The other end has gone.
        TimeoutError
            Nothing came within `timeout_s` seconds.
        """
        while (end := self._buffer.find(b"\n")) < 0:
            if timeout_s is not None and not select.select([self.fileno()], [], [], timeout_s)[0]:
                raise TimeoutError
            self._fill()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        message: Message = json.loads(line)
        return message

    def _fill(self) -> None:
        try:
            data = self._read()
        except OSError as error:
            raise ChannelClosedError from error
        if not data:
            raise ChannelClosedError
        self._buffer += data


class Channel(Messages):
    """One end of a conversation.

    Parameters
    ----------
    sock
        A connected Unix stream socket, owned by the channel from here on.
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self._sock = sock
        self._fds: deque[int] = deque()

    @classmethod
    def pair(cls) -> tuple[Channel, socket.socket]:
        """Make a channel and the socket to hand to the process at its other end."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        return cls(ours), theirs

    @classmethod
    def inherited(cls, fd: int) -> Channel:
        """Open the end that a parent process left at this descriptor number."""
        return cls(socket.socket(fileno=fd))

    def fileno(self) -> int:
        """Give the descriptor, for a selector."""
        return self._sock.fileno()

    def _write(self, data: bytes, fds: tuple[int, ...]) -> None:
        if fds:
            sent = socket.send_fds(self._sock, [data], list(fds))
            data = data[sent:]
        self._sock.sendall(data)

    def send_bytes(self, data: bytes) -> None:
        """Send what is no message.

        Raises
        ------
        ChannelClosedError
            The other end has gone.
        """
        try:
            self._write(data, ())
        except OSError as error:
            raise ChannelClosedError from error

    def take_fd(self) -> int:
        """Take the oldest descriptor that arrived; the caller closes it."""
        return self._fds.popleft()

    def _read(self) -> bytes:
        data, fds, _, _ = socket.recv_fds(self._sock, _CHUNK, _MOST_FDS)
        self._fds.extend(fds)
        return data

    def close(self) -> None:
        """Close this end; the other end learns of it."""
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
