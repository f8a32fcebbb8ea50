"""The compiled engine where it could break: stale events, endless answers, floods, and its own end."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from typing import IO, TYPE_CHECKING, Any

import pytest

from harness.load._wire import RECORD_BYTES, Engine
from harness.recording.layout import ERRORS, STRUCT, as_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from tests.load.conftest import Server

    Serve = Callable[[Any], Server]
    Make = Callable[..., "Load"]

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nX-Instance: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNK = 64 << 10
PATIENCE_S = 15.0
SECOND_NS = 1_000_000_000


class Load:
    """An engine, and the file of its records."""

    def __init__(
        self, file: IO[bytes], port: int, *, connections: int = 4, timeout_s: float = 5, **options: Any
    ) -> None:
        self.file = file
        named = {} if "find" in options else {"header": b"x-instance"}
        self.engine: Any = Engine(
            ("127.0.0.1", port),
            options.pop("texts", [REQUEST]),
            options.pop("records", file.fileno()),
            connections,
            int(timeout_s * SECOND_NS),
            **{**named, **options},
        )
        self.connections = connections
        self.started_ns = 0

    def start(self, duration_s: float) -> None:
        """Begin with a user for each connection."""
        self.engine.set_users(self.connections)
        self.started_ns = time.monotonic_ns()
        self.engine.start(self.started_ns, self.started_ns + int(duration_s * SECOND_NS))

    def run(self, duration_s: float) -> npt.NDArray[Any]:
        """Begin, wait for the end, and give the records."""
        self.start(duration_s)
        return self.finish()

    def finish(self) -> npt.NDArray[Any]:
        """Wait for the end, and give the records."""
        self.engine.join()
        assert self.engine.failure() == 0
        self.file.seek(0)
        records = as_array(self.file.read())
        assert self.count("requests") == len(records) == sum(self.count("by_error"))
        return records

    def count(self, name: str) -> Any:
        """Give one of the counters."""
        return self.engine.counters()[name]

    def close(self) -> None:
        """End whatever still runs."""
        self.engine.stop()
        self.engine.join()


@pytest.fixture
def file() -> Iterator[IO[bytes]]:
    """Give a file for records."""
    with tempfile.TemporaryFile() as opened:
        yield opened


@pytest.fixture
def make(file: IO[bytes]) -> Iterator[Make]:
    """Give a function that makes a test's only engine, by default of four kept connections."""
    made: list[Load] = []

    def load(port: int, **options: Any) -> Load:
        made.append(Load(file, port, **options))
        return made[-1]

    yield load
    for one in made:
        one.close()


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Give the exceptions that nobody could be told of."""
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told_of: told.append(told_of.exc_value))
    return told


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for something that is bound to come."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.0005)


def wait_until_all_left(server: Server) -> None:
    """Wait until the other side has closed all connections."""
    wait_until(lambda: not any(thread.is_alive() for thread in list(server.threads)))


def errors(records: npt.NDArray[Any]) -> set[str]:
    """Give the classes of failure in records."""
    return {ERRORS[code] for code in records["error"].tolist()}


def reset(sock: socket.socket) -> None:
    """Close this with a reset (socket(7), SO_LINGER with no time)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def say_no_more(sock: socket.socket) -> None:
    """Close this for the peer, whose next request may be on its way: unread, it would make a reset."""
    sock.shutdown(socket.SHUT_WR)
    while sock.recv(4096):
        pass


def answer_for_ever(server: Server, sock: socket.socket, _: int) -> None:
    """Be a good server."""
    while server.request(sock):
        sock.sendall(ANSWER)


