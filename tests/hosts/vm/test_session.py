"""What a virtual machine is given, and how connections get into it; the rest takes a machine."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
import tarfile
import threading
from typing import TYPE_CHECKING

import pytest

from harness.hosts.vm.guest import _Relay
from harness.hosts.vm.session import code

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAMS = (
    "harness.hosts.vm.guest",
    "harness.strategies.relay",
    "harness.strategies.ipvs_control",
    "harness.strategies.steering",
)


def _unpack(packed: bytes, folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member in archive.getmembers():
            assert not member.name.startswith(("/", ".."))
        # Python 3.12 warns where no filter is named, and 3.11.2 has none.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)  # noqa: S202  as just seen


@pytest.mark.parametrize("program", _PROGRAMS)
def test_the_code_needs_nothing_but_python(tmp_path: Path, program: str) -> None:
    """What runs in a machine finds there the standard library, and no package that others have installed."""
    _unpack(code(), tmp_path)
    text = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import {program}"
    finished = subprocess.run(
        ["/usr/bin/python3", "-I", "-S", "-c", text], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr


def test_the_same_code_is_packed_alike() -> None:
    """A machine that has it is not given it again."""
    assert code() == code()


def test_the_load_generator_takes_its_libraries_along(tmp_path: Path) -> None:
    """With all that they require; compiled ones are for the minor version that packs them."""
    _unpack(code(("locust", "h11", "numpy")), tmp_path)
    text = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import harness.load.worker"
    finished = subprocess.run(
        [sys.executable, "-I", "-S", "-c", text], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr


def _asked(path: Path, meant: object) -> socket.socket:
    asking = socket.socket(socket.AF_UNIX)
    asking.settimeout(10)
    asking.connect(str(path))
    asking.sendall(json.dumps(meant).encode() + b"\n")
    return asking


def test_the_relay_joins_both_ways_and_passes_the_end_on(tmp_path: Path) -> None:
    """What is said comes back, and when one has said all, so has the other."""
    ours, theirs = socket.socketpair()

    def echo() -> None:
        with theirs:
            while data := theirs.recv(1000):
                theirs.sendall(data.upper())

    threading.Thread(target=echo, daemon=True).start()
    _Relay(str(tmp_path / "relay"), lambda _: ours)
    with _asked(tmp_path / "relay", {"place": 80, "pid": 0}) as asking, asking.makefile("rb") as answers:
        assert answers.readline() == b"\n"
        asking.sendall(b"hello\n")
        assert answers.readline() == b"HELLO\n"
        asking.shutdown(socket.SHUT_WR)
        assert answers.read() == b""


def test_the_relay_tells_why_nobody_is_there(tmp_path: Path) -> None:
    """In one line."""

    def refuse(_: object) -> socket.socket:
        raise ConnectionRefusedError(111, "Connection refused")

    _Relay(str(tmp_path / "relay"), refuse)
    with _asked(tmp_path / "relay", {"place": 80, "pid": 0}) as asking, asking.makefile("rb") as answers:
        assert answers.read() == b"Connection refused\n"
