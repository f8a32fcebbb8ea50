"""The seams below and above the load: transports and codecs, found by name on either plane."""

from __future__ import annotations

import select
import socket
import tempfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.load._wire import Engine, read_answer
from harness.load.codecs import CODECS, Codec
from harness.load.profile import LoadProfile
from harness.load.transports import TRANSPORTS, Transport

if TYPE_CHECKING:
    from harness.common.registry import Registry

PROFILE = LoadProfile(
    address="127.0.0.1",
    port=1,
    path="/",
    headers={},
    users=1,
    requests_per_connection=None,
    timeout_ns=10**9,
    identity_header="X-Instance",
    identity_body=None,
    sources=(),
    seed=1,
)


@pytest.mark.parametrize("name", CODECS.names())
def test_codecs_give_their_exchanges(name: str) -> None:
    """Each by its name: a request for every route, and bytes into answers."""
    codec: Codec = CODECS.find(name)(PROFILE)
    exchanges = codec.exchanges()
    assert exchanges.encode(0) == codec.requests(PROFILE)[0]
    answer = exchanges.feed(b"HTTP/1.1 200 OK\r\nX-Instance: a\r\nContent-Length: 0\r\n\r\n")
    assert answer is not None
    assert (answer.status, codec.identities, answer.keep) == (200, ["a"], True)
    assert (answer.stream, answer.protocol_status) == (0, 0)


@pytest.mark.parametrize("name", TRANSPORTS.names())
def test_transports_move_bytes_and_never_wait(name: str) -> None:
    """Each by its name: there, back, and what would block says so."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        transport: Transport = TRANSPORTS.find(name)(replace(PROFILE, port=listener.getsockname()[1]))
        descriptor = transport.open("127.0.0.2")
        sock, peer = listener.accept()
        with sock:
            assert peer[0] == "127.0.0.2"
            assert transport.send(b"there") == 5
            assert sock.recv(100) == b"there"
            with pytest.raises(BlockingIOError):
                transport.receive(100)
            sock.sendall(b"back")
            sock.shutdown(socket.SHUT_WR)
            for expected in (b"back", b""):
                assert select.select([descriptor], [], [], 5)[0]
                assert transport.receive(100) == expected
    transport.close()
    transport.close()
    assert not transport.is_open


@pytest.mark.parametrize("registry", [CODECS, TRANSPORTS])
def test_names_that_are_none_are_refused(registry: Registry[Any]) -> None:
    """There is a table of names, and nothing beside it."""
    with pytest.raises(KeyError):
        registry.find("carrier-pigeon")
    assert registry.group in {"harness.codecs", "harness.transports"}


def test_planes_have_the_same_protocols() -> None:
    """The compiled plane knows each of the harness's own by the name that Python has for it."""
    with tempfile.TemporaryFile() as file:

        def engine(**protocol: str) -> Engine:
            return Engine(("127.0.0.1", 1), [b"x"], file.fileno(), 1, 1, **protocol)  # type: ignore[arg-type]  # names

        for transport in TRANSPORTS.names():
            for codec in CODECS.names():
                assert engine(transport=transport, codec=codec).failure() == 0
                assert read_answer([b"?"], None, False, codec)[0] == "malformed"
        for wrong, words in (
            ({"transport": "pigeon"}, "http1 over pigeon"),
            ({"codec": "smoke"}, "smoke over tcp"),
        ):
            with pytest.raises(ValueError, match=words):
                engine(**wrong)
    with pytest.raises(ValueError, match="no codec smoke"):
        read_answer([b"x"], None, False, "smoke")
