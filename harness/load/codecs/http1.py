"""HTTP/1.1: requests, and reading responses at the price of two dictionary look-ups where nothing is unusual.

An answer with `Content-Length` is read here: instances repeat the same head over and over (it changes
with the `Date`, once a second), so a head is checked once, against RFC 9112's grammar, and then
remembered. Whatever is not that plain (chunked, close-delimited, interim, without a body, strange) is
left to h11, which is fed the same bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import h11

from harness.load.codecs import Answer
from harness.recording.layout import MALFORMED, NO_INSTANCE, NONE, STATUS, TRUNCATED, UNIDENTIFIED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.load.profile import Asked, LoadProfile

# RFC 9110 §8.6: a length goes with these although there is nothing to send.
_WITH_BODY: Final = {"POST", "PUT", "PATCH"}

MOST_BODY_BYTES: Final = 16 << 20
MOST_HEAD_BYTES: Final = 64 << 10
MOST_IDENTITIES: Final = 65_535
_ODD_BYTES: Final = 300

# What is split into pieces is read again from its start with each piece: cheap for few pieces only.
_MOST_PLAIN_BYTES: Final = 64 << 10
_MOST_PLAIN_PIECES: Final = 16

# A head that is different every time (a request's number in it) must not fill the memory.
_MOST_KNOWN_HEADS: Final = 1024
_MOST_KNOWN_HEAD_BYTES: Final = 2048

# RFC 9112 §4 and §5: status line and field lines, strictly; neither folded lines nor bare line feeds.
# 204 and 304 never have a body, whatever their Content-Length says, and 1xx is not the answer yet.
_PLAIN_HEAD: Final = re.compile(
    rb"HTTP/1\.[01] (?!204|304)[2-9][0-9][0-9](?: [\t -~\x80-\xff]*)?"
    rb"(?:\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*)*"
)


@dataclass(slots=True)
class _Head:
    """A head that was met before: all that its next meeting needs."""

    status: int
    keep: bool
    name: bytes  # the identity in the header, empty if it is not there
    body_at: int
    total: int  # bytes of head and body
    answer: Answer | None = None  # where it is the same whatever the body says
    by_name: dict[bytes, Answer] = field(default_factory=dict)  # where the body names the instance


class Http1:
    """A `Codec`: reads the answers of one phase and numbers the identities in them.

    Parameters
    ----------
    profile
        Says where an answer names its instance.

    Attributes
    ----------
    texts : tuple of bytes
        The request on each route.
    identities : list of str
        In the order of their first answer; at most 65,535, what comes after them is unidentified.
    odd_answer : str or None
        The first bytes of the first answer that was malformed or unidentified.
    """

    def __init__(self, profile: LoadProfile) -> None:
        self.texts = self.requests(profile)
        self.identities: list[str] = []
        self.odd_answer: str | None = None
        self._indexes: dict[bytes, int] = {}
        self._heads: dict[bytes, _Head] = {}
        header = profile.identity_header
        self._header = header.lower().encode() if header else None
        self._body = re.compile(profile.identity_body.encode()) if profile.identity_body else None

    @staticmethod
    def requests(profile: LoadProfile) -> tuple[bytes, ...]:
        """Give the bytes of the request on each route; of the one request where there are no routes.

        A per-request client does not ask for `Connection: close`: then the server would close first,
        and its side would hold the TIME_WAIT sockets of the whole load. The client ends the
        connection itself when it has its answer, and pays for that itself.
        """
        return tuple(_request(profile, asked) for asked in profile.asked())

    def exchanges(self) -> ResponseParsers:
        """Begin with a connection that is new."""
        return ResponseParsers(self)

    def quick(self, data: bytes) -> Answer | None:
        """Read an answer that is complete in `data`; None if it isn't, or isn't plain.

        Raises nothing: whatever is wrong with the bytes is `ResponseParser`'s to say.
        """
        end = data.find(b"\r\n\r\n")
        head = self._heads.get(data[:end]) if end > 0 else None
        if head is None:
            head = self._learn(data, end)
        if head is None or head.total != len(data):
            return None
        return head.answer or self._judge_plain(head, data)

    def is_part(self, data: bytes) -> bool:
        """Tell whether these are the first bytes of a plain answer, so that `quick` can read it later."""
        end = data.find(b"\r\n\r\n")
        head = self._heads.get(data[:end]) if end > 0 else None
        return head is not None and len(data) < head.total <= _MOST_PLAIN_BYTES

    def _learn(self, data: bytes, end: int) -> _Head | None:
        if not 0 < end <= _MOST_KNOWN_HEAD_BYTES or not _PLAIN_HEAD.fullmatch(data, 0, end):
            return None
        lines = data[:end].split(b"\r\n")
        fields = _Fields(self._header)
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            fields.add(name.lower(), value.strip(b" \t"))
        # Two lengths, or a length and a transfer coding, are how requests are smuggled: h11 decides.
        if fields.coded or len(fields.lengths) != 1 or not re.fullmatch(rb"[0-9]{1,9}", fields.lengths[0]):
            return None
        total = end + 4 + int(fields.lengths[0])
        keep = data.startswith(b"HTTP/1.1") and not fields.closes
        head = _Head(int(data[9:12]), keep, fields.name, end + 4, total)
        if len(self._heads) >= _MOST_KNOWN_HEADS:
            self._heads.clear()
        self._heads[data[:end]] = head
        return head

    def _judge_plain(self, head: _Head, data: bytes) -> Answer:
        if head.name or self._body is None:
            head.answer = self.judge(head.status, head.name, data, head.total - head.body_at, keep=head.keep)
            return head.answer
        match = self._body.search(data, head.body_at)
        name = (match[1] or b"") if match else b""
        answer = head.by_name.get(name)
        if answer is None:
            answer = self.judge(head.status, name, data, head.total - head.body_at, keep=head.keep)
            head.by_name[name] = answer
            if len(head.by_name) > _MOST_KNOWN_HEADS:
                head.by_name.clear()
        return answer

    def judge(self, status: int, name: bytes, data: bytes, body_bytes: int, *, keep: bool) -> Answer:
        """Make the answer of a response that is complete, `data` being its first bytes."""
        instance = NO_INSTANCE
        if name:
            known = self._indexes.get(name)
            if known is None and len(self.identities) < MOST_IDENTITIES:
                known = self._indexes[name] = len(self.identities)
                self.identities.append(name.decode("utf-8", "backslashreplace"))
            instance = NO_INSTANCE if known is None else known
        error = NONE
        if status >= 400:
            error = STATUS
        elif instance == NO_INSTANCE and (self._header is not None or self._body is not None):
            error = UNIDENTIFIED
            self._note(data)
        return Answer(status, instance, error, body_bytes, keep)

    def malformed(self, status: int, data: bytes) -> Answer:
        """Make the answer of a response that is none, `data` being its first bytes."""
        self._note(data)
        return Answer(status, NO_INSTANCE, MALFORMED, 0, keep=False)

    def name_in(self, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
        """Find the identity in fields whose names are in lower case, or in the body."""
        if self._header is not None:
            for name, value in headers:
                if name == self._header and value:
                    return value
        match = self._body.search(body) if self._body is not None else None
        return (match[1] or b"") if match else b""

    @property
    def needs_body(self) -> bool:
        """Whether the body may name the instance."""
        return self._body is not None

    def _note(self, data: bytes) -> None:
        if self.odd_answer is None:
            self.odd_answer = data[:_ODD_BYTES].decode("utf-8", "backslashreplace")


class _Fields:
    """The fields of a head that matter to its reader."""

    def __init__(self, identity: bytes | None) -> None:
        self._identity = identity
        self.lengths: list[bytes] = []
        self.coded = False
        self.closes = False
        self.name = b""

    def add(self, name: bytes, value: bytes) -> None:
        """Take one field; `name` in lower case."""
        if name == b"content-length":
            self.lengths.append(value)
        elif name == b"transfer-encoding":
            self.coded = True
        elif name == b"connection":
            self.closes |= b"close" in {option.strip(b" \t") for option in value.lower().split(b",")}
        if name == self._identity and not self.name:
            self.name = value


class ResponseParsers:
    """The `Exchanges` of one connection.

    Parameters
    ----------
    codec
        The phase's.
    """

    def __init__(self, codec: Http1) -> None:
        self._codec = codec
        self._texts = codec.texts
        self._quick = codec.quick
        self._parser: ResponseParser | None = None

    def encode(self, route: int) -> bytes:
        """Give the request."""
        self._parser = None
        return self._texts[route]

    def feed(self, data: bytes) -> Answer | None:
        """Take the next bytes; give the answer when it is complete."""
        if self._parser is None:
            answer = self._quick(data)
            if answer is not None:
                return answer
            self._parser = ResponseParser(self._codec)
        return self._parser.feed(data)


class ResponseParser:
    """Reads one answer that came in pieces or isn't plain.

    Parameters
    ----------
    reader
        The phase's reader, which keeps the identities.
    """

    def __init__(self, reader: Http1) -> None:
        self._reader = reader
        self._plain: bytes | None = b""
        self._pieces = 0
        self._start = b""  # for the report of an odd answer
        self._body = bytearray()
        self._body_bytes = 0
        self._ended = False
        self._head: h11.Response | None = None
        self._h11: h11.Connection | None = None

    def feed(self, data: bytes) -> Answer | None:
        """Take the next bytes, `b""` at the end of the stream; give the answer when it is complete."""
        if len(self._start) < _ODD_BYTES:
            self._start += data[:_ODD_BYTES]
        if not b"HTTP/1.".startswith(self._start[:7]):
            return self._malformed()
        if self._plain is not None:
            # Head and body in two segments is what many application servers send; h11 would cost 100 µs here.
            self._plain += data
            self._pieces += 1
            answer = self._reader.quick(self._plain)
            if answer is not None:
                return answer
            if data and self._pieces < _MOST_PLAIN_PIECES and self._reader.is_part(self._plain):
                return None
            so_far, self._plain = self._plain, None
            if data:
                return self._feed_h11(so_far)
            self._feed_h11(so_far)
        return self._feed_h11(data)

    def _feed_h11(self, data: bytes) -> Answer | None:
        self._ended = not data
        connection = self._h11 = self._h11 or _asked()
        try:
            connection.receive_data(data)
            while (event := connection.next_event()) is not h11.NEED_DATA:
                answer = self._take(event, connection)
                if answer is not None:
                    return answer
        except h11.RemoteProtocolError:
            if data:
                return self._malformed()
            return Answer(self._status, NO_INSTANCE, TRUNCATED, 0, keep=False)
        return None

    def _take(self, event: object, connection: h11.Connection) -> Answer | None:
        if isinstance(event, h11.Response):
            self._head = event
        elif isinstance(event, h11.Data):
            self._body_bytes += len(event.data)
            if self._body_bytes > MOST_BODY_BYTES:
                return self._malformed()
            if self._reader.needs_body:
                self._body += event.data
        elif isinstance(event, h11.EndOfMessage) and self._head is not None:
            return self._complete(self._head, connection)
        elif not isinstance(event, h11.InformationalResponse):
            return self._malformed()
        return None

    def _complete(self, head: h11.Response, connection: h11.Connection) -> Answer:
        if connection.trailing_data[0]:
            return self._malformed()
        name = self._reader.name_in(head.headers, bytes(self._body))
        # After Connection: close and HTTP/1.0 h11 isn't DONE; after a body that the stream's end ended it is.
        keep = connection.their_state is h11.DONE and not self._ended
        return self._reader.judge(head.status_code, name, self._start, self._body_bytes, keep=keep)

    @property
    def _status(self) -> int:
        return self._head.status_code if self._head is not None else 0

    def _malformed(self) -> Answer:
        return self._reader.malformed(self._status, self._start)


def _asked() -> h11.Connection:
    """Make a connection that believes it has asked; of the request, only the method matters for answers."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST_HEAD_BYTES)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    return connection


def _request(profile: LoadProfile, asked: Asked) -> bytes:
    fields = profile.fields(asked)
    if "host" not in {name.lower() for name in fields}:
        fields = {"Host": profile.authority(), **fields}
    body = profile.body.encode()
    if body or profile.method in _WITH_BODY:
        fields["Content-Length"] = str(len(body))
    lines = [
        f"{profile.method} {asked.path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in fields.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii") + body
