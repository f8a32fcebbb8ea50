"""Why a virtual machine did not come up, in a line or two; and what Vagrant and libvirt really say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from harness.errors import HostError
from harness.hosts.vm.box import VagrantBoxes
from harness.hosts.vm.machine import Machine, why_not_up
from harness.hosts.vm.providers import choose

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "The box 'x/y' could not be found or\ncould not be accessed",
            "the box 'x/y' can't be had: harness box",
        ),
        (
            "Box 'x/y' could not be found.\nTimed out while waiting for the machine to boot",
            "did not come up in time; its console's last",
        ),
        ("Timed out while waiting for the machine to boot.", "did not come up in time; its console's last"),
        ("SSH authentication failed!", "refuses SSH"),
        ("The SSH command responded with a non-zero exit status.", "was not provisioned"),
        (
            "cannot set up guest memory 'pc.ram': Cannot allocate memory",
            "gets no memory: .*HARNESS_MEMORY_MB",
        ),
        ("Something else went wrong", "vagrant up failed: Something else went wrong"),
    ],
)
def test_a_failure_is_told_in_a_line(said: str, words: str) -> None:
    """By what Vagrant says."""
    told = why_not_up(1, said.splitlines(), "Kernel panic", "x/y")
    assert "\n" not in told
    assert re.search(words, told)


def test_running_out_of_time_shows_the_console() -> None:
    """Or what Vagrant said last, where there is no console."""
    assert "console's last lines: Kernel panic" in why_not_up(-1, ["Waiting for domain"], "Kernel panic", "")
    assert "Waiting for domain" in why_not_up(-1, ["Waiting for domain"], "", "")


@pytest.mark.vagrant
def test_a_boot_that_takes_too_long_shows_the_console(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing of the machine is left."""
    box = str(VagrantBoxes().require(print).path)
    monkeypatch.setenv("SAMEPORT_CACHE", str(tmp_path))
    machine = Machine(choose(), print, {"HARNESS_BOX": box, "HARNESS_BOOT_TIMEOUT_S": "1"})
    with pytest.raises(HostError, match=r"did not come up in time; its console's last lines: \S"):
        machine.up()
    assert [path.name for path in (tmp_path / "machine").iterdir()] == ["lock"]


@pytest.mark.vagrant
@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"HARNESS_BOX": "/nonexistent/none.box"}, "the box '/nonexistent/none.box' can't be had"),
        ({"HARNESS_MEMORY_MB": "900000000"}, "needs more memory than is free"),
    ],
)
def test_machine_that_fails_to_start_gives_the_cause_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], words: str
) -> None:
    """Nothing but the lock is left, and another run can begin at once."""
    monkeypatch.setenv("SAMEPORT_CACHE", str(tmp_path))
    machine = Machine(choose(), print, environment)
    for _ in range(2):
        with pytest.raises(HostError, match=words):
            machine.up()
        assert [path.name for path in (tmp_path / "machine").iterdir()] == ["lock"]
