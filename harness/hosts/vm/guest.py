"""The process inside a virtual machine: `python3 -m harness.hosts.vm.guest`, as root.

It does what the harness asks over its standard streams, which are those of an SSH session. When they end,
for whatever reason, it takes back all that the run has made here, as the next run may use the machine, too.

Connections into the machine go through one Unix socket, which SSH forwards: see `_Relay`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.common.channel import ChannelClosedError, Message, Messages
from harness.common.text import stderr_tail
from harness.hosts.address_plan import IPV4
from harness.hosts.agent import FOR_HOST, Inside, set_limits

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path("/run/sameport")
RELAY = f"{FOLDER}/relay.sock"

_CHUNK = 1 << 16
_REMOVAL_DEADLINE_S = 60
_LOOK_EVERY_S = 0.5
_KERNEL_PARTS = ("ip_vs", "nf_conntrack", "br_netfilter")
_FIRST_RULES = FOLDER / "rules-before"


class _Streams(Messages):
    """Messages over the standard streams, which carry no descriptors."""

    def fileno(self) -> int:
        return sys.stdin.fileno()

    def _write(self, data: bytes, fds: tuple[int, ...]) -> None:
        del fds
        while data:
            data = data[os.write(sys.stdout.fileno(), data) :]

    def _read(self) -> bytes:
        return os.read(self.fileno(), _CHUNK)


class _Relay:
    """Joins connections that come through SSH with what is meant.

    The first line of each, in JSON, says what that is: {place, pid} as for `connect`, or {program}, the
    channel of one that was spawned. One line answers: empty, or what went wrong.
    """

    def __init__(self, path: str, meant: Callable[[Message], socket.socket]) -> None:
        self._meant = meant
        with suppress(FileNotFoundError):
            Path(path).unlink()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        Path(path).chmod(0o666)  # SSH comes as an ordinary user
        self._listener.listen(socket.SOMAXCONN)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            came, _ = self._listener.accept()
            threading.Thread(target=self._join, args=(came,), daemon=True).start()

    def _join(self, came: socket.socket) -> None:
        with came, suppress(OSError):
            line = b""
            while not line.endswith(b"\n"):
                byte = came.recv(1)
                if not byte:
                    return
                line += byte
            try:
                other = self._meant(json.loads(line))
            except OSError as error:
                came.sendall(f"{error.strerror or error}\n".encode())
                return
            with other:
                other.settimeout(None)
                came.sendall(b"\n")
                back = threading.Thread(target=_copy, args=(other, came), daemon=True)
                back.start()
                _copy(came, other)
                back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


class Guest(Inside):
    """Requests of the harness to a virtual machine."""

    def __init__(self, channel: Messages) -> None:
        super().__init__(channel)
        FOLDER.mkdir(exist_ok=True)
        self._programs: dict[int, tuple[subprocess.Popen[bytes], socket.socket, Path]] = {}
        self._relay = _Relay(RELAY, self._meant)
        self._left = False

    def _meant(self, asked: Message) -> socket.socket:
        if "program" in asked:
            return self._programs[asked["program"]][1].dup()
        return self._connected(asked["place"], asked["pid"])

    def _do_link(self, request: Message) -> Message:
        """Prepare the network: {gateway} → {kernel, cores}.

        Clients of the plan's external sources are behind the gateway; without one, they have others.
        """
        # What strategies take for granted, and nothing else loads. Whether the kernel has it, its use shows.
        modprobe = ["modprobe", "--all", "--quiet", *_KERNEL_PARTS]
        subprocess.run(modprobe, check=False, stdin=subprocess.DEVNULL)
        set_limits(FOR_HOST)
        routes = [["local", IPV4.local_sources, "dev", "lo"]]
        if request["gateway"]:
            routes.append([IPV4.external_sources, "via", request["gateway"]])
        for route in routes:
            subprocess.run(["ip", "route", "replace", *route], check=True, stdin=subprocess.DEVNULL)
        return {"kernel": os.uname().release, "cores": os.cpu_count()}

    def _do_find(self, request: Message) -> Message:
        """Find programs: {names} → {missing}."""
        return {"missing": [name for name in request["names"] if shutil.which(name) is None]}

    def _do_spawn(self, request: Message) -> Message:
        """Start a program that speaks over a channel, to be had from the relay: {argv, role} → {program}."""
        log = FOLDER / f"program-{len(self._programs)}.log"
        ours, theirs = socket.socketpair()
        with theirs, log.open("wb") as words:
            child = subprocess.Popen(
                [*request["argv"], str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=words,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._programs[child.pid] = (child, ours, log)
        self._roles[child.pid] = request["role"]
        return {"program": child.pid}

    def _do_words(self, request: Message) -> Message:
        """Give the last words of a program that was spawned: {program} → {words}."""
        return {"words": stderr_tail(self._programs[request["program"]][2].read_bytes())}

    def _do_leave(self, _request: Message) -> Message:
        """Take back all that was made here → {}."""
        self.leave()
        return {}

    def leave(self) -> None:
        """End all that was started, and take back what it has made, once."""
        if self._left:
            return
        self._left = True
        for child, ours, _ in self._programs.values():
            ours.close()
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        self._programs.clear()
        self._services.stop_all()
        tidy()


def remember() -> None:
    """Note the rules that there are before a run adds its own."""
    if not _FIRST_RULES.exists():
        _FIRST_RULES.write_text(json.dumps(_rules()))


def _rules() -> dict[str, Any]:
    saved = _said(["iptables-save"]).splitlines()
    # Comments have the time, chains have counts.
    iptables = [line.partition(" [")[0] for line in saved if not line.startswith("#")]
    return {"iptables": iptables, "nft": _said(["nft", "list", "tables"]).splitlines()}


def tidy() -> None:
    """Take back what runs have made: containers and their network, rules, virtual services, connections."""
    _remove_containers()
    if _said(["docker", "network", "ls", "--quiet", "--filter", "name=^sameport$"]):
        _said(["docker", "network", "rm", "sameport"])
    before = json.loads(_FIRST_RULES.read_text())
    now = _rules()
    for table in now["nft"]:
        # Those that iptables shows are restored by it; their names are those of its own tables.
        if table not in before["nft"] and not _of_iptables(table):
            _said(["nft", "delete", *table.split()])
    if now["iptables"] != before["iptables"]:
        subprocess.run(
            ["iptables-restore"], input="\n".join(before["iptables"]) + "\n", text=True, check=True
        )
    if Path("/proc/net/ip_vs").exists():
        _said(["ipvsadm", "--clear"])
    _forget_connections()


def _remove_containers() -> None:
    """Remove runs' containers; wait for those whose removal a run that was killed had asked for."""
    end_s = time.monotonic() + _REMOVAL_DEADLINE_S
    while ids := _said(["docker", "ps", "--all", "--quiet", "--filter", "name=^sameport[-.]"]).split():
        try:
            _said(["docker", "rm", "--force", "--volumes", *ids])
        except subprocess.CalledProcessError:
            # Docker refuses what it is about to do; whatever else it is, it is told in the end.
            if time.monotonic() > end_s:
                raise
            time.sleep(_LOOK_EVERY_S)


