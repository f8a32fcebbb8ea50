"""What one run leaves known of the virtual machine, for the next one."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from harness.errors import HostError
from harness.hosts.vm.providers import Provider
from harness.hosts.vm.state import Known, Ssh, State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OWN = Provider("libvirt", emulated=True, own=True, why="for a test")
OTHERS = Provider("virtualbox", emulated=False, own=False, why="for a test")
SSH = Ssh("192.168.121.7", 22, "vagrant", "/key")


@pytest.fixture
def state(tmp_path: Path) -> State:
    """Give a folder of its own."""
    state = State(tmp_path / "machine")
    state.folder.mkdir()
    return state


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """Give a process that lives until it is ended."""
    with subprocess.Popen(["sleep", "600"]) as sleeping:
        yield sleeping
        sleeping.kill()


def _gone() -> int:
    with subprocess.Popen(["true"]) as ended:
        pass
    return ended.pid


def test_state_reads_what_it_has_written(state: State) -> None:
    """All of it, and nothing where there was nothing."""
    assert state.read() is None
    known = Known.of(OWN, os.getpid()).for_(0, SSH)
    state.write(known)
    assert state.read() == known


def test_a_damaged_file_is_told(state: State) -> None:
    """With what to do."""
    for text in ("{", "[]", '{"ssh": null}', '{"ssh": null, "provider": {"name": "x"}}'):
        (state.folder / "state.json").write_text(text)
        with pytest.raises(HostError, match="is damaged: remove"):
            state.read()


def test_a_kept_machine_is_usable_while_its_process_lives(process: subprocess.Popen[bytes]) -> None:
    """Another process of the same number is not it; who is not kept is not meant for others."""
    known = Known.of(OWN, process.pid)
    assert known.is_there()
    assert not known.is_usable()
    assert known.for_(0, SSH).is_usable()
    recycled = Known(OWN, process.pid, "1", SSH, kept=True)
    assert not recycled.is_there()
    assert not Known.of(OWN).is_there()
    assert Known.of(OTHERS).is_there()  # whose provider knows
    known.end()
    assert process.wait() != 0
    assert not known.for_(0, SSH).is_usable()


def test_a_machine_of_a_process_that_was_killed_is_nobodys(process: subprocess.Popen[bytes]) -> None:
    """It was kept for that process's runs alone."""
    known = Known.of(OTHERS).for_(process.pid, SSH)
    assert known.is_usable()
    process.kill()
    process.wait()
    assert not known.is_usable()


def test_ending_what_has_ended_or_is_another_does_nothing(process: subprocess.Popen[bytes]) -> None:
    """No signal reaches anybody else."""
    Known.of(OWN, _gone()).end()
    Known(OWN, process.pid, "1").end()
    assert process.poll() is None


def test_runs_have_it_one_after_another(state: State) -> None:
    """Who waits says so, once."""
    other, told = State(state.folder), list[str]()
    state.lock(told.append)
    waiting = threading.Thread(target=other.lock, args=(told.append,))
    waiting.start()
    while not told:
        time.sleep(0.01)
    assert waiting.is_alive()
    state.unlock()
    waiting.join()
    assert told == ["waiting for another run, which has the virtual machine"]
    other.unlock()


def test_clearing_leaves_the_lock_alone(state: State) -> None:
    """Others may wait for it."""
    state.lock(print)
    state.write(Known.of(OWN))
    (state.folder / "libvirt" / "images").mkdir(parents=True)
    state.clear()
    assert [path.name for path in state.folder.iterdir()] == ["lock"]
    state.unlock()
