"""VagrantBoxes of Debian's packages: what is in one, and what is said where none can be made."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from harness.errors import HostError
from harness.hosts.vm import box
from harness.hosts.vm.box import VagrantBoxes

if TYPE_CHECKING:
    from pathlib import Path


def _put(folder: Path, size: int) -> Path:
    """Leave a file as a box of this recipe, whose description tells 7 bytes."""
    folder.mkdir(exist_ok=True)
    path = folder / f"sameport-{box._recipe()}.box"
    path.write_bytes(b"x" * size)
    path.with_suffix(".json").write_text(
        json.dumps({"size": 7, "versions": {"python3": "3.11"}, "made": 1.0})
    )
    return path


def test_a_box_is_there_when_all_of_it_is(tmp_path: Path) -> None:
    """One that was cut short is none; cleaning frees what there is."""
    boxes = VagrantBoxes(tmp_path / "boxes")
    assert boxes.find() is None
    assert boxes.clean(print) == 0
    _put(tmp_path / "boxes", 6)
    assert boxes.find() is None
    path = _put(tmp_path / "boxes", 7)
    found = boxes.require(print)
    assert (found.path, found.size, found.versions) == (path, 7, {"python3": "3.11"})
    assert boxes.clean(print) > 7
    assert boxes.find() is None


def test_box_of_another_recipe_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an older harness has made is not taken."""
    _put(tmp_path, 7)
    other = tmp_path / "other.sh"
    other.write_text("#!/bin/sh\n")
    monkeypatch.setattr(box, "_SCRIPT", other)
    assert VagrantBoxes(tmp_path).find() is None


def test_box_build_names_missing_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any work begins."""
    monkeypatch.setattr(
        box, "find_program", lambda name: None if name in {"debootstrap", "qemu-img"} else name
    )
    with pytest.raises(HostError, match=r"a box can't be made yet: apt-get install debootstrap qemu-utils$"):
        VagrantBoxes(tmp_path).require(print)


def test_box_build_on_another_system_names_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is a box elsewhere, or one can be copied."""
    monkeypatch.setattr(box, "_os_release", lambda: {"ID": "fedora"})
    with pytest.raises(
        HostError, match="by Debian: make one there and copy it, or name another with HARNESS_BOX"
    ):
        VagrantBoxes(tmp_path).require(print)


def test_box_build_needs_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes root."""
    monkeypatch.setattr(box, "find_program", lambda name: name)
    monkeypatch.setattr(box, "may_map_everyone", lambda: False)
    with pytest.raises(HostError, match="only root can make a box: sudo harness box build"):
        VagrantBoxes(tmp_path).require(print)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a box")
def test_a_script_that_fails_is_shown_by_its_last_words_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here it is the real one, for a release that nobody has."""
    script = tmp_path / "box.sh"
    script.write_text("echo 'step: packages are fetched'\necho 'E: no such suite' >&2\nexit 3\n")
    told: list[str] = []
    monkeypatch.setattr(box, "_SCRIPT", script)
    monkeypatch.setattr(box, "_require_able", lambda: None)
    boxes = tmp_path / "boxes"
    with pytest.raises(HostError, match="the box can't be made: E: no such suite"):
        VagrantBoxes(boxes).require(told.append)
    assert told == ["packages are fetched"]
    assert [path.name for path in boxes.iterdir()] == [".lock"]


@pytest.mark.vagrant
def test_a_box_has_all_that_a_machine_is_started_with(tmp_path: Path) -> None:
    """Its disk is a file system that its key opens; the second time nothing is made."""
    made = VagrantBoxes().require(print)
    again: list[str] = []
    assert VagrantBoxes().require(again.append) == made
    assert not again
    with tarfile.open(made.path) as archive:
        names = archive.getnames()
        # Python 3.12 warns where no filter is named, and 3.11.2 has none.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(tmp_path)  # noqa: S202  it is our own
    assert names == ["metadata.json", "Vagrantfile", "key", "vmlinuz", "initrd.img", "box.img"]
    assert json.loads((tmp_path / "metadata.json").read_text())["provider"] == "libvirt"
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
    raw = tmp_path / "disk.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(tmp_path / "box.img"), str(raw)], check=True)

    def content(path: str) -> str:
        asked = ["debugfs", "-R", f"cat {path}", str(raw)]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout

    public = subprocess.run(
        ["ssh-keygen", "-y", "-f", str(tmp_path / "key")], capture_output=True, text=True, check=True
    ).stdout.split()[1]
    assert public in content("/home/vagrant/.ssh/authorized_keys")
    assert "vagrant" in content("/etc/group").split("docker:", 1)[1].splitlines()[0]
    assert content("/etc/modules-load.d/sameport.conf").split()[0] == "ip_vs"
