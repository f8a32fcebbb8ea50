"""Every class of failure, from servers that really misbehave that way."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from harness.recording.layout import NO_INSTANCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.load.profile import LoadProfile
    from tests.load.conftest import Generator, Outcome, Server

    Make = Callable[..., Generator]
    Profiles = Callable[..., LoadProfile]
    Serve = Callable[[Any], Server]

HEAD = b"HTTP/1.1 200 OK\r\nX-Instance: a\r\nContent-Length: 5\r\n\r\n"
SHORT_NS = 150_000_000


def check(outcome: Outcome, error: str) -> None:
    """Assure that every request failed in this way, and that Locust knows."""
    done, records = outcome.done, outcome.records
    assert outcome.errors == {error}
    assert done["error_counts"] == {error: len(records)}
    assert done["requests"] == done["errors"] == len(records) > 0
    assert done["locust"] == {"num_requests": len(records), "num_failures": len(records)}


def reset(sock: socket.socket) -> None:
    """Make closing this socket a reset (socket(7), SO_LINGER with no time)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_closed_port_is_refused_without_spinning(generator: Generator, profile: Profiles) -> None:
    """Four users who are refused for 0.3 s pause longer and longer: tens of tries, not thousands."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    outcome = generator.drive(profile(port), 0.3)
    check(outcome, "refused")
    assert len(outcome.records) <= 4 * 12
    assert outcome.done["connections"] == 0
    assert set(outcome.records["instance"].tolist()) == {NO_INSTANCE}
    assert sorted(outcome.records["connection"].tolist()) == list(range(len(outcome.records)))


@pytest.mark.parametrize("half", [False, True])
def test_reset_connection(generator: Generator, serve: Serve, profile: Profiles, *, half: bool) -> None:
    """A reset is told apart from a close, before the answer as in the middle of it."""

    def handle(server: Server, sock: socket.socket, _: int) -> None:
        server.request(sock)
        if half:
            sock.sendall(HEAD + b"he")
            time.sleep(0.005)
        reset(sock)

    server = serve(handle)
    outcome = generator.drive(profile(server.port))
    check(outcome, "reset")
    server.settle()
    assert outcome.done["connections"] == server.connections


@pytest.mark.parametrize("sent", [b"", HEAD + b"he", b"HTTP/1.1 200 OK\r\nX-Inst"])
def test_server_that_does_not_finish_is_timed_out(
    generator: Generator, serve: Serve, profile: Profiles, sent: bytes
) -> None:
    """Time runs out without an answer as with half of one, and soon after it has."""

    def handle(server: Server, sock: socket.socket, _: int) -> None:
        server.request(sock)
        sock.sendall(sent)
        sock.recv(1)

    outcome = generator.drive(profile(serve(handle).port, timeout_ns=SHORT_NS), 0.1)
    check(outcome, "timed_out")
    assert outcome.records["latency_ns"].min() >= SHORT_NS
    assert outcome.records["latency_ns"].max() < 3 * SHORT_NS


def test_trickling_server_is_timed_out(generator: Generator, serve: Serve, profile: Profiles) -> None:
    """The limit is for the whole response: a byte now and then doesn't extend it."""

    def handle(server: Server, sock: socket.socket, _: int) -> None:
        server.request(sock)
        for at in range(len(HEAD)):
            sock.sendall(HEAD[at : at + 1])
            time.sleep(0.01)

    check(generator.drive(profile(serve(handle).port, timeout_ns=SHORT_NS), 0.1), "timed_out")


