"""A root file system of Debian packages, made without root and without installing anything.

apt finds and downloads a package with all that it depends on; dpkg-deb and tar unpack them. No
installation script runs, and what only such scripts need is left out: with Perl, dpkg and the like,
images would be twice as large, and large images take long to load. Works on Debian and on what
descends from it.
"""

from __future__ import annotations

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from harness.common.text import stderr_tail
from harness.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_PATIENCE_S = 900
_UNPACKING_S = 120
_UPDATE = "apt-get update (as root) makes apt's lists anew"

_LEFT_OUT = (
    "adduser",
    "debconf",
    "dpkg",
    "init-system-helpers",
    "iproute2",
    "lsb-base",
    "mawk",
    "media-types",
    "openssl",
    "passwd",
    "perl",
    "perl-base",
    "sysvinit-utils",
    "tar",
    "usr-is-merged",
    "usrmerge",
)
"""Packages that are taken for installed: installation scripts, services and interactive users want them."""

_UNWANTED = (
    "./usr/share/doc/*",
    "./usr/share/doc-base/*",
    "./usr/share/info/*",
    "./usr/share/man/*",
    "./usr/share/locale/*",
    "./usr/share/lintian/*",
    "./usr/share/bug/*",
    "./usr/share/bash-completion/*",
    "./usr/share/zsh/*",
    "./usr/share/vim/*",
    "./usr/share/apport/*",
    "./usr/share/binfmts/*",
    "./usr/share/python3/*",
    "./usr/share/pixmaps/*",
    "./usr/share/applications/*",
    "./usr/share/gcc/*",
    "./usr/lib/*/gconv/*",
    "./usr/lib/*/audit/*",
    "./usr/lib/*/perl-base/*",
    "./usr/lib/python3*/config-*",
    "./usr/lib/python3*/ensurepip",
    "./usr/lib/python3*/lib2to3",
    "./usr/lib/python3*/pydoc_data",
    "./usr/lib/python3*/test",
    "./usr/lib/python3*/unittest",
    "./usr/lib/python3*/distutils",
    "./lib/systemd/*",
    "./usr/lib/systemd/*",
    "./lib/udev/*",
    "./etc/init.d",
    "./etc/cron.d",
    "./etc/logrotate.d",
    "./etc/ufw",
    "./var/lib/dpkg",
    "./var/cache/*",
    "*/__pycache__",
)
"""What no container needs, as tar's patterns, which match slashes with their asterisks."""

_MERGED = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
_FILES = {
    "etc/passwd": """\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
""",
    "etc/group": "root:x:0:\ndaemon:x:1:\nadm:x:4:\nwww-data:x:33:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n",
}
_FOLDERS = {"tmp": 0o1777, "var/tmp": 0o1777, "root": 0o700, "run": 0o755}


@dataclass(frozen=True)
class Unpacked:
    """A root file system.

    Attributes
    ----------
    root
        Its folder.
    versions
        Of each package in it.
    release
        Whose packages these are, as in ``debian12``.
    """

    root: Path
    versions: dict[str, str]
    release: str


def unpack(packages: Sequence[str], folder: Path) -> Unpacked:
    """Make a root file system with some packages and all that they depend on.

    Parameters
    ----------
    packages
        Debian's names.
    folder
        An empty one; the file system goes to ``root`` below it.

    Raises
    ------
    EngineError
        apt can't get them; the message names the remedy.
    """
    archives = _download(packages, folder)
    root = folder / "root"
    for name in _MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for archive in archives:
        _unpack(archive, root)
    _complete(root)
    with ThreadPoolExecutor() as several:
        versions = dict(several.map(_version, archives))
    return Unpacked(root, dict(sorted(versions.items())), _release(root))


