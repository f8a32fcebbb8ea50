"""SIGKILL at any moment, on any process of a run, leaves nothing on the machine."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.recording.table import Recording

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.end_to_end.conftest import Command

_SCENARIO = """
strategy: dnat-random
replicas: 5
load: {duration: 1s, warm_up: 500ms, users: 4}
"""
_LASTS_S = 3.5  # about as long as the whole run
_KILLS, _OTHER_KILLS = 8, 4


def _namespaces(processes: Iterable[int], keep: ExitStack | None = None) -> set[str]:
    """List the namespaces that these processes are in; those that are kept open keep their numbers."""
    found = set()
    for pid in processes:
        try:
            for link in Path(f"/proc/{pid}/ns").iterdir():
                if keep is not None:
                    keep.callback(os.close, os.open(link, os.O_RDONLY))
                found.add(str(link.readlink()))
        except OSError:
            continue  # it ended while it was looked at, or it is another user's
    return found


def _everybody() -> list[int]:
    return [int(process.name) for process in Path("/proc").glob("[0-9]*")]


def _kill_one(harness: Command, chance: random.Random, *, only: int | None) -> str:
    """Kill the process of this number, or any one of the run's; say which it was."""
    alive = sorted(harness.look().processes)
    victim = only if only in alive else chance.choice(alive) if only is None and alive else None
    if victim is None:
        return "nothing: the run had ended"
    try:
        name = Path(f"/proc/{victim}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        os.kill(victim, signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        return "a program that ended by itself meanwhile"
    return name


@pytest.mark.parametrize("moment", range(_KILLS))
def test_killing_the_run_leaves_nothing(harness: Command, moment: int, seed: int) -> None:
    """Moments spread over a run: processes, interfaces, rules, mounts, namespaces are as before."""
    chance = random.Random(seed + moment)
    before, others = harness.look(), _namespaces(_everybody())
    process = harness.start("run", harness.scenario(_SCENARIO))
    time.sleep((moment + chance.random()) / _KILLS * _LASTS_S)
    with ExitStack() as keep:
        own = _namespaces(harness.look().processes, keep) - others
        _kill_one(harness, chance, only=process.pid)
        process.communicate(timeout=20)
        assert harness.settled(before) == before
        assert not own & _namespaces(_everybody())
    # What it was writing is swept away by the next run; a whole result is never half there.
    for folder in (harness.folder / "results").glob("[!.]*"):
        assert (folder / "summary.json").exists()


def test_a_killed_run_keeps_what_it_had_written(harness: Command) -> None:
    """The next run, of whatever scenario, makes it visible, and says where."""
    process = harness.start("run", harness.scenario(_SCENARIO), "--set", "load.duration=60s")
    blocks = _wait_for_a_block(harness)
    process.kill()
    process.communicate(timeout=20)
    written = sum(len(Recording.from_parquet(path).rows) for path in blocks.glob("*.parquet"))
    assert harness("run", "scenario.yaml", "--set", "name=next").returncode != 2
    (folder,) = (harness.folder / "results").glob("*-incomplete")
    assert sorted(file.name for file in folder.iterdir()) == ["requests.parquet", "scenario.yaml"]
    kept = Recording.from_parquet(folder / "requests.parquet")
    assert len(kept.rows) == written > 0
    assert int(kept.requests_by_instance().sum()) + kept.unattributed("request") == written


def test_a_run_whose_generator_is_killed_keeps_what_it_had_recorded(harness: Command) -> None:
    """Whatever the generator had told of is in a folder that the error names."""
    process = harness.start("run", harness.scenario(_SCENARIO), "--set", "load.duration=60s")
    _wait_for_a_block(harness)
    for pid in harness.look().processes:
        if b"harness.load" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            os.kill(pid, signal.SIGKILL)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 2
    (folder,) = (harness.folder / "results").iterdir()
    assert f"what was recorded until then: results/{folder.name}" in stderr
    assert len(Recording.from_parquet(folder / "requests.parquet").rows) > 0


def _wait_for_a_block(harness: Command) -> Path:
    """Give the folder of the run's blocks, as soon as there is one in it."""
    end_s = time.monotonic() + 40
    while not (found := list((harness.folder / "results").glob(".*/blocks/*.parquet"))):
        assert time.monotonic() < end_s
        time.sleep(0.05)
    return found[0].parent


@pytest.mark.parametrize("moment", range(_OTHER_KILLS))
def test_killing_any_of_its_processes_ends_the_run_in_order(harness: Command, moment: int, seed: int) -> None:
    """The run ends by itself with a line of text, whichever of its processes is killed and when."""
    chance = random.Random(seed - moment)
    process = harness.start("run", harness.scenario(_SCENARIO))
    time.sleep((moment + chance.random()) / _OTHER_KILLS * _LASTS_S)
    victim = _kill_one(harness, chance, only=None)
    _, stderr = process.communicate(timeout=60)
    assert "Traceback" not in stderr, victim
    assert process.returncode in {0, 1, 3, 2, -signal.SIGKILL}, victim
    if process.returncode == 2:
        lines = stderr.splitlines()
        if lines[-1].startswith("what was recorded until then: results/"):
            lines.pop()
        assert "error: " in lines[-1], victim
