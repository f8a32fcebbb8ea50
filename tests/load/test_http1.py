from __future__ import annotations

from typing import TYPE_CHECKING

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.load.codecs import Answer, http1
from harness.load.codecs.http1 import Http1, ResponseParser
from harness.load.profile import LoadProfile
from harness.recording.layout import ERRORS, NO_INSTANCE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PLAIN = b"HTTP/1.1 200 OK\r\nX-Instance: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nX-Instance: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
)
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + PLAIN
NO_BODY = b"HTTP/1.1 204 No Content\r\nX-Instance: a\r\nContent-Length: 5\r\n\r\n"
UNCHANGED = b"HTTP/1.1 304 Not Modified\r\nX-Instance: a\r\nContent-Length: 5\r\n\r\n"


@pytest.fixture
def reader(profile: Callable[..., LoadProfile]) -> Http1:
    return Http1(profile(80))


@pytest.fixture
def body_reader(profile: Callable[..., LoadProfile]) -> Http1:
    return Http1(profile(80, identity_header=None, identity_body="from ([^ ]*)"))


def read(reader: Http1, pieces: Sequence[bytes], *, end: bool = False) -> Answer | None:
    """Read an answer as the user does, `end` being the end of the stream after the last piece."""
    answer = reader.quick(pieces[0])
    if answer is not None:
        return answer
    parser = ResponseParser(reader)
    for piece in [*pieces, *([b""] if end else [])]:
        answer = parser.feed(piece)
        if answer is not None:
            return answer
    return None


def error(answer: Answer | None) -> str:
    """Give the name of an answer's class of failure."""
    assert answer is not None
    return ERRORS[answer.error]


@pytest.mark.parametrize("data", [PLAIN, CHUNKED, INTERIM, NO_BODY, UNCHANGED])
def test_answer_reads_the_same_wherever_it_is_split(reader: Http1, data: bytes) -> None:
    """TCP keeps no boundaries: whole, in two pieces at every place, or byte by byte is all one."""
    whole = read(reader, [data])
    assert whole is not None
    assert (error(whole), reader.identities[whole.instance], whole.keep) == ("none", "a", True)
    for at in range(1, len(data)):
        assert read(reader, [data[:at], data[at:]]) == whole
    assert read(reader, [data[at : at + 1] for at in range(len(data))]) == whole


