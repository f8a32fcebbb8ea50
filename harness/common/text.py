"""Text from outside, made fit for a terminal."""

from __future__ import annotations

import os

_LAST_BYTES = 2_000
_LAST_LINES = 3


def stderr_tail(said: bytes) -> str:
    """Fold the last lines of a program's standard error into one line of printable text."""
    lines = [line.strip() for line in said[-_LAST_BYTES:].decode(errors="replace").splitlines()]
    lines = [line for line in lines if line][-_LAST_LINES:]
    return " | ".join("".join(c if c.isprintable() else "?" for c in line) for line in lines)


def printable(text: str, encoding: str = "utf-8") -> str:
    """Write as escapes what is no visible character, or what an encoding lacks."""
    visible = "".join(char if char.isprintable() else _escape(char) for char in text)
    return visible.encode(encoding, "backslashreplace").decode(encoding)


def cut(text: str, most: int) -> str:
    """Cut a long text for display, and say how much is missing."""
    left_out = len(text) - most
    return text if left_out <= 0 else f"{text[:most]}… ({left_out:,} characters more)"


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def wants_no_colour() -> bool:
    """Say whether `--no-color`, or the environment variable NO_COLOR with anything in it, was given.

    Source: the convention of no-color.org, which many programs follow.
    """
    return bool(os.environ.get("NO_COLOR"))
