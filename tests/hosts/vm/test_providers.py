"""Which provider runs virtual machines, and whether hardware helps."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import HostError
from harness.hosts.vm import providers
from harness.hosts.vm.providers import choose, why_emulated


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Say which programs this machine has: none but these."""
    there = {"vagrant", "ssh"}
    monkeypatch.setattr(providers, "find_program", lambda name: name if name in there else None)
    monkeypatch.setattr(providers, "_LIBVIRT_SOCKET", Path("/nonexistent/socket"))
    return there


@pytest.mark.parametrize("missing", ["vagrant", "ssh"])
def test_provider_error_names_the_install_command(programs: set[str], missing: str) -> None:
    """Both are needed whoever runs the machine."""
    programs.remove(missing)
    with pytest.raises(HostError, match=f"needs {missing}, which is not on this machine: apt-get install"):
        choose({})


def test_a_provider_that_is_named_is_taken(programs: set[str]) -> None:
    """The harness's own variable goes before Vagrant's."""
    assert programs
    chosen = choose({"HARNESS_PROVIDER": "parallels", "VAGRANT_DEFAULT_PROVIDER": "libvirt"})
    assert (chosen.name, chosen.own, chosen.emulated) == ("parallels", False, False)
    with pytest.raises(HostError, match="no provider 'vritualbox'; HARNESS_PROVIDER is one of: virtualbox, "):
        choose({"VAGRANT_DEFAULT_PROVIDER": "vritualbox"})


def test_error_without_provider_names_the_programs(programs: set[str]) -> None:
    """One line, with the programs that are missing."""
    programs.add("ip")
    with pytest.raises(HostError, match=r"no provider .* works here: .*libvirtd, .*apt-get install"):
        choose({})


def test_an_ordinary_user_is_told_what_takes_root(
    programs: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or how to do without."""
    programs.update(providers._OWN_LIBVIRT)
    monkeypatch.setattr(providers, "may_map_everyone", lambda: False)
    with pytest.raises(HostError, match="to start one takes root: run the harness with sudo, or "):
        choose({})


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="these are flags of that architecture")
@pytest.mark.parametrize(
    ("flags", "device", "why"),
    [
        ("fpu sse", "", "neither vmx nor svm"),
        ("fpu vmxnet", "", "neither vmx nor svm"),
        ("fpu vmx", "/nonexistent", "can't be opened: No such file"),
        ("fpu svm", "/dev/null", "makes no machine"),
    ],
)
def test_a_device_alone_is_no_virtualisation(tmp_path: Path, flags: str, device: str, why: str) -> None:
    """What matters is the processor's flags, and a device that makes machines."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor : 0\nflags : {flags}\n")
    assert why in why_emulated(cpuinfo, Path(device or "/dev/kvm"))
