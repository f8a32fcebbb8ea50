"""Files that are written whole or not at all, with errors that the user can act on."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING

from harness.errors import ResultError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what the system refuses into one line that the user can act on."""
    try:
        yield
    except OSError as error:
        # pyarrow's errors have no strerror, and some of its messages have several lines.
        why = error.strerror or " ".join(str(error).split())
        if isinstance(error, (FileExistsError, NotADirectoryError)):
            why = "a file stands where a folder is needed"
        raise ResultError(
            f"{error.filename or path}: the result can't be written: {why}; "
            f"correct that, or choose another folder with --output DIR"
        ) from error


def write_whole(path: Path, text: str) -> None:
    """Write a text file whole or not at all, in place of an older one.

    Raises
    ------
    OSError
        Its folder is not there, or can't be written to.
    """
    hidden = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        with hidden.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        hidden.replace(path)
    finally:
        hidden.unlink(missing_ok=True)
