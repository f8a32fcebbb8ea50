"""The command line: one module for each group of commands.

In: arguments; out: text, files and exit statuses.

The entry point has a handler for Ctrl-C before it imports the commands, which takes a tenth of a second.
"""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False  # see harness/__init__.py
if TYPE_CHECKING:
    from typing import Any

    from harness.cli.app import cli as cli

__all__ = ["cli", "main"]


def main() -> int:
    """Run the command."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a background process may ignore it
        signal.signal(signal.SIGINT, _leave)
    from harness.cli.app import main as run

    return run()


def _leave(_number: int, _frame: object) -> None:
    os.write(2, b"interrupted: nothing was started\n")
    os._exit(130)


def __getattr__(name: str) -> Any:
    """Import the commands when they are asked for."""
    if name == "cli":
        from harness.cli.app import cli

        return cli
    raise AttributeError(name)