def _of_iptables(table: str) -> bool:
    _, family, name = table.split()
    return family in {"ip", "ip6"} and name in {"nat", "filter", "mangle", "raw", "security"}


def _forget_connections() -> None:
    """Flush connection tracking, which would send packets of connections long gone to where they went."""
    # linux/netfilter/nfnetlink.h and nfnetlink_conntrack.h: the subsystem's number is 1, to delete is 2.
    # Deleting without saying what deletes all.
    netlink_netfilter, kind, request_and_acknowledge = 12, 1 << 8 | 2, 1 | 4
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, netlink_netfilter) as asked:
        asked.bind((0, 0))
        asked.send(struct.pack("=IHHIIBBH", 20, kind, request_and_acknowledge, 1, 0, socket.AF_INET, 0, 0))
        (number,) = struct.unpack_from("=i", asked.recv(4096), 16)
    if number:
        raise OSError(-number, f"connection tracking can't be flushed: {os.strerror(-number)}")


def _said(argv: list[str]) -> str:
    return subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout


def main() -> int:
    """Serve until the session ends."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    channel = _Streams()
    FOLDER.mkdir(exist_ok=True)
    try:
        used = _FIRST_RULES.exists()
        remember()
        if used:
            tidy()  # after a run that could not
        guest = Guest(channel)
        channel.send({"event": "up"})
    except (OSError, subprocess.CalledProcessError) as error:
        words = getattr(error, "stderr", "") or ""
        channel.send({"event": "failed", "error": f"{error} {words}".strip(), "errno": 0})
        return 1
    try:
        guest.serve()
    except ChannelClosedError:
        guest.leave()
    return 0


if __name__ == "__main__":
    sys.exit(main())
