"""Relative paths: a scenario finds its files from wherever it is run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.scenario import load_scenario

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("command", ["[python3, app.py, other.py]", "python3 app.py other.py"])
def test_paths_are_relative_to_the_scenario(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """A locustfile's, and those words of a command that are files beside the scenario."""
    folder, elsewhere = tmp_path / "mine", tmp_path / "elsewhere"
    for one in (folder, elsewhere):
        one.mkdir()
    (folder / "app.py").touch()
    (folder / "users.py").touch()
    path = folder / "x.yaml"
    path.write_text(
        "strategy: direct\nreplicas: 1\nload: {locustfile: users.py}\n"
        f"application: {{command: {command}, identity: {{header: X}}}}\n".replace(
            "command: python3 app.py other.py", "command: 'python3 app.py other.py'"
        )
    )
    monkeypatch.chdir(elsewhere)
    scenario = load_scenario(path)
    assert scenario.load.locustfile == str(folder / "users.py")
    assert scenario.application.command == ("python3", str(folder / "app.py"), "other.py")


def test_words_that_are_files_here_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command means from the current folder, it means still."""
    (tmp_path / "app.py").touch()
    path = tmp_path / "x.yaml"
    path.write_text("strategy: direct\nreplicas: 1\napplication: {command: [python3, app.py]}\n")
    monkeypatch.chdir(tmp_path)
    assert load_scenario(path).application.command == ("python3", "app.py")
