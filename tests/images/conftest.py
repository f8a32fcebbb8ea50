"""Images that many tests look at, and a registry of their own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tarfile
import time
from typing import TYPE_CHECKING

import pytest

from harness.images import Cache
from harness.images.archive import Config, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_SETTINGS = """
version: 0.1
storage: {{filesystem: {{rootdirectory: "{folder}"}}}}
http: {{addr: "127.0.0.1:{port}"}}
log: {{level: error, accesslog: {{disabled: true}}}}
"""


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """Give a cache that has the sample and nginx, made of packages."""
    cache = Cache(tmp_path_factory.mktemp("built"))
    for name in ("sample", "nginx"):
        cache.require(name, lambda _: None, "packages")
    return cache


@pytest.fixture(scope="session")
def unpacked(built: Cache, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Give the root file system of one of them."""
    folder = tmp_path_factory.mktemp("unpacked")

    def unpack(name: str) -> Path:
        root = folder / name
        if not root.exists():
            image = built.require(name, lambda _: None, "packages")
            with tarfile.open(image.path) as archive:
                layer = next(member for member in archive.getnames() if member.endswith(".tar"))
                tree = archive.extractfile(layer)
                assert tree is not None
                root.mkdir()
                options = ["--no-same-owner", "--same-permissions", f"--directory={root}"]
                subprocess.run(["tar", "--extract", *options], input=tree.read(), check=True, timeout=30)
        return root

    return unpack


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., Path]:
    """Give a way to make an archive with hardly anything in it."""

    def make(reference: str, content: str = "") -> Path:
        root = tmp_path / "small" / "root"
        (root / "etc").mkdir(parents=True, exist_ok=True)
        (root / "etc/content").write_text(content)
        path = root.parent / "small.tar"
        with path.open("w+b") as out:
            write(out, root, Config(command=["/bin/true"], environment={"LANG": "C"}, ports=[80]), reference)
        return path

    return make


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a registry on this machine, and give its address."""
    if not (shutil.which("docker-registry") and shutil.which("skopeo")):
        pytest.skip("needs docker-registry and skopeo: tools/setup --all installs them")
    folder = tmp_path_factory.mktemp("registry")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = folder / "settings.yml"
    settings.write_text(_SETTINGS.format(folder=folder, port=port))
    with (folder / "log").open("wb") as log:
        serving = subprocess.Popen(["docker-registry", "serve", settings], stdout=log, stderr=log)
    try:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        else:
            pytest.fail((folder / "log").read_text())
        yield f"127.0.0.1:{port}"
    finally:
        serving.terminate()
        serving.wait(10)


@pytest.fixture
def push(registry: str, small: Callable[..., Path]) -> Callable[..., str]:
    """Give a way to put a small image into the registry; its reference comes back."""

    def put(name: str, content: str = "") -> str:
        reference = f"{registry}/{name}"
        copy = ["skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"]
        archive = f"docker-archive:{small('small:1', content)}"
        subprocess.run([*copy, archive, f"docker://{reference}"], check=True, timeout=30)
        return reference

    return put
