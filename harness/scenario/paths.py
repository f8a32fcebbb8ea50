"""Relative paths in a scenario: they are meant as seen from the scenario's file."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.scenario.source import Document, KeyPath


def resolve_paths(document: Document) -> None:
    """Write paths of `load.locustfile` and `application.command` out, where the scenario's folder has them.

    What is not there is meant as seen from the current folder. Of a command, those words are files that the
    scenario's folder has; in a container they are the image's.
    """
    load, application = document.data.get("load"), document.data.get("application")
    if isinstance(load, dict) and isinstance(path := load.get("locustfile"), str):
        folder = _folder(document, ("load", "locustfile"))
        if folder is not None and _is_file(folder / path):
            load["locustfile"] = str(folder / path)
    if isinstance(application, dict) and document.data.get("engine", "process") == "process":
        folder = _folder(document, ("application", "command"))
        words = _words(application.get("command"))
        if folder is not None and folder.resolve() != Path.cwd():
            there = [_beside(folder, word, program=number == 0) for number, word in enumerate(words)]
            if there != words:
                application["command"] = there


def _words(command: Any) -> list[str]:
    """Give a command's words; none where it is none, which is told later."""
    if isinstance(command, str):
        try:
            return shlex.split(command)
        except ValueError:
            return []
    whole = isinstance(command, list) and all(isinstance(word, str) for word in command)
    return list(command) if whole else []


def _folder(document: Document, at: KeyPath) -> Path | None:
    """Give the folder of the file that has a value; None where a command's option has it."""
    source = Path(document.place(at).source)
    return source.parent if _is_file(source) else None


def _beside(folder: Path, word: str, *, program: bool) -> str:
    """Give the whole path of a file beside the scenario; a program without a slash is one of PATH's."""
    is_path = bool(word) and not Path(word).is_absolute() and (not program or "/" in word)
    return str((folder / word).resolve()) if is_path and _is_file(folder / word) else word


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # no path at all, such as a word of a thousand characters
        return False
