"""What users send, and when: method, body, and the time to think."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from harness.load.profile import LoadProfile
    from tests.load.conftest import Generator, Server

    Serve = Callable[[Any], Server]
    Profiles = Callable[..., LoadProfile]

ANSWER = b"HTTP/1.1 200 OK\r\nX-Instance: a\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture(params=["wire", "gevent", "http"])
def plane(request: pytest.FixtureRequest) -> str:
    """Name each plane."""
    name: str = request.param
    return name


def _read(sock: socket.socket) -> bytes:
    """Read one request with its body; nothing at the end."""
    data = b""
    with contextlib.suppress(OSError):
        while part := sock.recv(1 << 16):
            data += part
            head, end, body = data.partition(b"\r\n\r\n")
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            if end and len(body) >= (int(lengths[0].split(b":")[1]) if lengths else 0):
                return data
    return b""


def test_method_and_body_are_sent(generator: Generator, serve: Serve, profile: Profiles) -> None:
    """Whole, in UTF-8, again and again on one connection."""
    seen: list[bytes] = []

    def handle(_: Server, sock: socket.socket, __: int) -> None:
        while data := _read(sock):
            seen.append(data)
            sock.sendall(ANSWER)

    body = '{"café": 7}' * 1000
    wanted = profile(
        serve(handle).port, method="PUT", body=body, path="/item", requests=20, requests_per_connection=None
    )
    outcome = generator.drive(wanted, 20)
    assert outcome.errors == {"none"}
    assert len(outcome.records) == len(seen) == 20
    for data in seen:
        assert data.startswith(b"PUT /item HTTP/1.1\r\n")
        assert data.partition(b"\r\n\r\n")[2] == body.encode()


def test_users_think_between_answer_and_request(
    generator: Generator, serve: Serve, profile: Profiles
) -> None:
    """Each for itself; the end of the phase does not wait for them."""

    def handle(_: Server, sock: socket.socket, __: int) -> None:
        while _read(sock):
            sock.sendall(ANSWER)

    wanted = profile(serve(handle).port, users=2, think_ns=150_000_000, requests_per_connection=None)
    began = time.monotonic()
    records = generator.drive(wanted, 1).records
    assert time.monotonic() - began < 10
    assert 4 <= len(records) <= 14  # 2 users, 7 requests each at most
    for number in set(records["connection"].tolist()):
        own = records[records["connection"] == number]
        pauses = own["start_ns"][1:] - (own["start_ns"] + own["latency_ns"])[:-1]
        assert pauses.min() > 140_000_000


def test_a_post_is_not_sent_twice(generator: Generator, serve: Serve, profile: Profiles) -> None:
    """The server closes each connection instead of its second answer: it may have done what was asked."""

    def handle(_: Server, sock: socket.socket, __: int) -> None:
        _read(sock)
        sock.sendall(ANSWER)
        _read(sock)

    port = serve(handle).port
    wanted = profile(port, method="POST", body="x", requests=20, requests_per_connection=None)
    outcome = generator.drive(wanted, 20)
    assert outcome.done["resent"] == 0
    assert outcome.errors == {"none", "truncated"}
    again = generator.drive(profile(port, requests=20, requests_per_connection=None), 20)
    assert again.done["resent"] > 0


@pytest.mark.parametrize("values", [{"method": "HEAD"}, {"method": "get it"}, {"think_ns": -1}])
def test_a_profile_refuses_what_no_user_can_do(values: dict[str, Any], profile: Profiles) -> None:
    """Words instead of a load that means something else."""
    with pytest.raises(ValueError, match=next(iter(values))):
        profile(1, **values)


def test_dropped_connections_are_never_hidden(generator: Generator, serve: Serve, profile: Profiles) -> None:
    """An error, or, where the client sends again by itself, a request that was sent again."""
    dropped: list[int] = []

    def handle(_: Server, sock: socket.socket, number: int) -> None:
        _read(sock)
        if number % 10 == 5:
            dropped.append(number)
        else:
            sock.sendall(ANSWER)

    wanted = profile(serve(handle).port, requests=100, requests_per_connection=1)
    done = generator.drive(wanted, 20).done
    assert done["requests"] == 100
    assert done["errors"] + done["resent"] == len(dropped) > 5
    assert (done["resent"] > 0) == (wanted.user == "http")
