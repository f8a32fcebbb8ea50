"""The compiled parser of responses: split anywhere, too large, broken, and beside the one of plain Python."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.load._wire import read_answer
from harness.load.codecs.http1 import MOST_BODY_BYTES, MOST_HEAD_BYTES, Http1, ResponseParser
from harness.load.profile import LoadProfile
from harness.recording.layout import ERRORS, NO_INSTANCE

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator, Sequence

NAME: Final = b"x-instance"
TIMES = settings(max_examples=400, deadline=None)


class Read(NamedTuple):
    """What came of some bytes; of those that are no complete answer, only class and status count."""

    verdict: str
    status: int
    name: bytes = b""
    body_bytes: int = 0
    keep: bool = False
    body: bytes = b""


def read(pieces: Sequence[bytes], *, end: bool = True, body: bool = True) -> Read:
    """Read an answer, `end` being the end of the stream behind it.

    Bytes behind a complete answer are nobody's. In the same piece the parser sees that, in a later one
    its caller does; here both are malformed.
    """
    whole = [*pieces, b""] if end else list(pieces)
    verdict, status, name, body_bytes, keep, data, used = read_answer(whole, NAME, body)
    if verdict == "complete" and any(whole[used:]):
        verdict = "malformed"
    if verdict != "complete":
        return Read(verdict, status)
    return Read(verdict, status, name, body_bytes, keep, data)


def in_two(data: bytes) -> Iterator[list[bytes]]:
    """Give every way to split this once."""
    return ([data[:at], data[at:]] for at in range(1, len(data)))


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Split at these places, as far as there are any."""
    ends = sorted({place for place in places if 0 < place < len(data)} | {len(data)})
    return [data[start:stop] for start, stop in zip([0, *ends], ends, strict=False) if stop > start]


def head(*fields: bytes, status: bytes = b"HTTP/1.1 200 OK", line_break: bytes = b"\r\n") -> bytes:
    """Make a head that names instance a."""
    return line_break.join([status, b"X-Instance: a", *fields, b"", b""])


_CHUNKED: Final = head(b"Transfer-Encoding: chunked")

