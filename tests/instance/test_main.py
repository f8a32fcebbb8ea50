"""The sample application as a container runs it: a real process, with nothing but its environment."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Start = Callable[..., tuple[subprocess.Popen[str], int]]

_CHECKOUT = Path(__file__).parents[2]
_COMMAND = [sys.executable, "-S", "-m", "harness.instance"]


def _environment(**variables: object) -> dict[str, str]:
    return {"PYTHONPATH": str(_CHECKOUT)} | {name: str(value) for name, value in variables.items()}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def start() -> Iterator[Start]:
    """Give a way to start it, and to wait until it listens."""
    processes = []

    def run(port: int | None = None, before: tuple[str, ...] = (), **variables: object) -> object:
        port = port or _free_port()
        environment = _environment(PORT=port, **variables) | {"PATH": os.environ["PATH"]}
        process = subprocess.Popen([*before, *_COMMAND], env=environment, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except ConnectionRefusedError:
                assert process.poll() is None
                time.sleep(0.02)
        return process, port

    yield run  # type: ignore[misc]  # what it gives is said by its type
    for process in processes:
        process.kill()
        process.communicate(timeout=10)


def _ask(port: int) -> tuple[str | None, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/")
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.getheader("X-Instance"), body


def test_instance_name_comes_from_the_environment_else_the_host(start: Start) -> None:
    """A container's host name is its own."""
    assert _ask(start(INSTANCE="instance-3")[1]) == ("instance-3", b"Hello from instance-3\n")
    assert _ask(start()[1])[0] == socket.gethostname()


@pytest.mark.parametrize(
    "before",
    [
        (),
        pytest.param(
            ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"),
            marks=pytest.mark.host,
        ),
    ],
)
def test_instance_ends_at_once_on_a_signal(start: Start, before: tuple[str, ...]) -> None:
    """As the first process of a PID namespace, too, where the kernel drops signals without a handler."""
    process, _ = start(before=before)
    target = process.pid
    if before:
        target = int(Path(f"/proc/{target}/task/{target}/children").read_text().split()[0])
    began = time.monotonic()
    os.kill(target, signal.SIGTERM)
    assert process.wait(5) == 0
    assert time.monotonic() - began < 1


def test_instance_counts_in_its_own_slot(start: Start, tmp_path: Path) -> None:
    """In its own slot of memory that others share, and nowhere else."""
    counters = tmp_path / "counters"
    counters.write_bytes(bytes(3 * 64))
    _, port = start(COUNTERS=counters, SLOT=1)
    _ask(port)
    _ask(port)
    assert counters.read_bytes() == bytes(64) + struct.pack("=QQ", 2, 2) + bytes(48 + 64)


def test_several_may_share_a_port(start: Start) -> None:
    """That is what SO_REUSEPORT is for."""
    _, port = start(REUSE_PORT="1", INSTANCE="a")
    start(port, REUSE_PORT="1", INSTANCE="b")
    end = time.monotonic() + 5
    answered: set[str | None] = set()
    while answered != {"a", "b"} and time.monotonic() < end:  # the second may not listen yet
        answered.add(_ask(port)[0])
    assert answered == {"a", "b"}


def test_instance_answers_after_its_delay(start: Start) -> None:
    """It stands for an application that has something to do."""
    _, port = start(DELAY_NS=200_000_000)
    began = time.monotonic()
    _ask(port)
    assert 0.2 <= time.monotonic() - began < 2


def test_as_many_connections_may_wait_as_the_kernel_lets(start: Start) -> None:
    """A queue that is too short would lose connections that the strategy never saw."""
    _, port = start()
    most = int(Path("/proc/sys/net/core/somaxconn").read_text())
    said = subprocess.run(
        ["ss", "-Hltn", f"sport = :{port}"], check=True, capture_output=True, text=True, timeout=10
    )
    assert int(said.stdout.split()[2]) == min(most, 65_535)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"PORT": "0"}, "PORT='0' is no whole number from 1 to 65535"),
        ({"PORT": "http"}, "PORT='http' is no whole number"),
        ({"DELAY_NS": "-1"}, "DELAY_NS='-1' is no whole number"),
        ({"SLOT": "x"}, "SLOT='x' is no whole number"),
        ({"INSTANCE": "a\nX-Other: b"}, r"INSTANCE='a\nX-Other: b' is no name"),
        ({"COUNTERS": "/no/such/file"}, "COUNTERS='/no/such/file' can't be used: No such file"),
        ({"COUNTERS": "{file}", "SLOT": "7"}, "SLOT=7 is behind the end of COUNTERS"),
    ],
)
def test_a_wrong_variable_is_told_in_a_line(tmp_path: Path, variables: dict[str, str], words: str) -> None:
    """The container's log then says all there is to say."""
    (tmp_path / "file").write_text("short")
    given = {name: value.replace("{file}", f"{tmp_path}/file") for name, value in variables.items()}
    ended = subprocess.run(
        _COMMAND, env=_environment(**given), capture_output=True, text=True, check=False, timeout=10
    )
    assert ended.returncode == 2
    assert words in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_port_that_is_taken_is_told_in_a_line(start: Start) -> None:
    """Who took it is the reader's to find out."""
    _, port = start()
    ended = subprocess.run(
        _COMMAND, env=_environment(PORT=port), capture_output=True, text=True, check=False, timeout=10
    )
    assert (ended.returncode, ended.stderr) == (
        2,
        f"error: PORT={port} can't be listened at: Address already in use\n",
    )


def test_instance_needs_only_the_standard_library() -> None:
    """An image of it needs Python and these few files."""
    code = "import sys, harness.instance.__main__; print(sorted(m for m in sys.modules if 'harness' in m))"
    said = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env=_environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    parts = ("__main__", "codec", "http1", "server")
    sample = ["harness.instance", *(f"harness.instance.{part}" for part in parts)]
    assert said.stdout == f"{['harness', 'harness._version', *sample]}\n"
