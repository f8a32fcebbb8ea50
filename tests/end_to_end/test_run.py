"""`harness run` from its command line to its result folder, on a real host with real load."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from harness.recording.table import Recording
from harness.summary.run import summary_schema

if TYPE_CHECKING:
    from pathlib import Path

    from tests.end_to_end.conftest import Command

_SHORT = """
strategy: dnat-random
replicas: 4
tolerance: 30%
load: {duration: 1s, warm_up: 200ms, users: 8}
"""
_FILES = [
    "applied.json",
    "distribution.png",
    "latency.png",
    "requests.parquet",
    "scenario.yaml",
    "summary.json",
]


def _summary(folder: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return summary


def _only(results: Path) -> Path:
    (folder,) = results.iterdir()
    return folder


def test_a_run_tells_its_verdict_and_leaves_a_whole_result(harness: Command) -> None:
    """Table on standard output, progress on standard error, five files, all counts in agreement."""
    finished = harness("run", harness.scenario(_SHORT))
    assert finished.returncode == 0, finished.stderr
    folder = _only(harness.folder / "results")
    assert sorted(path.name for path in folder.iterdir()) == _FILES
    for word in (
        "instance-4",
        "chi-square",
        "p99.9",
        "client = instances = kernel",
        "even",
        str(folder.name),
    ):
        assert word in finished.stdout
    for phase in ("provisioning", "warm-up", "load", "analysis"):
        assert phase in finished.stderr
    summary = _summary(folder)
    assert summary["verdict"] == "even"
    assert summary["witnesses"]["agree"] is True
    assert summary["counts"]["errors"] == 0
    total = summary["counts"]["connections"]
    assert [summary["witnesses"][who]["connections"] for who in ("client", "instances", "kernel")] == [
        total
    ] * 3
    assert sum(instance["connections"] for instance in summary["instances"]) == total
    assert total == len(Recording.from_parquet(folder / "requests.parquet").rows)
    absent = {phase for phase, seconds in summary["phases_s"].items() if seconds is None}
    assert absent == {"images", "machine", "engine", "instances"}  # those of containers and virtual machines
    assert {"kernel", "iptables", "python", "locust", "harness"} <= set(summary["versions"])


def test_json_prints_the_summary_and_nothing_else(harness: Command) -> None:
    """Standard output is what summary.json holds, as one document that its schema accepts."""
    import jsonschema

    finished = harness("run", harness.scenario(_SHORT), "--json")
    assert finished.stderr == ""
    printed = json.loads(finished.stdout)
    assert printed == _summary(_only(harness.folder / "results"))
    jsonschema.validate(printed, summary_schema())


def test_quiet_prints_the_verdict_line_only(harness: Command) -> None:
    """One line on standard output, none on standard error."""
    finished = harness("run", harness.scenario(_SHORT), "--quiet")
    assert finished.stderr == ""
    assert finished.stdout.count("\n") == 1
    assert finished.stdout.startswith("scenario: even (")


@pytest.mark.parametrize(
    ("settings", "status", "verdict"),
    [
        # At this confidence, chance alone makes a fair strategy `uneven` once in ten thousand runs.
        (["tolerance=1%", "confidence=99.9%"], 3, "inconclusive"),
        (["tolerance=1%", "confidence=99.9%", "expect=inconclusive"], 0, "inconclusive"),
        (["expect=uneven"], 1, "even"),
    ],
)
def test_the_exit_status_is_the_verdicts(
    harness: Command, settings: list[str], status: int, verdict: str
) -> None:
    """0 is the verdict that the scenario expects; otherwise the verdict decides."""
    arguments = [word for setting in settings for word in ("--set", setting)]
    finished = harness("run", harness.scenario(_SHORT), "--json", *arguments)
    assert (finished.returncode, json.loads(finished.stdout)["verdict"]) == (status, verdict)


@pytest.mark.parametrize(("connections", "each"), [("keep-alive", None), ("5", 5), ("per-request", 1)])
def test_every_way_to_reuse_connections_is_counted_exactly(
    harness: Command, connections: str, each: int | None
) -> None:
    """Client, instances and kernel agree on connections and requests, however many share one."""
    finished = harness("run", harness.scenario(_SHORT), "--json", "--set", f"load.connections={connections}")
    summary = json.loads(finished.stdout)
    counts = summary["counts"]
    assert summary["witnesses"]["agree"] is True
    assert summary["witnesses"]["instances"]["requests"] == counts["requests"]
    if each is None:
        assert counts["connections"] == 8  # one a user
    else:
        assert 0 <= counts["connections"] * each - counts["requests"] <= 8 * each


def test_clients_on_the_host_itself_can_be_the_load(harness: Command) -> None:
    """The OUTPUT path balances as the PREROUTING path does."""
    finished = harness("run", harness.scenario(_SHORT), "--json", "--set", "client=local")
    summary = json.loads(finished.stdout)
    assert (summary["verdict"], summary["witnesses"]["agree"], summary["client"]) == ("even", True, "local")


def test_an_application_of_ones_own_is_told_by_its_answers(harness: Command) -> None:
    """A command that answers with its host name needs no line of ours in it."""
    harness.scenario(
        """
