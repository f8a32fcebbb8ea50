"""Own a libvirt of the harness's own: `python -m harness.hosts.vm.namespace_holder FD FOLDER`.

Where no libvirtd runs, one is started in new mount, PID, network, host-name and IPC namespaces: its virtual
machines and their networks exist in there only. This process forks the PID namespace's first, which starts
virtlogd and libvirtd and ends when the channel to the harness closes, unless it was told to stay; with it the
kernel ends everything else inside. Its files are below FOLDER.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from harness.common.channel import Channel, ChannelClosedError
from harness.hosts import kernel

_NAMESPACES = (
    kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWNET | kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC
)
_UP_DEADLINE_S = 60
_LOOK_EVERY_S = 0.05
_REAP_EVERY_S = 1.0
# The user of machines, and what would need a machine's services: none of that inside.
_QEMU = """\
user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = []
namespaces = []
remember_owner = 0
stdio_handler = "file"
"""
_LIBVIRTD = """\
auth_unix_rw = "none"
"""
SOCKET = "/run/libvirt/libvirt-sock"


def _prepare_inside(folder: Path) -> None:
    kernel.keep_mounts_private()
    kernel.mount("proc", "/proc")
    kernel.mount("tmpfs", "/run")
    for name in ("lib", "log", "cache"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        kernel.mount_over(str(folder / name), f"/var/{name}/libvirt")
    settings = folder / "etc"
    settings.mkdir(exist_ok=True)
    (settings / "qemu.conf").write_text(_QEMU)
    (settings / "libvirtd.conf").write_text(_LIBVIRTD)
    kernel.mount_over(str(settings), "/etc/libvirt")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def _started(program: str, folder: Path) -> subprocess.Popen[bytes]:
    with (folder / f"{program}.log").open("wb") as words:
        return subprocess.Popen(
            [program],
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            cwd="/",
            env=os.environ | {"PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"},
        )


def _answers() -> bool:
    with socket.socket(socket.AF_UNIX) as asked:
        try:
            asked.connect(SOCKET)
        except OSError:
            return False
        return True


def _first_process(channel: Channel, folder: Path) -> NoReturn:
    kernel.die_with_parent()
    try:
        _prepare_inside(folder)
        daemons = [_started(program, folder) for program in ("virtlogd", "libvirtd")]
        end_s = time.monotonic() + _UP_DEADLINE_S
        while not _answers():
            ended = next((daemon for daemon in daemons if daemon.poll() is not None), None)
            if ended is not None or time.monotonic() > end_s:
                channel.send({"event": "failed", "error": "libvirtd does not start"})
                os._exit(1)
            time.sleep(_LOOK_EVERY_S)
        channel.send({"event": "up"})
        _wait(channel)
    except ChannelClosedError:
        os._exit(0)
    except (OSError, subprocess.CalledProcessError) as error:
        channel.send({"event": "failed", "error": str(error)})
    os._exit(1)


def _wait(channel: Channel) -> None:
    """Live until the harness has gone, or for ever if it says so; meanwhile, bury orphans."""
    while True:
        with suppress(TimeoutError):
            if channel.receive(_REAP_EVERY_S)["do"] == "keep":
                break
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    channel.send({"event": "kept"})
    channel.close()
    while True:
        with suppress(ChildProcessError):
            os.wait()


def main() -> int:
    """Make the namespaces, and wait for the first process inside to end."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    channel, folder = Channel.inherited(int(sys.argv[1])), Path(sys.argv[2])
    try:
        kernel.unshare(_NAMESPACES)
    except OSError as error:
        channel.send({"event": "failed", "error": str(error)})
        return 1
    child = os.fork()
    if child == 0:
        _first_process(channel, folder)
    channel.close()
    os.waitpid(child, 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
