"""Standard streams, signals and limits as a shell may set them: a clear line, and never a pass."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from harness.common.paths import PACKAGE
from tests.end_to_end.conftest import HARNESS

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Command

_SCENARIO = """
strategy: dnat-random
replicas: 2
load: {duration: 300ms, warm_up: 0s, users: 2}
"""


def _shell(harness: Command, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of a shell in which $H is the command."""
    return subprocess.run(
        ["bash", "-c", line],
        cwd=harness.folder,
        env=harness.environment | {"H": HARNESS},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _one_error(stderr: str, *words: str) -> None:
    assert "Traceback" not in stderr
    assert "a defect of the harness" not in stderr
    assert stderr.count("error: ") == 1
    assert all(word in stderr for word in words), stderr


@pytest.mark.parametrize(
    "arguments", ["run scenario.yaml", "list strategies", "--help", "validate scenario.yaml"]
)
def test_full_output_is_an_error(harness: Command, arguments: str) -> None:
    """No verdict that could not be printed passes."""
    harness.scenario(_SCENARIO)
    finished = _shell(harness, f"$H {arguments} >/dev/full")
    assert finished.returncode == 2
    _one_error(finished.stderr, "standard output can't be written: No space left on device")


@pytest.mark.parametrize("arguments", ["run scenario.yaml", "list strategies"])
def test_closed_output_is_an_error(harness: Command, arguments: str) -> None:
    """Before anything is run."""
    harness.scenario(_SCENARIO)
    finished = _shell(harness, f"$H {arguments} >&-")
    assert finished.returncode == 2
    _one_error(finished.stderr, "standard output is closed")
    assert not (harness.folder / "results").exists()


def test_run_needs_no_standard_error(harness: Command) -> None:
    """Closed or full: progress goes nowhere, and no file of the run gets its number."""
    harness.scenario(_SCENARIO)
    for where in ("2>&-", "2>/dev/full"):
        finished = _shell(harness, f"$H run scenario.yaml --json {where}")
        assert json.loads(finished.stdout)["verdict"] in {"even", "uneven", "inconclusive"}
        assert finished.returncode in {0, 1, 3}
        refused = _shell(harness, f"$H run missing.yaml {where}")
        assert (refused.returncode, refused.stdout) == (2, "")


def test_output_whose_reader_leaves_is_no_defect(harness: Command) -> None:
    """As with `head`: whatever was too late ends the command quietly."""
    finished = _shell(harness, "set -o pipefail; $H list strategies | head -1; exit ${PIPESTATUS[0]}")
    assert finished.returncode in {0, 2}
    assert finished.stderr == ""
    assert len(finished.stdout.splitlines()) == 1


@pytest.mark.parametrize("delay_s", [0.02, 0.05, 0.1, 0.15, 0.2, 0.4])
def test_interrupt_while_the_command_starts_is_no_traceback_of_its_own(
    harness: Command, delay_s: float
) -> None:
    """Whatever is being imported; before the command's first line, Python itself is interrupted."""
    run = harness.start("run", harness.scenario(_SCENARIO), "--set", "load.duration=20s")
    time.sleep(delay_s)
    run.send_signal(signal.SIGINT)
    _, stderr = run.communicate(timeout=30)
    assert str(PACKAGE) not in stderr
    assert run.returncode != 0
    if run.returncode == 130:
        assert "interrupted: " in stderr
        assert "Traceback" not in stderr


@pytest.mark.parametrize("kib", [200_000, 350_000, 800_000])
def test_run_with_too_little_memory_is_refused(harness: Command, kib: int) -> None:
    """Libraries would wait for ever for threads that get no memory."""
    harness.scenario(_SCENARIO)
    finished = _shell(harness, f"ulimit -v {kib}; $H run scenario.yaml")
    assert finished.returncode == 2
    _one_error(finished.stderr, f"{kib:,} KiB of address space", "ulimit -v")


@pytest.mark.parametrize("files", [12, 20, 40])
def test_run_with_too_few_files_is_an_error(harness: Command, files: int) -> None:
    """In a line, be it of the command or of one of its processes."""
    harness.scenario(_SCENARIO)
    finished = _shell(harness, f"ulimit -n {files}; $H run scenario.yaml")
    assert finished.returncode in {0, 1, 2, 3}
    assert "Traceback" not in finished.stderr
    assert "a defect of the harness" not in finished.stderr
