"""A run's progress, on standard error."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TextIO

from harness.common.streams import silence
from harness.common.text import printable

_PLAIN_EVERY_S = 2.0
_BAR = 20


class Progress:
    """Says which phase a run is in, and for how long each took.

    On a terminal, the last line is rewritten in place; the cursor is never hidden, so nothing has to
    be restored when the process is killed. Elsewhere, a phase is a line, and live figures come every
    two seconds at most. When its stream is closed, it falls silent.

    Parameters
    ----------
    quiet
        Say nothing.
    file
        Where to; standard error by default.
    fleeting
        On a terminal, phases that are over leave no line; elsewhere they do.
    """

    def __init__(self, *, quiet: bool = False, file: TextIO | None = None, fleeting: bool = False) -> None:
        self._file = None if quiet else file or sys.stderr
        self._columns = _columns(self._file)
        self._fleeting = fleeting
        self._encoding = getattr(self._file, "encoding", None) or "ascii"
        self._phase: str | None = None
        self._detail = ""
        self._began_s = 0.0
        self._said_s = 0.0

    def heading(self, text: str) -> None:
        """Finish the former phase and write a line that stays."""
        self._finish()
        line = printable(text, self._encoding)
        self._rewrite(line)
        self._write("\n" if self._columns else f"{line}\n")

    def demand(self, text: str) -> None:
        """Write a line that stays, even if nothing else is to be said: without it the user can't go on."""
        if self._file is not None:
            self.heading(text)
            return
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(printable(text, sys.stderr.encoding) + "\n")
            sys.stderr.flush()

    def phase(self, name: str, detail: str = "") -> None:
        """Finish the former phase and start another."""
        self._finish()
        self._phase = name
        self._detail = f" ({printable(detail, self._encoding)})" if detail else ""
        self._began_s = self._said_s = time.monotonic()
        self._rewrite(f"{name}{self._detail} ...")

    def live(  # noqa: PLR0913  one for each figure
        self,
        elapsed_s: float,
        total_s: float,
        requests: int,
        *,
        rate_per_s: float,
        errors: int,
        known: str = "",
    ) -> None:
        """Show how far the load is, and what is known by now."""
        name = self._phase or "load"
        # What the load waits for comes first: a narrow terminal cuts off the end.
        waited_for = f"{printable(known, self._encoding)}, " if known else ""
        counts = f"{requests:,} requests, {rate_per_s:,.0f}/s, {errors:,} errors"
        figures = f"{elapsed_s:.1f}/{total_s:g} s, {waited_for}{counts}"
        if self._columns:
            done = round(_BAR * min(max(elapsed_s / total_s, 0.0), 1.0)) if total_s > 0 else _BAR
            self._rewrite(f"{name} [{'#' * done}{'-' * (_BAR - done)}] {figures}")
        elif time.monotonic() - self._said_s >= _PLAIN_EVERY_S:
            self._said_s = time.monotonic()
            self._write(f"{name}: {figures}\n")

    def close(self) -> None:
        """Finish the last phase; what is written next starts on a line of its own."""
        self._finish()
        self._file = None

    def _finish(self) -> None:
        if self._phase is None:
            return
        line = f"{self._phase}{self._detail}: {time.monotonic() - self._began_s:.1f} s"
        self._phase = None
        if self._fleeting and self._columns:
            self._rewrite("")
            return
        self._rewrite(line)
        self._write("\n" if self._columns else f"{line}\n")

    def _rewrite(self, line: str) -> None:
        """Replace the last line, on a terminal only."""
        if self._columns:
            # A line that wraps could not be replaced. ECMA-48: CSI 2 K erases the line.
            self._write(f"\r\x1b[2K{line[: self._columns - 1]}")

    def _write(self, text: str) -> None:
        if self._file is None:
            return
        try:
            self._file.write(text)
            self._file.flush()
        except (OSError, ValueError):
            # Broken pipe, or a closed file: progress is no reason for a run to fail.
            silence(self._file)
            self._file = None


def _columns(file: TextIO | None) -> int:
    """Give a terminal's width; 0 for what is no terminal, or one that can't rewrite a line."""
    try:
        if file is None or not file.isatty() or os.environ.get("TERM") == "dumb":
            return 0
        return os.get_terminal_size(file.fileno()).columns or 80
    except (OSError, ValueError):
        return 0
