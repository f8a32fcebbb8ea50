"""The command line: one module for each group of commands.

In: arguments; out: text, files and exit statuses.
"""

from harness.cli.app import cli, main

__all__ = ["cli", "main"]