@pytest.fixture
def closed_port() -> int:
    """Give a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


# ---- connections that nobody waits for ----


@pytest.mark.parametrize("how", ["reset", "close", "half close and reset", "speak"])
def test_idle_connection_that_ends_is_no_request(serve: Serve, make: Make, how: str) -> None:
    """In an open loop a kept connection may end, or say something, while no request is under way on it."""
    first_ended = threading.Event()

    def handle(server: Server, sock: socket.socket, number: int) -> None:
        server.request(sock)
        wait_until(lambda: server.requests == 2)
        if number == 1:
            first_ended.wait(PATIENCE_S)
            sock.sendall(ANSWER)
            return
        sock.sendall(ANSWER)
        wait_until(lambda: load.count("requests") == 1)
        if how == "speak":
            sock.sendall(ANSWER)
            first_ended.set()
            assert sock.recv(1) == b""
        else:
            if "half" in how:
                sock.shutdown(socket.SHUT_WR)
            reset(sock) if "reset" in how else sock.close()
            first_ended.set()

    load = make(serve(handle).port, connections=2, stages=[(1000.0, 2_000_000)], requests=2)
    records = load.run(PATIENCE_S)
    assert errors(records) == {"none"}
    assert sorted(records["connection"].tolist()) == [0, 1]
    assert load.count("resent") == 0


def test_event_of_a_socket_that_was_replaced_is_not_its_successors(serve: Serve, make: Make) -> None:
    """While a batch of events is dealt with, an arrival may replace a socket whose event is still in it.

    Four arrivals open connections 0 to 3. The answer on 3 makes it idle; while the one on 0 is looked at,
    1 and 2 are answered and 3 is reset, which makes one batch. While the one on 1 is looked at, the next
    four arrivals become due; the answer on 2 lets them in, and 3 turns out to be gone and is replaced by
    4. The event of the reset comes last. If 4 were taken for hung up, it would not be kept for the last
    four arrivals.
    """
    quiet_ns = SECOND_NS
    in_find, answered, go_on = threading.Event(), threading.Event(), threading.Event()
    sockets: dict[int, socket.socket] = {}

    def find(body: bytes) -> bytes:
        if body == b"zero!":
            in_find.set()
            go_on.wait(PATIENCE_S)
        elif body == b"first":
            wait_until(lambda: time.monotonic_ns() > load.started_ns + quiet_ns + 20_000_000)
        return b"a"

    def begin(sock: socket.socket, number: int) -> None:
        """Deal with the first request of one of the first four connections."""
        if number == 0:
            wait_until(lambda: load.count("requests") == 1)
            sock.sendall(ANSWER.replace(b"hello", b"zero!"))
            in_find.wait(PATIENCE_S)
            sockets[1].sendall(ANSWER.replace(b"hello", b"first"))
            sockets[2].sendall(ANSWER)
            answered.set()
        elif number == 3:
            sock.sendall(ANSWER)
            answered.wait(PATIENCE_S)
            reset(sock)
            go_on.set()

    def handle(server: Server, sock: socket.socket, number: int) -> None:
        sockets[number] = sock
        while sock.fileno() >= 0 and server.request(sock):
            # Each burst is answered when all of it is there.
            burst = -(-server.requests // 4)
            wait_until(partial(lambda due: server.requests == due, 4 * burst))
            if burst == 1:
                begin(sock, number)
            else:
                sock.sendall(ANSWER)

    burst, quiet = (1000.0, 4_000_000), (0.0, quiet_ns)
    load = make(serve(handle).port, find=find, stages=[burst, quiet, burst, quiet, burst], requests=12)
    records = load.run(PATIENCE_S)
    assert errors(records) == {"none"}
    assert load.count("resent") == 1
    assert load.count("established") == load.count("attempts") == 5
    assert sorted(records["connection"].tolist()[-4:]) == [0, 1, 2, 4]


# ---- what comes without an end, or all at once ----


def test_answer_without_an_end_keeps_nobody_waiting(serve: Serve, make: Make) -> None:
    """A server that sends interim answers without an end is timed out; others are answered meanwhile."""
    flood = b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100_000

    def handle(server: Server, sock: socket.socket, number: int) -> None:
        if number == 0:
            server.request(sock)
            while True:
                sock.sendall(flood)
        answer_for_ever(server, sock, number)

    load = make(serve(handle).port, connections=2, timeout_s=0.5)
    records = load.run(0.4)
    assert errors(records) == {"none", "timed_out"}
    timed_out = records[records["error"] == ERRORS.index("timed_out")]
    assert len(timed_out) == 1
    assert timed_out["latency_ns"][0] < 3 * SECOND_NS


def test_arrivals_that_fail_at_once_do_not_go_on_behind_the_end(closed_port: int, make: Make) -> None:
    """More arrivals than can even be refused: the rest of them is counted, and the end is the end."""
    load = make(closed_port, stages=[(1_000_000.0, SECOND_NS // 2)])
    records = load.run(0.5)
    ended_ns = time.monotonic_ns()
    assert errors(records) == {"refused"}
    assert len(records) + load.count("unsent") == 500_000
    assert load.count("unsent") > 0
    assert records["start_ns"].max() < load.started_ns + SECOND_NS
    assert ended_ns < load.started_ns + 2 * SECOND_NS


@pytest.mark.parametrize("how", ["end", "stop"])
def test_arrivals_that_come_too_late_do_not_make_it_spin(serve: Serve, make: Make, how: str) -> None:
    """Behind the end, a free connection and an arrival that is due are no reason to look again and again."""

    def handle(server: Server, sock: socket.socket, number: int) -> None:
        server.request(sock)
        if number == 0:
            wait_until(lambda: time.monotonic_ns() > load.started_ns + SECOND_NS // 5)
            sock.sendall(ANSWER)
        sock.recv(1)

    load = make(serve(handle).port, connections=2, timeout_s=1.5, stages=[(1000.0, SECOND_NS // 10)])
    load.start(0.1 if how == "end" else PATIENCE_S)
    if how == "stop":
        wait_until(lambda: load.count("attempts") == 2)
        load.engine.stop()
    records = load.finish()
    assert sorted(ERRORS[code] for code in records["error"].tolist()) == ["none", "timed_out"]
    assert load.count("cpu_ns") < SECOND_NS // 4


# ---- how answers come ----


@pytest.mark.parametrize("size", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 65 * CHUNK, 130 * CHUNK + 1])
@pytest.mark.parametrize("ends", [False, True])
def test_answer_of_any_size_is_read_to_its_end(serve: Serve, make: Make, size: int, *, ends: bool) -> None:
    """Whether it fills the buffer exactly or not, in one go or many, with the connection's end or without."""
    head = b"HTTP/1.1 200 OK\r\nX-Instance: a\r\nContent-Length: %9d\r\n\r\n"
    answer = head % (size - len(head % 0)) + bytes(size - len(head % 0))

    def handle(server: Server, sock: socket.socket, _: int) -> None:
        while server.request(sock):
            for at in range(0, size, CHUNK):
                sock.sendall(answer[at : at + CHUNK])
            if ends:
                say_no_more(sock)
                return

    load = make(serve(handle).port, connections=2, requests=20)
    records = load.run(PATIENCE_S)
    assert errors(records) == {"none"}
    assert load.count("body_bytes") == 20 * (size - len(head % 0))
    assert load.count("attempts") - load.count("resent") <= 20
    assert (load.count("attempts") == 2) == (not ends)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (ANSWER, "none"),
        (ANSWER.replace(b"Content-Length: 5", b"X: y"), "none"),
        (ANSWER.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked")[:-5] + b"0\r\n\r\n", "none"),
        (ANSWER.replace(b"X-Instance", b"X-Other"), "unidentified"),
        (ANSWER.replace(b"Content-Length: 5", b"X: y").replace(b"X-Instance", b"X-Other"), "unidentified"),
        (ANSWER[:-1], "truncated"),
        (ANSWER + b"x", "malformed"),
        (b"", "truncated"),
    ],
)
@pytest.mark.parametrize("pieces", [1, 2])
def test_answer_and_end_may_come_together(
    serve: Serve, make: Make, answer: bytes, error: str, *, pieces: int
) -> None:
    """Bytes and the connection's end in one event are both heeded, and no connection is used again."""

    def handle(server: Server, sock: socket.socket, _: int) -> None:
        if server.request(sock):
            half = len(answer) // pieces
            sock.sendall(answer[:half])
            sock.sendall(answer[half:])
            say_no_more(sock)

    server = serve(handle)
    load = make(server.port, requests=20)
    records = load.run(PATIENCE_S)
    # A piece that ends where the answer does hides what comes behind it; see test_wire_parser.py.
    assert errors(records) == {error}
    assert load.count("body_bytes") == (
        20 * 5 if error in {"none", "unidentified"} and answer[-1:] == b"o" else 0
    )
    assert server.requests == 20


