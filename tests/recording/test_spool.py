"""The recording while it grows, and what is left of it when its run ends too early."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness.errors import ResultError
from harness.recording.layout import NO_INSTANCE, dtype
from harness.recording.spool import Spool, recovered
from harness.recording.table import Recording
from harness.results.folder import PendingResult
from harness.scenario import load_scenario
from tests.helpers.disk import NO_ROOM, no_room

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.scenario import Scenario

NAMES = ("instance-1", "instance-2", "instance-3")


def records(number: int, first: int = 0) -> NDArray[np.void]:
    """Give records of three instances and every kind of time, on connections numbered from `first`."""
    rows = np.zeros(number, dtype())
    rows["connection"] = first + np.arange(number)
    rows["instance"] = rows["connection"] % 3
    rows["start_ns"] = 10**12 + rows["connection"].astype(np.int64) * 1000
    rows["intended_start_ns"] = rows["start_ns"] - 1
    rows["latency_ns"] = 500
    rows["connect_ns"] = np.where(rows["connection"] % 2, -1, 7)
    rows["first_byte_ns"] = 400
    rows["status"] = 200
    return rows


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    (tmp_path / "x.yaml").write_text("strategy: dnat-random\nreplicas: 3\n")
    return load_scenario(tmp_path / "x.yaml")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a block be a hundred records."""
    monkeypatch.setattr("harness.recording.spool._BLOCK_RECORDS", 100)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("each", [1, 30, 99, 100, 101, 1000])
def test_all_that_came_in_comes_out(tmp_path: Path, each: int) -> None:
    """In order, and to the last bit, however many come at a time."""
    blocks, rows = Spool(tmp_path / "blocks"), records(1000)
    for begin in range(0, 1000, each):
        blocks.add(rows[begin : begin + each], NAMES)
    assert blocks.records == 1000
    assert blocks.rows().tobytes() == rows.tobytes()


@pytest.mark.usefixtures("small")
def test_instances_may_turn_up_later(tmp_path: Path) -> None:
    """A block knows the names of its time; their numbers stay the same."""
    blocks = Spool(tmp_path / "blocks")
    first, then = records(120), records(120, 120)
    first["instance"] = 0
    blocks.add(first, NAMES[:1])
    blocks.add(then, NAMES)
    assert blocks.identities == NAMES
    assert blocks.rows()["instance"].tolist() == [0] * 120 + [*range(3)] * 40


