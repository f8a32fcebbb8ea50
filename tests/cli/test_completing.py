"""What a shell is told when somebody presses Tab: asked as the printed scripts ask."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Harness

_ROOT = Path(__file__).parents[2]
_HARNESS = Path(sys.executable).with_name("harness")


def _bash(*words: str, folder: Path = _ROOT) -> list[str]:
    """Give what a real bash would offer for the last of the words, with the printed script."""
    asked = f"COMP_WORDS=({' '.join(map(shlex.quote, words))}); COMP_CWORD={len(words) - 1}"
    command = shlex.quote(str(_HARNESS))
    loaded = f'eval "$({command} completion bash)"'
    script = f'{loaded}; {asked}; _harness_completion {command}; printf "%s\\n" "${{COMPREPLY[@]}}"'
    finished = subprocess.run(
        ["bash", "--norc", "-c", script], cwd=folder, capture_output=True, text=True, check=True, timeout=120
    )
    assert finished.stderr == ""
    return finished.stdout.split()


def _asked(shell: str, words: str, typed: str) -> list[str]:
    """Give what zsh or fish would be told: the words before, and what is typed."""
    count = str(len(words.split())) if shell == "zsh" else typed
    said = words if shell == "fish" else f"{words} {typed}"
    asking = {"_HARNESS_COMPLETE": f"{shell}_complete", "COMP_WORDS": said, "COMP_CWORD": count}
    finished = subprocess.run(
        [_HARNESS],
        env={**os.environ, **asking},
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout.splitlines()


def test_bash_completes_commands_and_options() -> None:
    """As far as they are typed."""
    assert _bash("harness", "sho") == ["show"]
    assert _bash("harness", "run", "--jso") == ["--json"]


def test_bash_completes_scenarios_in_folders_below() -> None:
    """By the beginning of their path."""
    assert _bash("harness", "run", "scenarios/dnat-1") == ["scenarios/dnat-10.yaml"]
    assert "scenarios/suites/all.yaml" in _bash("harness", "suite", "")


def test_bash_completes_a_strategy_after_the_equals_sign() -> None:
    """Bash hands `strategy=dnat-r` over as three words, and replaces the last one."""
    assert _bash("harness", "run", "scenarios/dnat-10.yaml", "--set", "strategy", "=", "dnat-r") == [
        "dnat-random"
    ]
    assert "haproxy" in _bash("harness", "run", "scenarios/dnat-10.yaml", "--set", "strategy", "=")


def test_bash_completes_results(tmp_path: Path) -> None:
    """Names for `show`, paths for what takes several; what is no result is not offered."""
    for name in ("dnat-10-20260102-030405", "nft-20260102-030405"):
        (tmp_path / "results" / name).mkdir(parents=True)
        (tmp_path / "results" / name / "summary.json").write_text("{}")
    (tmp_path / "results" / "baselines").mkdir()
    assert _bash("harness", "show", "", folder=tmp_path) == [
        "latest", "dnat-10-20260102-030405", "nft-20260102-030405"
    ]  # fmt: skip
    assert _bash("harness", "compare", "results/d", folder=tmp_path) == ["results/dnat-10-20260102-030405"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_gives_other_shells_the_same(shell: str) -> None:
    """They hand KEY=VALUE over as one word."""
    (said,) = [line for line in _asked(shell, "harness run x --set", "strategy=dnat-r") if "dnat" in line]
    assert "strategy=dnat-random" in said


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_a_script_is_printed_for_each_shell(harness: Harness, shell: str) -> None:
    """It asks in the way that the tests above do."""
    script = harness("completion", shell).output
    assert f"_HARNESS_COMPLETE={shell}_complete" in script


def test_completion_refuses_unknown_shells(harness: Harness) -> None:
    """With the names of those there are."""
    refused = harness("completion", "tcsh")
    assert refused.exit_code == 2
    assert "'bash', 'zsh', 'fish'" in str(refused.exception)
