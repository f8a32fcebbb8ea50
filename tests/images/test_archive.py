"""Archives: written, changed, and read whoever wrote them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from harness.errors import EngineError
from harness.images.archive import Config, appended, described, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _layers(archive: Path) -> list[dict[str, tarfile.TarInfo]]:
    layers = []
    with tarfile.open(archive) as tar:
        for name in described(archive)[0].layers:
            with tarfile.open(fileobj=tar.extractfile(name)) as layer:
                layers.append({member.name: member for member in layer})
    return layers


def test_an_archive_says_what_it_was_made_of(tmp_path: Path) -> None:
    """Content, modes and links are kept; owners, times, set-user-ID and sockets are not."""
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    (root / "bin/su").write_bytes(b"su")
    (root / "bin/su").chmod(0o4755)
    (root / "bin/sh").symlink_to("su")
    os.link(root / "bin/su", root / "bin/us")
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    os.mkfifo(root / "pipe")
    out = tmp_path / "out.tar"
    with out.open("w+b") as file:
        config = Config(entrypoint=["a"], command=["b"], environment={"X": "1=2"}, folder="/tmp", ports=[80])  # noqa: S108
        write(file, root, config, "x/y:1")
    [image] = described(out)
    assert (image.references, image.ports, image.environment) == (("x/y:1",), (80,), {"X": "1=2"})
    assert image.config["config"]["Entrypoint"] == ["a"]
    assert image.config["config"]["Cmd"] == ["b"]
    [layer] = _layers(out)
    assert sorted(layer) == ["bin", "bin/sh", "bin/su", "bin/us", "tmp"]
    assert (layer["bin/su"].mode, layer["tmp"].mode, layer["bin/us"].linkname) == (0o755, 0o1777, "bin/su")
    assert {(m.uid, m.gid, m.uname, m.mtime) for m in layer.values()} == {(0, 0, "", 0)}
    with tarfile.open(out) as tar:
        content = tar.extractfile(image.layers[0])
        assert content is not None
        digest = hashlib.sha256(content.read()).hexdigest()
    assert image.config["rootfs"]["diff_ids"] == [f"sha256:{digest}"]


def test_files_and_settings_are_put_upon_an_image(tmp_path: Path, small: Callable[..., Path]) -> None:
    """The image below stays as it is, its variables included."""
    base = small("base:1", "content")
    out = tmp_path / "out.tar"
    with out.open("w+b") as file:
        config = Config(entrypoint=["run"], environment={"MORE": "1"}, ports=[8080])
        appended(base, file, {"/opt/a/b.py": b"pass"}, config, "new:2")
    [image] = described(out)
    assert image.references == ("new:2",)
    assert image.environment == {"LANG": "C", "MORE": "1"}
    assert image.ports == (80, 8080)
    assert image.config["config"]["Entrypoint"] == ["run"]
    assert "Cmd" not in image.config["config"]
    below, above = _layers(out)
    assert below.keys() == _layers(base)[0].keys()
    assert sorted(above) == ["opt", "opt/a", "opt/a/b.py"]


def test_archives_of_older_dockers_with_links_and_of_newer_ones_with_two_forms_are_read(
    tmp_path: Path, small: Callable[..., Path]
) -> None:
    """A layer that occurs twice was a link once; today OCI's form lies beside the one that is read."""
    base = small("base:1")
    with tarfile.open(base) as tar:
        parts = {name: file.read() for name in tar.getnames() if (file := tar.extractfile(name))}
    manifest = json.loads(parts.pop("manifest.json"))
    config = json.loads(parts[manifest[0]["Config"]])
    config["rootfs"]["diff_ids"] *= 2
    parts[manifest[0]["Config"]] = json.dumps(config).encode()
    manifest[0]["Layers"].append("second/layer.tar")
    parts |= {"manifest.json": json.dumps(manifest).encode(), "oci-layout": b"{}", "index.json": b"{}"}
    mixed = tmp_path / "mixed.tar"
    with tarfile.open(mixed, "w") as tar:
        link = tarfile.TarInfo("second/layer.tar")
        link.type, link.linkname = tarfile.SYMTYPE, f"../{manifest[0]['Layers'][0]}"
        tar.addfile(link)
        for name, content in parts.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    out = tmp_path / "out.tar"
    with out.open("w+b") as file:
        appended(mixed, file, {}, Config(), "renamed:1")
    [image] = described(out)
    assert image.references == ("renamed:1",)
    assert len(_layers(out)) == 2


def _tar(path: Path, **files: bytes) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name.replace("__", "."))
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a": b""}, "has no manifest.json"),
        ({"index__json": b"{}", "oci-layout": b"{}"}, "skopeo copy oci-archive:FILE"),
        ({"manifest__json": b"{"}, "is broken"),
        ({"manifest__json": b"[]"}, "is broken"),
        ({"manifest__json": b"[1]"}, "is broken"),
        ({"manifest__json": b'[{"Config": 1}]'}, "is broken|is missing"),
        ({"manifest__json": b'[{"Config": "c", "Layers": []}]'}, "c is missing"),
        ({"manifest__json": b'[{"Config": "c", "Layers": []}]', "c": b"[]"}, "is broken"),
        ({"manifest__json": b'[{"Config": "c", "Layers": ["l"]}]', "c": b"{}"}, "l is missing"),
    ],
)
def test_archive_reader_refuses_other_tars_in_a_line(
    tmp_path: Path, files: dict[str, bytes], words: str
) -> None:
    """Any other tar is refused with a word on how to get one that is right."""
    path = tmp_path / "file.tar"
    _tar(path, **files)
    with pytest.raises(EngineError, match=words) as caught:
        described(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no tar at all" * 100, b"\x1f\x8b\x08 broken"])
def test_archive_reader_refuses_other_files_in_a_line(tmp_path: Path, content: bytes) -> None:
    """So is any other file."""
    path = tmp_path / "file.tar"
    path.write_bytes(content)
    with pytest.raises(EngineError, match="no image archive"):
        described(path)


def test_an_archive_that_is_cut_short_is_told(tmp_path: Path, small: Callable[..., Path]) -> None:
    """A copy that broke off is not taken for a smaller image."""
    path = tmp_path / "cut.tar"
    content = small("a:1", "x" * 100_000).read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(EngineError, match=r"no (whole )?image archive"):
        described(path)
