"""VagrantBoxes of Debian's packages, for networks that do not reach Vagrant's catalogue; made once, and kept.

What is in one says `box.sh`; how it is started, `box.rb`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.common.paths import cache_folder
from harness.common.text import stderr_tail
from harness.errors import HostError
from harness.hosts.netns import find_program, may_map_everyone, search_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_HERE = Path(__file__).parent
_SCRIPT, _VAGRANTFILE = _HERE / "box.sh", _HERE / "box.rb"
_UNFINISHED = ".unfinished-"
_DISK_GB = 6
_LEAST_FREE_BYTES = 4 << 30
_PATIENCE_S = 3600
_LOOK_EVERY_S = 0.1
_SHOWN = ("linux-image", "docker.io", "systemd", "python3")
_NEEDS = {
    "debootstrap": "debootstrap",
    "mkfs.ext4": "e2fsprogs",
    "qemu-img": "qemu-utils",
    "unshare": "util-linux",
    "ssh-keygen": "openssh-client",
}


@dataclass(frozen=True)
class CachedBox:
    """A box that was made.

    Attributes
    ----------
    path
        The file.
    size
        Of it, in bytes.
    versions
        Of the packages that say most about it.
    made
        When, in seconds since 1970.
    """

    path: Path
    size: int
    versions: Mapping[str, str]
    made: float


class VagrantBoxes:
    """The cache's boxes: one, of the recipe as it is now.

    Parameters
    ----------
    folder
        What to use in place of the cache's.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or cache_folder() / "boxes"

    def find(self) -> CachedBox | None:
        """Give the box that is there; None where there is none of this recipe."""
        path = self._folder / f"sameport-{_recipe()}.box"
        try:
            known = json.loads(path.with_suffix(".json").read_text())
            size = path.stat().st_size
            if size != known["size"]:
                return None
            return CachedBox(path, size, known["versions"], known["made"])
        except (OSError, ValueError, KeyError):
            return None

    def require(self, tell: Callable[[str], None]) -> CachedBox:
        """Give the box, and make it if need be.

        Parameters
        ----------
        tell
            Receives a line about each step.

        Raises
        ------
        HostError
            It can't be made; the message says what would mend that.
        """
        if found := self.find():
            return found
        _require_able()
        with self._locked(tell):
            return self.find() or self._made(tell)

    def clean(self, tell: Callable[[str], None]) -> int:
        """Remove all boxes; gives how many bytes that freed."""
        if not self._folder.is_dir():
            return 0
        with self._locked(tell):
            files = [path for path in self._folder.iterdir() if path.suffix in {".box", ".json"}]
            freed = sum(path.stat().st_size for path in files)
            for path in files:
                path.unlink()
        return freed

    @contextmanager
    def _locked(self, tell: Callable[[str], None]) -> Iterator[None]:
        """Hold the lock, and remove the remains of processes that were killed while they held it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / ".lock").open("a") as lock:
            end_s, told = time.monotonic() + _PATIENCE_S, False
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end_s:
                        raise HostError(
                            f"a box has been made in {self._folder} for {_PATIENCE_S // 60} minutes; "
                            f"find the process: fuser -v {self._folder / '.lock'}"
                        ) from None
                if not told:
                    tell(f"waiting for another process that makes a box in {self._folder}")
                told = True
                time.sleep(_LOOK_EVERY_S)
            for path in self._folder.glob(f"{_UNFINISHED}*"):
                shutil.rmtree(path)
            yield

    def _made(self, tell: Callable[[str], None]) -> CachedBox:
        if (free := shutil.disk_usage(self._folder).free) < _LEAST_FREE_BYTES:
            raise HostError(
                f"a box takes {_LEAST_FREE_BYTES / 1e9:.1f} GB to make, and {free / 1e9:.1f} GB are free at "
                f"{self._folder}: free some, or name another folder with SAMEPORT_CACHE"
            )
        work = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self._folder))
        try:
            _make(work, tell)
            tell("the box is packed")
            path = self._folder / f"sameport-{_recipe()}.box"
            _pack(work, work / "new.box")
            versions = dict(line.split(" ", 1) for line in (work / "versions").read_text().splitlines())
            shown = {name: version for name, version in versions.items() if name.startswith(_SHOWN)}
            known = {
                "size": (work / "new.box").stat().st_size,
                "versions": shown,
                "made": round(time.time(), 3),
            }
            (work / "new.json").write_text(json.dumps(known, indent=2))
            for former in self._folder.glob("sameport-*"):
                former.unlink()
            (work / "new.json").rename(path.with_suffix(".json"))
            (work / "new.box").rename(path)
        finally:
            shutil.rmtree(work)
        found = self.find()
        if found is None:
            raise HostError(f"the box in {self._folder} was removed while it was made")
        return found


def _recipe() -> str:
    digest = hashlib.sha256()
    for part in (_SCRIPT.read_bytes(), _VAGRANTFILE.read_bytes(), str(_DISK_GB).encode()):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:12]


def _require_able() -> None:
    release = _os_release()
    if release.get("ID") != "debian":
        raise HostError(
            "boxes are made of Debian's packages, by Debian: make one there and copy it, or name another "
            "with HARNESS_BOX"
        )
    if missing := [package for program, package in _NEEDS.items() if find_program(program) is None]:
        raise HostError(f"a box can't be made yet: apt-get install {' '.join(missing)}")
    if not may_map_everyone():
        raise HostError("only root can make a box: sudo harness box build")


def _os_release() -> dict[str, str]:
    lines = Path("/etc/os-release").read_text().splitlines()
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}


def _mirror(suite: str) -> str:
    """Ask apt where this machine's own packages come from."""
    asked = [
        "apt-get",
        "indextargets",
        "--format",
        "$(CODENAME) $(COMPONENT) $(REPO_URI)",
        "Created-By: Packages",
    ]
    said = subprocess.run(asked, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL).stdout
    for line in said.splitlines():
        codename, component, place = line.split(" ", 2)
        if (codename, component) == (suite, "main"):
            return place
    raise HostError(f"apt knows no place for packages of {suite}: look into /etc/apt/sources.list.d")


