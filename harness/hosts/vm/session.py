"""A session by SSH with the process inside a virtual machine, and the harness's own code, which it needs.

The code is carried over once for each machine, as a tar archive on the session's standard input; the guest
needs Python 3.11 with its standard library and nothing else.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shlex
import socket
import subprocess
import tarfile
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from harness.common.channel import Channel, ChannelClosedError
from harness.common.paths import PACKAGE
from harness.common.text import stderr_tail
from harness.errors import HostError
from harness.hosts.vm.guest import RELAY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from harness.common.channel import Message
    from harness.hosts.vm.state import Ssh

ENGINE_SOCKET = "/run/docker.sock"
PYTHON = "/usr/bin/python3"
_CODE = "/var/lib/sameport"
_UP_DEADLINE_S = 300
_ANSWER_DEADLINE_S = 60

# Run by the guest's Python. The first line that comes says which code is wanted, and how long it is.
_BOOT = """
import io, os, shutil, sys, tarfile
if sys.version_info < (3, 11):
    sys.exit(f"the machine has Python {sys.version.split()[0]}, and 3.11 or later is needed")
def read(size, ends=b""):
    got = b""
    while len(got) < size and not (ends and got.endswith(ends)):
        some = os.read(0, 1 if ends else min(size - len(got), 1 << 20))
        if not some:
            sys.exit(1)
        got += some
    return got
key, size = read(1000, b"\\n").decode().split()
folder = f"{code}/{key}"
there = os.path.isdir(folder)
os.write(1, b'{"there":true}\\n' if there else b'{"there":false}\\n')
if not there:
    archive = read(int(size))
    shutil.rmtree(folder + ".new", ignore_errors=True)
    tarfile.open(fileobj=io.BytesIO(archive)).extractall(folder + ".new")
    os.rename(folder + ".new", folder)
