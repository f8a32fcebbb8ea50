"""Parts found by name: the harness's own, and those of other packages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.common.registry import Registry
from harness.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_GROUP = "sameport.test.parts"
_OWN = {"own": "json:dumps", "lost": "json:no_such_thing", "gone": "no_such_module_here:part"}


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Give what installs a distribution that offers a part."""
    monkeypatch.syspath_prepend(tmp_path)

    def _offer(name: str, place: str) -> None:
        info = tmp_path / f"{place.partition(':')[0]}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {info.name}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[{_GROUP}]\n{name} = {place}\n")

    return _offer


def _registry() -> Registry[Callable[..., object]]:
    return Registry("part", _GROUP, _OWN, HostError)


def test_registry_lists_own_and_offered_names_without_importing(offer: Callable[[str, str], None]) -> None:
    """A part that cannot be imported is listed as well; the names are sorted."""
    offer("broken", "no_such_module:thing")
    assert _registry().names() == ["broken", "gone", "lost", "own"]


def test_registry_finds_own_and_offered_parts(offer: Callable[[str, str], None]) -> None:
    """By the place after the colon."""
    offer("offered", "json:loads")
    registry = _registry()
    assert registry.find("own") is json.dumps
    assert registry.find("offered") is json.loads


def test_registry_keeps_its_own_part_when_a_package_offers_the_name(
    offer: Callable[[str, str], None],
) -> None:
    """A package cannot replace what the harness measures with."""
    offer("own", "json:loads")
    registry = _registry()
    assert registry.find("own") is json.dumps
    assert registry.names().count("own") == 1


def test_registry_raises_key_error_for_an_unknown_name() -> None:
    """The caller knows how to suggest another one."""
    with pytest.raises(KeyError):
        _registry().find("owm")


def test_registry_refuses_a_name_that_two_packages_offer(offer: Callable[[str, str], None]) -> None:
    """With both places, the group and what to do."""
    offer("twice", "two:Part")
    offer("twice", "one:Part")
    with pytest.raises(HostError, match=rf"part 'twice' .* one:Part, two:Part .*{_GROUP}.*uninstall"):
        _registry().find("twice")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lost", "part 'lost' can't be loaded from json:no_such_thing: module 'json' has no attribute"),
        ("gone", "part 'gone' can't be loaded from no_such_module_here:part: No module named"),
    ],
)
def test_registry_error_names_the_place_that_cannot_be_loaded(name: str, words: str) -> None:
    """A module that is missing, or an attribute of one."""
    with pytest.raises(HostError, match=words):
        _registry().find(name)
