"""The cache: one image is made once, whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from harness.common.paths import cache_folder
from harness.errors import EngineError
from harness.images import Cache
from harness.images.archive import described

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_REQUIRE = """
import sys
from pathlib import Path
from harness.images import Cache
print(Cache(Path(sys.argv[1])).require("nginx", print, "packages").sha256)
"""


def _requiring(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _REQUIRE, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def test_cache_makes_no_image_twice(built: Cache) -> None:
    """Whoever takes what there is gets it in no time."""
    told: list[str] = []
    first = built.require("nginx", told.append, "packages")
    assert built.require("nginx", told.append) == first
    assert not told
    assert first.path.stat().st_size == first.size
    assert first in built.images()


def test_an_ordinary_user_makes_the_same_image(
    built: Cache, ordinary_user: tuple[str, ...], public_tmp_path: Path
) -> None:
    """It takes no root; owners in it are root all the same."""
    folder = public_tmp_path / "cache"
    folder.mkdir()
    folder.chmod(0o777)
    command = [*ordinary_user, sys.executable, "-c", _REQUIRE, str(folder)]
    made = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, cwd="/")
    assert made.stdout.splitlines()[-1] == built.require("nginx", lambda _: None, "packages").sha256


@pytest.mark.containers
def test_two_that_need_an_image_at_once_make_it_once(tmp_path: Path) -> None:
    """The second says that it waits, and takes what the first made."""
    said = [
        process.communicate(timeout=60)[0].splitlines() for process in [_requiring(tmp_path) for _ in "12"]
    ]
    assert sorted(lines[0].split()[0] for lines in said) == ["making", "waiting"]
    assert said[0][-1] == said[1][-1]


@pytest.mark.containers
def test_a_build_that_was_killed_leaves_nothing_that_the_next_one_minds(tmp_path: Path) -> None:
    """What it left is removed by whoever holds the lock next, and was never taken for an image."""
    process = _requiring(tmp_path)
    folder = tmp_path / "images"
    end = time.monotonic() + 20
    while not list(folder.glob(".unfinished-*/*/usr/bin/*")):
        assert time.monotonic() < end
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=10)
    assert list(folder.glob(".unfinished-*"))
    assert Cache(tmp_path).images() == []
    mended = Cache(tmp_path).require("nginx", lambda _: None, "packages")
    assert not list(folder.glob(".unfinished-*"))
    assert described(mended.path)


@pytest.mark.parametrize("harm", ["cut", "no description", "broken description", "other form", "no archive"])
def test_a_broken_entry_is_none(tmp_path: Path, small: Callable[..., Path], harm: str) -> None:
    """It is neither listed nor given out, and adding it again mends it."""
    cache = Cache(tmp_path / "cache")
    archive = small("a:1")
    image = cache.add(archive)
    description = image.path.with_suffix(".json")
    match harm:
        case "cut":
            with image.path.open("r+b") as file:
                file.truncate(100)
        case "no archive":
            image.path.unlink()
        case "no description":
            description.unlink()
        case "broken description":
            description.write_text("[")
        case "other form":
            description.write_text(json.dumps(json.loads(description.read_bytes()) | {"form": 0}))
    assert cache.images() == []
    assert cache.add(archive).sha256 == image.sha256
    assert len(cache.images()) == 1


def test_cache_makes_a_new_image_of_a_changed_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stale one is not used: its key differs."""
    from harness.images.catalogue import CATALOGUE, Recipe

    sample = CATALOGUE["sample"]
    key = sample.key("packages")
    files = sample.files()
    assert "/opt/sameport/harness/instance/__main__.py" in files
    monkeypatch.setattr(Recipe, "files", lambda _: files | {"/opt/sameport/harness/__init__.py": b""})
    assert sample.key("packages") != key


def test_an_added_image_is_found_by_any_form_of_its_name(tmp_path: Path, small: Callable[..., Path]) -> None:
    """Docker leaves out what Podman writes out."""
    cache = Cache(tmp_path / "cache")
    image = cache.add(small("docker.io/library/app:1"))
    assert (image.origin, image.reference, image.ports) == ("file", "docker.io/library/app:1", (80,))
    assert cache.require_reference("app:1", pytest.fail) == image
    assert image.image_id == described(image.path)[0].image_id


