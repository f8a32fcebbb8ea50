from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.analysis.summarise import summarise
from harness.errors import ResultError
from harness.recording.layout import dtype
from harness.recording.table import Recording
from harness.report.plots.stored import pictures
from harness.results.folder import PendingResult
from harness.scenario import Load, Resources
from tests.helpers.disk import NO_ROOM, no_room
from tests.helpers.observed import observed_of

if TYPE_CHECKING:
    from pathlib import Path

    from harness.summary.run import Summary

KILLED = """
import os, signal, sys
from pathlib import Path
from harness.results.folder import PendingResult
pending = PendingResult(Path(sys.argv[1]), "killed")
(pending.path / "requests.parquet").write_text("half")
print("ready", flush=True)
if sys.argv[2] == "die":
    os.kill(os.getpid(), signal.SIGKILL)
sys.stdin.read()
"""

REFUSED = """
import sys
from pathlib import Path
from harness.errors import ResultError
from harness.results.folder import PendingResult
try:
    PendingResult(Path(sys.argv[1]), "run")
except ResultError as error:
    print(error)
"""


@pytest.fixture
def recording() -> Recording:
    """Two instances with three requests each."""
    rows = np.zeros(6, dtype())
    rows["instance"] = [0, 1, 0, 1, 0, 1]
    rows["connection"] = range(6)
    rows["latency_ns"] = range(1000, 7000, 1000)
    return Recording(rows, ("instance-1", "instance-2"), 0, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def summary(recording: Recording) -> Summary:
    """Sum that recording up."""
    scenario: Any = SimpleNamespace(
        name="two",
        strategy=SimpleNamespace(name="dnat-random"),
        routes={},
        resources=Resources(),
        replicas=2,
        host="netns",
        engine="process",
        client="external",
        tolerance=0.1,
        confidence=0.95,
        expect="even",
        seed=1,
        errors=0.001,
        load=Load(),
        recovers=None,
        as_written=lambda: {"name": "two", "replicas": 2, "load": {"users": 4}},
    )
    observed = observed_of(
        unit="connection",
        shares=[0.5, 0.5],
        wall_ns=10**9,
        generator_cpu_ns=1,
    )
    return summarise(scenario, recording, observed)


def fill(pending: PendingResult) -> None:
    """Write something: a result is never empty."""
    (pending.path / "summary.json").write_text("{}")


def test_a_result_holds_everything(tmp_path: Path, recording: Recording, summary: Summary) -> None:
    """Recording, summary, scenario and both plots are in the folder, and can be read."""
    with PendingResult(tmp_path / "deep" / "results", "two") as pending:
        pending.write_recording(recording)
        pending.write_plots(pictures(recording, summary))
        pending.write_summary(summary)
        folder = pending.commit()
    assert sorted(file.name for file in folder.iterdir()) == [
        "distribution.png",
        "latency.png",
        "requests.parquet",
        "scenario.yaml",
        "summary.json",
    ]
    assert json.loads((folder / "summary.json").read_text())["name"] == "two"
    assert (folder / "scenario.yaml").read_text() == "name: two\nreplicas: 2\nload:\n  users: 4\n"
    assert len(Recording.from_parquet(folder / "requests.parquet").rows) == 6
    assert (folder / "latency.png").read_bytes().startswith(b"\x89PNG")


def test_folder_is_hidden_before_the_commit(tmp_path: Path) -> None:
    """Until it is whole, a result is hidden; then it has the scenario's name and the time."""
    with PendingResult(tmp_path, "run") as pending:
        fill(pending)
        assert all(path.name.startswith(".run-") for path in tmp_path.iterdir())
        folder = pending.commit()
    assert pending.path == folder
    assert list(tmp_path.iterdir()) == [folder]
    assert datetime.strptime(folder.name, "run-%Y%m%d-%H%M%S").replace(tzinfo=UTC) <= datetime.now(tz=UTC)


def test_a_run_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Leaving without commit removes what was written, and lets the error through."""

    def fail() -> None:
        with PendingResult(tmp_path, "run") as pending:
            fill(pending)
            raise RuntimeError("load")

    with pytest.raises(RuntimeError, match="load"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_runs_that_end_together_get_names_of_their_own(tmp_path: Path) -> None:
    """Twenty commits at once end up in twenty folders, none replaced by another."""
    pending = [PendingResult(tmp_path, "run") for _ in range(20)]
    for number, each in enumerate(pending):
        (each.path / "number").write_text(str(number))
    threads = [threading.Thread(target=each.commit) for each in pending]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in pending:
        each.__exit__(None, None, None)
    numbers = [(path / "number").read_text() for path in tmp_path.iterdir()]
    assert sorted(numbers, key=int) == [str(number) for number in range(20)]
    assert any(path.name.endswith("-2") for path in tmp_path.iterdir())


def test_a_killed_runs_leavings_are_swept(tmp_path: Path) -> None:
    """A folder whose run was killed is removed by the next run."""
    died = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), "die"], check=False, capture_output=True
    )
    assert died.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    with PendingResult(tmp_path, "next") as pending:
        assert list(tmp_path.iterdir()) == [pending.path]


def test_a_run_that_is_still_going_is_left_alone(tmp_path: Path) -> None:
    """The sweep doesn't touch a folder that another run holds the lock of."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path), "wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        (theirs,) = tmp_path.iterdir()
        with PendingResult(tmp_path, "next"):
            assert (theirs / "requests.parquet").read_text() == "half"


def test_sweep_ignores_names_that_only_look_like_leftovers(tmp_path: Path) -> None:
    """A file, or a link to another folder, with such a name is neither followed nor removed."""
    (tmp_path / ".a.partial").write_text("file")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("kept")
    (tmp_path / ".b.partial").symlink_to(elsewhere)
    with PendingResult(tmp_path, "run"):
        assert (tmp_path / ".a.partial").exists()
        assert (elsewhere / "kept").exists()


def test_a_file_in_the_way_is_explained(tmp_path: Path) -> None:
    """A results folder that is a file, or below one, is told in one line with the way out."""
    (tmp_path / "results").write_text("")
    for root in (tmp_path / "results", tmp_path / "results" / "below"):
        with pytest.raises(ResultError, match=r"results.*a file stands where .*--output DIR") as error:
            PendingResult(root, "run")
        assert "\n" not in str(error.value)


def test_a_folder_that_vanished_is_explained(tmp_path: Path, summary: Summary) -> None:
    """Whoever removes the folder during a run gets an error that names it, from every method."""
    with PendingResult(tmp_path, "run") as pending:
        shutil.rmtree(pending.path)
        with pytest.raises(ResultError, match=r"summary\.json: .*No such file"):
            pending.write_summary(summary)
        with pytest.raises(ResultError, match="No such file"):
            pending.commit()


def test_a_folder_that_may_not_be_written_is_explained(
    public_tmp_path: Path, ordinary_user: tuple[str, ...]
) -> None:
    """Missing permission is told in one line that names the folder."""
    public_tmp_path.chmod(0o555)
    said = subprocess.run(
        [*ordinary_user, sys.executable, "-c", REFUSED, str(public_tmp_path)],
        cwd="/",
        check=False,
        capture_output=True,
        text=True,
    )
    public_tmp_path.chmod(0o755)
    assert "Permission denied" in said.stdout, said.stderr
    assert said.stdout.startswith(str(public_tmp_path))
    assert said.stdout.count("\n") == 1


def test_a_full_disk_is_explained(tmp_path: Path, recording: Recording) -> None:
    """A write that the disk has no room for is told in one line, and nothing is left behind."""
    with PendingResult(tmp_path, "run") as pending:
        with pytest.raises(ResultError, match=rf"requests\.parquet: .*{NO_ROOM}") as error, no_room():
            pending.write_recording(recording)
        assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_explained_for_the_summary_and_the_plots(
    tmp_path: Path, recording: Recording, summary: Summary
) -> None:
    """Every file of a result has the same explanation."""
    with PendingResult(tmp_path, "run") as pending:
        drawn = pictures(recording, summary)
        with pytest.raises(ResultError, match=rf"summary\.json: .*{NO_ROOM}"), no_room():
            pending.write_summary(summary)
        with pytest.raises(ResultError, match=rf"\.png: .*{NO_ROOM}"), no_room():
            pending.write_plots(drawn)


def planted(root: Path, victim: Path, recording: Recording) -> Path:
    """Make what looks like the folder of a killed run, with links from its files to another one."""
    folder = root / ".two-0a1b2c3d.partial"
    (folder / "blocks").mkdir(parents=True)
    recording.to_parquet(folder / "blocks" / "000000.parquet")
    os.mkfifo(folder / "blocks" / "000001.parquet")
    (folder / "blocks" / "000002.parquet").symlink_to(victim)
    (folder / "scenario.yaml").write_text("strategy: dnat-random\nreplicas: 2\nname: two\n")
    for name in ("requests.parquet", "summary.json", "plot.png"):
        (folder / name).symlink_to(victim)
    return folder


def test_no_link_in_a_leftover_is_followed(tmp_path: Path, recording: Recording) -> None:
    """What it leads to is as before; the recording becomes a file of its own, and a pipe holds up nothing."""
    victim = tmp_path / "victim"
    victim.write_text("before")
    root = tmp_path / "results"
    planted(root, victim, recording)
    with PendingResult(root, "next") as pending:
        (kept,) = pending.incomplete
        assert pending.left_alone == []
    assert victim.read_text() == "before"
    assert sorted(path.name for path in kept.iterdir()) == ["requests.parquet", "scenario.yaml"]
    assert not (kept / "requests.parquet").is_symlink()
    assert len(Recording.from_parquet(kept / "requests.parquet").rows) == 6


def test_links_that_lead_elsewhere_are_named(tmp_path: Path) -> None:
    """With what they are; and so is a pipe, which no run waits for."""
    (tmp_path / ".a.partial").symlink_to("/nowhere")
    os.mkfifo(tmp_path / ".b.partial")
    with PendingResult(tmp_path, "run") as pending:
        assert sorted(pending.left_alone) == [
            f"{tmp_path}/.a.partial is a link",
            f"{tmp_path}/.b.partial is no folder",
        ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make folders of other users")
def test_folders_of_other_users_are_left_alone_and_named(tmp_path: Path, recording: Recording) -> None:
    """Root, too, touches nothing in them."""
    victim = tmp_path / "victim"
    victim.write_text("before")
    folder = planted(tmp_path / "results", victim, recording)
    os.chown(folder, 65534, 65534)
    before = sorted(folder.rglob("*"))
    with PendingResult(tmp_path / "results", "next") as pending:
        assert pending.left_alone == [f"{folder} belongs to another user (uid 65534)"]
        assert pending.incomplete == []
    assert victim.read_text() == "before"
    assert sorted(folder.rglob("*")) == before


def test_a_folder_that_is_swapped_gets_nothing(tmp_path: Path, summary: Summary) -> None:
    """A run writes into the folder that it made, and not into what has its name by now."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with PendingResult(tmp_path / "results", "run") as pending:
        pending.path.rename(tmp_path / "moved")
        pending.path.symlink_to(elsewhere)
        pending.write_summary(summary)
    assert list(elsewhere.iterdir()) == []
    assert elsewhere.is_dir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of other users")
def test_results_belong_to_the_user_that_called_sudo(
    tmp_path: Path, summary: Summary, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All files of a result, its folder, and the folders made for it; others stay as they were."""
    monkeypatch.setenv("SUDO_UID", "65534")
    monkeypatch.setenv("SUDO_GID", "65533")
    with PendingResult(tmp_path / "deep" / "results", "two") as pending:
        pending.write_recording(recording)
        pending.write_plots(pictures(recording, summary))
        pending.write_summary(summary)
        folder = pending.commit()
    made = [tmp_path / "deep", tmp_path / "deep" / "results", folder, *folder.iterdir()]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {(65534, 65533)}
    assert tmp_path.stat().st_uid == 0