def test_plain_answer_in_two_segments_does_without_h11(
    reader: Http1, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Head and body apart is what most servers send, and h11 costs ten times the rest of a request."""
    monkeypatch.setattr(ResponseParser, "_feed_h11", None)
    at = PLAIN.index(b"hello")
    assert error(read(reader, [PLAIN[:at], PLAIN[at : at + 2], PLAIN[at + 2 :]])) == "none"


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nX-Instance: a", b"HTTP/1.0 200 OK\r\nX-Instance: a\r\nContent-Type: x"]
)
def test_close_delimited_answer_ends_with_the_stream(reader: Http1, head: bytes) -> None:
    """Without a length the body ends when the connection does (RFC 9112 §6.3), and that is no failure."""
    data = head + b"\r\n\r\nhello"
    assert read(reader, [data]) is None
    answer = read(reader, [data], end=True)
    assert error(answer) == "none"
    assert answer is not None
    assert (answer.status, answer.body_bytes, answer.keep) == (200, 5, False)


@pytest.mark.parametrize(
    "data",
    [
        PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
        PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        PLAIN.replace(b"\r\n\r\n", b"\r\nconnection: x , CLOSE\r\n\r\n"),
        CHUNKED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1),
    ],
)
def test_connection_ends_when_the_answer_says_so(reader: Http1, data: bytes) -> None:
    """After HTTP/1.0 or Connection: close another request would go nowhere."""
    answer = read(reader, [data])
    assert error(answer) == "none"
    assert answer is not None
    assert not answer.keep


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        PLAIN + b"x",
        CHUNKED + PLAIN,
        PLAIN.replace(b"5", b"-5"),
        PLAIN.replace(b"5", b"5, 6"),
        PLAIN.replace(b"\r\n\r\n", b"\r\nContent-Length: 6\r\n\r\n"),
        CHUNKED.replace(b"2\r\nhe", b"z\r\nhe"),
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * (http1.MOST_HEAD_BYTES + 1),
    ],
)
def test_parser_calls_other_bytes_malformed(reader: Http1, data: bytes) -> None:
    """Neither another protocol, nor a broken head, nor bytes that nobody asked for pass as an answer."""
    assert error(read(reader, [data])) == "malformed"
    assert reader.odd_answer == data[:300].decode()


def test_body_beyond_the_limit_is_malformed(reader: Http1, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless answer must not take the generator's memory and time without end."""
    monkeypatch.setattr(http1, "MOST_BODY_BYTES", 1000)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n"
    assert error(read(reader, [head, *[b"x" * 600] * 110])) == "malformed"


@pytest.mark.parametrize("data", [PLAIN[:-1], PLAIN[:30], PLAIN[:3], CHUNKED[:-2]])
def test_stream_that_ends_early_is_truncated(reader: Http1, data: bytes) -> None:
    """Half an answer is told apart from none and from nonsense."""
    assert error(read(reader, [data], end=True)) == "truncated"
    assert reader.identities == []


def test_identity_field_is_found_in_any_case(reader: Http1) -> None:
    """Field names have no case (RFC 9110 §5.1)."""
    for spelling in (b"x-instance", b"X-INSTANCE"):
        answer = read(reader, [PLAIN.replace(b"X-Instance", spelling)])
        assert answer is not None
        assert answer.instance == 0


@pytest.mark.parametrize("split", [False, True])
def test_identity_is_found_in_the_body(body_reader: Http1, *, split: bool) -> None:
    """The group of the regular expression names the instance, in one piece or in several."""
    for name in ("a", "b", "a"):
        data = f"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nfrom {name} to x".encode()
        answer = read(body_reader, [data[:10], data[10:45], data[45:]] if split else [data])
        assert answer is not None
        assert body_reader.identities[answer.instance] == name


def test_identity_that_is_no_text_is_escaped(reader: Http1) -> None:
    """An identity is whatever bytes the instance sends; it must fit in JSON and stay recognizable."""
    read(reader, [PLAIN.replace(b": a", ": é\udcff".encode("utf-8", "surrogateescape"))])
    assert reader.identities == ["é\\xff"]


@pytest.mark.parametrize("data", [PLAIN.replace(b"X-Instance", b"X-Other"), PLAIN.replace(b": a", b": ")])
def test_answer_without_identity_is_unidentified(reader: Http1, data: bytes) -> None:
    """A proxy's own page, for example; its first bytes are kept for the message."""
    answer = read(reader, [data])
    assert error(answer) == "unidentified"
    assert answer is not None
    assert (answer.status, answer.instance, answer.keep) == (200, NO_INSTANCE, True)
    assert reader.odd_answer == data.decode()


def test_error_status_keeps_the_identity(reader: Http1) -> None:
    """An instance that fails has been reached all the same; a proxy's 502 names nobody."""
    answer = read(reader, [PLAIN.replace(b"200", b"500")])
    assert answer == Answer(500, 0, ERRORS.index("status"), 5, keep=True)
    answer = read(reader, [b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"])
    assert answer == Answer(502, NO_INSTANCE, ERRORS.index("status"), 0, keep=True)


def test_identities_are_bounded(reader: Http1, monkeypatch: pytest.MonkeyPatch) -> None:
    """An identity that is new with every answer (a request's number) must not fill the memory."""
    monkeypatch.setattr(http1, "MOST_IDENTITIES", 3)
    answers = [read(reader, [PLAIN.replace(b": a", b": %d" % n)]) for n in range(5)]
    assert [error(answer) for answer in answers] == ["none"] * 3 + ["unidentified"] * 2


def test_heads_that_never_repeat_are_read_all_the_same(reader: Http1) -> None:
    """What is remembered of heads is thrown away when it is too much; nothing depends on it."""
    for n in range(3000):
        assert error(read(reader, [PLAIN.replace(b"\r\n\r\n", b"\r\nX-Request: %d\r\n\r\n" % n)])) == "none"


_TEXT = st.text("abc:, \t0159-\x00\r\n\xe9", max_size=8).map(lambda text: text.encode("latin-1"))
_NAME = st.sampled_from(
    [b"Content-Length", b"content-length", b"Transfer-Encoding", b"Connection", b"X-Instance", b"X "]
)
_VALUE = st.sampled_from(
    [b"5", b"5, 5", b"4", b" 5 ", b"+5", b"0x5", b"chunked", b"close", b"keep-alive", b"a"]
)


@given(
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.2", b"http/1.1"]),
    st.sampled_from([b"200", b"100", b"204", b"304", b"404", b"20", b"2000"]),
    st.one_of(st.just(b" OK"), _TEXT),
    st.lists(st.tuples(st.one_of(_NAME, _TEXT), st.one_of(_VALUE, _TEXT)), max_size=5),
)
def test_quick_reading_accepts_nothing_that_h11_reads_otherwise(
    version: bytes, status: bytes, reason: bytes, fields: list[tuple[bytes, bytes]]
) -> None:
    """The short way is only a short way: whatever it accepts, the library accepts with the same outcome."""
    head = b"\r\n".join([version + b" " + status + reason, *(name + b": " + value for name, value in fields)])
    data = head + b"\r\n\r\nhello"
    values = {"address": "", "port": 1, "path": "/", "headers": {}, "users": 1, "requests_per_connection": 1}
    rest = {"timeout_ns": 1, "identity_header": "X-Instance", "identity_body": None, "sources": [], "seed": 1}
    reader = Http1(LoadProfile.from_json({**values, **rest}))
    quick = reader.quick(data)
    if quick is None:
        return
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    response = connection.next_event()
    assert isinstance(response, h11.Response)
    body = connection.next_event()
    assert isinstance(body, h11.Data)
    assert isinstance(connection.next_event(), h11.EndOfMessage)
    assert connection.trailing_data == (b"", False)
    name = reader.name_in(response.headers, b"").decode("utf-8", "backslashreplace")
    assert (quick.status, quick.body_bytes) == (response.status_code, len(body.data))
    assert (quick.instance == NO_INSTANCE) == (not name)
    assert reader.identities == ([name] if name else [])
    assert quick.keep == (connection.their_state is h11.DONE)
