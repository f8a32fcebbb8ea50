"""Where commands print: with colours on a terminal, unless somebody wants none."""

from __future__ import annotations

from rich.console import Console

from harness.common.text import wants_no_colour


def standard_output() -> Console:
    """Give standard output, without any escape sequence where it is no terminal or colours are unwanted."""
    # rich takes NO_COLOR for colours alone; bold and dim would still be escape sequences.
    return Console(color_system=None) if wants_no_colour() else Console()
