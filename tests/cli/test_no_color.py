"""Escape sequences go to terminals only, and to those not where nobody wants them."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

_HARNESS = str(Path(sys.executable).with_name("harness"))
_COLOURED = [
    ("fairness", "900", "100"),
    ("show", "nowhere"),
    ("list", "strategies"),
    ("doctor", "--nonsense"),
]


def _on_a_terminal(*arguments: str, **variables: str) -> str:
    """Give what a command writes to a terminal, errors included."""
    outer, inner = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    process = subprocess.Popen(
        [_HARNESS, *arguments],
        stdin=inner,
        stdout=inner,
        stderr=inner,
        env=environment | {"TERM": "xterm"} | variables,
    )
    os.close(inner)
    said = b""
    while True:
        try:
            piece = os.read(outer, 4096)
        except OSError:  # the terminal's other end is closed: EIO on Linux
            break
        if not piece:
            break
        said += piece
    os.close(outer)
    process.wait(60)
    return said.decode()


@pytest.mark.parametrize("arguments", _COLOURED, ids=lambda arguments: arguments[0])
def test_output_without_colours_has_no_escapes(arguments: tuple[str, ...]) -> None:
    """By --no-color before or after the command, or by NO_COLOR; bold is an escape sequence, too."""
    for words, variables in (
        (("--no-color", *arguments), {}),
        ((arguments[0], "--no-color", *arguments[1:]), {}),
        (arguments, {"NO_COLOR": "1"}),
    ):
        said = _on_a_terminal(*words, **variables)
        assert said
        assert "\x1b" not in said


def test_a_terminal_gets_colours() -> None:
    """Where NO_COLOR is not set, or empty."""
    assert "\x1b[" in _on_a_terminal("fairness", "900", "100")
    assert "\x1b[31m" in _on_a_terminal("show", "nowhere", NO_COLOR="")


@pytest.mark.parametrize("arguments", _COLOURED, ids=lambda arguments: arguments[0])
def test_a_pipe_gets_plain_lines(arguments: tuple[str, ...]) -> None:
    """No colour, no movement of the cursor."""
    finished = subprocess.run([_HARNESS, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert finished.stdout + finished.stderr
    assert "\x1b" not in finished.stdout + finished.stderr
    assert "\r" not in finished.stdout + finished.stderr
