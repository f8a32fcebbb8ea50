"""Images made of packages: what is in them, and that it runs with their root file system as its own."""

from __future__ import annotations

import hashlib
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from harness.errors import EngineError
from harness.images.archive import described
from harness.images.catalogue import CATALOGUE
from harness.images.debian import unpack
from harness.images.packages import make

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.images import Cache

pytestmark = pytest.mark.containers
_MOST = {"sample": 60_000_000, "nginx": 35_000_000}


def _inside(root: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program with the image as its root, as any user may in a user namespace of his own."""
    return subprocess.run(
        ["unshare", "--user", "--map-root-user", f"--root={root}", *command],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )


@pytest.mark.parametrize("name", ["sample", "nginx"])
def test_an_image_is_whole_and_lean(built: Cache, unpacked: Callable[[str], Path], name: str) -> None:
    """Its programs run, which need their libraries; documentation, apt and Perl are not in it."""
    root = unpacked(name)
    for program in ("sed", "cat"):
        assert _inside(root, program, "--version").returncode == 0
    assert _inside(root, "sh", "-c", "echo $((6*7)) > /dev/null && id -un").stdout == "root\n"
    absent = ["usr/bin/apt", "usr/bin/dpkg", "usr/bin/perl", "usr/share/man/man1", "var/lib/dpkg"]
    assert not [path for path in absent if (root / path).exists()]
    assert not any((root / "usr/share/doc").glob("*"))
    assert (root / "etc/ssl/certs/ca-certificates.crt").read_text().count("BEGIN CERTIFICATE") > 50
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert (root / "bin").is_symlink()
    assert (root / "bin/ps").exists()  # it says nothing without /proc
    assert built.require(name, lambda _: None, "packages").size < _MOST[name]


def test_the_sample_runs_by_what_its_image_says(built: Cache, unpacked: Callable[[str], Path]) -> None:
    """Entry point and variables suffice; what it imports is compiled already, and nothing is missing."""
    [image] = described(built.require("sample", lambda _: None).path)
    command = image.config["config"]["Entrypoint"]
    root = unpacked("sample")
    python = (root / "usr/bin/python3").readlink()
    wrong = _inside(root, *command, **image.environment, PORT="none")
    assert wrong.returncode == 2
    assert wrong.stderr == "error: PORT='none' is no whole number from 1 to 65535\n"
    sitecustomize = f"/usr/lib/{python}/sitecustomize.py"  # Debian's, of a few lines
    verbose = _inside(root, "python3", "-v", "-c", "import harness.instance.__main__", **image.environment)
    assert "code object from '/opt/sameport/harness/instance/__pycache__" in verbose.stderr
    assert set(re.findall(r"code object from (\S+\.py)$", verbose.stderr, re.MULTILINE)) <= {sitecustomize}
    assert image.ports == (8080,)


def test_nginx_has_its_modules_where_its_configuration_can_name_them(unpacked: Callable[[str], Path]) -> None:
    """The TCP proxy is a module that has to be loaded."""
    root = unpacked("nginx")
    assert "nginx/1." in _inside(root, "nginx", "-V").stderr
    settings = "load_module /usr/lib/nginx/modules/ngx_stream_module.so; events {} stream {}"
    (root / "tmp/nginx.conf").write_text(settings)
    tested = _inside(root, "nginx", "-t", "-e", "/tmp/error", "-c", "/tmp/nginx.conf")  # noqa: S108
    assert "syntax is ok" in tested.stderr


def test_the_same_recipe_makes_the_same_file(built: Cache, tmp_path: Path) -> None:
    """Layers that are the same have the same digest, so whoever has it already needs no second copy."""
    known = built.require("sample", lambda _: None, "packages")
    (tmp_path / "work").mkdir()
    out = tmp_path / "again.tar"
    with out.open("w+b") as file:
        made = make(CATALOGUE["sample"], tmp_path / "work", file, lambda _: None)
    assert hashlib.sha256(out.read_bytes()).hexdigest() == known.sha256
    assert (made.reference, made.versions) == (known.reference, known.versions)
    assert known.versions["python3"].startswith("3.")
    assert known.reference.startswith("sameport/sample:")


@pytest.mark.parametrize("name", ["envoy", "caddy"])
def test_programs_of_pypi_are_taken_from_the_environment(tmp_path: Path, name: str) -> None:
    """The program itself, not a script that starts it; it finds the libraries that it needs."""
    pytest.importorskip("envoy", reason="needs the extra proxies")
    with (tmp_path / "out.tar").open("w+b") as file:
        (tmp_path / "work").mkdir()
        made = make(CATALOGUE[name], tmp_path / "work", file, lambda _: None)
    flag = "--version" if name == "envoy" else "version"
    said = _inside(tmp_path / "work/root", name, flag)
    version = CATALOGUE[name].official.rpartition(":")[2].removeprefix("v")
    assert version in said.stdout
    assert made.reference.startswith(f"sameport/{name}:{version}-")


def test_official_versions_are_those_that_the_constraints_pin() -> None:
    """Whichever way an image is had, the same version is measured."""
    from pathlib import Path

    lines = (Path(__file__).parents[2] / "constraints.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines)
    for recipe in CATALOGUE.values():
        if recipe.distribution:
            version = recipe.official.rpartition(":")[2].removeprefix("v")
            assert version == pinned[recipe.distribution]


def test_an_unknown_package_is_told_with_what_mends_it(tmp_path: Path) -> None:
    """Old or empty lists are the usual cause."""
    with pytest.raises(EngineError, match="no-such-package; apt-get update") as caught:
        unpack(["no-such-package"], tmp_path)
    assert "\n" not in str(caught.value)


def test_empty_lists_are_told_with_what_mends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new container has none before somebody updates them."""
    (tmp_path / "lists").mkdir()
    (tmp_path / "apt.conf").write_text(f'Dir::State::lists "{tmp_path}/lists";\n')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    (tmp_path / "work").mkdir()
    with pytest.raises(EngineError, match="apt-get update"):
        unpack(["sed"], tmp_path / "work")


def test_a_machine_without_apt_is_told_another_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There, images come from a file or a registry."""
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "work").mkdir()
    with pytest.raises(EngineError, match=r"has no apt-get; .*harness images add"):
        unpack(["sed"], tmp_path / "work")
