"""What a protocol is to the sample application: requests out of bytes, and answers into them."""

from __future__ import annotations

from typing import Protocol


class Request:
    """What the server has to know of a request.

    Parameters
    ----------
    health
        Whether it is a health check, which is answered at once and not counted.
    last
        Whether the client wants no further answer on the connection.
    """

    __slots__ = ("health", "last")

    def __init__(self, *, health: bool, last: bool) -> None:
        self.health = health
        self.last = last


class Exchanges(Protocol):
    """The exchanges of one connection, one after the other."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""

    def next(self) -> Request | None:
        """Give the next request that has come whole; None as long as there is none.

        Raises
        ------
        ValueError
            What came is not the protocol, or more than the application reads.
        """

    def answer(self, *, good: bool, last: bool) -> bytes:
        """Give the answer to that request, a good one or a failure; `last`: the server closes behind it."""

    def refusal(self) -> bytes:
        """Give the answer to what is not the protocol; the server closes behind it."""


class Codec(Protocol):
    """A protocol, and what this instance answers in it."""

    def exchanges(self) -> Exchanges:
        """Begin with a connection that is new."""
