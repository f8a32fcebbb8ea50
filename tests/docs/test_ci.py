"""docs/ci.md and its workflow: what they tell people to type is understood."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from harness.cli.app import cli

_ROOT = Path(__file__).parents[2]
_WORKFLOW: dict[str, Any] = YAML(typ="safe", pure=True).load(_ROOT / "docs" / "ci-workflow.yml")
_STEPS: list[dict[str, Any]] = _WORKFLOW["jobs"]["load-sharing"]["steps"]
_PAGE = (_ROOT / "docs" / "ci.md").read_text(encoding="utf-8")


def _typed() -> list[str]:
    """List the lines that are for a shell, of the workflow and of the page."""
    scripts = [step["run"] for step in _STEPS if "run" in step]
    scripts += re.findall(r"^```sh\n(.*?)^```$", _PAGE, re.DOTALL | re.MULTILINE)
    return [line for script in scripts for line in script.strip().splitlines()]


def test_the_workflow_has_the_form_that_github_wants() -> None:
    """Each step uses an action or runs a script that a shell can read; events and a machine are named."""
    assert _WORKFLOW["jobs"]["load-sharing"]["runs-on"]
    assert set(_WORKFLOW["on"]) == {"push", "pull_request"}
    for step in _STEPS:
        assert ("uses" in step) != ("run" in step), step
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"])
        else:
            subprocess.run(["bash", "-n"], input=step["run"], text=True, check=True)


def test_the_workflow_measures_checks_and_keeps() -> None:
    """What one step writes is what the next one reads."""
    runs = [line.split() for line in _typed() if line.startswith("harness ")]
    measure, check = (line for line in runs[:2])
    folder = measure[measure.index("--output") + 1]
    assert check[:2] == ["harness", "check"]
    assert check[2].startswith(f"{folder}/")
    kept = _STEPS[-1]["with"]["path"].split()
    assert kept == [f"{folder}/", check[check.index("--junit") + 1]]


@pytest.mark.parametrize("line", [line for line in _typed() if line.startswith("harness ")])
def test_every_command_of_the_harness_is_one(line: str) -> None:
    """Its options are known and its files, where they are not results, exist."""
    _, name, *arguments = shlex.split(line)
    cli.commands[name].make_context(name, arguments)
    assert all((_ROOT / word).exists() for word in arguments if word.startswith("scenarios/"))


@pytest.mark.parametrize("line", [line for line in _typed() if line.startswith("pytest ")])
def test_every_command_of_pytest_finds_tests(line: str) -> None:
    """Its options are known, and what it chooses is there."""
    finished = subprocess.run(
        [sys.executable, "-m", *shlex.split(line), "--collect-only", "-q", "-p", "no:cacheprovider"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    found = [line for line in finished.stdout.splitlines() if "::" in line]
    assert found
    assert all(name.startswith("scenarios/") for name in found) == ("tests/" not in line)


def test_all_other_commands_are_those_of_the_machine() -> None:
    """A new line has to be thought of here."""
    others = {shlex.split(line)[0] for line in _typed()} - {"harness", "pytest"}
    assert others == {"sudo", "pip", "git"}


def test_the_pages_links_lead_somewhere() -> None:
    """To files beside it."""
    targets = re.findall(r"\]\(([^)#]+)", _PAGE)
    assert targets
    assert all((_ROOT / "docs" / target).exists() for target in targets)