def test_connecting_is_timed_out(generator: Generator, profile: Profiles) -> None:
    """A listener whose queue is full drops the SYN: the limit covers that, too."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        outcome = generator.drive(profile(listener.getsockname()[1], users=6, timeout_ns=SHORT_NS), 0.1)
    check(outcome, "timed_out")
    assert outcome.done["connections"] < len(outcome.records)


@pytest.mark.parametrize("sent", [b"", HEAD + b"he"])
def test_early_close_on_a_fresh_connection_is_truncated(
    generator: Generator, serve: Serve, profile: Profiles, sent: bytes
) -> None:
    """Nobody but the server can have ended a connection that never served: that is no stale connection."""

    def handle(server: Server, sock: socket.socket, _: int) -> None:
        server.request(sock)
        sock.sendall(sent)

    outcome = generator.drive(profile(serve(handle).port, requests_per_connection=None))
    check(outcome, "truncated")
    assert outcome.done["resent"] == 0


def test_early_close_within_an_answer_is_truncated_on_any_connection(
    generator: Generator, serve: Serve, profile: Profiles
) -> None:
    """Only before the first byte of an answer may a request go out again; after it, the failure is told."""

    def handle(server: Server, sock: socket.socket, _: int) -> None:
        server.request(sock)
        sock.sendall(HEAD + b"hello")
        server.request(sock)
        sock.sendall(HEAD)

    outcome = generator.drive(profile(serve(handle).port, requests_per_connection=None))
    assert outcome.errors == {"none", "truncated"}
    assert outcome.done["resent"] == 0


def test_reset_on_a_used_connection_is_told(generator: Generator, serve: Serve, profile: Profiles) -> None:
    """The server had the request and lost it: sending it again would hide that an instance died."""

    def handle(server: Server, sock: socket.socket, _: int) -> None:
        server.request(sock)
        sock.sendall(HEAD + b"hello")
        server.request(sock)
        reset(sock)

    outcome = generator.drive(profile(serve(handle).port, requests_per_connection=None))
    assert outcome.errors == {"none", "reset"}


@pytest.mark.parametrize("sent", [b"220 mail.example ESMTP\r\n", HEAD + b"hello, and more than that"])
def test_malformed_answer(generator: Generator, serve: Serve, profile: Profiles, sent: bytes) -> None:
    """Another protocol, or bytes behind the answer; the report shows what came."""

    def handle(server: Server, sock: socket.socket, _: int) -> None:
        server.request(sock)
        sock.sendall(sent)
        sock.recv(1)

    outcome = generator.drive(profile(serve(handle).port))
    check(outcome, "malformed")
    assert outcome.done["odd_answer"] == sent.decode()


@pytest.mark.parametrize(
    ("sent", "error", "identities"),
    [
        (HEAD.replace(b"X-Instance", b"X-Other") + b"hello", "unidentified", []),
        (HEAD.replace(b"200 OK", b"500 Oh") + b"hello", "status", ["a"]),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "status", []),
    ],
)
def test_answer_that_counts_as_failure_keeps_the_connection(  # noqa: PLR0913, PLR0917  three fixtures, three cases
    generator: Generator, serve: Serve, profile: Profiles, sent: bytes, error: str, identities: list[str]
) -> None:
    """It is HTTP all the same: the connection goes on, and the identity is known where there is one."""

    def handle(server: Server, sock: socket.socket, _: int) -> None:
        while server.request(sock):
            sock.sendall(sent)

    server = serve(handle)
    outcome = generator.drive(profile(server.port, requests_per_connection=None), 0.1)
    check(outcome, error)
    assert server.connections == outcome.done["connections"] == 4
    assert outcome.done["identities"] == identities
    assert set(outcome.records["instance"].tolist()) == ({0} if identities else {NO_INSTANCE})
    assert outcome.records["status"][0] == int(sent[9:12])


def test_source_that_is_not_here_is_other(generator: Generator, serve: Serve, profile: Profiles) -> None:
    """An address that can't be bound is a mistake in the profile, not a lack of ports."""
    server = serve(lambda *_: None)
    check(generator.drive(profile(server.port, sources=("192.0.2.1",))), "other")
    assert server.connections == 0


def test_killed_server_is_seen_and_survived(generator: Generator, profile: Profiles) -> None:
    """The server dies in the middle of the phase: what was answered stays, the rest fails, nobody spins."""
    with subprocess.Popen(
        [
            sys.executable,
            "-u",
            "-m",
            "http.server",
            "-b",
            "127.0.0.1",
            "-p",
            "HTTP/1.1",
            "-d",
            "/proc/self/fdinfo",
            "0",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline().split()[5])
        wanted = profile(port, identity_header="Server", requests_per_connection=None)
        outcome = generator.drive(wanted, 0.8, during=server.kill)
    assert outcome.errors <= {"none", "refused", "reset", "truncated"}
    assert {"none", "refused"} <= outcome.errors
    failed = outcome.records[outcome.records["error"] != 0]
    good = outcome.records[outcome.records["error"] == 0]
    assert len(failed) <= 4 * 20
    assert failed["start_ns"].max() > good["start_ns"].max()
    assert outcome.done["requests"] == len(outcome.records)
    assert outcome.done["locust"]["num_failures"] == len(failed)


_IN_A_NETWORK_OF_ITS_OWN = """
import runpy, socket, subprocess
from pathlib import Path
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40009")
listener = socket.create_server(("", 80), backlog=100)
runpy.run_module("harness.load.generator", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def lonely_generator(make_generator: Make) -> Generator:
    """Give a generator in a network namespace with ten local ports, no route, and a listener on port 80."""
    unshare = ("unshare", "--user", "--map-root-user", "--net")
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip("user namespaces are not allowed here")
    return make_generator(*unshare, sys.executable, "-c", _IN_A_NETWORK_OF_ITS_OWN)


def test_network_without_ports_or_routes_is_told_apart(
    lonely_generator: Generator, profile: Profiles
) -> None:
    """Running out of local ports is the generator's own limit; a missing route is the network's."""
    for address, sources in (("127.0.0.1", ()), ("127.0.0.2", ("127.0.0.1",))):
        wanted = profile(80, address=address, users=20, timeout_ns=SHORT_NS, sources=sources)
        outcome = lonely_generator.drive(wanted, 0.1)
        assert outcome.errors == {"timed_out", "no_port"}
        assert outcome.done["connections"] == 10
    check(lonely_generator.drive(profile(80, address="203.0.113.1"), 0.1), "unreachable")
    assert lonely_generator.said() == ""
