"""The sample application's HTTP/1.1 by itself: no socket, and no loop."""

from __future__ import annotations

import pytest

from harness.instance.http1 import Http1


def test_requests_come_whole_and_in_turn() -> None:
    """Cut anywhere, with a body to skip: each is given once, when its head is complete."""
    exchanges = Http1("a").exchanges()
    said = (
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n"
    )
    requests = []
    for at in range(len(said)):
        exchanges.feed(said[at : at + 1])
        while request := exchanges.next():
            requests.append((request.health, request.last))
    assert requests == [(False, False), (True, True)]


def test_answers_say_how_they_are_meant() -> None:
    """Good or not, and whether another may follow; each names the instance and its version."""
    exchanges = Http1("a", "v2").exchanges()
    for good, line in ((True, b"HTTP/1.1 200 OK\r\n"), (False, b"HTTP/1.1 500 Internal Server Error\r\n")):
        for last in (False, True):
            answer = exchanges.answer(good=good, last=last)
            assert answer.startswith(line)
            assert answer.endswith(b"\r\n\r\nHello from a\n")
            assert b"\r\nX-Instance: a\r\n" in answer
            assert b"\r\nX-Version: v2\r\n" in answer
            assert (b"\r\nConnection: close\r\n" in answer) == last


@pytest.mark.parametrize("said", [b"x" * 70_000, b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"])
def test_codec_refuses_requests_that_it_does_not_read(said: bytes) -> None:
    """An endless head, and a body in chunks."""
    exchanges = Http1("a").exchanges()
    exchanges.feed(said)
    with pytest.raises(ValueError, match=r"."):
        exchanges.next()
    assert exchanges.refusal().startswith(b"HTTP/1.1 400 ")