def _make(folder: Path, tell: Callable[[str], None]) -> None:
    suite = _os_release().get("VERSION_CODENAME", "")
    architecture = subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    ).stdout.strip()
    # With this process unshare ends, and with that all that it started; mounts inside are invisible outside.
    apart = [
        "setpriv",
        "--pdeathsig=KILL",
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]
    with (
        (folder / "errors").open("w+b") as errors,
        subprocess.Popen(
            [*apart, "sh", str(_SCRIPT), str(folder), suite, _mirror(suite), architecture, str(_DISK_GB)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd="/",
            start_new_session=True,
            env=os.environ | {"PATH": search_path(), "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
        ) as making,
    ):
        assert making.stdout is not None  # noqa: S101  as asked for
        try:
            for line in making.stdout:
                if line.startswith("step: "):
                    tell(line.removeprefix("step: ").strip())
            status = making.wait()
        finally:
            making.kill()
        if status:
            errors.seek(0)
            words = stderr_tail(errors.read()) or f"exit status {status}"
            raise HostError(f"the box can't be made: {words}")


def _pack(folder: Path, path: Path) -> None:
    """Put the parts into an archive, as vagrant-libvirt has them (its README, box format version 1)."""
    described = {"provider": "libvirt", "format": "qcow2", "virtual_size": _DISK_GB}
    (folder / "metadata.json").write_text(json.dumps(described))
    shutil.copy(_VAGRANTFILE, folder / "Vagrantfile")
    (folder / "key").chmod(0o600)
    with tarfile.open(path, "w") as archive:
        for name in ("metadata.json", "Vagrantfile", "key", "vmlinuz", "initrd.img", "box.img"):
            archive.add(folder / name, name)
