"""Several applications behind one port, asked for in turn: each record says whose request it was."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.load.profile import Asked

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from harness.load.profile import LoadProfile
    from tests.load.conftest import Generator, Server

ROUTES = (Asked("/a", "", 3), Asked("/b", "", 1), Asked("/", "c.example", 2))


@pytest.fixture(params=["wire", "gevent", "http"])
def plane(request: pytest.FixtureRequest) -> str:
    """Name a data plane; Locust's own, too."""
    return str(request.param)


@pytest.mark.parametrize("per_connection", [1, None])
def test_routes_are_asked_for_in_turn(
    generator: Generator,
    serve: Callable[[Any], Server],
    profile: Callable[..., LoadProfile],
    per_connection: int | None,
) -> None:
    """As often as weights say, well mixed, by all users together, on any connection."""
    asked: list[str] = []

    def echo(server: Server, sock: socket.socket, _number: int) -> None:
        while data := server.request(sock):
            path = data.split(b" ")[1].decode()
            (host,) = (line[6:].decode() for line in data.splitlines() if line.lower().startswith(b"host:"))
            asked.append(path)
            sock.sendall(
                f"HTTP/1.1 200 OK\r\nX-Instance: {path} {host}\r\nContent-Length: 0\r\n\r\n".encode()
            )

    server = serve(echo)
    made = profile(server.port, routes=ROUTES, requests=120, requests_per_connection=per_connection)
    outcome = generator.drive(made, 30)
    server.settle()
    here = made.authority()
    names = [f"/a {here}", f"/b {here}", f"/ c.example:{server.port}"]
    answered = [names.index(name) for name in outcome.done["identities"]]
    records = outcome.records
    assert [answered[instance] for instance in records["instance"]] == records["route"].tolist()
    assert np.bincount(records["route"]).tolist() == [60, 20, 40]
    first = Counter(asked[:30])  # and not one route after the other, give or take what is under way
    assert all(abs(first[path] - count) <= 3 for path, count in (("/a", 15), ("/b", 5), ("/", 10)))
