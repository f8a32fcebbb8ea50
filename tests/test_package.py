"""What is given away is whole: the archive of sources, and the wheel that is built from nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

if TYPE_CHECKING:
    from email.message import Message

_ROOT: Final = Path(__file__).parents[1]
_SOURCES: Final = ("pyproject.toml", "setup.py", "README.md", "LICENSE")
_BUILD: Final = (
    "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"
)


class _Built(NamedTuple):
    """The archive of sources and the wheel."""

    sdist: Path
    wheel: Path


def _build(what: str, tree: Path, into: Path) -> Path:
    """Build with the installed setuptools, as pip does without isolation: nothing is downloaded."""
    finished = subprocess.run(
        [sys.executable, "-c", _BUILD, f"build_{what}", str(into)],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    return into / finished.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> _Built:
    """Build both from a copy of the tree, in which no earlier build has left anything."""
    folder = tmp_path_factory.mktemp("package")
    tree = folder / "tree"
    shutil.copytree(_ROOT / "harness", tree / "harness", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for name in _SOURCES:
        shutil.copy(_ROOT / name, tree)
    sdist = _build("sdist", tree, folder)
    # tarfile's extractall wants a filter from Python 3.12 on, and 3.11.2 knows none.
    subprocess.run(["tar", "--extract", "--file", str(sdist)], cwd=folder, check=True, timeout=60)
    return _Built(sdist, _build("wheel", folder / sdist.name.removesuffix(".tar.gz"), folder))


def _files_of_the_tree() -> set[str]:
    found = (path for path in (_ROOT / "harness").rglob("*") if path.is_file())
    return {
        path.relative_to(_ROOT).as_posix()
        for path in found
        if path.suffix not in {".pyc", ".so"} and "__pycache__" not in path.parts
    }


def _metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return message_from_bytes(wheel.read(name))


def test_sdist_has_every_source_and_the_licence(built: _Built) -> None:
    """The headers of the compiled part, which no package pattern covers, are among them."""
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {*_SOURCES, *_files_of_the_tree()} - names == set()


def test_wheel_has_every_module_and_data_file(built: _Built) -> None:
    """A template that a pattern in pyproject.toml misses would be missed by installed copies only."""
    with zipfile.ZipFile(built.wheel) as wheel:
        names = set(wheel.namelist())
    expected = {name for name in _files_of_the_tree() if not name.endswith((".c", ".h"))}
    assert expected - names == set()
    assert any(name.startswith("harness/load/_wire.") and name.endswith(".so") for name in names)


def test_wheel_carries_its_licence(built: _Built) -> None:
    """The licence's text is in the wheel, and the metadata names it as SPDX does."""
    with zipfile.ZipFile(built.wheel) as wheel:
        metadata = _metadata(wheel)
        (text,) = (name for name in wheel.namelist() if name.endswith(".dist-info/licenses/LICENSE"))
        assert wheel.read(text) == (_ROOT / "LICENSE").read_bytes()
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Author"] == "sameport contributors"
    assert metadata["Requires-Python"] == ">=3.11"


def test_wheel_installs_harness_alone(built: _Built) -> None:
    """Tests, benchmarks and notebooks stay in the repository."""
    with zipfile.ZipFile(built.wheel) as wheel:
        tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"harness"}
