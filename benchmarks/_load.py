"""What benchmarks drive: the harness's load generator, other programs, an nginx that counts."""

from __future__ import annotations

import os
import re
import select
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import IO, TYPE_CHECKING, Any, Final, Self

import numpy as np

from harness.common.channel import Channel, ChannelClosedError, Message
from harness.common.text import stderr_tail
from harness.errors import HostError, LoadError
from harness.hosts.netns import find_program
from harness.load.codecs import CODECS
from harness.load.shared import SharedRecords
from harness.recording.layout import ERRORS, NONE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.load import _wire
    from harness.load.profile import LoadProfile

ADDRESS: Final = "127.0.0.1"
INSTANCE: Final = "one"
SECOND_NS: Final = 10**9

LOCUSTFILE: Final = """\
from locust import FastHttpUser, constant, task


class Asking(FastHttpUser):
    wait_time = constant(0)

    @task
    def ask(self):
        self.client.get("/")
"""
"""A user as people write it."""

_PATIENCE_S: Final = 30.0
_LOOK_EVERY_S: Final = 0.005

_CONFIG: Final = """\
daemon off;
{user}
pid {folder}/nginx.pid;
error_log stderr warn;
worker_processes 1;

events {{
    worker_connections 1000;
}}

http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;

    server {{
        listen {address}:{port};
        location / {{
            default_type text/plain;
            add_header X-Instance {instance};
            return 200 "answered by {instance}";
        }}
    }}

    server {{
        listen {address}:{status};
        location / {{
            stub_status;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Measured:
    """What one load came to.

    Attributes
    ----------
    requests
        As its generator counts them.
    cpu_ns, wall_ns
        Processor time of the generator, user and system, and how long it sent.
    records
        Packed records in the file; None of a generator that writes none.
    """

    requests: int
    cpu_ns: int
    wall_ns: int
    records: int | None = None

    @property
    def cpu_us(self) -> float:
        """Processor time per request."""
        return self.cpu_ns / self.requests / 1e3

    @property
    def per_second(self) -> float:
        """Requests per second."""
        return self.requests * SECOND_NS / self.wall_ns


class Nginx:
    """One nginx with one worker: a fixed answer on one port, its count of requests on another.

    Parameters
    ----------
    folder
        Where its files go.

    Raises
    ------
    HostError
        nginx is missing, or ended before it answered.
    """

    def __init__(self, folder: Path) -> None:
        program = find_program("nginx")
        if program is None:
            raise HostError("nginx is missing: install the Debian package nginx")
        self.port, self._status = _free_ports(2)
        self._asked = 0
        config = folder / "nginx.conf"
        config.write_text(
            _CONFIG.format(
                # Root's worker would become somebody who is unknown in a user namespace of root alone.
                user="user root;" if os.geteuid() == 0 else "",
                folder=folder,
                address=ADDRESS,
                port=self.port,
                status=self._status,
                instance=INSTANCE,
            )
        )
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  __exit__ closes it
        self._process = subprocess.Popen(
            [program, "-p", str(folder), "-e", "stderr", "-c", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._said,
        )

    def __enter__(self) -> Self:
        try:
            self._wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        # Not killed at once: the worker ends with its master only if the master tells it to.
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE_S)
        finally:
            self._process.kill()
            self._process.wait()
            self._said.close()

    @property
    def url(self) -> str:
        """Where it gives its fixed answer."""
        return f"http://{ADDRESS}:{self.port}/"

    def served(self) -> int:
        """Give how many requests there were so far, these questions left out."""
        return self._look()[1]

    def settled(self) -> int:
        """Wait until every connection has ended, and give how many requests there were so far.

        Raises
        ------
        LoadError
            Connections remain, so somebody still sends.
        """
        deadline_s = time.monotonic() + _PATIENCE_S
        while True:
            connections, requests = self._look()
            if connections == 1:  # the one that asks
                return requests
            if time.monotonic() > deadline_s:
                raise LoadError(f"{connections - 1} connections to nginx remain after {_PATIENCE_S:.0f} s")
            time.sleep(_LOOK_EVERY_S)

    def _look(self) -> tuple[int, int]:
        """Give how many connections there are, and how many requests there were."""
        connection = HTTPConnection(ADDRESS, self._status, timeout=_PATIENCE_S)
        try:
            connection.request("GET", "/", headers={"Connection": "close"})
            said = connection.getresponse().read().decode()
        finally:
            connection.close()
        self._asked += 1
        found = re.match(r"Active connections: (\d+) \n.*\n \d+ \d+ (\d+) \n", said)
        if found is None:
            raise HostError(f"nginx's stub_status said {said!r}")
        return int(found[1]), int(found[2]) - self._asked

    def _wait_ready(self) -> None:
        deadline_s = time.monotonic() + _PATIENCE_S
        while True:
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                self._said.seek(0)
                raise HostError(f"nginx does not answer: {stderr_tail(self._said.read())}")
            try:
                self._look()
            except (OSError, HTTPException):
                time.sleep(_LOOK_EVERY_S)
            else:
                return


class Generator:
    """The harness's load generator: a process of its own, driven over its channel.

    Attributes
    ----------
    wire
        Whether it has the compiled data plane.
    """

    wire: bool

    def __init__(self) -> None:
        self._channel, theirs = Channel.pair()
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  __exit__ closes it
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "harness.load", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
            )

    def __enter__(self) -> Self:
        try:
            self.wire = bool(self._receive()["wire"])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._channel.close()
        try:
            self._process.wait(_PATIENCE_S)
        finally:
            self._process.kill()
            self._process.wait()
            self._said.close()

    def drive(self, profile: LoadProfile, seconds: float) -> tuple[Message, NDArray[Any]]:
        """Drive a load to its end; give what the generator says of it, and its records.

        Raises
        ------
        LoadError
            A request failed or was never sent, or the generator ended.
        """
        recorded = SharedRecords()
        message = {"do": "drive", "phase": "load", "profile": profile.to_json()}
        self._send({**message, "duration_ns": int(seconds * SECOND_NS)}, (recorded.fileno(),))
        while (done := self._receive())["event"] != "done":
            pass
        if done["unsent"]:
            raise LoadError(f"{done['unsent']:,} arrivals were never sent: no figures from the others")
        return done, _good(recorded)

    def _send(self, message: Message, fds: tuple[int, ...]) -> None:
        try:
            self._channel.send(message, fds)
        except ChannelClosedError:
            raise self._gone() from None

    def _receive(self) -> Message:
        try:
            return self._channel.receive(_PATIENCE_S)
        except (ChannelClosedError, TimeoutError):
            raise self._gone() from None

    def _gone(self) -> LoadError:
        self._said.seek(0)
        return LoadError(
            f"the load generator has gone: {stderr_tail(self._said.read()) or 'it said nothing'}"
        )


def run_engine(engine_class: type[_wire.Engine], profile: LoadProfile, seconds: float) -> Measured:
    """Let the engine of the wire plane send by itself, in this process, which meanwhile only waits.

    Raises
    ------
    LoadError
        A request failed, or the engine did.
    """
    recorded = SharedRecords()
    engine = engine_class(
        (profile.address, profile.port),
        CODECS.find(profile.codec).requests(profile),
        recorded.fileno(),
        profile.users,
        profile.timeout_ns,
        requests_per_connection=profile.requests_per_connection or 0,
        header=profile.identity_header.lower().encode() if profile.identity_header else None,
        sources=profile.sources,
        seed=profile.seed,
    )
    try:
        engine.set_users(profile.users)
        cpu_ns, start_ns = time.process_time_ns(), time.monotonic_ns()
        engine.start(start_ns, start_ns + int(seconds * SECOND_NS))
        over = select.select([engine.done_fd()], [], [], seconds + _PATIENCE_S)[0]
        wall_ns, cpu_ns = time.monotonic_ns() - start_ns, time.process_time_ns() - cpu_ns
    finally:
        engine.stop()
        engine.join()
    if not over or engine.failure():
        why = os.strerror(engine.failure()) if over else "it has not ended in time"
        raise LoadError(f"the engine has failed: {why}")
    return Measured(engine.counters()["requests"], cpu_ns, wall_ns, len(_good(recorded)))


def run_program(command: Sequence[str], seconds: float) -> tuple[str, int]:
    """Run a program to its end; give what it said, and the processor time that it used.

    Raises
    ------
    LoadError
        It failed, or did not end in time.
    """
    with tempfile.TemporaryFile() as file, ExitStack() as stack:
        program = find_program(command[0]) or command[0]
        process = subprocess.Popen(
            [program, *command[1:]], stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
        try:
            ended = stack.enter_context(os.fdopen(os.pidfd_open(process.pid)))
            in_time = bool(select.select([ended], [], [], seconds + _PATIENCE_S)[0])
            if in_time:
                _, status, used = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            process.kill()  # does nothing to one that was waited for
            process.wait()
        file.seek(0)
        said = file.read()
    if not in_time or process.returncode:
        why = f"ended with status {process.returncode}" if in_time else "did not end in time"
        raise LoadError(f"{command[0]} {why}: {stderr_tail(said)}")
    return said.decode(), round((used.ru_utime + used.ru_stime) * SECOND_NS)


def find(pattern: str, said: str) -> str:
    """Find what a program said of something.

    Raises
    ------
    LoadError
        It said nothing of that kind.
    """
    found = re.search(pattern, said)
    if found is None:
        raise LoadError(f"nothing matches {pattern!r} in what the load generator said:\n{said}")
    return found[1]


def _free_ports(few: int) -> list[int]:
    """Find ports that nobody listens on."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server((ADDRESS, 0))) for _ in range(few)]
        return [int(listener.getsockname()[1]) for listener in listeners]


def _good(recorded: SharedRecords) -> NDArray[Any]:
    """Take all records.

    Raises
    ------
    LoadError
        A request failed: what it cost is not what an answered one costs.
    """
    rows = recorded.take(sys.maxsize)
    failed = rows["error"][rows["error"] != NONE]
    if len(failed):
        classes = ", ".join(ERRORS[code] for code in np.unique(failed))
        raise LoadError(
            f"{len(failed):,} of {len(rows):,} requests failed ({classes}): no figures from these"
        )
    return rows