def test_request_is_sent_again_when_a_kept_connection_ends(serve: Serve, make: Make) -> None:
    """Servers close kept connections at some time: no failure, and each request is recorded once."""

    def handle(server: Server, sock: socket.socket, _: int) -> None:
        for _ in range(5):
            server.request(sock)
            sock.sendall(ANSWER)
        say_no_more(sock)

    server = serve(handle)
    load = make(server.port, requests=200)
    records = load.run(PATIENCE_S)
    assert errors(records) == {"none"}
    assert len(records) == server.requests == 200
    assert load.count("attempts") >= 40


# ---- requests that are longer than the sockets take ----

LONG = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 16000000\r\n\r\n" + bytes(16_000_000)


def test_answer_before_the_request_is_out_ends_the_connection(serve: Serve, make: Make) -> None:
    """The rest of the request is not sent as if it were the next one."""

    def handle(_: Server, sock: socket.socket, __: int) -> None:
        sock.recv(1000)
        sock.sendall(ANSWER.replace(b"200 OK", b"413 Too much"))
        wait_until(lambda: load.count("requests") == 8)

    load = make(serve(handle).port, texts=[LONG], requests=8)
    records = load.run(PATIENCE_S)
    assert errors(records) == {"status"}
    assert sorted(records["connection"].tolist()) == list(range(8))


