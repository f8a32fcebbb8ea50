"""Arrivals that don't wait for answers; only the compiled data plane has them."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.load.profile import LoadProfile
    from tests.load.conftest import Generator, Server

    Serve = Callable[[Any], Server]
    Profiles = Callable[..., LoadProfile]

ANSWER = b"HTTP/1.1 200 OK\r\nX-Instance: a\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def plane() -> str:
    """Name the one that can."""
    return "wire"


def stages(*rates: tuple[float, float]) -> tuple[tuple[float, int], ...]:
    """Give rates a second, and for how many seconds, as a profile has them."""
    return tuple((rate, int(seconds * 1e9)) for rate, seconds in rates)


def keep(server: Server, sock: socket.socket, _: int) -> None:
    """Answer every request of a connection."""
    while server.request(sock):
        sock.sendall(ANSWER)


def test_arrivals_keep_to_the_schedule(generator: Generator, serve: Serve, profile: Profiles) -> None:
    """As many as rates and times say, at equal distances, from the first moment on; none is left out."""
    server = serve(keep)
    rates = stages((100, 0.5), (0, 0.1), (400, 0.5))
    wanted = profile(server.port, stages=rates, users=100, requests_per_connection=None)
    outcome = generator.drive(wanted, 1.1)
    arrived = np.sort(outcome.records["intended_start_ns"]) - outcome.done["started_ns"]
    assert len(arrived) == 50 + 200
    assert outcome.done["unsent"] == 0
    assert arrived[:50].tolist() == [10_000_000 * n for n in range(50)]
    assert arrived[50:].tolist() == [600_000_000 + 2_500_000 * n for n in range(200)]
    assert (outcome.records["start_ns"] >= outcome.records["intended_start_ns"]).all()
    assert outcome.done["locust"]["num_requests"] == 250


def test_random_arrivals_are_poissons(generator: Generator, serve: Serve, profile: Profiles) -> None:
    """Gaps are exponential with the rate's mean; the seed decides which, and nothing else."""
    from scipy.stats import kstest

    server = serve(keep)
    found = []
    for seed in (1, 1, 2):
        wanted = profile(server.port, stages=stages((500, 1.0)), poisson=True, users=500, seed=seed)
        outcome = generator.drive(wanted, 1)
        assert outcome.done["unsent"] == 0
        arrived = np.sort(outcome.records["intended_start_ns"]) - outcome.done["started_ns"]
        found.append(arrived.tolist())
    assert found[0] == found[1] != found[2]
    # Six standard deviations of a Poisson count, and one in a million for the shape.
    assert abs(len(found[2]) - 500) < 6 * 500**0.5
    assert kstest(np.diff(found[2]) * 500 / 1e9, "expon").pvalue > 1e-6


def test_a_stall_shows_in_the_latency_of_all_who_arrived(
    generator: Generator, serve: Serve, profile: Profiles
) -> None:
    """While the server stands still, arrivals go on; their latency counts from when they came."""
    stalled = time.monotonic() + 0.3

    def stalling(server: Server, sock: socket.socket, _: int) -> None:
        while server.request(sock):
            now = time.monotonic()
            if stalled <= now < stalled + 0.5:
                time.sleep(stalled + 0.5 - now)
            sock.sendall(ANSWER)

    wanted = profile(serve(stalling).port, stages=stages((100, 1.2)), users=4, requests_per_connection=None)
    outcome = generator.drive(wanted, 1.2)
    records = outcome.records
    waited = records["start_ns"] - records["intended_start_ns"] + records["latency_ns"]
    assert len(records) == 120
    # Of fifty that came in the stall, the first waited the half second, and so on down.
    assert 35 <= np.count_nonzero(waited > 100_000_000) <= 60
    # Four connections can't carry them: what was sent late is seen as such.
    assert (records["start_ns"] - records["intended_start_ns"]).max() > 300_000_000
    assert np.count_nonzero(records["latency_ns"] > 100_000_000) <= 8


def test_arrivals_that_find_no_connection_are_counted(
    generator: Generator, serve: Serve, profile: Profiles
) -> None:
    """Sent and unsent are all that the schedule has."""

    def slow(server: Server, sock: socket.socket, _: int) -> None:
        while server.request(sock):
            time.sleep(0.05)
            sock.sendall(ANSWER)

    wanted = profile(serve(slow).port, stages=stages((200, 0.5)), users=2, requests_per_connection=None)
    outcome = generator.drive(wanted, 0.5)
    assert len(outcome.records) + outcome.done["unsent"] == 100
    assert 10 <= len(outcome.records) <= 30
    assert outcome.done["connections"] == 2


def test_a_number_of_requests_ends_the_arrivals(
    generator: Generator, serve: Serve, profile: Profiles
) -> None:
    """Whatever comes first: the number, or the time."""
    wanted = profile(serve(keep).port, stages=stages((1000, 60.0)), users=50, requests=100)
    outcome = generator.drive(wanted, 60)
    assert len(outcome.records) == 100
    assert outcome.done["unsent"] == 0


def test_refused_arrivals_come_at_their_rate(generator: Generator, profile: Profiles) -> None:
    """A port where nobody listens doesn't make the generator spin, nor the schedule stop."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    outcome = generator.drive(profile(port, stages=stages((100, 0.5)), users=10), 0.5)
    assert outcome.errors == {"refused"}
    assert len(outcome.records) == 50


def test_a_reset_leaves_no_connection_behind(generator: Generator, serve: Serve, profile: Profiles) -> None:
    """The server sees a reset where clients are to close by one."""
    ended: list[str] = []

    def watching(server: Server, sock: socket.socket, _: int) -> None:
        server.request(sock)
        sock.sendall(ANSWER)
        try:
            ended.append("fin" if sock.recv(1) == b"" else "more")
        except ConnectionResetError:
            ended.append("reset")

    for reset, how in ((False, "fin"), (True, "reset")):
        ended.clear()
        server = serve(watching)
        outcome = generator.drive(profile(server.port, stages=stages((100, 0.2)), users=20, reset=reset), 0.2)
        server.settle()
        assert len(outcome.records) == 20
        assert ended == [how] * 20