os.environ["PYTHONPATH"] = folder
os.chdir("/")
os.execv(sys.executable, [sys.executable, "-m", "harness.hosts.vm.guest"])
"""
_OPTIONS = {
    "BatchMode": "yes",
    "ControlPersist": "no",
    "IdentitiesOnly": "yes",
    # A throw-away machine has a new key each time, and what goes to it does not leave this one.
    "StrictHostKeyChecking": "no",
    "UserKnownHostsFile": "/dev/null",
    "LogLevel": "ERROR",
    "ServerAliveInterval": "20",
    "ServerAliveCountMax": "6",
    "ConnectTimeout": "60",
    "StreamLocalBindUnlink": "yes",
}


def code(distributions: Sequence[str] = ()) -> bytes:
    """Pack the harness's code, and distributions with all that they require.

    Parameters
    ----------
    distributions
        Names of what is installed beside the harness.
    """
    packed = io.BytesIO()
    own = PACKAGE
    files = {
        f"harness/{path.relative_to(own)}": path
        for path in own.rglob("*")
        if path.suffix in {".py", ".so"} and "__pycache__" not in path.parts
    }
    for distribution in _required(distributions):
        for file in distribution.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                files[str(file)] = Path(str(file.locate()))
    # Without the time at which it was packed, the same code is the same archive.
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w") as archive,
    ):
        for name, path in sorted(files.items()):
            archive.add(path, name)
    return packed.getvalue()


def _required(names: Sequence[str]) -> Iterator[metadata.Distribution]:
    seen: set[str] = set()
    wanted = list(names)
    for name in wanted:
        if name.lower() in seen:
            continue
        seen.add(name.lower())
        distribution = metadata.distribution(name)
        yield distribution
        needs = map(Requirement, distribution.requires or ())
        wanted += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]


class Session:
    """A session; the machine has answered by SSH before.

    Parameters
    ----------
    ssh
        The machine's SSH address and user.
    enter
        Makes a command run where the machine can be reached.
    folder
        For sockets; its path must be short.
    """

    def __init__(self, ssh: Ssh, enter: Callable[[Sequence[str]], list[str]], folder: Path) -> None:
        self._ssh, self._enter = ssh, enter
        self._relay, self.engine, self._control = (folder / name for name in ("relay", "engine", "control"))
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the session
        self._process: subprocess.Popen[bytes] | None = None
        self.channel: Channel

    def _argv(self, *more: str, command: str = "") -> list[str]:
        options = _OPTIONS | {"ControlPath": str(self._control)}
        each = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        place = ["-p", str(self._ssh.port), "-i", str(self._ssh.key), f"{self._ssh.user}@{self._ssh.host}"]
        return self._enter(["ssh", "-F", "none", *each, *more, *place, *([command] if command else [])])

    def open(self, packed: bytes) -> None:
        """Open it, and wait until the process inside is up.

        Raises
        ------
        HostError
            SSH is refused, or the process does not start; the message holds its last words.
        """
        self.channel, theirs = Channel.pair()
        scope = ["systemd-run", "--quiet", "--scope", "--collect", "--unit=sameport"]
        boot = f"code = {_CODE!r}\n{_BOOT}"
        # After a run whose process inside was killed, what it had started may still be there.
        end_former = "sudo systemctl stop sameport.scope 2>/dev/null"
        start = shlex.join(["sudo", *scope, PYTHON, "-c", boot])
        with theirs:
            self._process = subprocess.Popen(
                self._argv(
                    *("-o", "ControlMaster=yes"),
                    *("-L", f"{self._relay}:{RELAY}", "-L", f"{self.engine}:{ENGINE_SOCKET}"),
                    command=f"{end_former}; {start}",
                ),
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._stderr,
                start_new_session=True,
            )
        key = hashlib.sha256(packed).hexdigest()[:20]
        try:
            self.channel.send_bytes(f"{key} {len(packed)}\n".encode())
            if not self.channel.receive(_UP_DEADLINE_S)["there"]:
                self.channel.send_bytes(packed)
            up = self.channel.receive(_UP_DEADLINE_S)
        except (ChannelClosedError, TimeoutError) as error:
            words = self.stderr_tail() or "it did not answer"
            raise HostError(f"the virtual machine can't be entered by SSH: {words}") from error
        if up["event"] != "up":
            raise HostError(f"the virtual machine can't be prepared: {up['error']}")

    def connect(self, meant: Message) -> socket.socket:
        """Connect to what is meant inside, as the guest's relay has it.

        Raises
        ------
        HostError
            No process listens there.
        """
        connected = socket.socket(socket.AF_UNIX)
        try:
            connected.settimeout(_ANSWER_DEADLINE_S)
            connected.connect(str(self._relay))
            connected.sendall(json.dumps(meant).encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n") and (some := connected.recv(1)):
                answer += some
        except OSError as error:
            connected.close()
            raise HostError(f"the virtual machine lets no connection in: {error}") from error
        if answer != b"\n":
            connected.close()
            why = answer.decode().strip() or self.stderr_tail() or "it was closed at once"
            raise HostError(f"no process can be reached at {meant} in the virtual machine: {why}")
        return connected

    def let_in(self, port: int) -> None:
        """Have connections to this port of the guest's loopback come to the same port out here.

        Raises
        ------
        HostError
            SSH refuses it.
        """
        asked = self._argv("-O", "forward", "-R", f"127.0.0.1:{port}:127.0.0.1:{port}")
        finished = subprocess.run(asked, capture_output=True, check=False, stdin=subprocess.DEVNULL)
        if finished.returncode:
            words = stderr_tail(finished.stderr)
            raise HostError(f"port {port} can't be reached from the virtual machine: {words}")

    def stderr_tail(self) -> str:
        """Give the last lines of SSH's, or of the process inside."""
        self._stderr.seek(0)
        return stderr_tail(self._stderr.read())

    def close(self) -> None:
        """End it, and with it the process inside."""
        if self._process is not None:
            self.channel.close()
            self._process.kill()  # by itself, it would wait for all connections that came through it
            self._process.wait()
            self._process = None
        self._stderr.close()