def test_reset_before_the_request_is_out_is_a_reset(serve: Serve, make: Make) -> None:
    """Sending learns of it first, and the system tells of a reset only once."""

    def handle(_: Server, sock: socket.socket, __: int) -> None:
        sock.recv(1000)
        reset(sock)

    load = make(serve(handle).port, texts=[LONG], requests=8)
    assert errors(load.run(PATIENCE_S)) == {"reset"}


def test_long_request_arrives_whole(serve: Serve, make: Make) -> None:
    """It is sent in as many parts as it takes, and the connection is used again."""

    def handle(_: Server, sock: socket.socket, __: int) -> None:
        while True:
            left = len(LONG)
            while left:
                got = len(sock.recv(min(left, 1 << 20)))
                if not got:
                    assert left == len(LONG)
                    return
                left -= got
            sock.sendall(ANSWER)

    load = make(serve(handle).port, connections=2, texts=[LONG], requests=8)
    assert errors(load.run(PATIENCE_S)) == {"none"}
    assert load.count("attempts") == 2


# ---- users ----


def test_users_come_and_go(serve: Serve, make: Make) -> None:
    """However often their number changes, every served request is recorded, and nobody is left over."""
    server = serve(answer_for_ever)
    load = make(server.port, connections=50)
    chance = random.Random(1)
    load.start(1.5)
    for _ in range(300):
        load.engine.set_users(chance.randrange(51))
        time.sleep(chance.random() * 0.005)
    load.engine.set_users(0)
    wait_until(lambda: load.count("requests") and load.count("requests") == server.requests)
    wait_until_all_left(server)
    load.engine.set_users(10)
    records = load.finish()
    assert errors(records) == {"none"}
    assert len(records) == server.requests


def test_users_without_a_server_pause_and_come_back(closed_port: int, make: Make) -> None:
    """Pauses of 1, 2, 4, … 100 ms: each user tries about ten times in half a second, none is forgotten."""
    load = make(closed_port, connections=500)
    records = load.run(0.5)
    assert errors(records) == {"refused"}
    assert 500 * 4 <= len(records) <= 500 * 12
    starts = (records["start_ns"] - load.started_ns) // 1_000_000
    assert (starts >= 300).sum() >= 500


# ---- the engine's own end ----


def test_lost_records_are_counted_and_end_the_load(serve: Serve, make: Make) -> None:
    """A full disk is told with its errno, and the load does not go on without its records."""
    with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123
        load = make(serve(answer_for_ever).port, records=full.fileno())
        load.start(PATIENCE_S)
        load.engine.join()
    assert load.engine.failure() == errno.ENOSPC
    assert load.count("lost_records") == load.count("requests") > 0


def test_engine_writes_nothing_behind_a_lost_record(serve: Serve, make: Make) -> None:
    """What is cut off is the last: where a file has room again, records behind a gap would all be misread."""
    receiver, sender = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.fcntl(sender, fcntl.F_SETPIPE_SZ, 4096)
    held = threading.Event()

    def handle(server: Server, sock: socket.socket, number: int) -> None:
        if number == 0:
            server.request(sock)
            held.wait(PATIENCE_S)
            sock.sendall(ANSWER)
        else:
            answer_for_ever(server, sock, number)

    load = make(serve(handle).port, records=sender)
    load.start(PATIENCE_S)
    wait_until(load.engine.failure)
    written = os.read(receiver, 1 << 20)
    held.set()
    load.engine.join()
    os.close(sender)
    load.close()
    assert load.engine.failure() == errno.EAGAIN
    assert load.count("lost_records") == load.count("requests") - len(written) // RECORD_BYTES
    del load
    assert os.get_blocking(receiver) is False
    with pytest.raises(BlockingIOError):
        os.read(receiver, 1)
    os.close(receiver)


def test_engine_starts_once(closed_port: int, make: Make) -> None:
    """A second start is refused, and who waits for an engine that was never started does not wait."""
    load = make(closed_port)
    load.engine.join()
    load.engine.stop()
    load.start(PATIENCE_S)
    with pytest.raises(OSError, match="already"):
        load.start(PATIENCE_S)
    assert len(load.finish()) == 0


def test_engine_lets_many_threads_wait_for_its_end(serve: Serve, make: Make) -> None:
    """As many threads as like, from before the end or behind it."""
    load = make(serve(answer_for_ever).port)
    load.start(PATIENCE_S)
    waiting = [threading.Thread(target=load.engine.join) for _ in range(8)]
    for thread in waiting:
        thread.start()
    wait_until(lambda: load.count("requests") > 100)
    load.engine.stop()
    for thread in waiting:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert os.read(load.engine.done_fd(), 8) == struct.pack("=Q", 1)
    assert errors(load.finish()) == {"none"}


