"""The process in ordinary circumstances: counts that agree, phases, and the ways in which it ends."""

from __future__ import annotations

import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.recording.layout import NO_INSTANCE, as_array

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.load.profile import LoadProfile
    from tests.load.conftest import Generator, Outcome, Server

    Make = Callable[..., Generator]
    Profiles = Callable[..., LoadProfile]
    Serve = Callable[[Any], Server]


def answer(name: str, body: bytes = b"hello", extra: bytes = b"") -> bytes:
    """Give a plain answer."""
    return b"HTTP/1.1 200 OK\r\nX-Instance: %s\r\n%sContent-Length: %d\r\n\r\n%s" % (
        name.encode(),
        extra,
        len(body),
        body,
    )


def kind(server: Server, sock: socket.socket, number: int) -> None:
    """Answer every request; there is an instance for every other connection."""
    while server.request(sock):
        sock.sendall(answer("ab"[number % 2]))


def check(outcome: Outcome, server: Server) -> None:
    """Compare what the client recorded with what the server counted."""
    done, records = outcome.done, outcome.records
    server.settle()
    assert done["requests"] == len(records) == server.requests > 0
    assert done["connections"] == len(np.unique(records["connection"])) == server.connections
    assert done["errors"] == 0
    assert done["error_counts"] == {}
    assert done["locust"] == {"num_requests": len(records), "num_failures": 0}
    assert set(records["status"].tolist()) == {200}


@pytest.mark.parametrize("per_connection", [1, 3, None])
def test_client_and_server_count_the_same(
    generator: Generator, serve: Serve, profile: Profiles, per_connection: int | None
) -> None:
    """No request and no connection is lost or counted twice, however often connections are reused."""
    server = serve(kind)
    outcome = generator.drive(profile(server.port, requests_per_connection=per_connection), 0.3)
    check(outcome, server)
    uses = Counter(Counter(outcome.records["connection"].tolist()).values())
    if per_connection is None:
        assert server.connections == 4
    else:
        assert max(uses) == per_connection
        assert sum(n for times, n in uses.items() if times < per_connection) <= 4  # cut off by the end


@pytest.mark.parametrize(("users", "per_connection"), [(1, 1), (7, 1), (64, None), (64, 5)])
def test_a_bound_on_requests_is_kept_to_the_last(
    generator: Generator, serve: Serve, profile: Profiles, users: int, per_connection: int | None
) -> None:
    """Exactly so many requests begin, however many users there are, and the phase ends with the last."""
    server = serve(kind)
    bounded = profile(server.port, users=users, requests_per_connection=per_connection, requests=300)
    outcome = generator.drive(bounded, 60)
    check(outcome, server)
    assert outcome.done["requests"] == 300
    assert outcome.done["elapsed_ns"] < 30_000_000_000
    assert outcome.done["stopped_early"] is False


def test_a_bound_below_the_number_of_users_leaves_some_without(
    generator: Generator, serve: Serve, profile: Profiles
) -> None:
    """Three requests of eight users are three."""
    server = serve(kind)
    check(outcome := generator.drive(profile(server.port, users=8, requests=3), 60), server)
    assert outcome.done["requests"] == 3


def test_failures_count_towards_the_bound(generator: Generator, profile: Profiles) -> None:
    """A request that found nobody has begun as any other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    outcome = generator.drive(profile(port, users=2, requests=10), 60)
    assert (outcome.done["requests"], outcome.errors) == (10, {"refused"})


def test_time_ends_a_phase_whose_bound_is_not_reached(
    generator: Generator, serve: Serve, profile: Profiles
) -> None:
    """The bound on requests doesn't lengthen a phase."""
    server = serve(kind)
    outcome = generator.drive(profile(server.port, requests=10**9), 0.2)
    check(outcome, server)
    assert outcome.done["elapsed_ns"] < 10_000_000_000


def test_record_says_what_happened_and_when(generator: Generator, serve: Serve, profile: Profiles) -> None:
    """Times are monotonic and lie within the phase; the connection's instance is its requests' instance."""

    def slow(server: Server, sock: socket.socket, number: int) -> None:
        while server.request(sock):
            time.sleep(0.02)
            sock.sendall(answer("ab"[number % 2]))

    before = time.monotonic_ns()
    server = serve(slow)
    outcome = generator.drive(profile(server.port, requests_per_connection=5))
    records, done = outcome.records, outcome.done
    ends = records["start_ns"] + records["latency_ns"]
    assert (records["intended_start_ns"] == records["start_ns"]).all()
    assert before < done["started_ns"] <= records["start_ns"].min()
    assert records["start_ns"].max() < done["started_ns"] + 200_000_000
    assert ends.max() <= done["ended_ns"] < time.monotonic_ns()
    assert 20_000_000 <= records["latency_ns"].min() < 1_000_000_000
    assert done["elapsed_ns"] == done["ended_ns"] - done["started_ns"]
    assert 0 < done["cpu_ns"] < done["elapsed_ns"]
    assert sorted(done["identities"]) == ["a", "b"]
    for connection in np.unique(records["connection"]):
        assert len(np.unique(records["instance"][records["connection"] == connection])) == 1


