"""A generator process to speak to, and servers that answer as badly as a test wants."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Any, Literal

import pytest

from harness.common.channel import Channel, ChannelClosedError, Message
from harness.load.profile import LoadProfile
from harness.recording.layout import ERRORS, as_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    Handler = Callable[["Server", socket.socket, int], None]

PATIENCE_S = 15.0


@dataclass(frozen=True)
class Outcome:
    """What one phase left behind."""

    done: Message
    progress: list[Message]
    records: npt.NDArray[Any]

    @property
    def errors(self) -> set[str]:
        """The classes of failure in the records."""
        return {ERRORS[code] for code in self.records["error"].tolist()}


class Generator:
    """The process, and the parent's end of its channel."""

    def __init__(self, program: tuple[str, ...] = (sys.executable, "-m", "harness.load.generator")) -> None:
        self.channel, theirs = Channel.pair()
        self.stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  close() closes it
        with theirs:
            self.process = subprocess.Popen(
                [*program, str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=self.stderr,
                stderr=self.stderr,
            )
        try:
            self.ready = self.channel.receive(PATIENCE_S)
        except (ChannelClosedError, TimeoutError):
            self.process.kill()
            self.process.wait()
            raise AssertionError(self.said()) from None

    def begin(self, profile: LoadProfile, duration_s: float, file: IO[bytes]) -> None:
        """Start a phase whose records go to this file."""
        message = {
            "do": "drive",
            "profile": profile.to_json(),
            "duration_ns": int(duration_s * 1e9),
            "phase": "load",
        }
        self.channel.send(message, (file.fileno(),))

    def drive(
        self, profile: LoadProfile, duration_s: float = 0.2, *, during: Callable[[], None] | None = None
    ) -> Outcome:
        """Run one phase; `during` is called with the first report of progress."""
        with tempfile.TemporaryFile() as file:
            self.begin(profile, duration_s, file)
            progress: list[Message] = []
            while (message := self.channel.receive(PATIENCE_S))["event"] != "done":
                progress.append(message)
                if during is not None and len(progress) == 1:
                    during()
            file.seek(0)
            return Outcome(message, progress, as_array(file.read()))

    def said(self) -> str:
        """Give all that the process wrote to its standard streams."""
        self.stderr.seek(0)
        return self.stderr.read().decode()

    def close(self) -> None:
        """End the process by closing its channel."""
        self.channel.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE_S)
        self.process.kill()
        self.process.wait()
        self.stderr.close()


@pytest.fixture(scope="session")
def shared_generator() -> Iterator[Generator]:
    generator = Generator()
    yield generator
    said = generator.said()
    generator.close()
    assert said == ""


@pytest.fixture
def generator(shared_generator: Generator) -> Generator:
    return shared_generator


@pytest.fixture
def make_generator() -> Iterator[Callable[..., Generator]]:
    """Give a function that starts a process of the test's own, from this program where one is given."""
    with contextlib.ExitStack() as stack:

        def make(*program: str) -> Generator:
            generator = Generator(program) if program else Generator()
            stack.callback(generator.close)
            return generator

        yield make


@pytest.fixture
def own_generator(make_generator: Callable[..., Generator]) -> Generator:
    return make_generator()


@dataclass
class Server:
    """A listening socket and a thread for each of its connections."""

    listener: socket.socket
    connections: int = 0
    requests: int = 0

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.threads: list[threading.Thread] = []
        self.peers: list[str] = []

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self.listener.getsockname()[1]
        return port

    def serve(self, handle: Handler) -> None:
        """Accept until the listener is shut down."""
        with contextlib.suppress(OSError):
            while True:
                sock, peer = self.listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(PATIENCE_S)
                self.peers.append(peer[0])
                thread = threading.Thread(target=self._run, args=(handle, sock, self.connections))
                self.connections += 1
                self.threads.append(thread)
                thread.start()

    def _run(self, handle: Handler, sock: socket.socket, number: int) -> None:
        with sock, contextlib.suppress(OSError):
            handle(self, sock, number)

    def request(self, sock: socket.socket) -> bytes:
        """Read one request; empty when the client has closed."""
        data = b""
        while b"\r\n\r\n" not in data:  # a body may have come along
            more = sock.recv(4096)
            if not more:
                return b""
            data += more
        with self.lock:
            self.requests += 1
        return data

    def settle(self) -> None:
        """Wait until every connection has been dealt with."""
        for thread in self.threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


@pytest.fixture
def serve() -> Iterator[Callable[[Any], Server]]:
    """Give a function that starts a server whose connections this handler deals with."""
    started: list[tuple[Server, threading.Thread]] = []

    def start(handle: Any) -> Server:
        listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        server = Server(listener)
        thread = threading.Thread(target=server.serve, args=(handle,))
        thread.start()
        started.append((server, thread))
        return server

    yield start
    for server, thread in started:
        with contextlib.suppress(OSError):
            server.listener.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE_S)
        server.listener.close()
        server.settle()


_PROFILE = LoadProfile(
    address="127.0.0.1",
    port=1,
    path="/",
    headers={},
    users=4,
    requests_per_connection=1,
    timeout_ns=5_000_000_000,
    identity_header="X-Instance",
    identity_body=None,
    sources=(),
    seed=1,
)


@pytest.fixture(params=["wire", "gevent"])
def plane(request: pytest.FixtureRequest) -> str:
    """Name a data plane: whatever holds of one holds of the other, so each test is made with both."""
    return str(request.param)


@pytest.fixture
def profile(plane: Literal["wire", "gevent"]) -> Callable[..., LoadProfile]:
    """Give a function that makes a profile: four users, a connection a request, identity in X-Instance."""

    def make(port: int, **changes: Any) -> LoadProfile:
        return replace(_PROFILE, port=port, user=plane, **changes)

    return make
