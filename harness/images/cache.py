"""The cache of images: each is made or fetched once, and loaded by every run that needs it.

It is ``$SAMEPORT_CACHE``, else ``$XDG_CACHE_HOME/sameport``, else ``~/.cache/sameport``; archives
are in ``images`` below.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import re
import shutil
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from harness._version import __version__
from harness.common.paths import cache_folder
from harness.errors import EngineError
from harness.images.archive import Config, appended, architecture, described, sole
from harness.images.catalogue import CATALOGUE, official_recipe, recipe
from harness.images.folder import CachedImage, Folder
from harness.images.packages import make
from harness.images.references import Reference, parsed
from harness.images.registry import DOCKER, Elsewhere, NotToBeHadError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.images.catalogue import Recipe

Source = Literal["auto", "registry", "packages"]

FILE = "file"
_LONGEST_STEM = 60
_GZIP, _XZ = b"\x1f\x8b", b"\xfd7zXZ\x00"


class Cache:
    """Images, by name or by reference.

    Parameters
    ----------
    folder
        What to use in place of the folder that the environment names.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = Folder((folder or cache_folder()) / "images")
        self._elsewhere = Elsewhere()

    def require(self, name: str, tell: Callable[[str], None], source: Source = "auto") -> CachedImage:
        """Give an image of the catalogue, and make it if need be.

        Parameters
        ----------
        name
            One of the catalogue's.
        tell
            Receives a line about each long step.
        source
            ``registry``, for the official image; ``packages``, for one made of packages; ``auto``,
            for what is there, else the official one, else packages.

        Raises
        ------
        EngineError
            It can't be had; the message names the remedy.
        """
        wanted = recipe(name)
        if found := self._known(wanted, source):
            return found
        with self._folder.locked(tell):
            return self._known(wanted, source) or self._made(wanted, tell, source)

    def require_reference(self, reference: str, tell: Callable[[str], None]) -> CachedImage:
        """Give an image by its reference: from the cache, else this machine's Docker, else a registry.

        If none has it, but it is an official one of the catalogue, in its version or without one, the
        image made of packages stands in for it. One that came from this machine's Docker is fetched anew
        if Docker has another by now.

        Parameters
        ----------
        reference
            What it is called.
        tell
            Receives a line about each long step.

        Raises
        ------
        EngineError
            It is no reference, or the image is found nowhere.
        """
        wanted = parsed(reference)
        if (found := self._current(wanted) or self._made_before(wanted)) is not None:
            return found
        with self._folder.locked(tell):
            try:
                return self._current(wanted) or self._fetched(wanted, tell)
            except NotToBeHadError:
                if (named := official_recipe(wanted)) is None:
                    raise
                return self._known(named, "packages") or self._made(named, tell, "packages")

    def add(self, archive: Path | IO[bytes]) -> CachedImage:
        """Add an image that `docker save` or `podman save` wrote; compressed or not.

        Raises
        ------
        EngineError
            It is no such file, or not one image with a name.
        """
        if isinstance(archive, Path):
            try:
                with archive.open("rb") as opened:
                    return self._added(opened, str(archive))
            except OSError as error:
                raise EngineError(f"{archive} can't be read: {error.strerror}") from error
        return self._added(archive, "what was given")

    def _added(self, archive: IO[bytes], called: str) -> CachedImage:
        with self._folder.locked(lambda _: None), ExitStack() as stack:
            file = stack.enter_context(self._folder.new())
            shutil.copyfileobj(archive, file)
            file.flush()
            try:
                return self._kept(self._plain(file, stack), FILE)
            except EngineError as error:
                raise EngineError(f"{called}: {error}") from error

    def images(self) -> list[CachedImage]:
        """List what is there."""
        return self._folder.entries()

    def clean(self, tell: Callable[[str], None] = lambda _: None) -> int:
        """Remove all images; give how many bytes that freed."""
        return self._folder.clean(tell)

    # How it is done, with the lock held

    def _known(self, wanted: Recipe, source: Source) -> CachedImage | None:
        found = None
        if source != "packages":
            found = self._folder.find(_official_stem(wanted))
        if found is None and source != "registry":
            found = self._folder.find(f"{wanted.name}-{wanted.key('packages')}")
        return found

    def _current(self, wanted: Reference) -> CachedImage | None:
        found = self._folder.find(_stem(wanted))
        if found and found.origin == DOCKER:
            image_id = self._elsewhere.docker_id(wanted)
            if image_id not in {None, found.versions["id"]}:
                return None
        return found

    def _made_before(self, wanted: Reference) -> CachedImage | None:
        """Find what was made of packages, by its own name or by that of what it stands in for."""
        ours = (image for image in self.images() if image.name in CATALOGUE)
        by_name = next((image for image in ours if image.reference == wanted.familiar), None)
        named = official_recipe(wanted)
        return by_name or (self._known(named, "packages") if named else None)

    def _made(self, wanted: Recipe, tell: Callable[[str], None], source: Source) -> CachedImage:
        why = ""
        if source != "packages":
            try:
                return self._official(wanted, tell)
            except NotToBeHadError as error:
                if source == "registry":
                    raise
                why = f"the official image {wanted.reference}: {'; '.join(error.reasons)}"
        try:
            with self._folder.work() as folder, self._folder.new() as file:
                made = make(wanted, folder, file, tell)
                return self._keep(
                    file,
                    f"{wanted.name}-{wanted.key('packages')}",
                    wanted.name,
                    made.reference,
                    made.origin,
                    made.versions,
                )
        except EngineError as error:
            if why:
                raise EngineError(f"{error}\n{why}") from error
            raise

    def _official(self, wanted: Recipe, tell: Callable[[str], None]) -> CachedImage:
        reference = parsed(wanted.reference)
        base = self._folder.find(_stem(reference)) or self._fetched(reference, tell)
        if not wanted.sample:
            return base
        ours = f"sameport/{wanted.name}:{__version__}-{reference.path.rpartition('/')[2]}{reference.tag}"
        versions = dict(base.versions) | {"sameport": __version__}
        with self._folder.new() as file:
            appended(base.path, file, wanted.files(), wanted.config, ours)
            return self._keep(file, _official_stem(wanted), wanted.name, ours, base.origin, versions)

    def _fetched(self, wanted: Reference, tell: Callable[[str], None]) -> CachedImage:
        with self._folder.new() as file:
            origin = self._elsewhere.fetch(wanted, Path(file.name), tell)
            return self._kept(file, origin, wanted)

    def _kept(self, file: IO[bytes], origin: str, wanted: Reference | None = None) -> CachedImage:
        """Keep an image that was made elsewhere, under the requested name."""
        path = Path(file.name)
        image = sole(described(path))
        if wanted is None:
            if not image.references:
                raise EngineError("the image has no name there: save it by its name, not by its ID")
            wanted = parsed(image.references[0])
        image_id = self._elsewhere.docker_id(wanted) if origin == DOCKER else None
        versions = {"id": image_id or image.image_id}  # Docker's own may be another one
        stem, name = _stem(wanted), str(wanted)
        if wanted.loadable in image.references or str(wanted) in image.references:
            reference = wanted.loadable if wanted.loadable in image.references else str(wanted)
            return self._keep(file, stem, name, reference, origin, versions)
        with self._folder.new() as renamed:
            appended(path, renamed, {}, Config(), wanted.loadable)
            return self._keep(renamed, stem, name, wanted.loadable, origin, versions)

    def _keep(  # noqa: PLR0913, PLR0917  what an entry has
        self,
        file: IO[bytes],
        stem: str,
        name: str,
        reference: str,
        origin: str,
        versions: Mapping[str, str],
    ) -> CachedImage:
        file.flush()
        image = sole(described(Path(file.name)))
        return self._folder.keep(
            file,
            stem,
            name=name,
            reference=reference,
            image_id=image.image_id,
            origin=origin,
            versions=versions,
            ports=image.ports,
        )

    def _plain(self, file: IO[bytes], stack: ExitStack) -> IO[bytes]:
        """Take the compression away, so that loading needs no time for it again and again."""
        file.seek(0)
        begin = file.read(6)
        file.seek(0)
        if begin.startswith(b"\x28\xb5\x2f\xfd"):
            raise EngineError("it is compressed by zstd: write it as it is, or compress it by gzip")
        if not begin.startswith((_GZIP, _XZ)):
            return file
        plain = stack.enter_context(self._folder.new())
        try:
            with (
                gzip.GzipFile(fileobj=file, mode="rb")
                if begin.startswith(_GZIP)
                else lzma.LZMAFile(file) as source
            ):
                shutil.copyfileobj(source, plain)
        except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error) as error:
            raise EngineError(f"no whole archive: {error}") from error
        plain.flush()
        return plain


def _official_stem(wanted: Recipe) -> str:
    if wanted.sample:
        return f"{wanted.name}-{wanted.key('registry')}"
    return _stem(parsed(wanted.reference))


def _stem(reference: Reference) -> str:
    readable = re.sub(r"[^A-Za-z0-9._]+", "-", reference.familiar)[:_LONGEST_STEM].strip("-.")
    whole = f"{reference} {architecture()}"  # a home folder may be several machines'
    return f"{readable}-{hashlib.sha256(whole.encode()).hexdigest()[:16]}"