GOOD: Final = {
    "length": (head(b"Content-Length: 5") + b"hello", Read("complete", 200, b"a", 5, True, b"hello")),
    "empty": (head(b"Content-Length: 0"), Read("complete", 200, b"a", 0, True)),
    "equal lengths": (
        head(b"Content-Length: 5, 5 ,5", b"content-length:5") + b"hello",
        Read("complete", 200, b"a", 5, True, b"hello"),
    ),
    "zeros before the length": (
        head(b"Content-Length: " + b"0" * 40 + b"5") + b"hello",
        Read("complete", 200, b"a", 5, True, b"hello"),
    ),
    "line feeds": (
        head(b"Content-Length: 5", line_break=b"\n") + b"hello",
        Read("complete", 200, b"a", 5, True, b"hello"),
    ),
    "line breaks of both kinds": (
        b"HTTP/1.1 200 OK\nX-Instance: a\r\nContent-Length: 2\n\r\n\r\n",
        Read("complete", 200, b"a", 2, True, b"\r\n"),
    ),
    "field in any case": (
        b"HTTP/1.1 200 OK\r\nx-iNSTANCE:\t a b \t\r\nCONTENT-LENGTH: 1\r\n\r\nx",
        Read("complete", 200, b"a b", 1, True, b"x"),
    ),
    "first name counts": (
        b"HTTP/1.1 200 OK\r\nX-Instance:\r\nX-Instance: a\r\nX-Instance: b\r\nContent-Length: 0\r\n\r\n",
        Read("complete", 200, b"a", 0, True),
    ),
    "folded fields": (
        (
            b"HTTP/1.1 200 OK\r\nX-Instance: a\r\n \t b\nX-Folded: \r\n x\r\n\ty\r\n \r\n"
            b"Content-Length:\r\n 5\r\n\r\nhello"
        ),
        Read("complete", 200, b"a b", 5, True, b"hello"),
    ),
    "folded field before a body that seems folded": (
        b"HTTP/1.1 200 OK\r\nX-Instance: a\r\n b\r\nContent-Length: 6\r\n\r\n\n x\n y",
        Read("complete", 200, b"a b", 6, True, b"\n x\n y"),
    ),
    "chunks": (
        _CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        Read("complete", 200, b"a", 5, True, b"hello"),
    ),
    "chunks with all that they may have": (
        head(b"TRANSFER-ENCODING:  Chunked ")
        + b'000000000000000000000002 ; a="\xe9;x"\r\nhe\r\n003;b\r\nllo\r\nA \r\n0123456789\r\n'
        + b"000;end\r\nX-Instance: b\r\n going: on\r\nX-Sum: 1\n\r\n",
        Read("complete", 200, b"a", 15, True, b"hello0123456789"),
    ),
    "chunks that are line breaks": (
        _CHUNKED + b"2\r\n\r\n\r\n4\r\n0\r\n\r\r\n0\r\n\r\n",
        Read("complete", 200, b"a", 6, True, b"\r\n0\r\n\r"),
    ),
    "length beside chunks": (
        head(b"Content-Length: 50", b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n",
        Read("complete", 200, b"a", 5, True, b"hello"),
    ),
    "up to the end": (head() + b"hello", Read("complete", 200, b"a", 5, False, b"hello")),
    "up to the end, at once": (head(), Read("complete", 200, b"a", 0, False)),
    "interim answers": (
        b"HTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 103 Early Hints\r\nX-Instance: b\r\nContent-Length: 9\r\nConnection: close\r\n"
        b"Transfer-Encoding: chunked\r\nLink: a\r\n b\r\n\r\n" + head(b"Content-Length: 5") + b"hello",
        Read("complete", 200, b"a", 5, True, b"hello"),
    ),
    "no content": (
        head(b"Content-Length: 5", status=b"HTTP/1.1 204 No Content"),
        Read("complete", 204, b"a", 0, True),
    ),
    "not modified": (
        head(b"Content-Length: 99999999999999999999999", status=b"HTTP/1.1 304 Not Modified"),
        Read("complete", 304, b"a", 0, True),
    ),
    "HTTP/1.0": (
        head(b"Content-Length: 5", b"Connection: keep-alive", status=b"HTTP/1.0 200 OK") + b"hello",
        Read("complete", 200, b"a", 5, False, b"hello"),
    ),
    "a later minor version": (
        head(b"Content-Length: 5", status=b"HTTP/1.7 200 OK") + b"hello",
        Read("complete", 200, b"a", 5, True, b"hello"),
    ),
    "close": (
        head(b"Content-Length: 5", b"connection: x , CLOSE\t,") + b"hello",
        Read("complete", 200, b"a", 5, False, b"hello"),
    ),
    "not quite close": (
        head(b"Content-Length: 0", b"Connection: closed, keep-alive,,"),
        Read("complete", 200, b"a", 0, True),
    ),
    "no reason": (
        head(b"Content-Length: 0", status=b"HTTP/1.1 500"),
        Read("complete", 500, b"a", 0, True),
    ),
    "a strange reason": (
        head(b"Content-Length: 0", status=b"HTTP/1.1 999 \t\xff ok"),
        Read("complete", 999, b"a", 0, True),
    ),
}

# RFC 9112 unless another is named. Each must be refused without a look at what follows.
BAD: Final = {
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "another version": b"HTTP/2 200\r\n\r\n",
    "version in lower case": b"http/1.1 200 OK\r\n\r\n",
    "version of two digits": b"HTTP/1.10 200 OK\r\n\r\n",
    "line break before it": b"\r\n" + head(b"Content-Length: 0"),
    "status of two digits": head(status=b"HTTP/1.1 20 OK"),
    "status of four digits": head(status=b"HTTP/1.1 2000 OK"),
    "status below 100": head(status=b"HTTP/1.1 099 OK"),
    "no status": head(status=b"HTTP/1.1 OK"),
    "two blanks before the status": head(status=b"HTTP/1.1  200 OK"),
    "null in the reason": head(status=b"HTTP/1.1 200 O\x00K"),
    "carriage return in the reason": head(status=b"HTTP/1.1 200 O\rK"),
    "status line that goes on": b"HTTP/1.1 200 OK\r\n X-Instance: a\r\n\r\n",
    "empty field name": head(b": x"),
    "blank before the colon (5.1)": head(b"Content-Length : 5"),
    "no colon": head(b"Content-Length"),
    "null in a value": head(b"X: a\x00b"),
    "carriage return in a value": head(b"X: a\rContent-Length: 5"),
    "two carriage returns": head(b"X: a\r"),
    "switch that nobody asked for": head(status=b"HTTP/1.1 101 Switching Protocols"),
    "two lengths (6.3)": head(b"Content-Length: 5", b"Content-Length: 6"),
    "two lengths in one field (6.3)": head(b"Content-Length: 5, 6"),
    "long lengths that differ": head(b"Content-Length: 5", b"Content-Length: 18446744073709551621"),
    "length with a sign": head(b"Content-Length: +5"),
    "negative length": head(b"Content-Length: -5"),
    "hexadecimal length": head(b"Content-Length: 0x5"),
    "length with a blank in it": head(b"Content-Length: 1 5"),
    "no length in the field": head(b"Content-Length: "),
    "list with nothing at its end": head(b"Content-Length: 5,"),
    "broken length beside chunks": head(b"Content-Length: x", b"Transfer-Encoding: chunked"),
    "other coding": head(b"Transfer-Encoding: gzip, chunked"),
    "chunked, but not quite": head(b"Transfer-Encoding: xchunked"),
    "chunked twice": head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "chunked twice in one field": head(b"Transfer-Encoding: chunked, chunked"),
    "identity": head(b"Transfer-Encoding: identity"),
    "chunked in HTTP/1.0 (6.1)": head(b"Transfer-Encoding: chunked", status=b"HTTP/1.0 200 OK"),
    "no chunk size": _CHUNKED + b"\r\n",
    "no hexadecimal chunk size": _CHUNKED + b"g\r\n",
    "chunk size with 0x": _CHUNKED + b"0x5\r\n",
    "negative chunk size": _CHUNKED + b"-5\r\n",
    "blank before the chunk size": _CHUNKED + b" 5\r\n",
    "chunk line that ends in a line feed (2.2)": _CHUNKED + b"5\n",
    "empty chunk line": _CHUNKED + b"5\r\nhello\r\n\n",
    "extension with a line feed": _CHUNKED + b"5;a\n",
    "extension with a carriage return": _CHUNKED + b"5;\ra\r\n",
    "extension with a null": _CHUNKED + b"5;\x00\r\n",
    "chunk longer than it says": _CHUNKED + b"5\r\nhellox",
    "chunk that ends in a line feed": _CHUNKED + b"5\r\nhello\n",
    "chunk that ends in a carriage return and more": _CHUNKED + b"5\r\nhello\r\r",
    "trailer that goes on from nothing": _CHUNKED + b"0\r\n a: b\r\n",
    "trailer without a colon": _CHUNKED + b"0\r\nab\r\n",
    "trailer with a null": _CHUNKED + b"0\r\na: \x00\r\n",
    "trailer that goes on with a null": _CHUNKED + b"0\r\na: b\r\n \x00\r\n",
    "too long (16 MiB)": head(b"Content-Length: %d" % (MOST_BODY_BYTES + 1)),
    "much too long": head(b"Content-Length: " + b"9" * 1000),
    "chunk too long": _CHUNKED + b"%x\r\n" % (MOST_BODY_BYTES + 1),
    "chunk much too long": _CHUNKED + b"f" * 1000 + b"\r\n",
    "chunks too long": _CHUNKED + b"5\r\nhello\r\n%X\r\n" % (MOST_BODY_BYTES - 4),
}


@pytest.mark.parametrize("case", GOOD)
def test_good_answer_reads_the_same_wherever_it_is_split(case: str) -> None:
    """TCP keeps no boundaries: whole, in two pieces at every place, or byte by byte is all one."""
    data, wanted = GOOD[case]
    assert read([data]) == wanted
    for pieces in in_two(data):
        assert read(pieces) == wanted
    assert read(cut(data, range(len(data)))) == wanted


@TIMES
@given(st.sampled_from(sorted(GOOD)), st.lists(st.integers(1, 300)))
def test_good_answer_reads_the_same_in_any_pieces(case: str, places: list[int]) -> None:
    """As above, with as many pieces as chance wants."""
    data, wanted = GOOD[case]
    assert read(cut(data, places)) == wanted


@pytest.mark.parametrize("case", GOOD)
def test_stream_that_ends_early_is_truncated(case: str) -> None:
    """Half an answer is told apart from a whole one, wherever it stops, and however it came."""
    data, _ = GOOD[case]
    for at in range(len(data)):
        early = read([data[:at]] if at else [])
        if case.startswith("up to the end") and b"\r\n\r\n" in data[:at]:
            assert (early.verdict, early.body) == ("complete", data[:at].partition(b"\r\n\r\n")[2])
        else:
            assert early.verdict == "truncated"
        assert read(cut(data[:at], range(at))) == early


@pytest.mark.parametrize("case", [case for case in GOOD if "up to the end" not in case])
def test_answer_ends_where_it_ends(case: str) -> None:
    """A complete answer is known without the end of the stream; what follows it makes it malformed."""
    data, wanted = GOOD[case]
    assert read([data], end=False) == wanted
    for more in (b"x", b"\r\n", data):
        assert read([data + more], end=False).verdict == "malformed"
        assert read_answer([data, more], NAME, False)[-1] == 1
        for pieces in in_two(data + more):
            assert read(pieces, end=False).verdict == "malformed"


@pytest.mark.parametrize("case", BAD)
def test_wire_parser_calls_other_bytes_malformed_at_once(case: str) -> None:
    """Neither a broken head, nor a body whose length is in doubt, passes; nobody waits for the rest of it."""
    data = BAD[case]
    wanted = read([data], end=False)
    assert wanted.verdict == "malformed"
    for pieces in in_two(data):
        assert read(pieces, end=False) == wanted
    assert read(cut(data, range(len(data))), end=False) == wanted


def of_size(size: int) -> Iterator[bytes]:
    """Give answers of which a head, a chunk's line, or the trailers have so many bytes."""

    def filled(start: bytes, end: bytes) -> bytes:
        return start + b"y" * (size - len(start) - len(end)) + end

    yield filled(b"HTTP/1.1 204 OK\r\nX: ", b"\r\n\r\n")
    yield filled(b"HTTP/1.1 204 OK\r\n" + b"a:b\r\n" * 10_000 + b"X: ", b"\r\n\r\n")
    yield filled(b"HTTP/1.1 204 OK\r\nX: y\r\n y", b"\r\n\r\n")
    yield _CHUNKED + filled(b"0;", b"\r\n") + b"\r\n"
    yield _CHUNKED + b"0\r\n" + filled(b"X: ", b"\r\n\r\n")
    yield _CHUNKED + b"0\r\n" + filled(b"a:b\r\n" * 10_000 + b" b: ", b"\r\n\r\n")


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 2 * MOST_HEAD_BYTES), max_size=9))
def test_oversized_head_is_malformed(places: list[int]) -> None:
    """A head has 64 KiB at the most, and so has all else that is neither body nor counted with it."""
    for fits, does_not in zip(of_size(MOST_HEAD_BYTES), of_size(MOST_HEAD_BYTES + 1), strict=True):
        assert read(cut(fits, places), end=False).verdict == "complete"
        assert read(cut(does_not, places), end=False).verdict == "malformed"
        # Whoever sends more and more without an end is stopped there, too.
        endless = fits.rstrip(b"\r\n") + b"y" * 5
        assert read(cut(endless, places), end=False).verdict == "malformed"


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, MOST_BODY_BYTES), max_size=9))
def test_oversized_body_is_malformed(places: list[int]) -> None:
    """A body has 16 MiB at the most: with a length, in chunks, or up to the end of the stream."""
    most = bytes(MOST_BODY_BYTES)
    half = bytes(MOST_BODY_BYTES // 2)
    chunks = _CHUNKED + (b"%x\r\n" % len(half) + half + b"\r\n") * 2
    wanted = Read("complete", 200, b"a", MOST_BODY_BYTES, True)
    assert read(cut(head(b"Content-Length: %d" % len(most)) + most, places), body=False) == wanted
    assert read(cut(chunks + b"0\r\n\r\n", places), body=False) == wanted
    assert read(cut(chunks + b"1\r\n", places), end=False, body=False).verdict == "malformed"
    assert read(cut(head() + most, places), body=False) == wanted._replace(keep=False)
    verdict, status, _, body_bytes, *_ = read_answer(cut(head() + most + b"x", places), None, False)
    assert (verdict, status, body_bytes) == ("malformed", 200, MOST_BODY_BYTES)


def test_endless_interim_answers_are_never_an_answer() -> None:
    """Each is forgotten: they take no memory, and the caller's time-out ends them."""
    interim = b"HTTP/1.1 103 Early Hints\r\nX-Instance: b\r\n\r\n"
    assert read([interim * 100_000], end=False) == Read("need more", 0)
    good, wanted = GOOD["length"]
    assert read([*[interim] * 1000, good]) == wanted


def test_name_is_only_looked_for_where_it_is_asked_for() -> None:
    """Without a header to look for there is no name, and without a need for the body none is kept."""
    data, _ = GOOD["length"]
    assert read_answer([data], None, False) == ("complete", 200, b"", 5, True, b"", 1)


_TOKENS: Final = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b";", b",", b"0", b"5", b"f", b"\r\n\r\n", b"\r\n ",
    b"0\r\n\r\n",
    b"HTTP/1.1 ", b"HTTP/1.0", b"100", b"204", b"304", b"Content-Length: 5\r\n", b"Content-Length: 6\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"X-Instance: b\r\n", b"x", b"\xff",
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn, extra: Sequence[bytes] = (b"\x00", b"\x01", b"\x7f")) -> bytes:
    """Give an answer, or what nearly was one, with some of its bytes lost, doubled, or made others."""
    bases = [data for data, _ in GOOD.values()] + list(BAD.values())
    data = draw(st.sampled_from(bases))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        stop = start + draw(st.sampled_from([0, 0, 1, 1, 2, 9]))
        instead = draw(st.sampled_from([b"", data[start:stop] * 2, *_TOKENS, *extra]))
        data = data[:start] + instead + data[stop:]
    return data


