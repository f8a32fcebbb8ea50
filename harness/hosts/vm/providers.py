"""The provider of virtual machines here: one of Vagrant's, and whether hardware helps."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.common.text import stderr_tail
from harness.errors import HostError
from harness.hosts.netns import find_program, may_map_everyone

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROVIDERS = ("virtualbox", "libvirt", "vmware_desktop", "parallels")
_LIBVIRT_SOCKET = Path("/run/libvirt/libvirt-sock")
_OWN_LIBVIRT = ("libvirtd", "virtlogd", "qemu-system-x86_64", "qemu-img", "dnsmasq", "nsenter", "ip")
_INSTALL = "apt-get install vagrant vagrant-libvirt libvirt-daemon-system qemu-system-x86 qemu-utils"
_ASK_S = 60
_KVM_GET_API_VERSION, _KVM_CREATE_VM, _KVM_API = 0xAE00, 0xAE01, 12  # linux/kvm.h


@dataclass(frozen=True)
class Provider:
    """A provider of virtual machines.

    Attributes
    ----------
    name
        As Vagrant says it.
    emulated
        Whether no hardware helps.
    own
        Whether libvirt is started by the harness, in namespaces of its own.
    why
        One sentence, for people.
    """

    name: str
    emulated: bool
    own: bool
    why: str


def choose(environment: Mapping[str, str] = os.environ) -> Provider:
    """Choose a provider: the one that is named, else one that works here.

    Parameters
    ----------
    environment
        ``HARNESS_PROVIDER``, or Vagrant's own ``VAGRANT_DEFAULT_PROVIDER``, names one.

    Raises
    ------
    HostError
        There is no Vagrant, or none of its providers.
    """
    for program, install in {"vagrant": _INSTALL, "ssh": "apt-get install openssh-client"}.items():
        if find_program(program) is None:
            raise HostError(f"host vagrant needs {program}, which is not on this machine: {install}")
    named = environment.get("HARNESS_PROVIDER") or environment.get("VAGRANT_DEFAULT_PROVIDER")
    if named and named not in _PROVIDERS:
        raise HostError(f"no provider {named!r}; HARNESS_PROVIDER is one of: {', '.join(_PROVIDERS)}")
    if named not in {None, "libvirt"}:
        return Provider(str(named), emulated=False, own=False, why=f"{named}, as requested")
    if named is None and find_program("VBoxManage") and _said(["VBoxManage", "--version"]):
        return Provider("virtualbox", emulated=False, own=False, why="VirtualBox is installed")
    own = not _answers(_LIBVIRT_SOCKET)
    if own:
        _require_own_libvirt()
    if "vagrant-libvirt" not in _said(["vagrant", "plugin", "list"]):
        raise HostError(f"Vagrant has no plugin for libvirt: {_INSTALL}")
    hindrance = why_emulated()
    how = f"emulated, as {hindrance}" if hindrance else "with hardware virtualisation"
    where = "libvirt in namespaces of its own" if own else "this machine's libvirt"
    return Provider("libvirt", emulated=bool(hindrance), own=own, why=f"{where}, {how}")


def _require_own_libvirt() -> None:
    if missing := [program for program in _OWN_LIBVIRT if find_program(program) is None]:
        raise HostError(
            "no provider of virtual machines works here: VirtualBox is not installed, no libvirtd answers, "
            f"and to start one, {', '.join(missing)} would be needed: {_INSTALL}"
        )
    if not may_map_everyone():
        raise HostError(
            "no libvirtd answers at this machine's socket, and to start one takes root: run the harness with "
            "sudo, or start libvirtd and be in its group (sudo usermod -aG libvirt $USER)"
        )


def why_emulated(cpuinfo: Path = Path("/proc/cpuinfo"), kvm: Path = Path("/dev/kvm")) -> str:
    """Tell why no hardware helps; empty where it does.

    A device is not enough: where the processor shows none of the extensions, a guest hangs at its start.

    Parameters
    ----------
    cpuinfo, kvm
        Where the kernel shows processors, and its virtual machines' device.
    """
    words = set(cpuinfo.read_text().split())
    if not words & {"vmx", "svm"} and os.uname().machine == "x86_64":
        return "the processor shows neither vmx nor svm"
    try:
        device = os.open(kvm, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        hint = " (sudo usermod -aG kvm $USER)" if error.errno == errno.EACCES else ""
        return f"{kvm} can't be opened: {error.strerror}{hint}"
    try:
        if fcntl.ioctl(device, _KVM_GET_API_VERSION) != _KVM_API:
            return f"{kvm} speaks another version"
        os.close(fcntl.ioctl(device, _KVM_CREATE_VM, 0))
    except OSError as error:
        return f"{kvm} makes no machine: {error.strerror}"
    finally:
        os.close(device)
    return ""


def _said(argv: list[str]) -> str:
    """Ask a program; empty where it fails."""
    path = shutil.which(argv[0]) or find_program(argv[0]) or argv[0]
    try:
        asked = subprocess.run(
            [path, *argv[1:]], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_ASK_S
        )
    except subprocess.TimeoutExpired as error:
        raise HostError(f"{argv[0]} does not answer within {_ASK_S} s") from error
    return stderr_tail(asked.stdout) if asked.returncode == 0 else ""


def _answers(place: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as asked:
        try:
            asked.connect(str(place))
        except OSError:
            return False
        return True
