"""A results folder that other users write to: what they plant there does no harm."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness.recording.layout import dtype
from harness.recording.table import Recording

if TYPE_CHECKING:
    from pathlib import Path

    from tests.end_to_end.conftest import Command

_SCENARIO = """
strategy: dnat-random
replicas: 2
name: two
load: {duration: 300ms, warm_up: 0s, users: 2}
"""


def _plant(results: Path, victim: Path) -> Path:
    """Make what looks like the folder of a killed run, whose recording would go through a link."""
    folder = results / ".two-0a1b2c3d.partial"
    (folder / "blocks").mkdir(parents=True)
    rows = np.zeros(6, dtype())
    recording = Recording(rows, ("instance-1", "instance-2"), 0, datetime(2026, 1, 1, tzinfo=UTC))
    recording.to_parquet(folder / "blocks" / "000000.parquet")
    os.mkfifo(folder / "blocks" / "000001.parquet")
    (folder / "scenario.yaml").write_text(_SCENARIO)
    (folder / "requests.parquet").symlink_to(victim)
    return folder


def test_a_planted_link_is_not_written_through(harness: Command, tmp_path: Path) -> None:
    """The run sweeps the folder as if the link were a file of it, and the victim is as before."""
    victim = tmp_path / "victim"
    victim.write_text("before")
    _plant(tmp_path / "results", victim)
    finished = harness("run", harness.scenario(_SCENARIO), "--quiet", patience_s=60)
    assert finished.returncode in {0, 1, 3}, finished.stderr
    assert victim.read_text() == "before"
    assert not any(path.is_symlink() for path in (tmp_path / "results").rglob("*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make folders of other users")
def test_root_leaves_a_planted_folder_alone_and_gives_the_result_to_its_caller(
    harness: Command, tmp_path: Path
) -> None:
    """As under sudo: the folder of another user is named, and what the run makes is the caller's."""
    victim = tmp_path / "victim"
    victim.write_text("before")
    folder = _plant(tmp_path / "mine" / "results", victim)
    os.chown(folder, 65534, 65534)
    harness.environment |= {"SUDO_UID": "65534", "SUDO_GID": "65534"}
    scenario = harness.scenario(_SCENARIO)
    deep = harness("run", scenario, "-o", "mine/results/deep/er", patience_s=60)
    assert deep.returncode in {0, 1, 3}, deep.stderr
    beside = harness("run", scenario, "-o", "mine/results", patience_s=60)
    assert beside.returncode in {0, 1, 3}, beside.stderr
    assert f"left alone: mine/results/{folder.name} belongs to another user (uid 65534)" in beside.stderr
    assert victim.read_text() == "before"
    assert (folder / "requests.parquet").is_symlink()
    made = [*(tmp_path / "mine" / "results").glob("two-*"), tmp_path / "mine/results/deep"]
    made += [path for one in made for path in one.rglob("*")]
    assert {path.stat().st_uid for path in made} == {65534}
    assert (tmp_path / "mine").stat().st_uid == 0
