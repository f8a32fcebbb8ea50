from __future__ import annotations

import io
import os
import pty
import select
from typing import TYPE_CHECKING

from harness.report.progress import Progress

if TYPE_CHECKING:
    import pytest


def one_of_two(progress: Progress) -> None:
    """Go through a run, as a suite does, and begin another."""
    progress.heading("[1/2] dnat-10 (about 10 s left)")
    progress.phase("provisioning", "10 instances")
    progress.phase("load")
    progress.live(5, 10, 1234, rate_per_s=246.8, errors=0)
    progress.heading("dnat-10: even, 12.3 s")
    progress.heading("[2/2] nft-10 (about 5 s left)")
    progress.close()


def test_on_a_terminal_phases_come_and_go_below_their_heading() -> None:
    """What stays of fifty runs is two lines each."""
    outer, inner = pty.openpty()
    with os.fdopen(inner, "w", encoding="utf-8") as file:
        one_of_two(Progress(file=file, fleeting=True))
        said = ""
        while not said.endswith("left)\r\n") or "[2/2]" not in said:
            assert select.select([outer], [], [], 5)[0], said
            said += os.read(outer, 4096).decode()
    os.close(outer)
    assert "\r\x1b[2Kload [##########----------] 5.0/10 s" in said
    kept = [line.rpartition("\x1b[2K")[2] for line in said.split("\r\n")]
    assert kept == [
        "[1/2] dnat-10 (about 10 s left)",
        "dnat-10: even, 12.3 s",
        "[2/2] nft-10 (about 5 s left)",
        "",
    ]


def test_in_a_file_every_phase_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs are looked at later, by those who want to know what took so long."""
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    file = io.StringIO()
    one_of_two(Progress(file=file, fleeting=True))
    assert file.getvalue().splitlines() == [
        "[1/2] dnat-10 (about 10 s left)",
        "provisioning (10 instances): 0.0 s",
        "load: 0.0 s",
        "dnat-10: even, 12.3 s",
        "[2/2] nft-10 (about 5 s left)",
    ]