def test_old_records_are_written_however_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a kill would cost has an upper bound in time, too."""
    now = [100.0]
    monkeypatch.setattr("harness.recording.spool.time.monotonic", lambda: now[0])
    blocks = Spool(tmp_path / "blocks")
    blocks.add(records(2), NAMES)
    now[0] += 4.9
    blocks.add(records(2, 2), NAMES)
    assert not (tmp_path / "blocks").exists()
    now[0] += 0.2
    blocks.add(records(2, 4), NAMES)
    (file,) = (tmp_path / "blocks").iterdir()
    assert len(Recording.from_parquet(file).rows) == 6


@pytest.mark.usefixtures("small")
def test_a_block_that_is_gone_is_told(tmp_path: Path) -> None:
    """A recording with a hole in it is none."""
    blocks = Spool(tmp_path / "blocks")
    for begin in (0, 100):
        blocks.add(records(100, begin), NAMES)
    next((tmp_path / "blocks").iterdir()).unlink()
    with pytest.raises(ResultError, match="blocks of the recording are missing"):
        blocks.rows()


@pytest.mark.usefixtures("small")
def test_a_full_disk_is_explained(tmp_path: Path) -> None:
    """In a line that says what to do, as of every other file of a result."""
    rows = records(100)
    with pytest.raises(ResultError, match=rf"can't be written: {NO_ROOM}"), no_room():
        Spool(tmp_path / "blocks").add(rows, NAMES)


@pytest.mark.usefixtures("small")
def test_recovered_recording_has_the_scenarios_instances(tmp_path: Path) -> None:
    """Those that had not answered, too."""
    blocks, rows = Spool(tmp_path / "blocks"), records(200)
    rows["instance"] %= 2
    blocks.add(rows, ("instance-3", "instance-1"))
    found = recovered(tmp_path / "blocks", NAMES)
    assert found is not None
    assert found.instances == NAMES
    assert found.named
    assert found.requests_by_instance().tolist() == [67, 0, 133]


@pytest.mark.usefixtures("small")
def test_recovery_needs_an_answer(tmp_path: Path) -> None:
    """Refused connections alone are no recording that anybody would look for."""
    assert recovered(tmp_path / "blocks", NAMES) is None
    blocks, rows = Spool(tmp_path / "blocks"), records(200)
    rows["instance"] = NO_INSTANCE
    blocks.add(rows, ())
    assert recovered(tmp_path / "blocks", NAMES) is None


def test_a_result_that_is_committed_has_no_blocks(tmp_path: Path, scenario: Scenario) -> None:
    """They are in its recording."""
    with PendingResult(tmp_path / "results", "run") as pending:
        blocks = pending.begin(scenario)
        blocks.add(records(10), NAMES)
        blocks.flush()
        pending.write_recording(Recording.of_run(blocks.rows(), NAMES, NAMES))
        folder = pending.commit()
    assert sorted(path.name for path in folder.iterdir()) == ["requests.parquet", "scenario.yaml"]


def test_a_run_that_fails_keeps_what_it_had_recorded(tmp_path: Path, scenario: Scenario) -> None:
    """The error tells where; plots and summary that were under way are gone."""
    pending = PendingResult(tmp_path / "results", "run")

    def fail() -> None:
        with pending:
            pending.begin(scenario).add(records(10), NAMES)
            (pending.path / "summary.json").write_text("{}")
            raise ResultError("failed")

    with pytest.raises(ResultError, match="failed") as error:
        fail()
    (folder,) = (tmp_path / "results").iterdir()
    assert str(error.value) == "failed"
    assert error.value.__notes__ == [f"what was recorded until then: {folder}"]
    assert folder.name.startswith("run-")
    assert folder.name.endswith("-incomplete")
    assert sorted(path.name for path in folder.iterdir()) == ["requests.parquet", "scenario.yaml"]
    assert len(Recording.from_parquet(folder / "requests.parquet").rows) == 10


_DIES = """
import os, signal, sys
from pathlib import Path
import numpy as np
from harness.recording.layout import dtype
from harness.results.folder import PendingResult
from harness.scenario import load_scenario
pending = PendingResult(Path(sys.argv[1]), "killed-run")
blocks = pending.begin(load_scenario(Path(sys.argv[2])))
for _ in range(3):
    blocks.add(np.zeros(1000, dtype()), ("instance-1",))
    blocks.flush()
if sys.argv[3] == "half":
    (pending.path / "blocks/000003.unfinished").write_bytes(b"PAR1")
if sys.argv[3] == "damaged":
    (pending.path / "blocks/000002.parquet").write_bytes(b"PAR1")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("ending", ["whole", "half"])
def test_the_next_run_keeps_what_a_killed_one_wrote(tmp_path: Path, scenario: Scenario, ending: str) -> None:
    """In a folder that everybody sees; a block that was cut short is left out."""
    _die(tmp_path, scenario, ending)
    with PendingResult(tmp_path / "results", "next") as pending:
        (folder,) = pending.incomplete
    assert folder.name.startswith("killed-run-")
    assert list((tmp_path / "results").iterdir()) == [folder]
    kept = Recording.from_parquet(folder / "requests.parquet")
    assert kept.requests_by_instance().tolist() == [3000, 0, 0]


def test_unreadable_spool_is_left_as_it_is(tmp_path: Path, scenario: Scenario) -> None:
    """Somebody may yet find a use for it; the next run has nothing to do with it."""
    _die(tmp_path, scenario, "damaged")
    with PendingResult(tmp_path / "results", "next") as pending:
        assert pending.incomplete == []
    (folder,) = (tmp_path / "results").iterdir()
    assert len(list((folder / "blocks").glob("*.parquet"))) == 3


def _die(tmp_path: Path, scenario: Scenario, ending: str) -> None:
    assert scenario.replicas == 3
    died = subprocess.run(
        [sys.executable, "-c", _DIES, str(tmp_path / "results"), str(tmp_path / "x.yaml"), ending],
        check=False,
        capture_output=True,
        env=os.environ,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr


def test_blocks_keep_whose_a_request_was(tmp_path: Path) -> None:
    """Of a run that was killed, too."""
    blocks, rows = Spool(tmp_path / "blocks", ["api", "web"]), records(6)
    rows["route"] = rows["connection"] % 2
    blocks.add(rows[:4], NAMES)
    blocks.flush()
    blocks.add(rows[4:], NAMES)
    assert blocks.rows()["route"].tolist() == [0, 1] * 3
    blocks.flush()
    found = recovered(tmp_path / "blocks", NAMES)
    assert found is not None
    assert (found.routes, found.rows["route"].tolist()) == (("api", "web"), [0, 1] * 3)
