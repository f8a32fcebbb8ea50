"""The seal on messages between a master and its workers."""

from __future__ import annotations

import pytest

from harness.load.seal import Seal

_SECRET = "5f0c" * 8


def ends(secret: str = _SECRET) -> tuple[Seal, Seal]:
    """Give a worker's seal, and the master's."""
    return Seal(_SECRET, "to master", "to worker"), Seal(secret, "to worker", "to master")


def test_seal_gives_back_what_was_sealed() -> None:
    """Each message, in both directions, whatever it holds."""
    worker, master = ends()
    for content in (b"", b"one", bytes(range(256)) * 100):
        assert master.open("w1", worker.close("w1", content)) == content
        assert worker.open("w1", master.close("w1", content)) == content


def test_seal_takes_no_message_twice() -> None:
    """Nor an older one after a newer one."""
    worker, master = ends()
    first, second = worker.close("w1", b"first"), worker.close("w1", b"second")
    assert master.open("w1", second) == b"second"
    assert master.open("w1", second) is None
    assert master.open("w1", first) is None


def test_seal_takes_no_message_of_another_name_direction_or_run() -> None:
    """A message belongs to its worker, goes one way, and is of one run."""
    worker, master = ends()
    sealed = worker.close("w1", b"records")
    assert master.open("w2", sealed) is None
    assert worker.open("w1", sealed) is None
    assert ends("0" * 32)[1].open("w1", sealed) is None


@pytest.mark.parametrize("place", [0, 31, 32, 39, 40, -1])
def test_seal_takes_no_changed_message(place: int) -> None:
    """One bit anywhere: in the code, the number or the content."""
    worker, master = ends()
    changed = bytearray(worker.close("w1", b"records"))
    changed[place] ^= 1
    assert master.open("w1", bytes(changed)) is None


@pytest.mark.parametrize("length", [0, 1, 32, 39])
def test_seal_takes_no_fragment(length: int) -> None:
    """What is too short to have a code and a number is no message."""
    worker, master = ends()
    assert master.open("w1", worker.close("w1", b"")[:length]) is None
