"""The sample application, spoken to over real sockets."""

from __future__ import annotations

import http.client
import socket
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.instance.http1 import Http1
from harness.instance.server import Server, control


class _Running:
    """A server in a thread of its own; it ends with the tests' process."""

    def __init__(self, delay_ns: int = 0, version: str = "") -> None:
        self.counters = [0, 0, 0]
        listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.address: tuple[str, int] = listener.getsockname()
        self.server = Server(listener, Http1("instance-7", version), delay_ns, self.counters)
        self.thread = threading.Thread(target=self.server.serve, daemon=True)
        self.thread.start()

    def ask(self, data: bytes, *, half_close: bool = False) -> bytes:
        """Send bytes and give all that comes until the server closes or falls silent."""
        with socket.create_connection(self.address, 5) as sock:
            sock.sendall(data)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
            sock.settimeout(0.3)
            answer = b""
            try:
                while more := sock.recv(1 << 16):
                    answer += more
            except TimeoutError:
                pass
            return answer


@pytest.fixture(scope="module")
def server() -> _Running:
    return _Running()


def test_an_answer_names_the_instance_in_header_and_body(server: _Running) -> None:
    """Clients learn who served them without knowing the application."""
    connection = http.client.HTTPConnection(*server.address, timeout=5)
    connection.request("GET", "/anything")
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.getheader("X-Instance") == "instance-7"
    assert answer.read() == b"Hello from instance-7\n"
    connection.close()


def test_a_connection_is_kept_and_counted_once() -> None:
    """Ten requests on one connection count as one connection and ten requests."""
    server = _Running()
    connection = http.client.HTTPConnection(*server.address, timeout=5)
    for _ in range(10):
        connection.request("GET", "/")
        connection.getresponse().read()
    connection.close()
    assert server.counters[:2] == [1, 10]


def test_health_checks_are_answered_and_not_counted() -> None:
    """Neither what a proxy asks of itself nor a connection without a request is load."""
    server = _Running(delay_ns=50_000_000)
    socket.create_connection(server.address, 5).close()
    connection = http.client.HTTPConnection(*server.address, timeout=5)
    for path in ("/healthz", "/", "/healthz"):
        connection.request("GET", path)
        assert connection.getresponse().read() == b"Hello from instance-7\n"
    connection.close()
    assert server.counters[:2] == [1, 1]


def test_requests_sent_together_are_answered_in_turn(server: _Running) -> None:
    """A client may send its next request before it has the answer to the last (RFC 9112 section 9.3.2)."""
    answer = server.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
    assert answer.count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.parametrize(
    "request_line", [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"]
)
def test_a_client_that_wants_the_connection_closed_gets_it_closed(
    server: _Running, request_line: bytes
) -> None:
    """HTTP/1.0 and Connection: close both end the connection behind the answer."""
    with socket.create_connection(server.address, 5) as sock:
        sock.sendall(request_line)
        received = b"".join(iter(lambda: sock.recv(1 << 16), b""))
    assert b"\r\nConnection: close\r\n" in received


def test_a_requests_body_is_skipped(server: _Running) -> None:
    """The request behind a body is seen as one, wherever the body is cut."""
    data = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n\r\n"
    assert server.ask(data).count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize(
    "data",
    [
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"x" * 100_000,
    ],
)
def test_server_refuses_malformed_requests(server: _Running, data: bytes) -> None:
    """A bad request gets 400 and the end of the connection, not silence."""
    assert server.ask(data).startswith(b"HTTP/1.1 400 ")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 60), max_size=4))
def test_requests_cut_anywhere_are_answered_the_same(cuts: list[int]) -> None:
    """Where the network cuts the bytes makes no difference."""
    data = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n" * 2
    with socket.create_connection(_SHARED.address, 5) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True):
            sock.sendall(data[start:end])
        received = b""
        while received.count(b"Hello from instance-7\n") < 2:
            more = sock.recv(1 << 16)
            assert more
            received += more


_SHARED = _Running()


def test_the_delay_is_kept_and_requests_wait_side_by_side() -> None:
    """A delayed instance answers no earlier than told, and two clients wait at the same time."""
    server = _Running(delay_ns=100_000_000)
    began_s = time.monotonic()
    with (
        socket.create_connection(server.address, 5) as one,
        socket.create_connection(server.address, 5) as two,
    ):
        for sock in (one, two):
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        for sock in (one, two):
            assert sock.recv(1000).startswith(b"HTTP/1.1 200")
    assert 0.1 <= time.monotonic() - began_s < 0.2 + 1


