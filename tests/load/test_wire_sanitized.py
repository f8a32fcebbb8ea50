"""The engine's and the parser's tests once more, compiled to end at the first wrong access or overflow."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Built = Callable[[str], Path]

ROOT: Final = Path(__file__).parents[2]
FLAGS: Final = (
    "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g "
    "-Wconversion -Wshadow -Werror"
)
PLACE: Final = "    struct answer answer = {0};\n"
"""In module.c, at the beginning of what the parser's tests call."""


@pytest.fixture
def built(tmp_path: Path) -> Built:
    """Build a copy of the package, with a line put in where the parser's tests come by."""

    def build(line: str) -> Path:
        for part in ("harness", "tests"):
            shutil.copytree(
                ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("*.so", "__pycache__")
            )
        for name in ("pyproject.toml", "README.md", "setup.py"):
            shutil.copy(ROOT / name, tmp_path)
        module = tmp_path / "harness/load/wire/module.c"
        source = module.read_text()
        assert source.count(PLACE) == 1
        module.write_text(source.replace(PLACE, PLACE + line))
        done = run(tmp_path, "setup.py", "build_ext", "--inplace", CFLAGS=FLAGS)
        assert list((tmp_path / "harness/load").glob("_wire.*.so")), done.stdout
        return tmp_path

    return build


def run(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, whose package comes before the installed one."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=580,
        check=False,
    )


def sanitized(folder: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    """Run tests of the copy, with the sanitizer's library before all others."""
    library = subprocess.check_output(["gcc", "-print-file-name=libasan.so"], text=True).strip()
    return run(
        folder,
        *("-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "--basetemp=base"),
        *(f"tests/load/{test}" for test in tests),
        LD_PRELOAD=library,
        # What the interpreter keeps until its end is no leak, and its own allocator hides wrong accesses.
        ASAN_OPTIONS="detect_leaks=0",
        PYTHONMALLOC="malloc",
    )


def test_sanitizers_find_nothing_in_engine_and_parser(built: Built) -> None:
    """All their tests, the fuzzing included, touch no memory that isn't theirs and overflow no number."""
    done = sanitized(built(""), "test_wire_engine.py", "test_wire_parser.py")
    assert done.returncode == 0, done.stdout[-10_000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.parametrize(
    ("line", "report"),
    [
        ("char *volatile wrong = malloc(3); free(wrong); *wrong = 1;", "heap-use-after-free"),
        ("volatile int wrong = 2147483647; wrong = wrong + 1;", "signed integer overflow"),
    ],
)
def test_sanitizers_find_a_deliberate_defect(built: Built, line: str, report: str) -> None:
    """The test above can fail: with a defect on purpose, the first test of the parser ends everything."""
    done = sanitized(built(line), "test_wire_parser.py")
    assert done.returncode != 0
    assert report in done.stdout
    assert "module.c" in done.stdout