def test_progress_is_reported_while_the_phase_runs(
    generator: Generator, serve: Serve, profile: Profiles
) -> None:
    """The parent sees growing numbers a few times a second, and never more than in the end."""
    server = serve(kind)
    outcome = generator.drive(profile(server.port), 0.9)
    requests = [message["requests"] for message in outcome.progress]
    assert 2 <= len(requests) <= 4
    assert requests == sorted(requests)
    assert 0 < requests[-1] <= outcome.done["requests"]
    assert [message["event"] for message in outcome.progress] == ["progress"] * len(requests)
    assert outcome.progress[0]["elapsed_ns"] >= 240_000_000


def test_phases_share_nothing(generator: Generator, serve: Serve, profile: Profiles) -> None:
    """Warm-up leaves no connection, number or identity behind for the load that follows."""
    for _ in range(2):
        server = serve(kind)
        outcome = generator.drive(profile(server.port, requests_per_connection=None), 0.1)
        check(outcome, server)
        assert sorted(set(outcome.records["connection"].tolist())) == [0, 1, 2, 3]
        assert sorted(outcome.done["identities"]) == ["a", "b"]


def test_identity_in_the_body_is_recorded(generator: Generator, serve: Serve, profile: Profiles) -> None:
    """The instance is found where the profile says, here with a regular expression."""

    def handle(server: Server, sock: socket.socket, number: int) -> None:
        while server.request(sock):
            sock.sendall(answer("", b"I am instance-%d." % (number % 3)))

    server = serve(handle)
    outcome = generator.drive(profile(server.port, identity_header=None, identity_body=r"instance-(\d+)"))
    check(outcome, server)
    assert sorted(outcome.done["identities"]) == ["0", "1", "2"]
    assert NO_INSTANCE not in outcome.records["instance"]


@pytest.mark.parametrize("framing", ["chunked", "close-delimited", "split"])
def test_unusual_answers_are_read(
    generator: Generator, serve: Serve, profile: Profiles, framing: str
) -> None:
    """Chunks, bodies that end with the connection, and answers cut at every byte are good answers."""
    head = b"HTTP/1.1 200 OK\r\nX-Instance: a\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    data = {"chunked": chunked, "close-delimited": head + b"\r\nhello", "split": answer("a")}[framing]

    def handle(server: Server, sock: socket.socket, number: int) -> None:
        while server.request(sock):
            at = number % len(data) if framing == "split" else 0
            sock.sendall(data[:at])
            time.sleep(0.001)
            sock.sendall(data[at:])
            if framing == "close-delimited":
                return

    server = serve(handle)
    check(generator.drive(profile(server.port), 0.3), server)


def test_sources_are_used_in_turn(generator: Generator, serve: Serve, profile: Profiles) -> None:
    """Connections come from each source address equally often, and the record says from which."""
    server = serve(kind)
    sources = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
    outcome = generator.drive(profile(server.port, sources=sources))
    check(outcome, server)
    counts = Counter(server.peers)
    assert set(counts) == set(sources)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert Counter(sources[n] for n in outcome.records["source"].tolist()) == counts


def test_closed_idle_connection_is_replaced(generator: Generator, serve: Serve, profile: Profiles) -> None:
    """A server may end a kept-alive connection after any answer: the request goes out again on a new one."""

    def twice(server: Server, sock: socket.socket, _: int) -> None:
        for _ in range(2):
            if server.request(sock):
                sock.sendall(answer("a"))
        sock.shutdown(socket.SHUT_WR)  # to close a socket with a request unread in it would reset it
        while sock.recv(4096):
            pass

    server = serve(twice)
    outcome = generator.drive(profile(server.port, requests_per_connection=None))
    check(outcome, server)
    uses = Counter(outcome.records["connection"].tolist())
    # The compiled plane sees most of the ends before it asks again.
    assert outcome.done["resent"] <= len(uses)
    assert max(uses.values()) == 2


