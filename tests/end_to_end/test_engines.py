"""`harness run --engine docker` and `--engine podman`: real containers, on a machine that pulls nothing."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.hosts.processes import family

if TYPE_CHECKING:
    import subprocess

    from tests.end_to_end.conftest import Command

pytestmark = [
    pytest.mark.containers,
    pytest.mark.skipif(os.geteuid() != 0, reason="container engines need root"),
]

_SHORT = """
strategy: {strategy}
engine: {engine}
replicas: {replicas}
tolerance: 40%
load: {{duration: 1500ms, warm_up: 200ms, users: 8, connections: {connections}}}
"""
_KERNEL = "client = instances = kernel"
_PROXY = "client = instances = proxy"
_NO_OTHER = "client = instances"
_ENGINES = pytest.mark.parametrize("engine", ["docker", "podman"])


def _summary(harness: Command) -> dict[str, Any]:
    (folder,) = (harness.folder / "results").iterdir()
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return summary


@_ENGINES
@pytest.mark.parametrize(
    ("strategy", "connections", "agreement"),
    [
        ("dnat-random", "per-request", _KERNEL),
        ("nft-round-robin", "per-request", _KERNEL),
        ("kube-proxy-iptables", "per-request", _KERNEL),
        ("so-reuseport-host", "per-request", _NO_OTHER),
        ("so-reuseport-sandbox", "per-request", _KERNEL),
        ("{name: nginx, discovery: dns}", "keep-alive", _PROXY),
        ("haproxy", "keep-alive", _PROXY),
        ("envoy", "keep-alive", _PROXY),
        ("{name: traefik, discovery: docker}", "keep-alive", _PROXY),
        ("caddy", "keep-alive", _PROXY),
    ],
)
def test_a_strategy_is_as_even_with_containers(
    harness: Command, engine: str, strategy: str, connections: str, agreement: str
) -> None:
    """The verdict, the witnesses, and what the result says of engine, images, phases, cost and memory."""
    text = _SHORT.format(strategy=strategy, engine=engine, replicas=3, connections=connections)
    finished = harness("run", harness.scenario(text))
    assert finished.returncode == 0, finished.stderr + finished.stdout
    assert f"{agreement} " in finished.stdout
    summary = _summary(harness)
    assert (summary["verdict"], summary["witnesses"]["agree"]) == ("even", True)
    assert not summary["warnings"]
    assert engine in summary["versions"]
    images = {name: origin for name, origin in summary["versions"].items() if name.startswith("image ")}
    proxied = agreement == _PROXY
    assert len(images) == 1 + proxied
    assert all(origin for origin in images.values())
    absent = {phase for phase, seconds in summary["phases_s"].items() if seconds is None}
    assert absent == {"machine"}
    costs, memory = summary["cpu_us_per_request"], summary["memory_bytes"]
    assert costs["instances"] > 1
    assert costs["engine"] is not None
    assert memory["instances"] > 3e6
    assert bool(costs["proxy"]) == bool(memory["proxy"]) == proxied


@_ENGINES
def test_a_second_replica_can_not_publish_the_same_port(harness: Command, engine: str) -> None:
    """The engine's own words say why; with one replica, it is published by the engine itself."""
    text = _SHORT.format(strategy="publish", engine=engine, replicas=2, connections="per-request")
    refused = harness("run", harness.scenario(text))
    words = {"docker": "port is already allocated", "podman": "address already in use"}[engine]
    assert (refused.returncode, words in refused.stderr) == (2, True)
    finished = harness("run", "scenario.yaml", "--set", "replicas=1")
    assert finished.returncode == 0, finished.stderr
    assert _KERNEL in finished.stdout


def test_a_published_port_without_its_relay(harness: Command) -> None:
    """Docker is started with `--userland-proxy=false`; Podman as root has none to take out."""
    text = _SHORT.format(
        strategy="{name: publish, userland_proxy: false}", engine="docker", replicas=1, connections=1
    )
    finished = harness("run", harness.scenario(text), "--set", "client=local")
    assert finished.returncode == 0, finished.stderr
    assert _KERNEL in finished.stdout
    refused = harness("run", "scenario.yaml", "--engine", "podman")
    assert "leave userland_proxy out" in refused.stderr.replace("\n", " ")


_SOMEBODY_ELSES = """
strategy: dnat-random
engine: {engine}
replicas: 3
tolerance: 40%
application:
  image: caddy:2.11.7
  command: [caddy, respond, --listen, ":8080", "{{env.HOSTNAME}}"]
  identity: {{body: '(\\S+)'}}
load: {{duration: 1500ms, warm_up: 200ms, users: 8}}
"""


