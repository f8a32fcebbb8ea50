"""TCP: a socket for each flow, without gevent's own, which costs more than the request."""

from __future__ import annotations

import _socket
import errno
from typing import TYPE_CHECKING, Final

from harness.load.transports import FlowFailedError
from harness.recording.layout import ERROR_OF, NO_PORT, OTHER

if TYPE_CHECKING:
    from harness.load.profile import LoadProfile

# ip(7), Linux 4.2: bind() reserves no port, connect() chooses one that is free for this destination.
_IP_BIND_ADDRESS_NO_PORT: Final = 24


class Tcp:
    """A `Transport`.

    Parameters
    ----------
    profile
        Says where the endpoint is.
    """

    def __init__(self, profile: LoadProfile) -> None:
        self.is_open = False
        self._family = _socket.AF_INET6 if ":" in profile.address else _socket.AF_INET
        self._endpoint = (profile.address, profile.port)
        self._sock: _socket.socket

    def open(self, source: str | None) -> int:
        """Begin to connect."""
        self._sock = sock = _socket.socket(self._family, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK)
        self.is_open = True
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        if source is not None:
            sock.setsockopt(_socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((source, 0))
        failed = sock.connect_ex(self._endpoint)
        if failed and failed != errno.EINPROGRESS:
            # Only connect() runs out of ports; bind() says the same of an address that isn't here.
            raise FlowFailedError(NO_PORT if failed == errno.EADDRNOTAVAIL else ERROR_OF.get(failed, OTHER))
        return sock.fileno()

    def send(self, data: bytes) -> int:
        """Send what there is room for."""
        return self._sock.send(data)

    def receive(self, most: int) -> bytes:
        """Give what has come."""
        return self._sock.recv(most)

    def wants(self, event: int) -> int:
        """Wait for what blocked."""
        return event

    def close(self) -> None:
        """Close the socket, if it is open."""
        if self.is_open:
            self.is_open = False
            self._sock.close()
