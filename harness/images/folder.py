"""The cache's folder: an archive and a description beside it for each image, written whole or not at all.

Writers hold a lock. Readers need none: an entry exists when both its files do, and an open file can be
read to its end even after its removal.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import secrets
import shutil
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from harness.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_UNFINISHED = ".unfinished-"
_LOCK = ".lock"
_PATIENCE_S = 1800
_LOOK_S = 0.1
_FORM = 1  # of the description
_FORMER_S = 24 * 3600


@dataclass(frozen=True)
class CachedImage:
    """One image that can be loaded.

    Attributes
    ----------
    name
        Its name in the catalogue, or its full name if it is not of the catalogue.
    reference
        What Docker calls it once it is loaded; Podman may call it by a longer form.
    image_id
        ``sha256:…`` of its configuration, by which both know it.
    origin
        Where it is from, in words.
    versions
        Of what it is made of.
    ports
        TCP ports that it says it listens on.
    path
        The archive.
    size
        Of the archive, in bytes.
    sha256
        Of the archive.
    made
        When, in seconds since 1970.
    """

    name: str
    reference: str
    image_id: str
    origin: str
    versions: Mapping[str, str]
    ports: tuple[int, ...]
    path: Path
    size: int
    sha256: str
    made: float


class Folder:
    """The folder, and what is done with it.

    Parameters
    ----------
    path
        Where it is; it is made when something is to be kept.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def find(self, stem: str) -> CachedImage | None:
        """Read an entry; one that is broken is as good as none."""
        archive = self.path / f"{stem}.tar"
        try:
            said = json.loads(archive.with_suffix(".json").read_bytes())
            if said.pop("form") != _FORM or archive.stat().st_size != said["size"]:
                return None
            return CachedImage(**(said | {"ports": tuple(said["ports"]), "path": archive}))
        except (AttributeError, KeyError, OSError, TypeError, ValueError):
            return None

    def entries(self) -> list[CachedImage]:
        """Read all entries, by name."""
        found = (self.find(path.name.removesuffix(".json")) for path in self.path.glob("*.json"))
        return sorted((image for image in found if image), key=lambda image: (image.name, image.made))

    @contextmanager
    def locked(self, tell: Callable[[str], None]) -> Iterator[None]:
        """Hold the lock, and remove the remains of processes that were killed while they held it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise self._refused(error) from error
        try:
            self._await(lock, tell)
            for path in self.path.glob(f"{_UNFINISHED}*"):
                _remove(path)
            yield
        except OSError as error:
            raise self._refused(error) from error
        finally:
            os.close(lock)

    def _await(self, lock: int, tell: Callable[[str], None]) -> None:
        end, told = time.monotonic() + _PATIENCE_S, False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    raise EngineError(
                        f"images have been made in {self.path} for {_PATIENCE_S // 60} minutes; "
                        f"find the process: fuser -v {self.path / _LOCK}"
                    ) from None
            else:
                return
            if not told:
                tell(f"waiting for another process that makes images in {self.path}")
                told = True
            # flock(2) has no time limit of its own.
            time.sleep(_LOOK_S)

    def _refused(self, error: OSError) -> EngineError:
        return EngineError(
            f"images can't be kept in {self.path}: {error.strerror or error}; "
            "correct that, or name another folder with the environment variable SAMEPORT_CACHE"
        )

    @contextmanager
    def work(self) -> Iterator[Path]:
        """Give an empty folder to work in, which is removed behind; the lock is to be held."""
        path = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self.path))
        try:
            yield path
        finally:
            _remove(path)

    @contextmanager
    def new(self) -> Iterator[IO[bytes]]:
        """Give a new file, which is removed behind unless it was kept; the lock is to be held."""
        path = self.path / f"{_UNFINISHED}{secrets.token_hex(8)}.tar"
        try:
            with path.open("x+b") as file:
                yield file
        finally:
            path.unlink(missing_ok=True)

    def keep(  # noqa: PLR0913  what a description has
        self,
        file: IO[bytes],
        stem: str,
        *,
        name: str,
        reference: str,
        image_id: str,
        origin: str,
        versions: Mapping[str, str],
        ports: tuple[int, ...],
    ) -> CachedImage:
        """Make an entry of a file that `new` gave and that is now filled; the lock must be held."""
        path = self.path / f"{stem}.tar"
        file.flush()
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        image = CachedImage(
            name,
            reference,
            image_id,
            origin,
            dict(versions),
            ports,
            path,
            size,
            sha256,
            round(time.time(), 3),
        )
        described = asdict(image) | {"form": _FORM}
        del described["path"]
        os.fsync(file.fileno())
        with self.new() as description:
            description.write(json.dumps(described, indent=2).encode() + b"\n")
            description.flush()
            os.fsync(description.fileno())
            # Between the two, sizes differ or one is missing, so that no reader takes the entry for whole.
            path.with_suffix(".json").unlink(missing_ok=True)
            Path(file.name).rename(path)
            Path(description.name).rename(path.with_suffix(".json"))
        self._forget_former(image)
        return image

    def _forget_former(self, image: CachedImage) -> None:
        """Remove what was made by an older recipe; not what is so new that a run may be about to load it."""
        for other in self.entries():
            if other.name == image.name and other.path != image.path and other.made < image.made - _FORMER_S:
                self.remove(other)

    def remove(self, image: CachedImage) -> None:
        """Remove an entry; the lock is to be held."""
        image.path.with_suffix(".json").unlink(missing_ok=True)
        image.path.unlink(missing_ok=True)

    def clean(self, tell: Callable[[str], None]) -> int:
        """Remove all entries and their remains from the folder, but no other files; give their bytes."""
        if not self.path.is_dir():
            return 0
        with self.locked(tell):
            files = [path for path in self.path.iterdir() if path.suffix in {".tar", ".json"}]
            freed = sum(path.stat().st_size for path in files)
            for path in files:
                path.unlink()
        return freed


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