@_ENGINES
def test_somebody_elses_application_answers_with_its_host_name(harness: Command, engine: str) -> None:
    """Caddy's image as it is; the client and the kernel are the witnesses."""
    finished = harness("run", harness.scenario(_SOMEBODY_ELSES.format(engine=engine)))
    assert finished.returncode == 0, finished.stderr + finished.stdout
    assert "client = kernel" in finished.stdout
    assert any("caddy" in name for name in _summary(harness)["versions"] if name.startswith("image "))


def _refused(finished: subprocess.CompletedProcess[str], *words: str) -> None:
    said = finished.stderr.replace("\n", " ")
    assert finished.returncode == 2, said
    for each in words:
        assert each in said
    error = finished.stderr[finished.stderr.index("error: ") :]
    assert len(error.splitlines()) <= 2
    assert "Traceback" not in said


@_ENGINES
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            "application.port=9090",
            ("3 of 3 instances", "never listened on port 9090", "listening on: 8080", "application.port"),
        ),
        ("application.command=caddy nonsense", ("ended (exit status 1)", 'unknown command "nonsense"')),
        ("application.command=nowhere", ("refused when instance-", "executable file not found")),
        ("application.identity={header: X-Nope}", ("no answer", "header X-Nope", "HTTP/1.1 200 OK")),
        ("application.image=127.0.0.1:9/nobody/has:1", ("127.0.0.1:9/nobody/has:1", "harness images add")),
    ],
)
def test_engine_errors_take_one_line(
    harness: Command, engine: str, change: str, words: tuple[str, ...]
) -> None:
    """What, where, why, and what to do; never a traceback."""
    text = _SOMEBODY_ELSES.format(engine=engine)
    wait = ("--set", "application.start_timeout=2s")
    _refused(harness("run", harness.scenario(text), "--set", change, *wait), *words)


def test_root_is_asked_for(harness: Command, public_tmp_path: Path, ordinary_user: tuple[str, ...]) -> None:
    """Before anything is made."""
    text = _SHORT.format(strategy="dnat-random", engine="docker", replicas=2, connections=1)
    public_tmp_path.chmod(0o777)
    _refused(harness("run", harness.scenario(text), user=ordinary_user), "need root", "sudo")


@_ENGINES
def test_a_missing_engine_is_named_with_what_installs_it(harness: Command, engine: str) -> None:
    """Its program is really hidden, by an empty file that may not be run over it."""
    program = {"docker": "dockerd", "podman": "podman"}[engine]
    text = _SHORT.format(strategy="dnat-random", engine=engine, replicas=2, connections=1)
    hidden = (
        "unshare",
        "--mount",
        "sh",
        "-ec",
        f'mount --bind /dev/null "$(command -v {program})"; exec "$@"',
        "sh",
    )
    finished = harness("run", harness.scenario(text), user=hidden)
    _refused(finished, f"needs {program}", "apt-get install")


def _descendant(process: subprocess.Popen[str], program: str) -> int:
    end_s = time.monotonic() + 30
    while time.monotonic() < end_s:
        for pid in family(process.pid):
            try:
                if Path(f"/proc/{pid}/comm").read_text().strip() == program:
                    return pid
            except OSError:
                continue
        time.sleep(0.05)
    raise AssertionError(f"{program} was not started")


@_ENGINES
def test_an_engine_that_dies_in_mid_run_is_told(harness: Command, engine: str) -> None:
    """The command ends, with its name in a line, and keeps what was recorded."""
    text = _SHORT.format(strategy="dnat-random", engine=engine, replicas=2, connections="per-request")
    process = harness.start("run", harness.scenario(text), "--set", "load.duration=4s")
    daemon = _descendant(process, {"docker": "dockerd", "podman": "podman"}[engine])
    time.sleep(5)
    os.kill(daemon, signal.SIGKILL)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 2, stderr
    assert "killed by SIGKILL" in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize("engines", [("docker", "docker"), ("docker", "podman")])
def test_two_runs_at_once_have_nothing_to_do_with_each_other(
    harness: Command, engines: tuple[str, str]
) -> None:
    """Each has an engine, networks and names of its own."""
    text = _SHORT.format(strategy="dnat-random", engine="docker", replicas=2, connections="per-request")
    file = harness.scenario(text)
    both = [
        harness.start("run", file, "--engine", engine, "--results", f"results/{position}")
        for position, engine in enumerate(engines)
    ]
    for process in both:
        stdout, stderr = process.communicate(timeout=90)
        assert process.returncode == 0, stderr
        assert _KERNEL in stdout


def test_ctrl_c_keeps_what_was_measured(harness: Command) -> None:
    """As with processes."""
    text = _SHORT.format(strategy="dnat-random", engine="docker", replicas=2, connections="per-request")
    process = harness.start("run", harness.scenario(text), "--set", "load.duration=60s")
    _descendant(process, "dockerd")
    time.sleep(8)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert _summary(harness)["interrupted"] is True