def test_users_come_at_the_spawn_rate(generator: Generator, serve: Serve, profile: Profiles) -> None:
    """Six users at three a second: Locust has three come at once, and three a second later."""
    server = serve(kind)
    outcome = generator.drive(
        profile(server.port, users=6, spawn_rate_per_s=3.0, requests_per_connection=None), 1.5
    )
    check(outcome, server)
    first: dict[int, int] = {}
    for record in outcome.records:
        came = int(record["start_ns"]) - outcome.done["started_ns"]
        first[int(record["connection"])] = min(came, first.get(int(record["connection"]), came))
    came_s = sorted(ns / 1e9 for ns in first.values())
    assert len(came_s) == 6
    assert came_s[2] < 0.5 < came_s[3] < came_s[5] < 1.5


def test_stop_ends_the_phase_early(generator: Generator, serve: Serve, profile: Profiles) -> None:
    """Requests at hand are finished, records written, and the report says that it was not the whole phase."""
    server = serve(kind)
    outcome = generator.drive(profile(server.port), 60, during=lambda: generator.channel.send({"do": "stop"}))
    check(outcome, server)
    assert outcome.done["stopped_early"]
    assert not generator.drive(profile(server.port), 0.05).done["stopped_early"]


def test_records_are_written_while_the_phase_runs(
    own_generator: Generator, serve: Serve, profile: Profiles
) -> None:
    """A generator that is killed leaves the records that it had reported as progress."""
    server = serve(kind)
    with tempfile.TemporaryFile() as file:
        own_generator.begin(profile(server.port), 60, file)
        requests = own_generator.channel.receive(5)["requests"]
        own_generator.process.kill()
        own_generator.process.wait()
        file.seek(0)
        assert len(as_array(file.read())) >= requests > 0


@pytest.mark.parametrize("driving", [False, True])
@pytest.mark.parametrize("how", ["quit", "close"])
def test_process_ends_with_its_parent(
    own_generator: Generator, serve: Serve, profile: Profiles, how: str, *, driving: bool
) -> None:
    """Told to quit or left alone, idle or in the middle of a phase, it is gone at once and says nothing."""
    server = serve(kind)
    with tempfile.TemporaryFile() as file:
        if driving:
            own_generator.begin(profile(server.port), 60, file)
            own_generator.channel.receive(5)
        if how == "quit":
            own_generator.channel.send({"do": "quit"})
        else:
            own_generator.channel.close()
        assert own_generator.process.wait(5) == 0
        assert own_generator.said() == ""


def test_interrupt_is_the_parents_to_handle(
    own_generator: Generator, serve: Serve, profile: Profiles
) -> None:
    """Ctrl-C reaches the whole process group; the generator goes on until it is told otherwise."""
    server = serve(kind)
    interrupt = own_generator.process.send_signal
    outcome = own_generator.drive(profile(server.port), 0.5, during=lambda: interrupt(signal.SIGINT))
    check(outcome, server)
    assert own_generator.said() == ""


def test_ready_names_the_versions(generator: Generator) -> None:
    """The result must say with what it was made."""
    assert generator.ready["event"] == "ready"
    assert set(generator.ready["versions"]) == {"locust", "gevent"}


def test_defect_in_the_user_ends_the_process_loudly(
    make_generator: Make, tmp_path: Path, serve: Serve, profile: Profiles
) -> None:
    """Locust would log it and try again for ever; here the process dies and says why."""
    program = tmp_path / "broken.py"
    program.write_text(
        "import sys\n"
        "from harness.load import generator, user, wired\n"
        "def broken(_): raise KeyError('a defect')\n"
        "user.BareUser._exchange = wired.WirePhase.join = broken\n"
        "generator.main()\n"
    )
    server = serve(kind)
    generator = make_generator(sys.executable, str(program))
    with tempfile.TemporaryFile() as file:
        generator.begin(profile(server.port), 60, file)
        assert generator.process.wait(10) == 1
    assert "a defect" in generator.said().splitlines()[-1]


def test_generator_refuses_more_users_than_open_files(
    make_generator: Make, serve: Serve, profile: Profiles
) -> None:
    """Users without a descriptor would look like failures of the endpoint."""
    limited = ["import resource, runpy", "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))"]
    run = "runpy.run_module('harness.load.generator', run_name='__main__', alter_sys=True)"
    generator = make_generator(sys.executable, "-c", "\n".join([*limited, run]))
    with tempfile.TemporaryFile() as file:
        generator.begin(profile(serve(kind).port, users=500), 1, file)
        assert generator.process.wait(10) == 1
    assert "500 users need 564 open files, and the limit is 100" in generator.said()