def test_a_client_that_resets_harms_nobody(server: _Running) -> None:
    """A connection reset in the middle of a request leaves the instance serving."""
    for _ in range(5):
        sock = socket.create_connection(server.address, 5)
        sock.sendall(b"GET / HT")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        sock.close()
    assert server.ask(b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_a_client_that_reads_late_gets_everything(server: _Running) -> None:
    """Answers that do not fit the socket's buffer are kept until the client reads them."""
    count = 20_000
    with socket.create_connection(server.address, 5) as sock:
        sock.setblocking(True)
        sender = threading.Thread(target=sock.sendall, args=(b"GET / HTTP/1.1\r\n\r\n" * count,))
        sender.start()
        time.sleep(0.2)
        answer = server.ask(b"GET / HTTP/1.1\r\n\r\n")
        received = b""
        while len(received) < count * len(answer):
            received += sock.recv(1 << 20)
        assert received == answer * count
        sender.join()


def _statuses(server: _Running, count: int) -> list[int]:
    connection = http.client.HTTPConnection(*server.address, timeout=5)
    statuses = []
    for _ in range(count):
        connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()
    return statuses


def test_a_share_of_the_answers_fails_where_it_is_told_to() -> None:
    """Evenly spread, from the next request on, and until it is told otherwise; all of them are counted."""
    server = _Running()
    server.counters[2] = control(0, None, 0.25)
    assert _statuses(server, 8) == [200, 200, 200, 500] * 2
    server.counters[2] = control(server.counters[2], None, 0)
    assert _statuses(server, 4) == [200] * 4
    assert server.counters[:2] == [2, 12]


def test_answers_that_fail_name_the_instance() -> None:
    """Whoever counts them knows whose they are."""
    server = _Running()
    server.counters[2] = control(0, None, 1)
    answer = server.ask(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"\r\nX-Instance: instance-7\r\n" in answer


def test_an_instance_is_slower_where_it_is_told_to() -> None:
    """By so much as it is told, beside its own delay; a health check is answered at once all the same."""
    server = _Running()
    server.counters[2] = control(0, 300_000_000, None)
    connection = http.client.HTTPConnection(*server.address, timeout=5)
    began_ns = time.monotonic_ns()
    connection.request("GET", "/")
    connection.getresponse().read()
    assert time.monotonic_ns() - began_ns >= 300_000_000
    connection.close()


@given(st.integers(0, 4_000_000), st.integers(0, 1_000_000))
def test_slow_and_fail_do_not_change_each_other(slow_us: int, failing: int) -> None:
    """One word holds both."""
    slow = control(0, slow_us * 1_000, None)
    both = control(slow, None, failing / 1_000_000)
    assert both == control(control(0, None, failing / 1_000_000), slow_us * 1_000, None)
    assert control(both, 0, None) == control(0, None, failing / 1_000_000)
    assert control(both, None, 0) == slow


def test_a_version_is_in_every_answer() -> None:
    """Clients see which one they met."""
    server = _Running(version="green")
    assert b"\r\nX-Version: green\r\n" in server.ask(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")


def test_an_instance_without_a_version_says_none(server: _Running) -> None:
    """As most have none."""
    assert b"X-Version" not in server.ask(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")


def test_ending_server_answers_connected_clients() -> None:
    """Those whose request comes only then, too, and the listener is closed to all others."""
    server = _Running(delay_ns=50_000_000)
    waiting = [socket.create_connection(server.address, 5) for _ in range(5)]
    waiting[0].sendall(b"GET / HTTP/1.1\r\n\r\n")
    server.server.end()
    _until_refused(server)
    for sock in waiting[1:]:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
    for sock in waiting:
        answer = b"".join(iter(lambda sock=sock: sock.recv(1 << 16), b""))  # type: ignore[misc]  # of the loop
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        sock.close()
    server.thread.join(5)
    assert not server.thread.is_alive()
    assert server.counters[:2] == [5, 5]


def test_a_kept_connection_is_told_that_its_next_answer_is_the_last() -> None:
    """Its client opens another one then, which goes to somebody else."""
    server = _Running()
    connection = http.client.HTTPConnection(*server.address, timeout=5)
    connection.request("GET", "/")
    assert connection.getresponse().read()
    server.server.end()
    _until_refused(server)
    connection.request("GET", "/")
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Connection")) == (200, "close")
    connection.close()
    server.thread.join(5)
    assert not server.thread.is_alive()


def test_idle_connections_do_not_keep_an_instance_that_is_to_end() -> None:
    """They have a while to ask, and are closed then."""
    server = _Running()
    idle = socket.create_connection(server.address, 5)
    server.server.end()
    server.thread.join(10)
    assert not server.thread.is_alive()
    idle.close()


def _until_refused(server: _Running) -> None:
    """Wait until its listener is closed.

    A connection that is made just then may have its packets dropped, and would be made again a second later:
    when the server no longer waits for requests.
    """
    end_s = time.monotonic() + 5
    while server.server._listener.fileno() >= 0 and time.monotonic() < end_s:
        time.sleep(0.001)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(server.address, 5)
