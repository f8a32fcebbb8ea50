"""Strategies of other packages: the one of the guide, installed as a user would install it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.strategies import find_strategy

_ROOT = Path(__file__).parents[2]
_HARNESS = str(Path(sys.executable).with_name("harness"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Install the example beside the harness's own packages, and give the environment that finds it."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("target")
    for file in (_ROOT / "docs" / "example-strategy").iterdir():
        (source / file.name).write_bytes(file.read_bytes())
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(target), str(source)], check=True)
    return os.environ | {"PYTHONPATH": str(target)}


def _harness(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [_HARNESS, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def test_the_guides_example_runs_and_all_witnesses_agree(installed: dict[str, str], tmp_path: Path) -> None:
    """Found by its entry point, given its options, and judged like any other."""
    finished = _harness(
        installed,
        *("run", str(_ROOT / "scenarios" / "dnat-10.yaml"), "--json", "--results", str(tmp_path)),
        *("--set", "strategy={name: nft-flow-hash, seed: 7}", "--set", "tolerance=20%"),
        *("--set", "load.duration=3s"),
    )
    summary = json.loads(finished.stdout)
    assert (summary["strategy"], summary["verdict"]) == ("nft-flow-hash", "even")
    assert summary["witnesses"]["agree"] is True
    assert summary["witnesses"]["kernel"]["connections"] == summary["counts"]["connections"]
    assert summary["scenario"]["strategy"] == {"name": "nft-flow-hash", "seed": 7}


def test_foreign_strategy_has_checked_options(installed: dict[str, str], tmp_path: Path) -> None:
    """With file, line and column, and before anything is made."""
    scenario = tmp_path / "x.yaml"
    scenario.write_text("strategy:\n  name: nft-flow-hash\n  sed: 7\nreplicas: 2\n")
    finished = _harness(installed, "validate", str(scenario))
    assert finished.returncode == 2
    assert f"{scenario}:3:3: " in finished.stderr
    assert "did you mean 'strategy.seed'?" in finished.stderr


def test_foreign_strategy_is_listed_with_its_description(installed: dict[str, str]) -> None:
    """Beside the strategies that the harness has itself."""
    assert "nft-flow-hash" in _harness(installed, "list", "strategies").stdout
    assert (
        "A client that takes its ports in a pattern"
        in _harness(installed, "list", "strategies", "--markdown").stdout
    )
    with pytest.raises(KeyError):
        find_strategy("nft-flow-hash")  # it is not installed for this process


@pytest.mark.parametrize(
    ("offered", "words"),
    [
        (
            ["no_such_module:Broken"],
            "strategy 'broken' can't be loaded from no_such_module:Broken: No module",
        ),
        (
            ["one:Broken", "two:Broken"],
            "strategy 'broken' is offered by several packages: one:Broken, two:Br",
        ),
    ],
)
def test_missing_strategy_is_reported_with_its_place(tmp_path: Path, offered: list[str], words: str) -> None:
    """A module that is not there, and a name that two packages want."""
    for number, place in enumerate(offered):
        info = tmp_path / f"broken{number}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: broken{number}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[harness.strategies]\nbroken = {place}\n")
    scenario = tmp_path / "x.yaml"
    scenario.write_text("strategy: broken\nreplicas: 2\n")
    finished = _harness(os.environ | {"PYTHONPATH": str(tmp_path)}, "validate", str(scenario))
    assert finished.returncode == 2
    assert words in finished.stderr
