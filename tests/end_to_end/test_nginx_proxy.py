"""`nginx-events` with the image nginxproxy/nginx-proxy: here a stand-in, since nothing can be pulled."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.images import Cache
from harness.images.archive import Config, write
from harness.images.debian import unpack

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Command

pytestmark = [
    pytest.mark.containers,
    pytest.mark.skipif(os.geteuid() != 0, reason="container engines need root"),
]

_PACKAGES = ("nginx-light", "python3", "base-files", "coreutils", "dash", "grep", "procps")
_REFERENCE = "nginxproxy/nginx-proxy:1.7.1"
_SCENARIO = """
strategy: {{name: nginx-events, program: nginx-proxy}}
engine: {engine}
replicas: 3
tolerance: 40%
load: {{duration: {duration}, warm_up: 200ms, {load}}}
{more}
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an image of nginx and Python, with the stand-in where the real one has its own program."""
    folder = tmp_path_factory.mktemp("nginx-proxy")
    root = unpack(_PACKAGES, folder).root
    program = root / "app" / "docker-entrypoint.sh"
    program.parent.mkdir()
    program.write_text("#!/usr/bin/python3\n" + Path(__file__).with_name("nginx_proxy_image.py").read_text())
    program.chmod(0o755)
    with (folder / "image.tar").open("wb") as file:
        write(file, root, Config(), _REFERENCE)
    return folder / "image.tar"


def _run(harness: Command, image: Path, **words: str) -> dict[str, Any]:
    harness.environment["SAMEPORT_CACHE"] = str(harness.folder / "cache")
    Cache(harness.folder / "cache").add(image)
    finished = harness("run", harness.scenario(_SCENARIO.format(**{"more": ""} | words)), "--json")
    assert finished.returncode == 0, finished.stderr + finished.stdout
    summary: dict[str, Any] = json.loads(finished.stdout)
    return summary


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_nginx_proxy_finds_instances_by_their_environment(harness: Command, image: Path, engine: str) -> None:
    """All of them, before the first request is measured; it counts for nobody."""
    summary = _run(harness, image, engine=engine, duration="1500ms", load="users: 8")
    assert (summary["verdict"], summary["witnesses"]["agree"]) == ("even", True)
    assert summary["witnesses"]["proxy"] is None
    assert summary["counts"]["errors"] == 0
    assert any(_REFERENCE in name for name in summary["versions"])


def test_nginx_proxy_follows_a_stopped_instance(harness: Command, image: Path) -> None:
    """By itself; no watcher of the harness's has a part in it."""
    more = "events: [{at: 2s, stop: instance-2}]"
    load = "model: open, rate: 300/s, timeout: 1s"
    summary = _run(harness, image, engine="docker", duration="6s", load=load, more=more)
    (event,) = summary["events"]
    assert event["last_lost_began_s"] is None or event["last_lost_began_s"] < 3.5
    assert event["followed_s"] is None
    stopped, *others = sorted(summary["instances"], key=lambda row: row["requests"])
    assert stopped["name"] == "instance-2"
    assert all(row["requests"] > stopped["requests"] * 1.5 for row in others)


def test_nginx_proxy_error_says_how_to_add_the_image(harness: Command) -> None:
    """In a line or two."""
    harness.environment["SAMEPORT_CACHE"] = str(harness.folder / "cache")
    text = _SCENARIO.format(engine="docker", duration="1s", load="users: 1", more="")
    finished = harness("run", harness.scenario(text))
    assert finished.returncode == 2
    assert _REFERENCE in finished.stderr
    assert "harness images add" in finished.stderr


def test_nginx_proxy_refuses_the_watchers_options(harness: Command) -> None:
    """Options that only the watcher's template has are refused at their place."""
    text = "strategy: {name: nginx-events, policy: hash, program: nginx-proxy}\nengine: docker\nreplicas: 2\n"
    finished = harness("validate", harness.scenario(text))
    assert finished.returncode == 2
    assert "strategy.program: nginx-proxy has settings of its own; take out policy" in finished.stderr
