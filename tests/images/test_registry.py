"""Images from elsewhere: a real registry on this machine, and a real daemon that speaks Docker's language."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING

import pytest

from harness.errors import EngineError
from harness.images import Cache
from harness.images.archive import described

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave this machine's own Docker out, if there is one."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody")


def test_anybodys_image_comes_from_its_registry_and_then_from_the_cache(
    tmp_path: Path, push: Callable[..., str]
) -> None:
    """It is loaded by the name that a scenario has."""
    reference = push("team/app:7", "seven")
    told: list[str] = []
    cache = Cache(tmp_path / "cache")
    image = cache.require_reference(reference, told.append)
    assert (image.origin, image.reference) == ("registry", reference)
    assert described(image.path)[0].references == (reference,)
    assert reference in told[0]
    assert cache.require_reference(reference, pytest.fail) == image


def test_an_image_can_be_asked_for_by_its_digest(
    tmp_path: Path, push: Callable[..., str], registry: str
) -> None:
    """Archives have tags alone, so it gets one."""
    reference = push("team/app:digest")
    inspect = ["skopeo", "inspect", "--tls-verify=false", "--format={{.Digest}}", f"docker://{reference}"]
    digest = subprocess.run(inspect, check=True, capture_output=True, text=True, timeout=20).stdout.strip()
    image = Cache(tmp_path / "cache").require_reference(f"{registry}/team/app@{digest}", lambda _: None)
    assert image.reference == f"{registry}/team/app:sha256-{digest[7:23]}"
    assert described(image.path)[0].references == (image.reference,)


def test_official_images_come_from_the_registry_that_the_environment_names(
    tmp_path: Path, push: Callable[..., str], registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a registry answers, nothing is made of packages; what it lacks is."""
    monkeypatch.setenv("SAMEPORT_REGISTRY", registry)
    push("nginx:1.22.1", "nginx")
    push("python:3.11-slim", "python")
    cache = Cache(tmp_path / "cache")
    assert cache.require("nginx", lambda _: None).reference == f"{registry}/nginx:1.22.1"
    sample = cache.require("sample", lambda _: None)
    assert sample.origin == "registry"
    assert len(described(sample.path)[0].layers) == 2
    with pytest.raises(EngineError, match=r"haproxy:2\.6\.12 can't be had: .*it has no such image"):
        cache.require("haproxy", lambda _: None, "registry")
    assert cache.require("haproxy", lambda _: None).origin == "Debian packages"


def test_error_names_each_source_without_the_image(tmp_path: Path, registry: str) -> None:
    """With what to do about it."""
    with pytest.raises(EngineError) as caught:
        Cache(tmp_path).require_reference(f"{registry}/none:1", lambda _: None)
    what, mend = str(caught.value).splitlines()
    assert what.startswith(f"the image {registry}/none:1 can't be had: this machine's Docker: ")
    assert f"{registry}: it has no such image" in what
    assert mend.endswith(f"docker save {registry}/none:1 | harness images add -")


def test_a_registry_that_is_not_there_is_asked_once(tmp_path: Path, registry: str) -> None:
    """The next image of it would only cost the same time again."""
    del registry  # needs skopeo, as it does
    with socket.create_server(("127.0.0.1", 0)) as probe:
        nowhere = f"127.0.0.1:{probe.getsockname()[1]}"
    cache = Cache(tmp_path)
    told: list[str] = []
    for _ in range(2):
        with pytest.raises(EngineError, match="connection refused"):
            cache.require_reference(f"{nowhere}/a:1", told.append)
    assert len(told) == 1


def test_a_registry_that_says_nothing_is_given_up(
    tmp_path: Path, registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A firewall that drops packets must not stop a run for minutes."""
    del registry
    monkeypatch.setattr("harness.images.registry._INSPECT_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        reference = f"127.0.0.1:{silent.getsockname()[1]}/a:1"
        began = time.monotonic()
        with pytest.raises(EngineError, match="no answer within 1 s"):
            Cache(tmp_path).require_reference(reference, lambda _: None)
        assert time.monotonic() - began < 5


def test_error_without_skopeo_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no part of the harness."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="needs skopeo: apt-get install skopeo"):
        Cache(tmp_path).require_reference("nobody/a:1", lambda _: None)


@pytest.fixture
def podman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, ...]]:
    """Serve Docker's API by Podman, from a store of its own."""
    if shutil.which("podman") is None:
        pytest.skip("needs podman")
    running = tempfile.mkdtemp(prefix="podman-")  # Podman wants a short path
    store = ("--root", f"{tmp_path}/store", "--runroot", running, "--storage-driver=vfs")
    podman = ("podman", *store)
    path = tmp_path / "socket"
    serving = subprocess.Popen([*podman, "system", "service", "--time=60", f"unix://{path}"])
    try:
        for _ in range(200):
            if path.exists():
                break
            time.sleep(0.05)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        yield podman
    finally:
        serving.terminate()
        serving.wait(10)
        shutil.rmtree(running)


def test_an_image_of_this_machines_docker_is_taken_and_followed(
    tmp_path: Path, podman: tuple[str, ...], small: Callable[..., Path]
) -> None:
    """Who builds an application anew by the same name measures the new one."""
    cache = Cache(tmp_path / "cache")
    ids = []
    for content in ("first", "second"):
        subprocess.run([*podman, "load", "-qi", small("team/app:1", content)], check=True, timeout=30)
        image = cache.require_reference("localhost/team/app:1", lambda _: None)
        assert image.origin == "this machine's Docker"
        assert cache.require_reference("localhost/team/app:1", pytest.fail) == image
        ids.append(image.image_id)
    assert ids[0] != ids[1]
    assert len(cache.images()) == 1
