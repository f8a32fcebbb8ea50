"""Docker archives: the files that `docker save` writes, and that Docker and Podman both load.

Such a file is a tar with a ``manifest.json``, which names for each image its configuration and its
layers, in order; each layer is a tar again. Those that are written here are the same byte for byte
whenever their content is: sorted, without times, without owners.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import platform
import posixpath
import stat
import tarfile
import tempfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any, TypeVar

from harness.common.text import printable
from harness.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_MANIFEST = "manifest.json"
_WAY_OUT = "write one with: docker save NAME -o FILE"
_EPOCH = "1970-01-01T00:00:00Z"
_MOST_JSON = 1 << 24
_ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "i686": "386",
    "loongarch64": "loong64",
}


_Image = TypeVar("_Image")


def architecture() -> str:
    """Name this machine's architecture as images do, which is Go's way."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


@dataclass(frozen=True)
class Config:
    """How a container of an image is run. What is None stays as an image has it that this is put upon.

    Attributes
    ----------
    entrypoint, command
        What is run; the command is what follows the entry point.
    environment
        Variables, beside those that an image has already.
    folder
        Where it is run.
    ports
        TCP ports that it listens on.
    """

    entrypoint: Sequence[str] | None = None
    command: Sequence[str] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str | None = None
    ports: Sequence[int] = ()

    def put_upon(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """Change the ``config`` part of an image's configuration."""
        changed = dict(known)
        if self.entrypoint is not None:
            changed["Entrypoint"] = list(self.entrypoint)
            changed.pop("Cmd", None)  # it was the arguments of another program
        if self.command is not None:
            changed["Cmd"] = list(self.command)
        if self.folder is not None:
            changed["WorkingDir"] = self.folder
        variables = dict(_variable(word) for word in known.get("Env") or [])
        changed["Env"] = [f"{name}={value}" for name, value in (variables | dict(self.environment)).items()]
        ports = (known.get("ExposedPorts") or {}) | {f"{port}/tcp": {} for port in self.ports}
        if ports:
            changed["ExposedPorts"] = ports
        return changed


@dataclass(frozen=True)
class Described:
    """What one image of an archive is.

    Attributes
    ----------
    references
        Its names, as the archive has them.
    image_id
        ``sha256:…`` of its configuration, by which Docker and Podman know an image.
    environment
        Variables that its containers have.
    ports
        TCP ports that it says it listens on.
    layers
        Files in the archive, the lowest first.
    config
        The whole configuration.
    """

    references: tuple[str, ...]
    image_id: str
    environment: Mapping[str, str]
    ports: tuple[int, ...]
    layers: tuple[str, ...]
    config: Mapping[str, Any]


def described(archive: Path) -> list[Described]:
    """Tell which images an archive holds, by what it says and without reading its layers.

    Raises
    ------
    EngineError
        It is no such archive.
    """
    with _reading(archive) as tar:
        return [_described(tar, entry) for entry in _manifest(tar)]


def sole(images: Sequence[_Image]) -> _Image:
    """Give the one image of an archive; of several, nothing says which is meant."""
    if len(images) != 1:
        raise EngineError(f"the archive holds {len(images)} images, not one; save each to a file of its own")
    return images[0]


def write(out: IO[bytes], root: Path, config: Config, reference: str) -> None:
    """Write an image with one layer, a folder's content.

    Owners are root and times are none, whatever the folder's are. Modes are kept but for set-user-ID
    and set-group-ID, which mean nothing without owners; sockets and devices are left out.
    """
    with tempfile.TemporaryFile(dir=root.parent) as layer:
        _write_tree(layer, root)
        start = {"created": _EPOCH, "architecture": architecture(), "os": "linux", "history": []}
        _write_image(out, start, [], layer, config, reference)


def appended(
    archive: Path, out: IO[bytes], files: Mapping[str, bytes], config: Config, reference: str
) -> None:
    """Write an archive's one image with further files on top, by another name.

    Parameters
    ----------
    archive
        What is read.
    out
        Where the new one is written.
    files
        Their content by absolute path; without any, there is no further layer.
    config
        What is changed.
    reference
        The new name.
    """
    with _reading(archive) as tar, tempfile.TemporaryFile(dir=archive.parent) as layer:
        image = _described(tar, sole(_manifest(tar)))
        below = [(tar, tar.getmember(name)) for name in image.layers]
        if files:
            _write_files(layer, files)
        _write_image(out, image.config, below, layer if files else None, config, reference)


# Reading


@contextmanager
def _reading(archive: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(archive) as tar:
            yield tar
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        why = getattr(error, "strerror", None) or "it is no tar, or not a whole one"
        raise EngineError(f"no image archive: {why}; {_WAY_OUT}") from error


def _manifest(tar: tarfile.TarFile) -> list[Any]:
    names = tar.getnames()
    if _MANIFEST not in names:
        why, mend = "it has no manifest.json", _WAY_OUT
        if "oci-layout" in names:
            why = "it has OCI's form alone"
            mend = "make one of it with: skopeo copy oci-archive:FILE docker-archive:NEW-FILE:NAME"
        raise EngineError(f"no image archive: {why}; {mend}")
    try:
        entries = json.loads(_read(tar, _MANIFEST))
    except ValueError as error:
        raise _unreadable() from error
    if not isinstance(entries, list) or not entries:
        raise _unreadable()
    return entries


def _described(tar: tarfile.TarFile, entry: Any) -> Described:
    try:
        content = _read(tar, entry["Config"])
        config = json.loads(content)
        inner = config.get("config") or {}
        layers = tuple(_member(tar, name).name for name in entry["Layers"])
        if len(layers) != len(config["rootfs"]["diff_ids"]):
            raise _unreadable()
        return Described(
            tuple(entry.get("RepoTags") or ()),
            f"sha256:{hashlib.sha256(content).hexdigest()}",
            dict(_variable(word) for word in inner.get("Env") or ()),
            tuple(int(port[:-4]) for port in inner.get("ExposedPorts") or () if port.endswith("/tcp")),
            layers,
            config,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _unreadable() from error


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    member = _member(tar, name)
    content = tar.extractfile(member)
    if content is None or member.size > _MOST_JSON:
        raise _unreadable()
    return content.read()


def _member(tar: tarfile.TarFile, name: str) -> tarfile.TarInfo:
    """Find a file; a layer that images share is a link to the first in archives of older Dockers."""
    try:
        member = tar.getmember(name)
        if member.issym():
            member = tar.getmember(
                posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
            )
        elif member.islnk():
            member = tar.getmember(member.linkname)
    except KeyError as error:
        raise EngineError(f"no whole image archive: {printable(name)} is missing; {_WAY_OUT}") from error
    return member


def _variable(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    return name, value


def _unreadable() -> EngineError:
    return EngineError(f"no image archive: what it says of its image is broken; {_WAY_OUT}")


# Writing


def _write_tree(layer: IO[bytes], root: Path) -> None:
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for path in sorted(root.rglob("*")):
            # Of a file with several names, tarfile itself writes all but the first as links.
            member = tar.gettarinfo(path, str(path.relative_to(root)))
            if member is None or not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
                continue
            member.mode &= ~(stat.S_ISUID | stat.S_ISGID)
            if member.isreg():
                with path.open("rb") as content:
                    tar.addfile(_plain(member), content)
            else:
                tar.addfile(_plain(member))


def _write_files(layer: IO[bytes], files: Mapping[str, bytes]) -> None:
    names = {name.lstrip("/"): content for name, content in files.items()}
    folders = {str(folder) for name in names for folder in PurePosixPath(name).parents} - {"."}
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for name in sorted(folders | names.keys()):
            member = tarfile.TarInfo(name)
            if name in folders:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
            else:
                member.size = len(names[name])
            tar.addfile(_plain(member), io.BytesIO(names.get(name, b"")))


def _write_image(  # noqa: PLR0913, PLR0917  the parts that an image has
    out: IO[bytes],
    known: Mapping[str, Any],
    below: Sequence[tuple[tarfile.TarFile, tarfile.TarInfo]],
    layer: IO[bytes] | None,
    config: Config,
    reference: str,
) -> None:
    image = dict(known)
    image["config"] = config.put_upon(image.get("config") or {})
    diff_ids = list((image.get("rootfs") or {}).get("diff_ids") or [])
    if layer is not None:
        layer.seek(0)
        diff_ids.append(f"sha256:{hashlib.file_digest(layer, 'sha256').hexdigest()}")  # type: ignore[arg-type]
        if isinstance(image.get("history"), list):
            image["history"] = [*image["history"], {"created": _EPOCH, "created_by": "sameport"}]
    image["rootfs"] = {"type": "layers", "diff_ids": diff_ids}
    content = _as_json(image)
    described_by = f"{hashlib.sha256(content).hexdigest()}.json"
    names = [f"{digest.partition(':')[2]}.tar" for digest in diff_ids]
    manifest = [{"Config": described_by, "RepoTags": [reference], "Layers": names}]
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in ((_MANIFEST, _as_json(manifest)), (described_by, content)):
            _add(tar, name, len(text), io.BytesIO(text))
        for name, (source, member) in dict(zip(names, below, strict=False)).items():
            _add(tar, name, member.size, source.extractfile(member))
        if layer is not None:
            size = layer.seek(0, io.SEEK_END)
            layer.seek(0)
            _add(tar, names[-1], size, layer)


def _add(tar: tarfile.TarFile, name: str, size: int, content: IO[bytes] | None) -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    tar.addfile(_plain(member), content)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Take away what differs between two machines, or two days, that make the same file."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    return member


def _as_json(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