@settings(max_examples=1500, deadline=None)
@given(st.one_of(mutated(), st.binary(max_size=99), st.binary().map(b"HTTP/1.1 200 ".__add__)), st.randoms())
def test_verdict_never_depends_on_the_pieces(data: bytes, chance: random.Random) -> None:
    """Whatever comes, and however badly broken: the same bytes get the same verdict."""
    for end in (False, True):
        wanted = read([data] if data else [], end=end)
        assert wanted.verdict in {"need more", "complete", "malformed", "truncated"}
        assert (wanted.verdict == "need more") <= (not end)
        assert read(cut(data, range(len(data))), end=end) == wanted
        places = [chance.randrange(len(data) + 1) for _ in range(chance.randrange(9))]
        assert read(cut(data, places), end=end) == wanted


# ---- beside plain Python, whose strange answers h11 reads ----


def twin(data: bytes) -> Read:
    """Read an answer as users of plain Python do, in one piece, and then the end of the stream."""
    values = {"address": "", "port": 1, "path": "/", "headers": {}, "users": 1, "requests_per_connection": 1}
    rest = {"timeout_ns": 1, "identity_header": "X-Instance", "identity_body": None, "sources": [], "seed": 1}
    reader = Http1(LoadProfile.from_json({**values, **rest}))
    answer = reader.quick(data)
    if answer is None:
        parser = ResponseParser(reader)
        answer = (parser.feed(data) if data else None) or parser.feed(b"")
    assert answer is not None
    error = ERRORS[answer.error]
    if error in {"malformed", "truncated"}:
        return Read(error, answer.status)
    name = b"" if answer.instance == NO_INSTANCE else reader.identities[answer.instance].encode()
    return Read("complete", answer.status, name, answer.body_bytes, answer.keep)