strategy: dnat-random
replicas: 3
tolerance: 90%
application:
  command: [python3, app.py]
  port: 9000
  identity: {body: 'I am (\\S+)'}
load: {duration: 1s, warm_up: 0s, users: 4}
"""
    )
    (harness.folder / "app.py").write_text(
        """
import http.server, socket
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"I am {socket.gethostname()}".encode()
        self.send_response(200); self.end_headers(); self.wfile.write(body)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("", 9000), Handler).serve_forever()
"""
    )
    finished = harness("run", "scenario.yaml", "--json")
    summary = json.loads(finished.stdout)
    assert [instance["name"] for instance in summary["instances"]] == [
        "instance-1",
        "instance-2",
        "instance-3",
    ]
    assert summary["witnesses"]["instances"] is None
    assert summary["witnesses"]["agree"] is True  # with the kernel
    assert summary["counts"]["requests"] > 100


def test_a_delay_is_seen_in_the_latency(harness: Command) -> None:
    """No answer comes before the application's delay has passed."""
    settings = ("--set", "application.delay=20ms", "--set", "tolerance=90%")
    latency = json.loads(harness("run", harness.scenario(_SHORT), "--json", *settings).stdout)["latency_ns"]
    assert 20_000_000 <= latency["p50"] < 200_000_000


def test_a_repeated_scenario_gives_a_result_each_time(harness: Command) -> None:
    """Each repetition has a host, a line and a folder of its own."""
    finished = harness("run", harness.scenario(_SHORT), "--json", "--set", "repeat=2")
    assert [json.loads(line)["repeat_index"] for line in finished.stdout.splitlines()] == [0, 1]
    assert len(list((harness.folder / "results").iterdir())) == 2


def test_an_ordinary_user_gets_the_same(
    harness: Command, public_tmp_path: Path, ordinary_user: tuple[str, ...]
) -> None:
    """No part of a run needs root, a home folder or a group."""
    public_tmp_path.chmod(0o777)
    harness.environment |= {"HOME": "/nonexistent"}
    finished = harness("run", harness.scenario(_SHORT), "--json", user=ordinary_user)
    assert finished.stderr == ""
    assert json.loads(finished.stdout)["witnesses"]["agree"] is True


def _wait_for(process: Any, words: str) -> None:
    while words not in (line := process.stderr.readline()):
        assert line, f"ended before it said {words!r}"


def test_ctrl_c_keeps_what_was_measured(harness: Command) -> None:
    """The load ends early; the result is stored, marked, and the exit status is 130."""
    process = harness.start("run", harness.scenario(_SHORT), "--set", "load.duration=60s")
    _wait_for(process, "load: ")
    process.send_signal(signal.SIGINT)
    _wait_for(process, "stopping ...")
    stdout, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted after" in stdout
    summary = _summary(_only(harness.folder / "results"))
    assert summary["interrupted"] is True
    assert summary["counts"]["requests"] > 0
    assert summary["witnesses"]["agree"] is True


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_end_before_anything_was_measured_stores_nothing(
    harness: Command, number: signal.Signals, status: int
) -> None:
    """In the warm-up there is nothing to keep yet."""
    process = harness.start(
        "run", harness.scenario(_SHORT), "--set", "load.warm_up=30s", "--set", "load.duration=60s"
    )
    _wait_for(process, "load generator")
    time.sleep(0.3)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == status
    assert "stopping ..." in stderr.splitlines()
    assert stderr.splitlines()[-1] == (
        "interrupted: everything that was started has ended; nothing was stored"
    )
    assert list((harness.folder / "results").iterdir()) == []


def test_a_thousand_instances_are_provisioned_run_and_torn_down(harness: Command) -> None:
    """More rules than one transaction holds, and nearly as many bridge ports as a bridge has."""
    settings = (
        "--set",
        "replicas=1000",
        "--set",
        "load.duration=2s",
        "--set",
        "load.connections=per-request",
    )
    summary = json.loads(harness("run", harness.scenario(_SHORT), "--json", *settings).stdout)
    assert len(summary["instances"]) == 1000
    assert summary["counts"]["errors"] == 0
    assert summary["witnesses"]["agree"] is True
    assert summary["phases_s"]["total"] > summary["phases_s"]["provision"] > 0


def test_two_runs_at_once_do_not_meet(harness: Command) -> None:
    """Each has a machine of its own, with the same addresses, and a result of its own."""
    scenario = harness.scenario(_SHORT)
    both = [harness.start("run", scenario, "--json") for _ in range(2)]
    for process in both:
        stdout, stderr = process.communicate(timeout=60)
        assert json.loads(stdout)["witnesses"]["agree"] is True, stderr
    assert len(list((harness.folder / "results").iterdir())) == 2