def test_an_official_image_that_was_added_is_the_harnesss_own(
    tmp_path: Path, small: Callable[..., Path]
) -> None:
    """So a machine without any registry measures official images; the sample is put upon its base."""
    cache = Cache(tmp_path / "cache")
    cache.add(small("nginx:1.22.1"))
    cache.add(small("python:3.11-slim"))
    assert cache.require("nginx", pytest.fail, "registry").origin == "file"
    sample = cache.require("sample", pytest.fail, "registry")
    [image] = described(sample.path)
    assert image.environment["PYTHONPATH"] == "/opt/sameport"
    assert image.environment["LANG"] == "C"
    assert sample.reference.startswith("sameport/sample:")
    assert cache.require("sample", pytest.fail) == sample


def test_a_compressed_archive_is_kept_as_it_was_before(tmp_path: Path, small: Callable[..., Path]) -> None:
    """Loading it then takes no time for that, run after run."""
    plain = small("a:1", "content")
    cache = Cache(tmp_path / "cache")
    whole = cache.add(plain)
    compressed = tmp_path / "a.tar.gz"
    compressed.write_bytes(gzip.compress(plain.read_bytes()))
    assert cache.add(compressed).sha256 == whole.sha256
    compressed.write_bytes(compressed.read_bytes()[:-100])
    with pytest.raises(EngineError, match="no whole archive"):
        cache.add(compressed)
    assert sorted(path.suffix for path in whole.path.parent.glob("[!.]*")) == [".json", ".tar"]


def test_cleaning_removes_all_images_and_says_how_much(tmp_path: Path, small: Callable[..., Path]) -> None:
    """What was opened before can be read to its end."""
    cache = Cache(tmp_path)
    assert cache.clean() == 0
    image = cache.add(small("a:1"))
    with image.path.open("rb") as opened:
        assert cache.clean() > image.size
        assert len(opened.read()) == image.size
    assert cache.images() == []


def test_a_former_image_of_the_same_name_goes_a_day_later(tmp_path: Path, small: Callable[..., Path]) -> None:
    """At once, it might be one that a run is about to load."""
    cache = Cache(tmp_path / "cache")
    image = cache.add(small("a:1"))
    former = image.path.with_name("a-1-of-former-times.tar")
    shutil.copy(image.path, former)
    said = json.loads(image.path.with_suffix(".json").read_bytes())
    for age_s, left in ((3600, 2), (100_000, 1)):
        former.with_suffix(".json").write_text(json.dumps(said | {"made": time.time() - age_s}))
        cache.add(small("a:1"))
        assert len(cache.images()) == left


def test_the_folder_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder of one's own goes before the user's, and that before the home folder's."""
    monkeypatch.delenv("SAMEPORT_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache/sameport"
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert str(cache_folder()) == "/x/sameport"
    monkeypatch.setenv("SAMEPORT_CACHE", "/y")
    assert str(cache_folder()) == "/y"


def test_a_folder_that_cannot_be_had_is_told(tmp_path: Path) -> None:
    """With the variable that names another."""
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match="SAMEPORT_CACHE"):
        Cache(tmp_path / "file").require("nginx", lambda _: None, "packages")


@pytest.mark.parametrize("references", [[], ["a:1", "b:1"]])
def test_an_image_without_a_name_is_told_and_one_with_two_has_the_first(
    tmp_path: Path, small: Callable[..., Path], references: list[str]
) -> None:
    """Nobody could name it in a scenario."""
    archive = small("PLACEHOLDER:1")
    words = json.dumps(references, separators=(",", ":")).encode()
    content = archive.read_bytes().replace(b'["PLACEHOLDER:1"]', words.ljust(17))
    archive.write_bytes(content)
    with pytest.raises(EngineError, match="has no name") if not references else contextlib.nullcontext():
        assert Cache(tmp_path / "cache").add(archive).reference == "a:1"
