"""docs/tutorial.md from start to end: each command as it is printed, in a folder with a space in its name."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(sh|yaml)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"`(my-[a-z]+\.yaml)`")
_PRINTED = (_ROOT / "docs" / "tutorial.md").read_text("utf-8").partition("## Reading")[2].partition("- **")[0]
_LABELS = re.findall(r"^ {4}([a-z-]+) {2,}\S", _PRINTED, re.MULTILINE)
"""What begins the lines of output that the page shows and explains."""
_STATUS = re.compile(r"  # exit status (\d)$")
_IMAGE = "Your own image"
_LONGEST_S = 240
_SUDO = '#!/bin/sh\nexec "$@"\n'
# Packages are not installed by a test; that they are there, is what the command leads to.
_APT_GET = '#!/bin/sh\n[ "$1" = install ] && shift && exec dpkg --status "$@" >/dev/null\n'
_DOCKER = '#!/bin/sh\n[ "$1 $2" = "save registry.example/team/app:7" ] && exec cat "{archive}"\n'


@dataclass(frozen=True)
class Step:
    """A file to be written, or a command and the exit status that the page says it has."""

    section: str
    text: str
    file: str = ""
    status: int = 0


def _steps() -> Iterator[Step]:
    page = (_ROOT / "docs" / "tutorial.md").read_text("utf-8")
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        title = section.partition("\n")[0]
        for block in _BLOCK.finditer(section):
            if block[1] == "yaml":
                yield Step(title, block[2], file=_FILE.findall(section[: block.start()])[-1])
                continue
            for line in re.sub(r"\\\n\s*", "", block[2]).splitlines():
                status = _STATUS.search(line)
                yield Step(title, line, status=int(status[1]) if status else 0)


@pytest.fixture
def clone(public_tmp_path: Path) -> Path:
    """Copy the files of the project into a folder, with this environment as its own."""
    folder = public_tmp_path / "my clone"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (_ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(_ROOT / name, folder / name)
    environment = folder / ".venv"
    environment.mkdir()
    for entry in Path(sys.prefix).iterdir():
        if not entry.name.startswith("installed"):
            (environment / entry.name).symlink_to(entry)
    for stamp in ("installed", "installed-proxies", "installed-dev"):
        (environment / stamp).touch()  # newer than all that was copied: everything is installed
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, 65534, 65534, follow_symlinks=False)
    return folder


def _follow(steps: list[Step], clone: Path, user: tuple[str, ...] = (), **variables: str) -> None:
    """Do what the page says; as in one shell, what is activated stays so."""
    path = f"{clone}/.venv/bin:{os.environ['PATH']}"
    home = clone.parent / "home"
    home.mkdir(mode=0o777, exist_ok=True)
    home.chmod(0o777)
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "VIRTUAL"))
    } | {"HOME": str(home), "XDG_CACHE_HOME": str(home), "COLUMNS": "80", "PATH": path}
    for step in steps:
        if step.file:
            (clone / step.file).write_text(step.text)
            continue
        done = subprocess.run(
            [*user, "bash", "-c", step.text],
            cwd=clone,
            env=environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LONGEST_S,
            check=False,
        )
        assert done.returncode == step.status, f"{step.text}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        if step.text == "make run":
            assert not [label for label in _LABELS if f"\n{label} " not in f"\n{done.stdout}"], done.stdout


def test_the_tutorial_is_read_whole() -> None:
    """From its first command to its last section, with both files."""
    steps = [*_steps()]
    assert {step.file for step in steps if step.file} == {"my-scenario.yaml", "my-image.yaml"}
    assert steps[0].text == "make run"
    assert ". .venv/bin/activate" in [step.text for step in steps]
    assert steps[-1].section == "A check in CI"
    assert len(steps) > 20
    assert {"chi-square", "latency", "witnesses", "verdict"} <= {*_LABELS}


def test_the_tutorial_works_as_an_ordinary_user(clone: Path, ordinary_user: tuple[str, ...]) -> None:
    """Every command but those for containers has the exit status that the page says, the last one, too."""
    _follow([step for step in _steps() if step.section != _IMAGE], clone, ordinary_user)
    assert (clone / "results" / "baselines" / "my-scenario.json").is_file()


@pytest.mark.containers
@pytest.mark.skipif(os.geteuid() != 0, reason="container engines need root")
def test_the_tutorial_runs_an_image(clone: Path, public_tmp_path: Path) -> None:
    """The commands for containers; what stands for the reader's image is the sample application."""
    from harness.images import Cache

    sample = Cache().require("sample", lambda _: None, "packages")
    archive = public_tmp_path / "app.tar"
    _rename(sample.path, archive, "registry.example/team/app:7")
    programs = public_tmp_path / "programs"
    programs.mkdir()
    for name, text in {
        "sudo": _SUDO,
        "apt-get": _APT_GET,
        "docker": _DOCKER.format(archive=archive),
    }.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    path = f"{programs}:{clone}/.venv/bin:{os.environ['PATH']}"
    _follow([step for step in _steps() if step.section == _IMAGE], clone, PATH=path)
    (result,) = (clone / "results").glob("my-image-*")
    assert '"verdict":"even"' in (result / "summary.json").read_text().replace(" ", "")


def _rename(image: Path, archive: Path, reference: str) -> None:
    """Copy an image's archive, under another name."""
    import io
    import json

    with tarfile.open(image) as old, tarfile.open(archive, "w") as new:
        for member in old.getmembers():
            content = old.extractfile(member)
            if content is None:
                continue
            data = content.read()
            if member.name == "manifest.json":
                manifest = json.loads(data)
                manifest[0]["RepoTags"] = [reference]
                data = json.dumps(manifest).encode()
            member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    archive.chmod(0o644)
