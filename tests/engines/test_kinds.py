"""Kinds of engines: what each says of itself, and one of another package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.engines import ENGINES, engine_kinds, engines_able
from harness.engines.daemons import DAEMONS
from harness.hosts import HOSTS
from tests.helpers.entry_points import offer

_HARNESS = str(Path(sys.executable).with_name("harness"))
_BARE = """
from dataclasses import replace
from harness.engines.kind import PROCESS

BARE = replace(PROCESS, name="bare", summary="a bare process", most_replicas=3)
"""


@pytest.mark.parametrize("name", ENGINES.names())
def test_engine_is_found_by_the_name_that_it_says(name: str) -> None:
    """Its hosts are known, and what runs images is made by a daemon of its name."""
    kind = ENGINES.find(name)
    assert kind.name == name
    assert kind.hosts <= HOSTS.keys()
    assert kind.images == (name in DAEMONS)


@pytest.mark.parametrize("host", sorted(HOSTS))
def test_host_runs_its_default_engine(host: str) -> None:
    """What a scenario gets where it names none."""
    assert host in ENGINES.find(HOSTS[host].engine).hosts


def test_engines_that_can_do_something_are_named_for_messages() -> None:
    """By name, with the word that a message has between them."""
    assert engines_able(lambda kind: kind.images) == "docker or podman"
    assert [kind.name for kind in engine_kinds() if not kind.images] == ["process"]


def test_engine_of_another_package_is_listed_and_checked(tmp_path: Path) -> None:
    """A scenario may name it, and is held to what it can do."""
    found = offer(tmp_path, "harness.engines", "bare", "bare_engine:BARE", _BARE)
    listed = subprocess.run(
        [_HARNESS, "list", "engines"], env=found, capture_output=True, text=True, check=True
    )
    assert "a bare process" in listed.stdout
    scenario = tmp_path / "x.yaml"
    for replicas, status in ((3, 0), (4, 2)):
        scenario.write_text(f"strategy: dnat-random\nengine: bare\nreplicas: {replicas}\n", encoding="utf-8")
        checked = subprocess.run(
            [_HARNESS, "validate", str(scenario)], env=found, capture_output=True, text=True, check=False
        )
        assert checked.returncode == status
    assert "4 is too many; engine 'bare' runs 3 at most" in checked.stderr