class Difference(NamedTuple):
    """Where the two differ on purpose: who reads how, and which answers are concerned."""

    example: bytes
    compiled: str
    plain: str
    concerns: bytes


# h11 is right to read as it does, or it makes no difference to any server that was ever seen; each is
# decided by RFC 9112 here, or by RFC 9110 where that is named.
DIFFERENCES: Final = {
    # 9110, 5.5: "invalid", but a recipient may keep them. A response with any is broken, so it is told.
    "control characters": Difference(
        head(b"X: a\x01b", b"Content-Length: 0"),
        "malformed",
        "complete",
        rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]",
    ),
    # 6.1: the framing of such a message is faulty.
    "chunks in HTTP/1.0": Difference(
        head(b"Transfer-Encoding: chunked", status=b"HTTP/1.0 200 OK") + b"0\r\n\r\n",
        "malformed",
        "complete",
        rb"HTTP/1\.0.*chunked",
    ),
    # 2.2: a lone carriage return is invalid in all protocol elements.
    "carriage return in an extension": Difference(
        _CHUNKED + b"0;\ra\r\n\r\n", "malformed", "complete", rb"chunked.*\r(?!\n)"
    ),
    # 7.1.1: chunk-ext = *( BWS ";" BWS chunk-ext-name ... ).
    "blank before an extension": Difference(
        _CHUNKED + b"0 ;a\r\n\r\n", "complete", "malformed", rb"chunked.*\n[0-9a-f]+[ \t]+;"
    ),
    # 9110, 8.6: the same decimal value.
    "one length in two spellings": Difference(
        head(b"Content-Length: 05, 5") + b"hello", "complete", "malformed", rb"length:[^\n]*[ ,\t:]0"
    ),
    # 6.2, 7.1: Content-Length and chunk-size have no limit to their digits.
    "long numbers": Difference(_CHUNKED + b"0" * 21 + b"\r\n\r\n", "complete", "malformed", rb"[0-9a-f]{20}"),
    # Told beforehand, and not after 16 MiB.
    "too long": Difference(
        head(b"Content-Length: 16777217") + b"hello", "malformed", "truncated", rb"[0-9a-f]{6}"
    ),
    # As at the beginning of the first head: what begins otherwise is no answer, however it goes on.
    "no answer behind an interim one": Difference(
        b"HTTP/1.1 100 Continue\r\n\r\nSSH", "malformed", "truncated", rb"HTTP/1\.\d 1.*\n\r?\n(?!HTTP/1\.)"
    ),
    # h11 looks for the line break that belongs there, and does not find it.
    "line feed behind a chunk's size": Difference(
        _CHUNKED + b"5\nhello\n0\n\n", "malformed", "truncated", rb"chunked.*(?<!\r)\n"
    ),
    # h11 looks at trailers when all of them are there.
    "broken trailer": Difference(
        _CHUNKED + b"0\r\nno colon\r\n", "malformed", "truncated", rb"chunked.*\n0+[ \t]*(?:;[^\n]*)?\r\n"
    ),
}


