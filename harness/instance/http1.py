"""HTTP/1.1 as the sample application speaks it: hand-parsed, so that reading costs next to nothing."""

from __future__ import annotations

from harness.instance.codec import Request

_MOST_HEAD = 1 << 16
_HEALTH_CHECK = b"get /healthz "  # of a head in small letters
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

# By whether it is a health check, and whether it is the last.
_REQUESTS = tuple(
    tuple(Request(health=health, last=last) for last in (False, True)) for health in (False, True)
)


class Http1:
    """A `Codec`.

    Parameters
    ----------
    name
        What the instance calls itself, in the body and in the header `X-Instance`.
    version
        What it is a version of, in the header `X-Version`; none if empty.
    """

    def __init__(self, name: str, version: str = "") -> None:
        body = f"Hello from {name}\n".encode()
        fields = f"Content-Type: text/plain\r\nX-Instance: {name}\r\nContent-Length: {len(body)}\r\n"
        fields += f"X-Version: {version}\r\n" if version else ""
        heads = (
            f"HTTP/1.1 {status}\r\n{fields}".encode() for status in ("500 Internal Server Error", "200 OK")
        )
        self.answers = tuple(
            (head + b"\r\n" + body, head + b"Connection: close\r\n\r\n" + body) for head in heads
        )
        """By whether it is good, and whether it is the last one on its connection."""

    def exchanges(self) -> Requests:
        """Begin with a connection that is new."""
        return Requests(self.answers)


class Requests:
    """The `Exchanges` of one connection.

    Parameters
    ----------
    answers
        As `Http1` has them.
    """

    __slots__ = ("_answers", "_received", "_skip")

    def __init__(self, answers: tuple[tuple[bytes, bytes], ...]) -> None:
        self._answers = answers
        self._received = bytearray()
        self._skip = 0  # bytes of a request's body that are still to come

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._received += data

    def next(self) -> Request | None:
        """Give the next request whose head has come whole."""
        received = self._received
        if self._skip:
            skipped = min(self._skip, len(received))
            del received[:skipped]
            self._skip -= skipped
        end = received.find(b"\r\n\r\n")
        if self._skip or end < 0:
            if len(received) > _MOST_HEAD:
                raise ValueError("the head is too long")
            return None
        head = bytes(received[: end + 2]).lower()
        del received[: end + 4]
        self._skip = _body_length(head)
        last = b"\r\nconnection: close" in head or b" http/1.0\r\n" in head
        return _REQUESTS[head.startswith(_HEALTH_CHECK)][last]

    def answer(self, *, good: bool, last: bool) -> bytes:
        """Give the answer."""
        return self._answers[good][last]

    def refusal(self) -> bytes:
        """Give status 400."""
        return _BAD_REQUEST


def _body_length(head: bytes) -> int:
    """Read a request's Content-Length; 0 without one.

    Raises
    ------
    ValueError
        It is not a number, or the body comes in chunks, which this application does not read.
    """
    if b"\r\ntransfer-encoding:" in head:
        raise ValueError("chunked request bodies are not read")
    start = head.find(b"\r\ncontent-length:")
    if start < 0:
        return 0
    value = head[start + 17 :].split(b"\r\n", 1)[0].strip()
    if not value.isdigit():
        raise ValueError("Content-Length is not a number")
    return int(value)