def _download(packages: Sequence[str], folder: Path) -> list[Path]:
    archives = folder / "archives"
    (archives / "partial").mkdir(parents=True)
    status = folder / "status"
    status.write_text("".join(_taken_for_installed(name) for name in _LEFT_OUT))
    settings = {
        "Dir::State::status": status,
        "Dir::Cache::archives": f"{archives}/",
        "Dir::Cache::pkgcache": "",  # it would be of the wrong status
        "Debug::NoLocking": "1",  # nothing of the system's is written, so no lock is needed
        "APT::Sandbox::User": "root",  # apt's own user can't enter this folder
        "APT::Get::List-Cleanup": "0",
        "Acquire::Retries": "2",
        "Acquire::http::Timeout": "20",
        "Acquire::https::Timeout": "20",
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    command = ["apt-get", *options, "--quiet=2", "--no-install-recommends", "--yes", "--download-only"]
    said = _run([*command, "install", *packages], _PATIENCE_S)
    if said.returncode:
        raise EngineError(_why_not(packages, said.stderr))
    return sorted(archives.glob("*.deb"))


def _taken_for_installed(name: str) -> str:
    fields = {
        "Package": name,
        "Status": "install ok installed",
        "Version": "99999",
        "Architecture": "all",
        "Multi-Arch": "foreign",
        "Maintainer": "nobody",
        "Description": "left out",
        "Provides": "awk, debconf-2.0",
    }
    return "".join(f"{key}: {value}\n" for key, value in fields.items()) + "\n"


def _why_not(packages: Sequence[str], said: bytes) -> str:
    text = said.decode(errors="replace")
    what = f"the package {packages[0]} and what it needs can't be had"
    if unknown := re.search(r"Unable to locate package (\S+)|Package '?(\S+?)'? has no installation", text):
        return f"{what}: apt knows no {unknown[1] or unknown[2]}; {_UPDATE}"
    if "404" in text:
        return f"{what}: apt's lists are old; {_UPDATE}"
    return f"{what}: {stderr_tail(said) or 'apt-get said nothing'}; does apt-get update work?"


def _unpack(archive: Path, root: Path) -> None:
    """Unpack one package, its files of /bin and the like to where those are links to."""
    unwanted = [f"--exclude={pattern}" for pattern in _UNWANTED]
    options = ["--keep-directory-symlink", "--no-same-owner", "--same-permissions", f"--directory={root}"]
    opening = ["dpkg-deb", "--fsys-tarfile", str(archive)]
    with _found(opening), subprocess.Popen(opening, stdout=subprocess.PIPE) as opener:
        said = _run(["tar", "--extract", *options, *unwanted], _UNPACKING_S, opener.stdout)
    if said.returncode or opener.returncode:
        words = stderr_tail(said.stderr) or "it is no Debian package"
        raise EngineError(f"{archive.name} can't be unpacked: {words}; is the disk full?")


def _complete(root: Path) -> None:
    """Do what installation scripts would have done, as far as containers need it.

    There is no ldconfig among it: libraries lie where the loader looks without a cache.
    """
    for name, mode in _FOLDERS.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name).chmod(mode)
    for name, content in _FILES.items():
        (root / name).write_text(content)
    for link, target in (("usr/bin/sh", "dash"), ("var/run", "/run"), ("var/lock", "/run/lock")):
        if not os.path.lexists(root / link):
            (root / link).symlink_to(target)
    certificates = sorted((root / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    if certificates:
        bundle = root / "etc/ssl/certs/ca-certificates.crt"
        bundle.parent.mkdir(parents=True, exist_ok=True)
        bundle.write_text("".join(f"{path.read_text().strip()}\n" for path in certificates))


def _version(archive: Path) -> tuple[str, str]:
    said = _run(["dpkg-deb", "--show", "--showformat=${Package} ${Version}", str(archive)], _UNPACKING_S)
    name, _, version = said.stdout.decode().partition(" ")
    return name, version


def _release(root: Path) -> str:
    text = (root / "etc/os-release").read_text()
    fields = dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line)
    return (fields.get("ID", "linux") + fields.get("VERSION_ID", "")).replace('"', "")


def _run(
    command: Sequence[str], patience_s: float, given: IO[bytes] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end, in the language that its messages are looked through in."""
    environment = os.environ | {"LC_ALL": "C"}
    try:
        with _found(command):
            return subprocess.run(
                command,
                stdin=given or subprocess.DEVNULL,
                capture_output=True,
                check=False,
                env=environment,
                timeout=patience_s,
            )
    except subprocess.TimeoutExpired as error:
        raise EngineError(
            f"{command[0]} has not ended within {patience_s} s; does apt-get update work?"
        ) from error


@contextmanager
def _found(command: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise EngineError(
            f"Debian's packages can't be had: this machine has no {command[0]}; on one of Debian or Ubuntu, "
            "make an archive of the image with docker save, and add it: harness images add FILE"
        ) from error
