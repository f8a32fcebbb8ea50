"""`harness images` and `harness clean`, as somebody types them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from harness.images import Cache

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Harness


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMEPORT_CACHE", str(tmp_path / "cache"))


def test_images_are_added_listed_and_removed(harness: Harness, small: Callable[..., Path]) -> None:
    """From a file, or from what another program writes."""
    assert harness("images", "list").output.startswith("there are none")
    archive = small("registry.example/team/app:7")
    assert harness("images", "add", archive).output == "added registry.example/team/app:7, 0.0 MB\n"
    added = harness("images", "add", "-", input=io.BytesIO(archive.read_bytes()))
    assert added.output.startswith("added registry.example/team/app:7")
    listed = harness("images", "list").output
    assert listed.count("registry.example/team/app:7") == 1
    assert "file" in listed
    assert harness("clean").output == "images: 1, 0.0 MB; harness clean --images removes them\n"
    assert Cache().images()
    assert harness("clean", "--images").output == "images: 0.0 MB freed\n"
    assert not Cache().images()


@pytest.mark.containers
def test_building_says_what_was_made_and_of_what(harness: Harness) -> None:
    """One line an image; what takes long is told beside it."""
    result = harness("images", "build", "haproxy", "--from", "packages")
    assert result.exit_code == 0
    assert result.stdout.startswith("haproxy   sameport/haproxy:")
    assert "from Debian packages" in result.stdout
    assert "making the image haproxy" in result.stderr
    assert "haproxy" in harness("images", "list").output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["images", "build", "sample", "apache"], "there is no image 'apache'; there are sample, nginx"),
        (["images", "add", "/no/such/file"], "/no/such/file can't be read: No such file"),
        (["images", "add", "/etc/passwd"], "/etc/passwd: no image archive: it is no tar"),
    ],
)
def test_mistakes_are_told_in_a_line(harness: Harness, arguments: list[str], words: str) -> None:
    """Nothing is made before all names are known to be right."""
    result = harness(*arguments)
    assert result.exit_code == 2
    assert words in str(result.exception)
    assert "\n" not in str(result.exception)
    assert not Cache().images()
