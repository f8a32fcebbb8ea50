"""A TCP relay: takes connections, and opens one to a member for each, in turn.

`python -m harness.strategies.relay ADDRESS PORT FD`; the descriptor is the channel to the harness. It
tells whether it listens, and then answers requests, which are described at the `_do_…` method of each.
"""

from __future__ import annotations

import errno
import resource
import select
import socket
import sys
from dataclasses import dataclass, field
from typing import NoReturn

from harness.common.channel import Channel, ChannelClosedError, Message
from harness.strategies.turns import turns
from harness.types import family_of

_BACKLOG = 65_535
_FAMILIES = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
_MOST_ACCEPTS = 64
_CHUNK = 1 << 16
_RESET = b"\x01\0\0\0\0\0\0\0"  # struct linger {1, 0}: closing tells the peer that something went wrong


@dataclass(slots=True, eq=False)
class _End:
    """One of the two sockets of a relayed connection."""

    sock: socket.socket
    other: _End = field(init=False, repr=False)
    unsent: bytes = b""
    connecting: bool = False
    read_all: bool = False  # its peer has said that nothing more comes
    told_all: bool = False  # the end has been passed on to its peer
    wanted: int = 0  # the events that are waited for


class Relay:
    """Relays connections of one listening socket to its members."""

    def __init__(self, listener: socket.socket, channel: Channel) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._channel = channel
        self._ends: dict[int, _End] = {}
        self._targets: list[tuple[str, int]] = []
        self._counts: dict[tuple[str, int], int] = {}
        self._next = 0
        self._epoll = select.epoll()
        self._epoll.register(listener.fileno(), select.EPOLLIN)
        self._epoll.register(channel.fileno(), select.EPOLLIN)

    def serve(self) -> NoReturn:
        """Relay until the harness closes the channel."""
        while True:
            for fd, events in self._epoll.poll():
                if fd == self._listener.fileno():
                    self._accept()
                elif fd == self._channel.fileno():
                    request = self._channel.receive()
                    self._channel.send(getattr(self, f"_do_{request['do']}")(request))
                elif end := self._ends.get(fd):  # not closed by an event before this one
                    self._advance(end, events)

    def _do_members(self, request: Message) -> Message:
        """Take new members: {members: [[address, port, weight], …]} → {}."""
        members = request["members"]
        chosen = turns([weight for _, _, weight in members])
        self._targets = [(members[k][0], members[k][1]) for k in chosen]
        self._next = 0
        return {}

    def _do_counts(self, _request: Message) -> Message:
        """Tell how many connections each member has got → {counts: [[address, port, count], …]}."""
        return {"counts": [[*target, count] for target, count in self._counts.items()]}

    def _do_leave(self, _request: Message) -> Message:
        """Free the port → {}; connections go on until the channel closes."""
        self._epoll.unregister(self._listener.fileno())
        self._listener.close()
        return {}

    def _accept(self) -> None:
        for _ in range(_MOST_ACCEPTS):
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue  # reset before it was accepted
            target = self._targets[self._next % len(self._targets)]
            self._next += 1
            self._counts[target] = self._counts.get(target, 0) + 1
            client, server = _End(sock), _End(socket.socket(_FAMILIES[family_of(target[0])]), connecting=True)
            client.other, server.other = server, client
            for end in (client, server):
                end.sock.setblocking(False)
                end.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._ends[end.sock.fileno()] = end
                self._epoll.register(end.sock.fileno(), 0)
            if server.sock.connect_ex(target) not in (0, errno.EINPROGRESS):
                self._close(client, reset=True)
                continue
            self._want(client)
            self._want(server)

    def _want(self, end: _End) -> None:
        """Wait for what can be done with an end: reading stops while its other end takes nothing more."""
        if end.read_all and end.told_all:
            if end.wanted >= 0:  # nothing more can come but that it has hung up, again and again
                end.wanted = -1
                self._epoll.unregister(end.sock.fileno())
            return
        events = 0
        if not end.connecting and not end.read_all and not end.other.unsent and not end.other.connecting:
            events |= select.EPOLLIN
        if end.connecting or end.unsent:
            events |= select.EPOLLOUT
        if events != end.wanted:
            end.wanted = events
            self._epoll.modify(end.sock.fileno(), events)

    def _advance(self, end: _End, events: int) -> None:
        try:
            if events & select.EPOLLOUT and not events & select.EPOLLERR:
                end.connecting = False
                if end.unsent:
                    self._send(end, b"")
            if events & (select.EPOLLIN | select.EPOLLHUP) and not end.read_all:
                self._receive(end)
        except BlockingIOError:
            pass
        except OSError:
            events |= select.EPOLLERR
        if events & select.EPOLLERR:  # refused or reset: the other side is to see as much
            self._close(end, reset=True)
            return
        if end.read_all and end.other.read_all and not end.unsent and not end.other.unsent:
            self._close(end, reset=False)
            return
        self._want(end)
        self._want(end.other)

    def _receive(self, end: _End) -> None:
        data = end.sock.recv(_CHUNK)
        if data:
            self._send(end.other, data)
        else:
            end.read_all = True
            self._tell_all(end.other)

    def _send(self, end: _End, data: bytes) -> None:
        data = end.unsent + data
        try:
            sent = end.sock.send(data)
        except BlockingIOError:
            sent = 0
        end.unsent = data[sent:]
        self._tell_all(end)

    def _tell_all(self, end: _End) -> None:
        """Pass the end of the stream on, behind all that is still unsent."""
        if end.other.read_all and not end.unsent and not end.told_all:
            end.told_all = True
            end.sock.shutdown(socket.SHUT_WR)

    def _close(self, end: _End, *, reset: bool) -> None:
        for each in (end, end.other):
            del self._ends[each.sock.fileno()]
            if reset:
                each.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            each.sock.close()


def main() -> int:
    """Listen, and relay until the harness closes the channel."""
    channel = Channel.inherited(int(sys.argv[3]))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        family = _FAMILIES[family_of(sys.argv[1])]
        listener = socket.create_server((sys.argv[1], int(sys.argv[2])), family=family, backlog=_BACKLOG)
    except OSError as error:
        channel.send({"event": "failed", "errno": error.errno, "error": error.strerror})
        return 1
    channel.send({"event": "listening"})
    try:
        Relay(listener, channel).serve()
    except ChannelClosedError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