@pytest.mark.parametrize("reason", DIFFERENCES)
def test_planes_differ_where_they_are_said_to(reason: str) -> None:
    """What h11 does is not to be taken for right, but has to be known; a later h11 may do better."""
    difference = DIFFERENCES[reason]
    assert concerned(difference, difference.example)
    assert read([difference.example]).verdict == difference.compiled
    assert twin(difference.example).verdict == difference.plain


def concerned(difference: Difference, data: bytes) -> bool:
    """Tell whether the difference may show in this answer."""
    return re.search(difference.concerns, data, re.DOTALL | re.IGNORECASE) is not None


@pytest.mark.parametrize("case", [*GOOD, *BAD])
def test_planes_read_alike(case: str) -> None:
    """Both give the same class, status, name, length and leave to ask again, but for the differences."""
    data = GOOD[case][0] if case in GOOD else BAD[case]
    check_alike(data)


# Not of chance: one more way in which h11 is different is nothing that a run should fail for.
@settings(max_examples=1500, deadline=None, derandomize=True)
@given(mutated(extra=()))
def test_planes_read_alike_whatever_comes(data: bytes) -> None:
    """As above, for answers that are broken in ways that nobody thought of."""
    check_alike(data)


def check_alike(data: bytes) -> None:
    """Assure that both planes read this alike, or differ in one of the ways that are known."""
    ours, theirs = read([data] if data else [], body=False), twin(data)
    ours = ours._replace(name=ours.name.decode("utf-8", "backslashreplace").encode())
    if ours.verdict == "malformed":
        # How much of it was understood is of no account.
        ours, theirs = ours._replace(status=0), theirs._replace(status=0)
    if ours == theirs:
        return
    stricter, laxer = ours.verdict == "malformed", theirs.verdict == "malformed"
    reasons = [
        reason
        for reason, difference in DIFFERENCES.items()
        if ((stricter and difference.compiled == "malformed") or (laxer and difference.plain == "malformed"))
        and concerned(difference, data)
    ]
    assert reasons, (ours, theirs)
