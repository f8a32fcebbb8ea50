"""Control groups of both versions, as the kernel shows them: in folders that a test can make."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from harness.hosts.cgroups import Group, Used, own_group, remove, sweep

if TYPE_CHECKING:
    from pathlib import Path


def _files(top: Path, **contents: str) -> None:
    top.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        (top / name.replace("__", ".")).write_text(text)


@pytest.fixture
def process(tmp_path: Path) -> Path:
    """Give a folder in place of /proc."""
    return tmp_path / "proc"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a folder in place of /sys/fs/cgroup."""
    return tmp_path / "cgroup"


def test_version_2_has_one_folder(process: Path, root: Path) -> None:
    """Processor time in microseconds, and the most memory since Linux 5.19."""
    _files(process / "7", cgroup="0::/sameport/1-2/abc\n")
    group = root / "sameport/1-2/abc"
    _files(group, cpu__stat="usage_usec 1500\nuser_usec 1000\n", memory__peak="4096\n", memory__current="1\n")
    assert Group(7, process, root).used() == Used(1_500_000, 4096)


def test_older_kernels_tell_the_memory_of_the_moment(process: Path, root: Path) -> None:
    """The most of those that were read is kept."""
    _files(process / "7", cgroup="0::/x\n")
    _files(root / "x", cpu__stat="usage_usec 1\n", memory__current="500\n")
    group = Group(7, process, root)
    assert group.used().memory_bytes == 500
    _files(root / "x", memory__current="300\n")
    assert group.used().memory_bytes == 500


@pytest.mark.parametrize("unified", ["", "0::/elsewhere\n"])
def test_version_1_has_a_folder_for_each_controller(process: Path, root: Path, unified: str) -> None:
    """Also where version 2 is there beside it, without controllers."""
    _files(process / "7", cgroup=f"9:name=systemd:/x\n4:memory:/m/x\n2:cpu,cpuacct:/c/x\n{unified}")
    _files(root / "cpuacct/c/x", cpuacct__usage="123456789\n")
    _files(root / "memory/m/x", memory__max_usage_in_bytes="8192\n")
    assert Group(7, process, root).used() == Used(123_456_789, 8192)


def test_counts_outlive_their_group(process: Path, root: Path) -> None:
    """The kernel removes it with the container; what was read last stays."""
    _files(process / "7", cgroup="0::/x\n")
    _files(root / "x", cpu__stat="usage_usec 5\n", memory__peak="6\n")
    group = Group(7, process, root)
    before = group.used()
    for path in (root / "x").iterdir():
        path.unlink()
    (root / "x").rmdir()
    assert group.used() == before == Used(5_000, 6)


def _hierarchies(root: Path) -> list[Path]:
    """Make the folders of version 1 with two controllers."""
    made = [root / "cpu", root / "memory"]
    for hierarchy in made:
        _files(hierarchy, cgroup__procs="")
    return made


def test_a_group_is_removed_from_everywhere_with_those_below(root: Path) -> None:
    """Another run's stays, and with it the folder of both."""
    for hierarchy in _hierarchies(root):
        (hierarchy / "sameport/1-2/abc").mkdir(parents=True)
        (hierarchy / "sameport/3-4").mkdir()
    remove("/sameport/1-2", root)
    assert [path.name for path in root.glob("*/sameport/*")] == ["3-4", "3-4"]
    remove("/sameport/3-4", root)
    assert not list(root.glob("*/sameport"))


def test_groups_of_the_dead_are_swept(process: Path, root: Path) -> None:
    """Of those that have ended, of those whose number somebody else has by now, and of zombies."""
    stat = "{} (a) b) {} 1 1 1" + " 0" * 15 + " {} 0\n"
    _files(process / "10", stat=stat.format(10, "S", 555))
    _files(process / "11", stat=stat.format(11, "S", 777))
    _files(process / "12", stat=stat.format(12, "Z", 888))
    for hierarchy in _hierarchies(root):
        for name in ("10-555", "11-666", "12-888", "13-999", "not-ours"):
            (hierarchy / "sameport" / name).mkdir(parents=True)
    sweep(process, root)
    assert sorted(path.name for path in (root / "cpu/sameport").iterdir()) == ["10-555", "not-ours"]


def test_process_names_are_unique() -> None:
    """A number comes again, but not with the same start."""
    name = own_group(os.getpid())
    assert name.startswith(f"/sameport/{os.getpid()}-")
    assert name == own_group(os.getpid()) != own_group(os.getppid())
