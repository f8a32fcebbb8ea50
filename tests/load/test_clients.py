"""Locust's own users: what they ask is recorded, whatever they are."""

from __future__ import annotations

import contextlib
import socket
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.load.profile import LoadProfile
    from tests.load.conftest import Generator, Outcome, Server

    Serve = Callable[[Any], Server]
    Profiles = Callable[..., LoadProfile]

SHORT_NS = 200_000_000


@pytest.fixture
def plane() -> str:
    """Name the one that is Locust's own."""
    return "http"


def answer(name: str, body: bytes = b"ok", status: str = "200 OK") -> bytes:
    """Write an answer down."""
    head = f"HTTP/1.1 {status}\r\nX-Instance: {name}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def kind(server: Server, sock: socket.socket, number: int) -> None:
    """Answer every request of a connection, as one of three instances."""
    while server.request(sock):
        sock.sendall(answer(f"instance-{number % 3}"))


def check(outcome: Outcome, server: Server) -> None:
    """Assure that recording, server and Locust counted the same."""
    server.settle()
    done, records = outcome.done, outcome.records
    assert len(records) == done["requests"] == done["locust"]["num_requests"] == server.requests > 0
    assert done["connections"] == server.connections


@pytest.mark.parametrize("per_connection", [1, 3, None])
def test_every_request_is_recorded(
    generator: Generator, serve: Serve, profile: Profiles, per_connection: int | None
) -> None:
    """With its connection, source and instance, as the server saw them."""
    server = serve(kind)
    sources = ("127.0.0.2", "127.0.0.3")
    wanted = profile(server.port, requests_per_connection=per_connection, sources=sources)
    outcome = generator.drive(wanted, 0.4)
    check(outcome, server)
    assert outcome.errors == {"none"}
    records, names = outcome.records, outcome.done["identities"]
    by_connection = Counter(records["connection"].tolist())
    assert len(by_connection) == server.connections
    if per_connection is None:
        assert server.connections == 4
    else:
        assert max(by_connection.values()) == per_connection
    for record in records:
        assert names[record["instance"]] == f"instance-{record['connection'] % 3}"
        assert record["source"] == record["connection"] % 2
        assert record["latency_ns"] > 0
    assert set(server.peers) == set(sources)


def test_a_number_of_requests_ends_the_phase(generator: Generator, serve: Serve, profile: Profiles) -> None:
    """Exactly so many, by all users together."""
    server = serve(kind)
    outcome = generator.drive(profile(server.port, requests=50), 60)
    check(outcome, server)
    assert len(outcome.records) == 50


def test_failures_have_the_classes_of_other_users(
    generator: Generator, serve: Serve, profile: Profiles
) -> None:
    """Refused, timed out, a bad status, an answer that names nobody."""

    def silent(server: Server, sock: socket.socket, _: int) -> None:
        server.request(sock)
        with contextlib.suppress(OSError):
            sock.recv(1)

    def wrong(server: Server, sock: socket.socket, _: int) -> None:
        while server.request(sock):
            sock.sendall(answer("a", status="503 No"))

    def nameless(server: Server, sock: socket.socket, _: int) -> None:
        while server.request(sock):
            sock.sendall(answer("").replace(b"X-Instance: \r\n", b""))

    for handle, error in ((silent, "timed_out"), (wrong, "status"), (nameless, "unidentified")):
        outcome = generator.drive(profile(serve(handle).port, timeout_ns=SHORT_NS), 0.3)
        assert outcome.errors == {error}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert generator.drive(profile(port), 0.2).errors == {"refused"}


def test_a_locustfiles_users_are_recorded(
    serve: Serve, profile: Profiles, tmp_path: Path, own_generator: Generator
) -> None:
    """Its classes, tasks and waits, whichever of Locust's clients they use; what is under way is finished."""

    def slow(server: Server, sock: socket.socket, number: int) -> None:
        while server.request(sock):
            time.sleep(0.02)
            sock.sendall(answer(f"instance-{number % 3}"))

    locustfile = tmp_path / "people.py"
    locustfile.write_text(
        "from locust import FastHttpUser, HttpUser, between, task\n"
        "class Reader(FastHttpUser):\n"
        "    wait_time = between(0.01, 0.02)\n"
        "    @task(3)\n"
        "    def read(self): self.client.get('/read')\n"
        "    @task\n"
        "    def write(self): self.client.post('/write', data='x')\n"
        "class Other(HttpUser):\n"
        "    @task\n"
        "    def look(self): self.client.get('/look', name='look')\n"
    )
    server = serve(slow)  # Locust keeps connections; they are closed with the generator, which ends first
    wanted = profile(server.port, locustfile=str(locustfile), users=4, requests_per_connection=None)
    for _ in range(2):
        before = server.requests
        outcome = own_generator.drive(wanted, 0.6)
        assert outcome.errors == {"none"}
        assert len(outcome.records) == server.requests - before == outcome.done["locust"]["num_requests"] > 20
        assert len(set(outcome.records["connection"].tolist())) == 4
        assert outcome.done["user"] == "locustfile"


def test_a_locustfile_that_is_none_ends_the_generator_with_words(
    make_generator: Callable[..., Generator], profile: Profiles, tmp_path: Path
) -> None:
    """The last line says what is wrong with it."""
    import tempfile

    for text, words in (
        ("x = 1\n", "has no class of users"),
        ("import nothing_like_it\n", "nothing_like_it"),
    ):
        (tmp_path / "wrong.py").write_text(text)
        generator = make_generator()
        with tempfile.TemporaryFile() as file:
            generator.begin(profile(1, locustfile=str(tmp_path / "wrong.py")), 1, file)
            assert generator.process.wait(10) == 1
        assert words in generator.said().splitlines()[-1]