def test_engine_that_nobody_holds_ends(serve: Serve, file: IO[bytes]) -> None:
    """Whoever drops it in the middle of its work, which asks Python for names, waits, and is not blocked."""
    server = serve(answer_for_ever)
    for _ in range(20):
        held = [Load(file, server.port, find=lambda _: b"a")]
        held[0].start(PATIENCE_S)
        wait_until(partial(lambda some: some[0].count("attempts"), held))
        held.clear()
        wait_until_all_left(server)


def test_last_reference_may_end_in_find(serve: Serve, file: IO[bytes]) -> None:
    """The thread can't wait for itself; it ends all the same, and closes its connections."""
    server = serve(answer_for_ever)
    held: list[Load] = []
    dropped = threading.Event()

    def find(_: bytes) -> None:
        held.clear()
        gc.collect()
        dropped.set()

    held.append(Load(file, server.port, find=find))
    held[0].start(PATIENCE_S)
    assert dropped.wait(PATIENCE_S)
    wait_until_all_left(server)


@pytest.mark.parametrize("wrong", [ValueError("no"), "text", 7])
def test_name_that_cannot_be_found_is_told(
    serve: Serve, make: Make, unraisable: list[Any], wrong: Exception | str | int
) -> None:
    """An exception in the search, or what is no bytes, goes where Python tells of such; the load goes on."""

    def find(_: bytes) -> Any:
        if isinstance(wrong, Exception):
            raise wrong
        return wrong

    records = make(serve(answer_for_ever).port, find=find, requests=50).run(PATIENCE_S)
    assert errors(records) == {"unidentified"}
    assert len(records) == 50
    # The same body is not looked at twice.
    assert [type(told) for told in unraisable] == [ValueError if isinstance(wrong, Exception) else TypeError]


def test_search_cannot_wait_for_its_own_thread(serve: Serve, make: Make, unraisable: list[Any]) -> None:
    """That would be for ever."""
    load: Load = make(serve(answer_for_ever).port, find=lambda _: load.engine.join(), requests=5)
    assert errors(load.run(PATIENCE_S)) == {"unidentified"}
    assert [type(told) for told in unraisable] == [RuntimeError]


def test_interpreter_may_end_while_the_engine_runs(serve: Serve) -> None:
    """Nothing hangs or crashes, whether the thread is asking Python or not."""
    server = serve(answer_for_ever)
    for find in ("None", "lambda body: b'a' * (len(body) + 1)"):
        code = f"""
import os, time
from harness.load._wire import Engine
engine = Engine(("127.0.0.1", {server.port}), [{REQUEST!r}], os.memfd_create("r"), 4, 10**9, find={find})
engine.set_users(4)
engine.start(time.monotonic_ns(), time.monotonic_ns() + 10**11)
while engine.counters()["requests"] < 100:
    time.sleep(0.001)
"""
        done = subprocess.run(
            [sys.executable, "-c", code], timeout=PATIENCE_S, check=False, capture_output=True
        )
        assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout_s": 0},
        {"timeout_s": 2e9},
        {"connections": 0},
        {"connections": 1_000_001},
        {"texts": [b""]},
        {"texts": []},
        {"turns": b""},
        {"turns": b"\0\1"},
        {"stages": [(-1.0, 1)]},
        {"stages": [(float("nan"), 1)]},
        {"stages": [(1.0, 0)]},
        {"stages": [(1.0, 2**62), (1.0, 2**62), (1.0, 2**62)]},
        {"sources": ["::1"]},
        {"sources": ["not an address"]},
    ],
)
def test_engine_refuses_values_that_would_overflow(
    closed_port: int, make: Make, wrong: dict[str, Any]
) -> None:
    """Times are sums of 64 bits, and everything that is counted was counted out beforehand."""
    with pytest.raises(ValueError, match=r"."):
        make(closed_port, **wrong)


def test_time_that_would_overflow_is_no_start(closed_port: int, make: Make) -> None:
    """As above, for the clock."""
    load = make(closed_port, stages=[(1.0, 10**18)], timeout_s=10**9)
    for start_ns in (-1, 2**63 - 1):
        with pytest.raises(ValueError, match="monotonic"):
            load.engine.start(start_ns, start_ns)
    load.engine.start(10**18, 2**63 - 1)
    load.engine.stop()
    assert len(load.finish()) == 0


def test_record_has_the_layout_that_is_read() -> None:
    """The C structure and the one of Python are written down twice."""
    assert STRUCT.size == RECORD_BYTES
