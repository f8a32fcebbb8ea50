"""Numbers of users that change while the load runs; only the compiled data plane has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from harness.load.profile import LoadProfile
    from tests.load.conftest import Generator, Server

ANSWER = b"HTTP/1.1 200 OK\r\nX-Instance: a\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def plane() -> str:
    """Name the one that can."""
    return "wire"


def test_users_come_and_go_as_the_stages_say(
    generator: Generator, serve: Callable[[Any], Server], profile: Callable[..., LoadProfile]
) -> None:
    """Two, then eight, then none, then three: as many connections are at work, and no request is lost."""

    def keep(server: Server, sock: socket.socket, _: int) -> None:
        while server.request(sock):
            sock.sendall(ANSWER)

    server = serve(keep)
    stages = tuple((users, 2_000_000_000) for users in (2, 8, 0, 3))
    outcome = generator.drive(
        profile(server.port, users=8, user_stages=stages, requests_per_connection=None), 8
    )
    server.settle()
    records, started_ns = outcome.records, outcome.done["started_ns"]
    assert len(records) == server.requests == outcome.done["locust"]["num_requests"]
    assert outcome.errors == {"none"}
    since_s = (records["start_ns"] - started_ns) / 1e9
    # Locust looks once a second, so a stage begins up to a second late.
    for begin, users in ((0, 2), (2, 8), (4, 0), (6, 3)):
        inside = (since_s >= begin + 1.2) & (since_s < begin + 1.9)
        assert len(np.unique(records["connection"][inside])) == users
