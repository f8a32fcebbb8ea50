"""Files that are written whole or not at all, with errors that the user can act on.

No link is followed where a file is written: it is made anew under a name of its own, and renamed. Under sudo
what is made belongs to the user who called sudo.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from typing import IO, TYPE_CHECKING, Final

from harness.errors import ResultError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPEN_FOLDERS: Final = "/proc/self/fd/"
"""Below it, a path leads into a folder that is held open, whatever becomes of its name."""


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
        # A folder that is held open has no name of its own.
        named = None if str(error.filename).startswith(OPEN_FOLDERS) else error.filename
        raise ResultError(
            f"{named or path}: the result can't be written: {why}; "
            f"correct that, or choose another folder with --output DIR"
        ) from error


def read_file(path: Path) -> bytes:
    """Read a file; a pipe or a device, which might never end, is refused.

    Raises
    ------
    OSError
        It can't be read.
    """
    with open_file(path) as file:
        return file.read()


def open_file(path: Path) -> IO[bytes]:
    """Open a file to read from; a pipe or a device is refused.

    Raises
    ------
    OSError
        It can't be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    kind = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(kind):
        os.close(descriptor)
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(errno.EINVAL, "is a pipe or a device, and no file", str(path))
    return os.fdopen(descriptor, "rb")


def caller() -> tuple[int, int] | None:
    """Give the user and the group that called sudo; None without sudo."""
    numbers = [os.environ.get(name, "") for name in ("SUDO_UID", "SUDO_GID")]
    if os.geteuid() or not all(number.isascii() and number.isdigit() for number in numbers):
        return None
    user, group = map(int, numbers)
    return user, group


def hand_over(descriptor: int) -> None:
    """Give an open file or folder to the user that called sudo."""
    if (owner := caller()) is not None:
        os.fchown(descriptor, *owner)


def make_folder(path: Path) -> None:
    """Make a folder, with those that it lies in, unless it is there.

    Raises
    ------
    OSError
        It can't be made.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    if (owner := caller()) is not None:
        for folder in missing:
            os.chown(folder, *owner, follow_symlinks=False)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all, in place of an older one; text is UTF-8.

    Raises
    ------
    OSError
        Its folder is not there, or can't be written to.
    """
    hidden = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        with hidden.open("xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
            hand_over(file.fileno())
        hidden.replace(path)
    finally:
        hidden.unlink(missing_ok=True)
